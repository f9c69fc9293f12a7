//! The owner's keys are enrolled in a machine's firmware, and Secure Boot is on: PCR 7 is another one, and the TPM does not unseal its half of the
//! disk key. The machine starts as always, and says why its disk stays closed; an admin has it open by the key in escrow, and from then on
//! it opens by itself again, in its new state.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::scenario::JOINING;
use super::{Scenario, enrol, joined, secureboot};
use crate::firmware::{Boots, OVMF, OVMF_SECURE};
use crate::lab::Lab;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "recover-firmware",
    about: "Secure Boot keys are enrolled in a machine's firmware: its TPM stays closed until an admin opens the disk by its key in escrow",
    boots: Boots::joining(
        slipway_wire::Cpu::X64,
        &[OVMF, OVMF_SECURE],
        "its own disk: preboot under another Secure Boot state, data opened through escrow",
    ),
    tools: JOINING,
    run,
};

fn run(lab: &mut Lab) -> Result<()> {
    // At its second start it has also put a copy of its preboot where firmware without entries looks.
    let (lan, org, home, data) = joined::machine_in_escrow(lab)?;
    let mac = home.order.mac();
    let order = home.order.clone().secured_by(secureboot::own_keys(lab, org.server())?);

    let machine = lab.power_on(order.clone(), &lan)?;
    let why = machine.wait_failure(0, "disk key derived")?.text;
    ensure!(why.contains("PCR 7"), "it does not say why: {why}");
    machine.wait_step(0, "identity proved")?;
    let (mark, key) = (machine.console().mark(), org.escrow_key());
    let words = ["machine", "open", &mac.to_string(), "--escrow", &key, "--reason", "keys enrolled in the firmware"];
    org.server().cli(words)?;
    machine.console().wait_from(mark, "through escrow", Duration::from_secs(180))?;
    machine.wait_hello(mark)?;
    machine.wait_step(mark, "reported healthy")?;
    ensure!(enrol::data_mark(&machine)? == data, "the data are others");
    machine.pull_plug()?;

    let again = lab.power_on(order, &lan)?;
    enrol::come_up(&again, 0)?;
    enrol::ensure_unsaid(&again, 0, "escrow")?;
    enrol::said(&again, 0, "slots of older epochs were destroyed")?;
    ensure!(enrol::data_mark(&again)? == data, "the data are others by now");
    let now = org.machine(mac)?;
    ensure!(now.get("opening") == Some(&Value::Bool(false)), "the key in escrow is still on offer: {now}");
    again.pull_plug()?;
    org.audit().map(drop)
}
