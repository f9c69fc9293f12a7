//! A machine's board is replaced, and its TPM with it: its preboot still starts, and is nobody's to the org. A person lets the new TPM in, in the place
//! of the old one, and opens the data partition by the key in escrow. The data are there, the old TPM is never let in again, and from then
//! on the new one opens the disk by itself.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Scenario;
use super::enrol::{self, Home};
use super::scenario::joins;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::org::Org;

pub(super) const SCENARIO: Scenario = joins(
    "recover-tpm",
    "a machine's TPM is replaced: a person lets the new one in, the data partition opens by its key in escrow, the old TPM is revoked",
    "PXE: bootstrap image with another TPM; its own disk: preboot, data opened through escrow",
    run,
);

fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;
    // The org hears of the key in escrow at the next start.
    let machine = lab.power_on(home.order.clone(), &lan)?;
    enrol::come_up(&machine, 0)?;
    let mark = data_mark(&machine)?;
    machine.pull_plug()?;
    let [old, _] = enrol::identity(&org, mac)?;

    let order = home.order.clone().tpm(&lab.tpm("node1-new")?);
    let stranger = lab.power_on(order.clone(), &lan)?;
    stranger.wait_failure(0, "identity proved").context("another TPM's key was taken for the machine's")?;
    stranger.pull_plug()?;
    // Nothing on its disk starts any more; the org, which has heard the old machine, sends it there once.
    home.disk.zero(&home.disk.esp()?)?;
    let lost = lab.power_on(order.clone(), &lan)?;
    enrol::find_nothing(&org, &lost)?;
    lost.pull_plug()?;
    org.open_window()?;
    let machine = lab.power_on(order.clone(), &lan)?;
    machine.wait_step(0, "identity proved")?;
    let key = escrow_key(&org);
    org.approve(&machine, &["--name", "web-1", "--replaces", &old, "--escrow", &key])?;
    let behind = enrol::install(&machine)?;
    said(&machine, behind, "disk key derived (by the key in escrow")?;
    said(&machine, behind, "through escrow")?;
    ensure!(data_mark(&machine)? == mark, "the data are others");
    org.close_window()?;
    machine.pull_plug()?;
    let known = org.server().ask("/org/machines")?;
    let list = known.get("machines").and_then(Value::as_array).context("no machines")?;
    let its = list.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(&old)).context("it is forgotten")?;
    ensure!(its.get("state").and_then(Value::as_str) == Some("revoked"), "the old identity lives: {its}");

    let again = lab.power_on(order, &lan)?;
    enrol::come_up(&again, 0)?;
    enrol::ensure_unsaid(&again, 0, "escrow")?;
    said(&again, 0, "slots of older epochs were destroyed")?;
    ensure!(data_mark(&again)? == mark, "the data are others by now");
    let now = org.machine(mac)?;
    ensure!(now.get("opening") == Some(&Value::Bool(false)), "the key in escrow is still on offer: {now}");
    again.pull_plug()?;
    org.audit().map(drop)
}

/// Where the lab's org keeps its escrow key.
pub(super) fn escrow_key(org: &Org) -> String {
    org.server().config_home().join("slipway/org/lab/escrow.key").display().to_string()
}

/// The number that the first generation wrote behind the data partition's beginning, as its console last told it.
pub(super) fn data_mark(machine: &Machine) -> Result<String> {
    let line =
        machine.console().find_last_from(0, ", mark ").or_else(|| machine.console().find_last_from(0, "new, mark "));
    let text = line.context("its generation told no mark of its data")?.text;
    let mark = text.rsplit("mark ").next().unwrap_or_default().trim_end_matches(')');
    ensure!(mark.len() == 32, "no mark: {text}");
    Ok(mark.to_owned())
}

pub(super) fn said(machine: &Machine, mark: usize, text: &str) -> Result<()> {
    let line = machine.console().find_last_from(mark, text);
    line.map(drop).with_context(|| format!("{} did not say {text:?}", machine.name()))
}
