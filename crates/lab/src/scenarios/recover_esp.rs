//! A machine's ESP is lost, every byte of it. It is sent to its disk, where nothing starts; when it asks again it is given the public image,
//! proves itself by its TPM, and has its preboot again: the same machine, its data untouched, no window open, nobody asked.

use anyhow::{Result, ensure};

use super::Scenario;
use super::enrol::{self, Home};
use super::scenario::joins;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) const SCENARIO: Scenario = joins(
    "recover-esp",
    "an enrolled machine's ESP is zeroed: it recovers by itself, the same machine, its data untouched",
    "PXE: bootstrap image, which restores the machine's own",
    run,
);

fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;
    let identity = enrol::identity(&org, mac)?;
    let before = enrol::data_digest(&home.disk)?;
    let esp = home.disk.esp()?;
    home.disk.zero(&esp)?;

    let lost = lab.power_on(home.order.clone(), &lan)?;
    enrol::find_nothing(&org, &lost)?;
    lost.pull_plug()?;

    let machine = lab.power_on(home.order.clone(), &lan)?;
    machine.wait_step(0, "identity proved")?;
    machine.wait_step(0, "rebooting")?;
    // The power fails right here.
    machine.pull_plug()?;
    ensure!(enrol::data_digest(&home.disk)? == before, "the data partition has changed");

    let asked = enrol::firmware_asked(lab, &lan, mac)?;
    let again = lab.power_on(home.order.clone(), &lan)?;
    enrol::come_up(&again, 0)?;
    ensure!(enrol::firmware_asked(lab, &lan, mac)? == asked, "it did not come up from its disk");
    let now = enrol::identity(&org, mac)?;
    ensure!(now == identity, "it is another machine now: {identity:?}, {now:?}");
    again.pull_plug()?;
    ensure!(enrol::data_digest(&home.disk)? == before, "the data partition has changed since");
    org.audit().map(drop)
}
