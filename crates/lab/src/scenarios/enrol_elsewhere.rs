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

/// On 64-bit ARM, whole. Debian's kernel for it cannot start another from a file: the preboot lays the generation out in memory itself, and
/// says so.
pub(super) fn arm64(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::Arm64Pxe))?;
    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    let mark = enrol::join(&org, &machine, &[])?;
    let started = machine.wait_step(mark, "kexec into the generation")?.text;
    ensure!(started.contains("laid out in memory by the preboot"), "it was started in another way: {started}");
    machine.pull_plug()?;
    for (what, wanted) in [("arch", "arm64"), ("assurance", "tpm"), ("state", "active")] {
        enrol::ensure_told(&org, machine.mac(), what, wanted)?;
    }
    org.audit().map(drop)
}
