//! A BIOS machine on a network with a DHCP server of its own: iPXE in ROM takes the address from there and the boot from us.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::MessageType;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, router) = boot::network_of_dnsmasq(lab)?;
    let host = lab.host("server", &[(&lan, "10.77.0.2/24")])?;
    let server = lab.slipway(&host, &boot::proxy("auto"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let from_us = |dhcp: &&crate::story::Dhcp| dhcp.message.options.server_id() == host.ip().ok();
    let offer = story.of_type(MessageType::OFFER).find(from_us).context("we offered nothing")?;
    ensure!(offer.message.yiaddr == Ipv4Addr::UNSPECIFIED, "we offered the address {}", offer.message.yiaddr);
    let granted = story.of_type(MessageType::ACK).next().context("no address was granted")?;
    ensure!(granted.message.options.server_id() == router.ip().ok(), "the address was not granted by dnsmasq");
    let asked = boot::requests(&story);
    ensure!(asked.first().is_some_and(|line| line.starts_with("GET 200 /boot.ipxe?mac=")), "{asked:?}");
    Ok(())
}
