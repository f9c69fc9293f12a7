//! Bring-up of the harness itself, without Slipway.
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::peers;
use anyhow::Result;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let server = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let tftp = lab.folder().join("tftp");
    std::fs::create_dir_all(&tftp)?;
    let uki = lab.uki(&lab.cmdline())?;
    std::fs::copy(uki, tftp.join("linux.efi"))?;
    let d = peers::dnsmasq(
        &server,
        &[
            "--dhcp-range=10.77.0.100,10.77.0.200,1h",
            "--enable-tftp",
            &format!("--tftp-root={}", tftp.display()),
            "--dhcp-boot=linux.efi",
        ],
    )?;
    lab.keep(&d);
    let fw = Firmware::UefiPxe;
    let m = lab.power_on(Order::new("node1", 1, fw), &lan)?;
    let b = m.wait_booted();
    lab.stage(m.stages());
    b?;
    anyhow::bail!("show me");
}
