//! A blank machine joins the org: PXE, six words compared and approved, the preboot on its own disk, the gateway, a generation that says
//! hello. From then on it boots from its disk, and its firmware asks no network.

use anyhow::{Result, ensure};

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::org::Org;

/// With a TPM, whose maker nobody has vouched for: its key is in it, and no more is known.
pub(super) fn with_tpm(lab: &mut Lab) -> Result<()> {
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    joins(lab, &home, "tpm", Power::Stays)
}

/// Without one: its key is a file on its disk, and the org says that nobody but a person vouches for it. The power is cut in
/// its first start from that disk, before the org has heard it.
pub(super) fn without_tpm(lab: &mut Lab) -> Result<()> {
    let home = Home::without_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    joins(lab, &home, "approved", Power::Cut)?;
    let esp = home.disk.esp()?;
    let files = home.disk.files(&esp)?;
    ensure!(files.iter().any(|file| file.ends_with("identity.key")), "no key on the ESP: {files:?}");
    Ok(())
}

/// What becomes of the power in a machine's first start from its own disk.
#[derive(Clone, Copy)]
enum Power {
    Stays,
    Cut,
}

fn joins(lab: &mut Lab, home: &Home, assurance: &str, power: Power) -> Result<()> {
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
    let machine = match power {
        Power::Stays => enrol::join(&org, &machine, &["--name", "web-1"]).map(|_| machine)?,
        Power::Cut => join_in_two(lab, &org, &lan, home, &machine)?,
    };
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

/// What firmware was to try once is tried and gone, and the org has never heard the preboot: the machine comes to it all the same, for the
/// network sends it to its disk. Returns the machine as it is switched on again.
fn join_in_two(lab: &mut Lab, org: &Org, lan: &Lan, home: &Home, machine: &Machine) -> Result<Machine> {
    org.approve(machine, &["--name", "web-1"])?;
    let mark = enrol::put_preboot(machine)?;
    machine.console().wait_from(mark, "preboot image, version ", enrol::PATIENCE)?;
    machine.pull_plug()?;
    let asked = enrol::firmware_asked(lab, lan, machine.mac())?;
    let again = lab.power_on(home.order.clone(), lan)?;
    enrol::come_up(&again, 0)?;
    ensure!(enrol::firmware_asked(lab, lan, again.mac())? > asked, "its firmware tried the disk first");
    enrol::ensure_unsaid(&again, 0, "bootstrap image, version ")?;
    Ok(again)
}
