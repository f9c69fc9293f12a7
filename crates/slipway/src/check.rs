//! `slipway check`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::json;
use slipway_server::config::{Config, Fault, Faults, Severity};
use slipway_server::interfaces;
use slipway_server::places::{NoConfig, Surroundings, config_file, load};
use slipway_server::site::{self, Exported, Facts};
use slipway_store::Blobs;

use crate::cli::{Check, Global};

pub(crate) fn run(global: &Global, check: &Check) -> Result<ExitCode> {
    let file = config_file(global.config.as_deref());
    let faults = match load(file.as_deref()) {
        Ok(config) => {
            let mut list = config.warnings.clone();
            if !check.file_only {
                list.extend(against_machine(global, &config)?);
            }
            config.faults(list)
        }
        Err(NoConfig::Faulty(faults)) => faults,
        Err(error) => return Err(error.into()),
    };
    if global.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&faults))?);
    } else if faults.list.is_empty() {
        println!("{}: ok", faults.file);
    } else {
        println!("{faults}");
    }
    Ok(if faults.fatal() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What does not fit this machine: its interfaces, its images. An image that is missing is an error here: this is where to find out.
fn against_machine(global: &Global, config: &Config) -> Result<Vec<Fault>> {
    let data = Surroundings::read().data(global.data.as_deref(), Some(config));
    let (catalog, damaged) = slipway_store::images::catalog(&data).with_context(|| {
        format!("cannot read the images in {} (`--file-only` checks the file alone)", data.display())
    })?;
    for error in damaged {
        eprintln!("slipway: {:#}", anyhow::Error::new(error));
    }
    let (interfaces, default_route) = interfaces::read().context("cannot read the network interfaces")?;
    let blobs = Blobs::under(&data);
    let data = std::path::absolute(&data).unwrap_or(data);
    let certificate = config.own_certificate();
    let exported = config.export.as_ref().map(|at| Exported::look(&at.value));
    let secrets = config.secrets();
    let facts =
        Facts { interfaces, default_route, chosen: Vec::new(), catalog, blobs, data, certificate, exported, secrets };
    Ok(site::check(config, &facts)?)
}

fn as_json(faults: &Faults) -> serde_json::Value {
    let one = |fault: &Fault| {
        let (line, column) = faults.place(&fault.span);
        json!({
            "file": faults.file,
            "line": line,
            "column": column,
            "severity": if fault.severity == Severity::Error { "error" } else { "warning" },
            "thing": fault.thing,
            "reason": fault.reason,
            "remedy": fault.remedy,
        })
    };
    json!({ "ok": !faults.fatal(), "faults": faults.list.iter().map(one).collect::<Vec<_>>() })
}
