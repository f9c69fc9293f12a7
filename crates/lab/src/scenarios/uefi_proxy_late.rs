//! ProxyDHCP that is late: the network's own server has given its address seconds before we say anything. OVMF goes on collecting offers,
//! and takes ours at the end of a later window.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::MessageType;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

const PATIENCE: Duration = Duration::from_secs(180);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, _) = boot::network_of_dnsmasq(lab)?;
    let host = lab.host("server", &[(&lan, "10.77.0.2/24")])?;
    let server = lab.slipway(&host, &boot::proxy("direct"))?;
    boot::add_uki(lab, &server)?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    let theirs = |packet: &crate::Packet| packet.from.port() == 67;
    lab.packets(&lan)?.wait_for("offer of dnsmasq", PATIENCE, theirs)?;
    server.start()?;
    boot::see_it_boot(lab, &server, &machine)?;

    let story = boot::story(lab, &lan, &machine)?;
    let first = story.of_type(MessageType::DISCOVER).next().context("no DISCOVER")?;
    let ours = |dhcp: &&crate::story::Dhcp| dhcp.message.options.server_id() == host.ip().ok();
    let offer = story.of_type(MessageType::OFFER).find(ours).context("we offered nothing")?;
    let late = offer.at.duration_since(first.at)?;
    ensure!(late >= Duration::from_secs(3), "our offer came {late:?} after the first DISCOVER: that is not late");
    ensure!(boot::boot_server_used(&story), "the firmware did not come to port 4011");
    Ok(())
}
