//! Bring-up of the harness itself, without Slipway.
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::peers;
use anyhow::Result;
use std::time::Duration;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let server = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let tftp = lab.folder().join("tftp");
    std::fs::create_dir_all(&tftp)?;
    for f in ["snponly.efi", "undionly.kpxe"] {
        std::fs::copy(format!("/usr/lib/ipxe/{f}"), tftp.join(f))?;
    }
    let d = peers::dnsmasq(
        &server,
        &[
            "--dhcp-range=10.77.0.100,10.77.0.200,1h",
            "--enable-tftp",
            &format!("--tftp-root={}", tftp.display()),
            "--dhcp-match=set:ipxe,175",
            "--dhcp-boot=tag:!ipxe,snponly.efi",
            "--dhcp-boot=tag:ipxe,http://10.77.0.1:8067/boot.ipxe",
        ],
    )?;
    lab.keep(&d);
    let which = std::env::var("HARNESS").unwrap_or_default();
    let fw = match which.as_str() {
        "http" => Firmware::UefiHttp,
        "bios" => Firmware::Bios,
        _ => Firmware::UefiPxe,
    };
    let m = lab.power_on(Order::new("node1", 1, fw), &lan)?;
    m.console().wait_for("boot.ipxe", Duration::from_secs(120))?;
    lab.stage(m.stages());
    anyhow::bail!("show me");
}
