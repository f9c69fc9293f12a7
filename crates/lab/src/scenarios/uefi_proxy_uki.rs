//! A network with a DHCP server of its own, which knows nothing of booting: Slipway adds the boot, on ports 67 and 4011.

use std::net::Ipv4Addr;

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::MessageType;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, router) = boot::network_of_dnsmasq(lab)?;
    let host = lab.host("server", &[(&lan, "10.77.0.2/24")])?;
    let server = lab.slipway(&host, &boot::proxy("direct"))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;

    let story = boot::story(lab, &lan, &machine)?;
    ensure!(boot::boot_server_used(&story), "the firmware did not come to port 4011");
    let ours = |dhcp: &&crate::story::Dhcp| dhcp.message.options.server_id() == host.ip().ok();
    for offer in story.of_type(MessageType::OFFER).filter(ours) {
        ensure!(offer.message.yiaddr == Ipv4Addr::UNSPECIFIED, "we offered the address {}", offer.message.yiaddr);
    }
    let granted =
        story.of_type(MessageType::ACK).find(|dhcp| !dhcp.is_boot_server()).context("no address was granted")?;
    ensure!(granted.message.options.server_id() == router.ip().ok(), "the address was not granted by dnsmasq");
    let uki = story.loaded(".efi").next().context("no .efi was loaded by TFTP")?;
    ensure!(Some(uki.server.ip()) == host.ip().ok().map(Into::into), "the UKI did not come from us");
    Ok(())
}
