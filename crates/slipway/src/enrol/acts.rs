//! `slipway machine suspend`, `resume`, `retire`, `revoke` and `unban`, of one machine or of several.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use slipway_api::org::{OrgMachine, OrgMachines};
use slipway_trust::escrow::Opening;
use slipway_trust::record::{Act, Verb};

use super::identity::{BITES, bites};
use super::which::the_one;
use crate::cli::Global;
use crate::client::Client;
use crate::machines::print_json;
use crate::org::place::{Org, data, now_after};
use crate::org::sheet::{Kind, Sheet, Signing, complete, settle, submit};

/// `slipway machine suspend …` and the like
#[derive(Args, Clone, Debug)]
pub(crate) struct ActWords {
    /// The machine: its name, its id or the beginning of it, or its MAC address; several, and each is settled by itself
    #[arg(value_name = "MACHINE", required = true)]
    machines: Vec<String>,
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

/// The machines of the org that are meant, each once.
pub(super) fn machines<'a>(words: &[String], known: &'a [OrgMachine]) -> Result<Vec<&'a OrgMachine>> {
    let mut found: Vec<&OrgMachine> = Vec::new();
    for word in words {
        let one = machine(word, known)?;
        if !found.iter().any(|other| other.id == one.id) {
            found.push(one);
        }
    }
    Ok(found)
}

pub(crate) fn run(global: &Global, verb: Verb, words: &ActWords) -> Result<ExitCode> {
    let org = Org::open(&data(global))?;
    let known: OrgMachines = Client::of(global).get("/org/machines")?;
    let found = machines(&words.machines, &known.machines)?;
    for machine in &found {
        let stops = matches!(verb, Verb::Suspend | Verb::Retire | Verb::Revoke);
        if let Some(until) = bites(machine, jiff::Timestamp::now()).filter(|_| stops) {
            eprintln!(
                "slipway: until {until} {} may start without the org, by a PIN that was set at it: {BITES}; take it off its power",
                machine.name
            );
        }
    }
    let each = found.into_iter().map(|machine| (machine, None)).collect();
    act(global, &org, verb, each, &words.reason, &words.signing)
}

/// Does this to each of these machines. All is signed before the first is handed in; after that, none waits for another.
pub(super) fn act(
    global: &Global,
    org: &Org,
    verb: Verb,
    machines: Vec<(&OrgMachine, Option<Opening>)>,
    reason: &str,
    signing: &Signing,
) -> Result<ExitCode> {
    let mut sheets = Vec::new();
    for (machine, opening) in machines {
        let at = now_after(machine.acted.as_deref().unwrap_or_default());
        let act = Act { machine: machine.id.parse()?, verb, reason: reason.trim().to_owned(), at, opening };
        sheets.push((machine.name.as_str(), Sheet::new(Kind::Act, org.id(), &act)));
    }
    if sheets.len() < 2 {
        let (_, sheet) = sheets.pop().context("no machine was named")?;
        return settle(global, org, sheet, signing);
    }
    if signing.sheet.is_some() {
        bail!("a file is for one record: name one machine for each `--sheet FILE`");
    }
    let signed = sheets.into_iter().map(|(name, sheet)| Ok((name, complete(org, sheet, signing)?)));
    let signed = signed.collect::<Result<Vec<_>>>()?;
    let mut told = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for (name, sheet) in signed {
        match submit(global, org, &sheet) {
            Ok(submitted) if global.json => told.push(serde_json::to_value(submitted)?),
            Ok(submitted) => println!("{}", submitted.summary),
            Err(error) => {
                code = ExitCode::FAILURE;
                eprintln!("slipway: {name}: {error:#}");
                told.push(json!({ "machine": name, "error": format!("{error:#}") }));
            }
        }
    }
    if global.json {
        print_json(&Value::from(told))?;
    }
    Ok(code)
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
