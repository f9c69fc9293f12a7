//! A secret invite for one machine stands in its SMBIOS, as an OEM string: it joins with no hand laid on it, and its use is counted. Another
//! machine comes with the same invite on a USB stick, and is told that it is used up.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::enrol::{self, Home};
use crate::drive::{Bus, Drive};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    org.open_window()?;
    let token = org.invite(&["--label", "rack-7", "--approval", "auto"])?;
    let order = Order::new("node1", 1, Firmware::UefiPxe).oem_string(&format!("slipway.invite={token}"));
    let home = Home::without_tpm(lab, order)?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let found = machine.console().wait_for("an invite was found", enrol::PATIENCE)?.text;
    ensure!(found.ends_with("from the SMBIOS"), "it was found elsewhere: {found}");
    let label = machine.wait_step(0, "invite verified")?.text;
    ensure!(label.contains("rack-7"), "it does not say by which invite: {label}");
    machine.wait_step(0, "approval")?;

    // From here on the invite is spent.
    let stick = lab.folder().join("stick");
    std::fs::create_dir_all(stick.join("slipway"))?;
    std::fs::write(stick.join("slipway/invite"), format!("{token}\n"))?;
    let order = Order::new("node2", 2, Firmware::UefiPxe).memory(1536).drive(&Drive::folder(&stick).on(Bus::Usb));
    let late = lab.power_on(order, &lan)?;
    enrol::join_by_itself(&machine)?;
    machine.pull_plug()?;
    enrol::ensure_told(&org, machine.mac(), "assurance", "invited")?;

    let refused = late.wait_failure(0, "identity proved")?.text;
    ensure!(refused.contains("(invite-used)"), "it is not told why: {refused}");
    let found = late.console().find("an invite was found").context("it found no invite")?.text;
    ensure!(found.contains("from /slipway/invite on /dev/sd"), "it was found elsewhere: {found}");
    late.pull_plug()?;
    ensure!(org.machine(late.mac()).is_err(), "it was let in");
    let invites = org.server().ask("/org/invites")?;
    let told = ["uses", "max_uses"].map(|what| invites.pointer(&format!("/invites/0/{what}")).and_then(Value::as_u64));
    ensure!(told == [Some(1), Some(1)], "the invite's uses are {told:?}: {invites}");
    org.audit().map(drop)
}
