//! The org cannot be reached. A machine asks three times, and then a person. Without the org it starts only if the org's policy grants that,
//! with a PIN that a person has set: the last generation that was verified, from the machine's own disk.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::org::{CONFIG, Org};

const PATIENCE: Duration = Duration::from_secs(240);
/// The gateway is where no machine looks for it.
const ELSEWHERE: &str = "[org]\nlisten = [\"10.77.0.1:9444\"]\n";
const PIN: &str = "135790";
const PIN_PROMPT: &str = "PIN for an offline start:";

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;

    // The org grants it for a week, but the machine has not heard of that, and does not now.
    serve(&org, ELSEWHERE)?;
    org.server().cli(["org", "policy", "--offline-days", "7"])?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    prompt(&machine)?;
    let tries = machine.console().count("[!!] gateway reachable");
    ensure!(tries == 3, "a person was asked after {tries} tries");
    let refused = offline(&machine, None)?;
    ensure!(refused.contains("policy grants no start without it"), "it is not told why: {refused}");

    // The org is back. A person sets the PIN, and asks over a network that he describes.
    serve(&org, "")?;
    let mark = machine.console().mark();
    machine.type_line("network")?;
    machine.console().wait_from(mark, "eth0 52:54:00:77:00:01 link up", PATIENCE)?;
    prompt(&machine)?;
    machine.type_line("pin")?;
    for question in ["new PIN for offline starts:", "once more:"] {
        machine.console().wait_for_prompt(mark, question, PATIENCE)?;
        machine.press(&format!("{PIN}\r"))?;
    }
    machine.console().wait_from(mark, "the PIN is set once the org has answered", PATIENCE)?;
    prompt(&machine)?;
    machine.type_line("network eth0 10.77.0.50/24 via 10.77.0.1")?;
    let dhcp = machine.wait_step(mark, "dhcp acquired")?.text;
    ensure!(dhcp.contains("10.77.0.50/24 on eth0, set by hand"), "it took another address: {dhcp}");
    enrol::come_up(&machine, mark)?;
    ensure!(machine.console().find("the PIN for offline starts is set").is_some(), "the PIN was not set");
    let disk = mark_of(&machine, mark)?;
    machine.pull_plug()?;
    let told = org.server().cli(["machine", "show", &mac.to_string()])?;
    ensure!(told.contains("revocation does not bite before"), "nobody is told what was granted: {told}");

    org.server().stop()?;
    let alone = asked_at_once(lab, &home, &lan)?;
    let refused = offline(&alone, Some("246813"))?;
    ensure!(refused.contains("the PIN is wrong: the disk stays closed"), "it is not told why: {refused}");
    for said in ["[ok] disk unlocked", "[ok] generation match", "hello from generation"] {
        enrol::ensure_unsaid(&alone, 0, said)?;
    }
    let mark = alone.console().mark();
    alone.type_line("offline")?;
    alone.console().wait_for_prompt(mark, PIN_PROMPT, PATIENCE)?;
    alone.press(&format!("{PIN}\r"))?;
    alone.wait_step(mark, "generation match")?;
    alone.wait_hello(mark)?;
    ensure!(mark_of(&alone, mark)? == disk, "another volume was opened");
    alone.wait_failure(mark, "reported healthy")?;
    alone.pull_plug()?;
    org.server().start()?;
    org.audit().map(drop)
}

/// Starts the org's server anew, with this behind its configuration.
fn serve(org: &Org, more: &str) -> Result<()> {
    org.server().stop()?;
    org.server().configure(&format!("{CONFIG}{more}"))?;
    org.server().start()
}

/// Waits until a person is asked: what is typed before that counts for nothing.
fn prompt(machine: &Machine) -> Result<()> {
    machine.console().wait_for_prompt(machine.console().mark(), "slipway>", PATIENCE).map(drop)
}

/// A machine whose person presses a key as soon as it is told to.
fn asked_at_once(lab: &mut Lab, home: &Home, lan: &Lan) -> Result<Machine> {
    let machine = lab.power_on(home.order.clone(), lan)?;
    machine.console().wait_for("press a key within", PATIENCE)?;
    machine.press("x")?;
    prompt(&machine)?;
    Ok(machine)
}

/// Asks for an offline start that fails, and returns what is said of it.
fn offline(machine: &Machine, pin: Option<&str>) -> Result<String> {
    let mark = machine.console().mark();
    machine.type_line("offline")?;
    if let Some(pin) = pin {
        machine.console().wait_for_prompt(mark, PIN_PROMPT, PATIENCE)?;
        machine.press(&format!("{pin}\r"))?;
    }
    let refused = machine.wait_failure(mark, "generation match")?;
    prompt(machine)?;
    Ok(refused.text)
}

/// The mark of the volume that a generation has opened.
fn mark_of(machine: &Machine, mark: usize) -> Result<String> {
    let line = machine.console().wait_from(mark, ", mark ", PATIENCE)?.text;
    let (_, number) = line.rsplit_once("mark ").context("no mark")?;
    Ok(number.trim_end_matches(')').to_owned())
}
