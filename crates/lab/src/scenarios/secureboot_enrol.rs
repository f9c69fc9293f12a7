//! A blank machine with the owner's keys in its firmware, under Secure Boot from its first packet on, joins the org. Its kernel is locked down:
//! it starts a generation that those keys signed, and refuses one that others signed.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::enrol::{self, Home};
use super::secureboot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let server = org.server();
    let keys = secureboot::own_keys(lab, server)?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe).secured_by(keys))?;
    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let mark = enrol::join(&org, &machine, &[])?;
    let started = machine.wait_step(mark, "kexec into the generation")?.text;
    ensure!(started.contains("signed for Secure Boot"), "its kernel is not locked down: {started}");
    let known = org.machine(machine.mac())?;
    ensure!(known.get("secure_boot") == Some(&Value::Bool(true)), "the record does not say Secure Boot: {known}");
    enrol::ensure_told(&org, machine.mac(), "state", "active")?;
    machine.pull_plug()?;

    // The owner builds with other keys, which no firmware has been told of.
    let ours = server.data().join("secureboot");
    std::fs::rename(&ours, ours.with_extension("old")).context("cannot put the keys aside")?;
    server.cli(["secureboot", "init"])?;
    lab.build_image(&org, &["generation"])?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let refused = machine.wait_failure(0, "kexec into the generation")?.text;
    for why in
        ["which Secure Boot asks for", "build the image with the Secure Boot keys that this machine's firmware has"]
    {
        ensure!(refused.contains(why), "it is not told why: {refused}");
    }
    enrol::ensure_unsaid(&machine, 0, "hello from generation")?;
    machine.pull_plug()?;
    org.audit().map(drop)
}
