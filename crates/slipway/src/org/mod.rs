//! `slipway org`: the trust domain that this server belongs to, its keys, its manifest.

mod init;
#[allow(dead_code, reason = "acts and edits that are under way sign with its keys")]
pub(crate) mod place;
mod show;
pub(crate) mod words;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::cli::Global;
use place::{Org, data, now};

/// `slipway org …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum OrgCommand {
    /// Make an org: its keys, its machine CA, its first manifest
    ///
    /// The private keys of persons and of the build host are written into a folder of yours (`--keys`), the server's part into the data
    /// folder. Nothing that exists is ever replaced. docs/org.md tells who should hold which key, and how.
    Init(init::Init),
    /// Show the org: keys, gateways, floors, policy
    Show,
    /// Write what images have baked into them (CBOR): the root's key, the CA's pin, the gateways
    ///
    /// `slipway image build` finds it by itself; this is for building elsewhere.
    Facts(Facts),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Facts {
    /// Where to write it; - is the standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// The version of the image that it is for [default: the time, in seconds]
    #[arg(long, value_name = "NUMBER")]
    version: Option<u64>,
}

pub(crate) fn run(global: &Global, command: &OrgCommand) -> Result<ExitCode> {
    match command {
        OrgCommand::Init(words) => init::run(global, words),
        OrgCommand::Show => show::run(global),
        OrgCommand::Facts(words) => facts(global, words),
    }
}

fn facts(global: &Global, Facts { output, version }: &Facts) -> Result<ExitCode> {
    let (org, now) = (Org::open(&data(global))?, now());
    let bytes = slipway_trust::encode(&org.facts(version.unwrap_or(now.0), now));
    if output.as_os_str() != "-" {
        place::replace(output, 0o644, &bytes).context("cannot write the org's facts")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout();
    if out.is_terminal() {
        bail!("these bytes are not for a terminal: `--output FILE`, or `slipway org show`");
    }
    out.write_all(&bytes)?;
    Ok(ExitCode::SUCCESS)
}
