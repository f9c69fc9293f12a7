//! A machine's TPM stands in the list that an admin has signed, from its purchase papers, before the machine is ever switched on: it joins with
//! no hand laid on it. One beside it, whose TPM is by the same maker and is not in the list, waits for a person.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let [ours, other] = [lab.tpm("ours")?, lab.tpm("other")?];
    let papers = ours.ek_digest()?;
    org.server().cli(["ek-list", "add", &papers, "--name", "web-1", "--role", "web"])?;
    org.open_window()?;

    let home = Home::without_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe).tpm(&ours))?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let stranger = lab.power_on(Order::new("node2", 2, Firmware::UefiPxe).memory(1536).tpm(&other), &lan)?;

    enrol::join_by_itself(&machine)?;
    machine.pull_plug()?;
    for (what, wanted) in
        [("name", "web-1"), ("role", "web"), ("assurance", "tpm-boot"), ("ek", &papers), ("state", "pending")]
    {
        enrol::ensure_told(&org, machine.mac(), what, wanted)?;
    }
    let log = org.server().cli(["audit", "show"])?;
    ensure!(log.contains("policy: ek-list"), "the audit log does not say who let it in:\n{log}");

    stranger.console().wait_for("[..] approval", Duration::from_secs(180))?;
    enrol::ensure_unsaid(&stranger, 0, "[ok] approval")?;
    stranger.pull_plug()?;
    let tickets = org.server().ask("/org/tickets")?;
    let waiting = tickets.get("tickets").and_then(Value::as_array).context("no tickets")?;
    let is_strangers = |ticket: &Value| {
        ticket.pointer("/inventory/macs").is_some_and(|macs| macs.to_string().contains(&stranger.mac().to_string()))
    };
    ensure!(matches!(waiting.as_slice(), [one] if is_strangers(one)), "not it alone waits for a person: {tickets}");
    ensure!(org.machine(stranger.mac()).is_err(), "it was let in");
    org.audit().map(drop)
}
