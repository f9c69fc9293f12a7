//! A machine's board is replaced, and its TPM with it: its preboot still starts, and is nobody's to the org. A person lets the new TPM in, in the place
//! of the old one, and opens the data partition by the key in escrow. The data are there, the old TPM is never let in again, and from then
//! on the new one opens the disk by itself.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::scenario::joins;
use super::{Scenario, enrol, joined};
use crate::lab::Lab;

pub(super) const SCENARIO: Scenario = joins(
    "recover-tpm",
    "a machine's TPM is replaced: a person lets the new one in, the data partition opens by its key in escrow, the old TPM is revoked",
    "PXE: bootstrap image with another TPM; its own disk: preboot, data opened through escrow",
    run,
);

fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org, home, mark) = joined::machine_in_escrow(lab)?;
    let mac = home.order.mac();
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
    let key = org.escrow_key();
    org.approve(&machine, &["--name", "web-1", "--replaces", &old, "--escrow", &key])?;
    let behind = enrol::install(&machine)?;
    enrol::said(&machine, behind, "disk key derived (by the key in escrow")?;
    enrol::said(&machine, behind, "through escrow")?;
    ensure!(enrol::data_mark(&machine)? == mark, "the data are others");
    org.close_window()?;
    machine.pull_plug()?;
    let known = org.server().ask("/org/machines")?;
    let list = known.get("machines").and_then(Value::as_array).context("no machines")?;
    let its = list.iter().find(|one| one.get("id").and_then(Value::as_str) == Some(&old)).context("it is forgotten")?;
    ensure!(its.get("state").and_then(Value::as_str) == Some("revoked"), "the old identity lives: {its}");

    let again = lab.power_on(order, &lan)?;
    enrol::come_up(&again, 0)?;
    enrol::ensure_unsaid(&again, 0, "escrow")?;
    enrol::said(&again, 0, "slots of older epochs were destroyed")?;
    ensure!(enrol::data_mark(&again)? == mark, "the data are others by now");
    let now = org.machine(mac)?;
    ensure!(now.get("opening") == Some(&Value::Bool(false)), "the key in escrow is still on offer: {now}");
    again.pull_plug()?;
    org.audit().map(drop)
}
