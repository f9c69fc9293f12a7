//! A blank machine joins the org: PXE, six words compared and approved, the preboot on its own disk, the gateway, a generation that says
//! hello. From then on it boots from its disk, and its firmware asks no network.

use anyhow::{Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

/// With a TPM, whose maker nobody has vouched for: its key is in it, and no more is known.
pub(super) fn with_tpm(lab: &mut Lab) -> Result<()> {
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    joins(lab, &home, "tpm")
}

/// Without one: its key is a file on its disk, and the org says that nobody but a person vouches for it.
pub(super) fn without_tpm(lab: &mut Lab) -> Result<()> {
    let home = Home::without_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    joins(lab, &home, "approved")?;
    let esp = home.disk.esp()?;
    let files = home.disk.files(&esp)?;
    ensure!(files.iter().any(|file| file.ends_with("identity.key")), "no key on the ESP: {files:?}");
    Ok(())
}

fn joins(lab: &mut Lab, home: &Home, assurance: &str) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let early = lab.power_on(home.order.clone(), &lan)?;
    // Nobody knows it, and no window is open: it is not even given the image.
    org.server().log()?.wait_for("(no-window)", std::time::Duration::from_secs(180))?;
    early.pull_plug()?;

    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    machine.wait_step(0, "identity proved")?;
    machine.six_words()?;
    let mac = machine.mac().to_string();
    let wrong = ["approve", &mac, "--words", "abandon abandon abandon abandon abandon abandon", "--yes"];
    let refused = org.server().cli(wrong).err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(refused.contains("the words differ"), "other words were taken: {refused:?}");
    enrol::join(&org, &machine, &["--name", "web-1"])?;
    enrol::ensure_told(&org, machine.mac(), "state", "active")?;
    enrol::ensure_told(&org, machine.mac(), "assurance", assurance)?;
    let id = org.told(machine.mac(), "id")?;
    machine.pull_plug()?;
    org.close_window()?;

    let asked = enrol::firmware_asked(lab, &lan, machine.mac())?;
    let again = lab.power_on(home.order.clone(), &lan)?;
    enrol::come_up(&again, 0)?;
    ensure!(enrol::firmware_asked(lab, &lan, machine.mac())? == asked, "its firmware asked the network again");
    ensure!(org.told(machine.mac(), "id")? == id, "it is another machine now");
    again.pull_plug()?;
    home.disk.verify_table()?;
    org.audit().map(drop)
}
