//! `slipway secureboot`: our own keys of Secure Boot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;
use slipway_server::places::{Surroundings, config_file, load};
use slipway_server::secureboot::Keys;
use slipway_wire::efi::Time;

use crate::cli::Global;
use crate::machines::print_json;

/// `slipway secureboot …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SecureBoot {
    /// Make the keys: platform key (PK), key exchange key (KEK), and the key that images are signed with (db)
    ///
    /// They are kept in the data folder, readable by you alone. Nothing uses them until you enrol them in machines and sign images.
    Init,
    /// Show the keys' names and fingerprints
    Show,
    /// Write the public halves in every form that firmware and its tools take
    ///
    /// Of PK, KEK and db each: a certificate as .der and .pem, an EFI signature list as .esl, and a signed update as .auth, which
    /// efi-updatevar, KeyTool and systemd-boot enrol. noPK.auth takes the platform key out again.
    Export(Export),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Export {
    /// The folder to write them into; it is made if need be
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,
}

pub(crate) fn run(global: &Global, command: &SecureBoot) -> Result<ExitCode> {
    let config = load(config_file(global.config.as_deref()).as_deref()).ok();
    let data = Surroundings::read().data(global.data.as_deref(), config.as_ref());
    let now = jiff::Timestamp::now();
    match command {
        SecureBoot::Init => {
            fs::create_dir_all(&data).with_context(|| format!("cannot make the folder {}", data.display()))?;
            show(&Keys::make(&data, now.as_second())?, global.json)
        }
        SecureBoot::Show => show(&Keys::open(&data)?, global.json),
        SecureBoot::Export(Export { output }) => export(&Keys::open(&data)?, output, now, global.json),
    }
}

fn show(keys: &Keys, json: bool) -> Result<ExitCode> {
    let facts = keys.facts()?;
    if json {
        let shown: Vec<_> = facts
            .iter()
            .map(|key| json!({ "name": key.role.name(), "subject": key.subject, "sha256": key.sha256, "until": key.until }))
            .collect();
        return print_json(&json!({
            "folder": keys.folder().display().to_string(), "owner": keys.owner().to_string(), "keys": shown,
        }));
    }
    println!("owner  {}", keys.owner());
    for key in &facts {
        println!(
            "{:<5}  {}\n       SHA-256 {}\n       valid until {}",
            key.role.name(),
            key.subject,
            key.sha256,
            key.until
        );
    }
    println!("kept in {}", keys.folder().display());
    println!(
        "next    `slipway secureboot export --output FOLDER` for the machines, `slipway image add --sign` for what they boot"
    );
    Ok(ExitCode::SUCCESS)
}

fn export(keys: &Keys, folder: &Path, now: jiff::Timestamp, json: bool) -> Result<ExitCode> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let later = now.saturating_add(jiff::SignedDuration::from_secs(1))?;
    let files = keys.export([time(now)?, time(later)?])?;
    for (name, content) in &files {
        let path = folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if json {
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        return print_json(&json!({ "folder": folder.display().to_string(), "files": names }));
    }
    println!("wrote {} files into {}", files.len(), folder.display());
    println!("enrol db first, then KEK, and PK last: with it Secure Boot is on (docs/secure-boot.md)");
    Ok(ExitCode::SUCCESS)
}

/// The time of an update, in UTC: firmware takes none that is older than the last.
fn time(now: jiff::Timestamp) -> Result<Time> {
    let civil = now.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    let byte = |number: i8| u8::try_from(number).context("this is no time");
    Ok(Time {
        year: u16::try_from(civil.year()).context("this is no year that firmware knows")?,
        month: byte(civil.month())?,
        day: byte(civil.day())?,
        hour: byte(civil.hour())?,
        minute: byte(civil.minute())?,
        second: byte(civil.second())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_shown_and_written_out() {
        let data = tempfile::tempdir().unwrap();
        let global = Global { data: Some(data.path().to_owned()), ..Global::default() };
        let output = data.path().join("out");
        let export = SecureBoot::Export(Export { output: output.clone() });
        assert!(run(&global, &export).unwrap_err().to_string().contains("slipway secureboot init"));
        for command in [SecureBoot::Init, SecureBoot::Show, export] {
            run(&global, &command).unwrap();
        }
        assert!(run(&global, &SecureBoot::Init).is_err(), "never a second time");
        assert_eq!(fs::read_dir(&output).unwrap().count(), 13);
        let keys: Vec<_> = fs::read_dir(&output)
            .unwrap()
            .filter(|entry| {
                fs::read(entry.as_ref().unwrap().path()).unwrap().windows(11).any(|words| words == b"PRIVATE KEY")
            })
            .collect();
        assert!(keys.is_empty(), "{keys:?}");
    }

    #[test]
    fn a_time_is_told_in_utc() {
        let time = time("2026-11-23T07:05:59.9Z".parse().unwrap()).unwrap();
        assert_eq!((time.year, time.month, time.day, time.hour, time.minute, time.second), (2026, 11, 23, 7, 5, 59));
    }
}
