//! The server on one network, the machine on another: a relay agent between them passes DHCP on, a router the rest.

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp4::MessageType;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::peers;

const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.1.0/24"
pool = ["10.77.1.100-10.77.1.200"]
router = "10.77.1.1"

[[rule]]
name = "everything"
boot = "debian"
path = "direct"
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let core = lab.lan("core")?;
    let rack = lab.lan("rack")?;
    let host = lab.host("server", &[(&core, "10.77.0.1/24")])?;
    let relay = lab.host("relay", &[(&rack, "10.77.1.1/24"), (&core, "10.77.0.2/24")])?;
    relay.forward()?;
    host.route_through(relay.address_on(&core)?)?;
    let dhcrelay = peers::dhcrelay(&relay, "eth0", "eth1", "10.77.0.1")?;
    lab.keep(&dhcrelay);
    let server = lab.slipway(&host, CONFIG)?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &rack)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;
    ensure!(booted.ip.starts_with("10.77.1."), "the address {} is not of the machine's network", booted.ip);

    // On our own network the machine is only heard through the relay, and answered to it.
    let relayed = lab.story(&core)?.of_machine(machine.mac());
    let discover = relayed.of_type(MessageType::DISCOVER).next().context("nothing came through the relay")?;
    ensure!(discover.message.giaddr == relay.address_on(&rack)?, "relayed for {}", discover.message.giaddr);
    let offer = relayed.of_type(MessageType::OFFER).next().context("we answered nothing")?;
    ensure!(offer.to.port() == 67, "an offer for a relay goes to its port 67, not {}", offer.to.port());
    let on_the_rack = boot::story(lab, &rack, &machine)?;
    on_the_rack.loaded(".efi").next().context("no .efi was loaded by TFTP")?;
    Ok(())
}
