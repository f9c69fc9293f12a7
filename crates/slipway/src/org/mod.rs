//! `slipway org`: the trust domain that this server belongs to, its keys, its manifest.

mod edit;
mod init;
mod keys;
pub(crate) mod parts;
pub(crate) mod place;
pub(crate) mod sheet;
pub(crate) mod show;
pub(crate) mod told;
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
    /// Where machines reach the org
    #[command(subcommand)]
    Gateway(edit::Gateway),
    /// Say which version of a kind of image is the oldest that is still allowed; it never falls
    Floor(edit::FloorWords),
    /// The persons whose word counts
    #[command(subcommand)]
    Admin(edit::SignersCommand),
    /// The build hosts whose word counts
    #[command(subcommand)]
    ImageKey(edit::SignersCommand),
    /// The servers that may grant identities
    #[command(subcommand)]
    Enroller(edit::Enroller),
    /// What the org allows
    Policy(edit::PolicyWords),
    /// Make a key of one's own, or show what a key file is
    #[command(subcommand)]
    Key(keys::Key),
    /// Sign what somebody else has prepared with `--sheet`: shows what it says, asks, and adds a signature
    Cosign(sheet::Cosign),
    /// Print what is to be signed, for a hardware token
    ///
    /// The token signs these bytes with Ed25519 (not a digest of them); `slipway org attach` puts the signature in.
    Bytes(sheet::Bytes),
    /// Put in a signature that was made elsewhere
    Attach(sheet::Attach),
    /// Hand in what has been signed
    Submit(sheet::SubmitFile),
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
        OrgCommand::Gateway(words) => edit::gateways(global, words),
        OrgCommand::Floor(words) => edit::floor(global, words),
        OrgCommand::Admin(words) => edit::admins(global, words),
        OrgCommand::ImageKey(words) => edit::image_keys(global, words),
        OrgCommand::Enroller(words) => edit::enrollers(global, words),
        OrgCommand::Policy(words) => edit::policy(global, words),
        OrgCommand::Key(words) => keys::run(global, words),
        OrgCommand::Cosign(words) => sheet::cosign(global, words),
        OrgCommand::Bytes(words) => sheet::print_bytes(words),
        OrgCommand::Attach(words) => sheet::attach(global, words),
        OrgCommand::Submit(words) => sheet::submit_file(global, words),
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
