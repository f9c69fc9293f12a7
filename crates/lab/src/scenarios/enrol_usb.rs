//! No network boot at all: `slipway image media --usb` has written a stick with the bootstrap image and a secret invite. A blank machine starts
//! from it, joins with no hand laid on it, and goes on from its own disk, the stick still plugged in.

use anyhow::{Context, Result, ensure};

use super::enrol::{self, Home};
use crate::drive::{Bus, Drive};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    org.open_window()?;
    let invite = org.invite(&["--label", "field", "--approval", "auto"])?;
    let (token, stick) = (lab.folder().join("field.token"), lab.folder().join("stick.img"));
    std::fs::write(&token, invite)?;
    let words = ["image", "media", "--usb", "--invite"].map(AsRef::as_ref);
    let said =
        org.server().cli(words.iter().copied().chain([token.as_os_str(), "--output".as_ref(), stick.as_os_str()]))?;
    ensure!(said.contains("it carries the secret invite"), "nobody is warned: {said}");

    let mut home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    home.order = home.order.drive(&Drive::image(&stick).on(Bus::Usb).serial("LAB-stick"));
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let mark = enrol::join_by_itself(&machine)?;
    let found = machine.console().find("an invite was found").context("it found no invite")?.text;
    ensure!(found.contains("from /slipway/invite on /dev/sd"), "it was found elsewhere: {found}");
    ensure!(enrol::firmware_asked(lab, &lan, machine.mac())? == 0, "its firmware asked the network who boots it");
    let written = machine.console().find("[ok] written to the esp").context("nothing was written")?.text;
    ensure!(written.contains("LAB-node1-disk"), "it was written elsewhere: {written}");

    machine.wait_step(mark, "identity proved")?;
    machine.pull_plug()?;
    ensure!(enrol::firmware_asked(lab, &lan, machine.mac())? == 0, "its firmware asked the network who boots it");
    enrol::ensure_told(&org, machine.mac(), "state", "confirmed")?;
    enrol::ensure_told(&org, machine.mac(), "assurance", "tpm")?;
    org.audit().map(drop)
}
