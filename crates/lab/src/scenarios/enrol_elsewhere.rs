//! The same story of joining on a machine whose firmware boots by HTTP.

use anyhow::{Context as _, Result, ensure};

use super::boot;
use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

/// By UEFI HTTP Boot: not one file comes by TFTP.
pub(super) fn http_boot(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiHttp))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;
    let story = lab.story(&lan)?.of_machine(mac);
    ensure!(story.transfers().is_empty(), "TFTP was used");
    let asked = boot::requests(&story);
    let first = asked.iter().find(|line| line.starts_with("GET 200 /image/bootstrap/"));
    first.with_context(|| format!("its firmware did not load the bootstrap image by HTTP: {asked:?}"))?;
    enrol::ensure_told(&org, mac, "assurance", "tpm")
}

/// On 64-bit ARM, as far as Debian's kernel for it goes: it has no driver for the board's TPM, and cannot start another kernel from a file.
/// Both are said.
pub(super) fn arm64(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::Arm64Pxe))?;
    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    machine.wait_step(0, "identity proved")?;
    let no_driver = machine.console().find("the firmware tells of a TPM, but no driver in this image finds it");
    ensure!(no_driver.is_some(), "it does not say why its TPM is not used");
    org.approve(&machine, &[])?;
    machine.wait_step(0, "rebooting")?;
    let mark = machine.console().mark();
    machine.wait_step(mark, "disk unlocked")?;
    let refused = machine.wait_failure(mark, "kexec into the generation")?.text;
    ensure!(refused.contains("without kexec_file_load"), "it does not say why: {refused}");
    for (what, wanted) in [("arch", "arm64"), ("assurance", "approved"), ("state", "confirmed")] {
        enrol::ensure_told(&org, machine.mac(), what, wanted)?;
    }
    machine.pull_plug()?;
    org.audit().map(drop)
}
