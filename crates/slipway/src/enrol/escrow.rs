//! `slipway machine open`: a disk that its machine cannot open any more is opened by its key in escrow.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use slipway_api::org::{OrgMachine, OrgMachines};
use slipway_trust::escrow::{Escrow, Opening};
use slipway_trust::record::{Act, TpmFacts, Verb};

use super::acts;
use crate::cli::Global;
use crate::client::Client;
use crate::org::parts::escrow_key;
use crate::org::place::{Org, data, now_after, random};
use crate::org::sheet::{Kind, Sheet, Signing, bytes, settle};

/// `slipway machine open`
#[derive(Args, Clone, Debug)]
pub(crate) struct Open {
    /// The machine: its name, its id or the beginning of it, or its MAC address
    #[arg(value_name = "MACHINE")]
    machine: String,
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
    let found = acts::machine(&words.machine, &known.machines)?;
    let opening = opening(&org, found, found.tpm.as_deref(), &words.escrow)?;
    let at = now_after(found.acted.as_deref().unwrap_or_default());
    let reason = words.reason.trim().to_owned();
    let act = Act { machine: found.id.parse()?, verb: Verb::Open, reason, at, opening: Some(opening) };
    settle(global, &org, Sheet::new(Kind::Act, org.id(), &act), &words.signing)
}

/// The key in escrow of a machine's data partition, sealed anew to this TPM.
pub(super) fn opening(org: &Org, of: &OrgMachine, tpm: Option<&str>, files: &[PathBuf]) -> Result<Opening> {
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
    let key = escrow_key(files, org)?;
    let machine = of.id.parse()?;
    let mut tries = 0;
    loop {
        tries += 1;
        match Opening::make(&escrow, (&org.id(), &machine), &key, &tpm, random()?) {
            // One in 2^32 random numbers is none that a curve can use.
            Err(slipway_trust::escrow::NoOpening::Tpm) if tries < 3 => {}
            made => return Ok(made?),
        }
    }
}

fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(digits: &str) -> Option<T> {
    slipway_trust::decode(&bytes(digits)?).ok()
}
