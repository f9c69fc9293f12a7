//! `slipway machine suspend`, `resume`, `retire`, `revoke` and `unban`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use slipway_api::org::{OrgMachine, OrgMachines};
use slipway_trust::record::{Act, Verb};

use super::identity::{BITES, bites};
use super::which::the_one;
use crate::cli::Global;
use crate::client::Client;
use crate::org::place::{Org, data, now_after};
use crate::org::sheet::{Kind, Sheet, Signing, settle};

/// `slipway machine suspend …` and the like
#[derive(Args, Clone, Debug)]
pub(crate) struct ActWords {
    /// The machine: its name, its id or the beginning of it, or its MAC address
    #[arg(value_name = "MACHINE")]
    machine: String,
    /// Why: it stands in the audit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    signing: Signing,
}

/// The machine of the org that is meant.
pub(crate) fn machine<'a>(word: &str, machines: &'a [OrgMachine]) -> Result<&'a OrgMachine> {
    // Of several with that name or card, those that are over do not count: a name is free again then, and so is the hardware.
    let lives = |machine: &&OrgMachine| !matches!(machine.state.as_str(), "retired" | "revoked" | "expired");
    let called = |machine: &&OrgMachine| {
        machine.name == word || machine.inventory.macs.iter().any(|mac| mac.eq_ignore_ascii_case(word))
    };
    let mut living = machines.iter().filter(lives).filter(called);
    if let (Some(one), None) = (living.next(), living.next()) {
        return Ok(one);
    }
    the_one(word, machines, "machine of the org", "slipway machines", |machine| {
        let mut names = vec![machine.id.clone(), machine.name.clone()];
        names.extend(machine.inventory.macs.iter().cloned());
        names
    })
}

pub(crate) fn run(global: &Global, verb: Verb, words: &ActWords) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let known: OrgMachines = Client::of(global).get("/org/machines")?;
    let found = machine(&words.machine, &known.machines)?;
    let at = now_after(found.acted.as_deref().unwrap_or_default());
    let stops = matches!(verb, Verb::Suspend | Verb::Retire | Verb::Revoke);
    if let Some(until) = bites(found, jiff::Timestamp::now()).filter(|_| stops) {
        eprintln!(
            "slipway: until {until} the machine may start without the org, by a PIN that was set at it: {BITES}; take it off its power"
        );
    }
    let act = Act { machine: found.id.parse()?, verb, reason: words.reason.trim().to_owned(), at, opening: None };
    settle(global, &org, Sheet::new(Kind::Act, org.id(), &act), &words.signing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_living_machines_before_those_that_are_over() {
        let of = |id: &str, state: &str| OrgMachine {
            id: id.to_owned(),
            name: "web-1".to_owned(),
            state: state.to_owned(),
            inventory: slipway_api::org::Inventory { macs: vec!["52:54:00:aa:bb:cc".to_owned()], ..Default::default() },
            ..OrgMachine::default()
        };
        let machines = [of("00aa11bb", "retired"), of("00aa22cc", "active"), of("ffee0011", "revoked")];
        assert_eq!(machine("web-1", &machines).unwrap().id, "00aa22cc");
        assert_eq!(machine("52:54:00:AA:bb:cc", &machines).unwrap().id, "00aa22cc");
        assert_eq!(machine("ffee", &machines).unwrap().id, "ffee0011");
        assert!(machine("web-1", &machines[2..]).is_ok());
        assert!(machine("web-2", &machines).unwrap_err().to_string().contains("slipway machines"));
    }
}
