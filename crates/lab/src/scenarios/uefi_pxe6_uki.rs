//! UEFI PXE on a network without any IPv4: DHCPv6 gives the address and a `tftp://` URL, and TFTP over IPv6 the UKI.

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp6::{MessageType, OptionCode};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "fd77::1/64")])?;
    let server = lab.slipway(&host, &boot::over_ipv6("ra = \"boot-only\""))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe6), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.ip.starts_with("fd77::1:"), "its address {} is not of the pool", booted.ip);
    ensure!(booted.cmdline == lab.cmdline(), "the UKI's own command line was not {:?}", booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let answer = story.dhcp6().iter().find(|dhcp| dhcp.packet.message.kind == MessageType::ADVERTISE);
    let options = &answer.context("nothing was advertised")?.packet.message.options;
    let url = options.boot_file_url().context("no boot file was advertised")?;
    ensure!(url == b"tftp://[fd77::1]/image/debian/uki.efi", "{}", url.escape_ascii());
    ensure!(!options.has(OptionCode::VENDOR_CLASS), "a PXE client must not be sent to port 4011");
    let exchange = boot::exchange6(&story);
    ensure!(exchange.starts_with(&["SOLICIT", "ADVERTISE", "REQUEST", "REPLY"].map(str::to_owned)), "{exchange:?}");
    ensure!(story.loaded(".efi").count() == 1, "the UKI was not loaded once by TFTP");
    ensure!(!story.dhcp().iter().any(|dhcp| dhcp.from.port() == 67), "a DHCPv4 server answered");
    ensure!(boot::requests(&story).iter().all(|line| line.starts_with("POST 204 ")), "{:?}", boot::requests(&story));
    Ok(())
}
