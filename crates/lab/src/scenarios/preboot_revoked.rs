//! A machine is revoked while it is off. Its preboot still starts, and is refused: its disk stays closed. From the network it gets nothing.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

const PATIENCE: Duration = Duration::from_secs(240);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;
    org.act("revoke", mac)?;
    enrol::ensure_told(&org, mac, "state", "revoked")?;

    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "identity proved")?.text;
    ensure!(refused.contains("revoked"), "it is not told why: {refused}");
    for said in ["[ok] disk key derived", "[ok] disk unlocked", "hello from generation"] {
        enrol::ensure_unsaid(&machine, 0, said)?;
    }
    machine.pull_plug()?;

    // Not even the public image, though a window is open.
    org.open_window()?;
    home.disk.zero(&home.disk.esp()?)?;
    let journal = org.server().log()?;
    let mark = journal.mark();
    let machine = lab.power_on(home.order.clone(), &lan)?;
    journal.wait_from(mark, "(revoked)", PATIENCE).context("the journal does not say why it gets nothing")?;
    machine
        .console()
        .wait_for("PXE-E16: No valid offer received", PATIENCE)
        .context("its firmware was offered something")?;
    enrol::ensure_unsaid(&machine, 0, "slipway-agent: ")?;
    let told = org.server().cli(["audit", "show", "--about", "machine-revoked"])?;
    ensure!(told.contains("the scenario wants it"), "the audit log does not tell of it: {told}");
    org.audit().map(drop)
}
