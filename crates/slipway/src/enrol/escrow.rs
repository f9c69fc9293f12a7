//! `slipway machine open`: disks that their machines cannot open any more are opened by their keys in escrow.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use data_encoding::HEXLOWER_PERMISSIVE;
use slipway_api::org::{OrgMachine, OrgMachines};
use slipway_trust::escrow::{Escrow, Opening};
use slipway_trust::keyfile::PrivateKey;
use slipway_trust::record::{TpmFacts, Verb};

use super::acts;
use crate::cli::Global;
use crate::client::Client;
use crate::org::parts::escrow_key;
use crate::org::place::{Org, data, random};
use crate::org::sheet::Signing;

/// `slipway machine open`
#[derive(Args, Clone, Debug)]
pub(crate) struct Open {
    /// The machine: its name, its id or the beginning of it, or its MAC address; several, after a change that met many
    #[arg(value_name = "MACHINE", required = true)]
    machines: Vec<String>,
    /// The private escrow key, or its parts; may be repeated
    #[arg(long, value_name = "FILE", required = true)]
    escrow: Vec<PathBuf>,
    /// Why: it stands in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn run(global: &Global, words: &Open) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let known: OrgMachines = Client::of(global).get("/org/machines")?;
    let key = escrow_key(&words.escrow, &org)?;
    let found = acts::machines(&words.machines, &known.machines)?;
    let openings =
        found.into_iter().map(|machine| Ok((machine, Some(opening(&org, machine, machine.tpm.as_deref(), &key)?))));
    acts::act(global, &org, Verb::Open, openings.collect::<Result<_>>()?, &words.reason, &words.signing)
}

/// The key in escrow of a machine's data partition, sealed anew to this TPM.
pub(super) fn opening(org: &Org, of: &OrgMachine, tpm: Option<&str>, key: &PrivateKey) -> Result<Opening> {
    let kept = of.escrow.as_deref().with_context(|| {
        format!(
            "no key of the data partition of `{}` is in escrow here: its machine has not told of one, or the org had no \
             escrow key when it last started",
            of.name
        )
    })?;
    let escrow: Escrow = decoded(kept).context("what the server tells of the key in escrow is damaged")?;
    let tpm = tpm.context("a key in escrow is given to a TPM, and the machine has proved none")?;
    let tpm: TpmFacts = decoded(tpm).context("what the server tells of the TPM is damaged")?;
    let machine = of.id.parse()?;
    let mut tries = 0;
    loop {
        tries += 1;
        match Opening::make(&escrow, (&org.id(), &machine), key, &tpm, random()?) {
            // One in 2^32 random numbers is none that a curve can use.
            Err(slipway_trust::escrow::NoOpening::Tpm) if tries < 3 => {}
            made => return Ok(made?),
        }
    }
}

fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(digits: &str) -> Option<T> {
    slipway_trust::decode(&HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?).ok()
}
