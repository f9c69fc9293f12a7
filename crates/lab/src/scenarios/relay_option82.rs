//! A relay with two ports, a machine on each: the port decides what a machine boots, which address it gets, and what its script says.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slipway_wire::dhcp4::{MessageType, OptionCode};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::peers;
use crate::server::Server;

/// No rule speaks of anything but ports.
const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.1.0/24"
pool = ["10.77.1.100-10.77.1.200"]
router = "10.77.1.1"

[[subnet]]
network = "10.77.2.0/24"
pool = ["10.77.2.100-10.77.2.200"]
router = "10.77.2.1"

[[subnet.reservation]]
circuit-id = "eth1"
ip = "10.77.2.7"

[[rule]]
name = "first port"
when = { circuit-id = "eth0" }
boot = "debian"
path = "direct"

[[rule]]
name = "second port"
when = { circuit-id = ["0x65746831", "eth7"] }
boot = "debian"
path = "ipxe"
append = "lab.port=second"
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let core = lab.lan("core")?;
    let (first, second) = (lab.lan("first")?, lab.lan("second")?);
    let host = lab.host("server", &[(&core, "10.77.0.1/24")])?;
    let relay = lab.host("relay", &[(&first, "10.77.1.1/24"), (&second, "10.77.2.1/24"), (&core, "10.77.0.2/24")])?;
    relay.forward()?;
    host.route_through(relay.address_on(&core)?)?;
    let dhcrelay = peers::dhcrelay_telling_ports(&relay, &["eth0", "eth1"], "eth2", "10.77.0.1")?;
    lab.keep(&dhcrelay);
    let server = lab.slipway(&host, CONFIG)?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    lab.say("on the first port, firmware loads the image itself");
    let node = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &first)?;
    let booted = boot::see_it_boot(lab, &server, &node)?;
    ensure!(booted.cmdline == lab.cmdline(), "another port's command line: {:?}", booted.cmdline);
    ensure!(booted.ip.starts_with("10.77.1."), "the address {} is not of the first port's network", booted.ip);
    boot::story(lab, &first, &node)?.loaded(".efi").next().context("no .efi was loaded by TFTP")?;
    see_the_port_echoed(lab, &core, &first, &node, "eth0")?;
    see_the_port_told(&server, &node, "10.77.1.1", "eth0")?;

    lab.say("on the second port, iPXE's script adds to its command line, and the port's own address is given");
    let node = lab.power_on(Order::new("node2", 2, Firmware::Bios), &second)?;
    let booted = boot::see_it_boot(lab, &server, &node)?;
    ensure!(booted.cmdline.contains("lab.port=second"), "not the second port's command line: {:?}", booted.cmdline);
    ensure!(booted.ip == "10.77.2.7", "the address {} is not the port's", booted.ip);
    let asked = boot::requests(&boot::story(lab, &second, &node)?);
    let script = asked.iter().find(|line| line.contains("/boot.ipxe?")).context("no script was asked for")?;
    ensure!(script.contains("&relay=10.77.2.1&circuit=eth1"), "the script's URL does not tell the port: {script}");
    see_the_port_echoed(lab, &core, &second, &node, "eth1")?;
    see_the_port_told(&server, &node, "10.77.2.1", "eth1")
}

/// On our own network, each answer ends in the relay's words, byte for byte; the machine sees none of them.
fn see_the_port_echoed(lab: &Lab, core: &Lan, rack: &Lan, node: &Machine, port: &str) -> Result<()> {
    let here = boot::story(lab, core, node)?;
    let info = |message: &slipway_wire::dhcp4::Message| message.options.relay_info().map(|info| info.0.to_vec());
    let told: Vec<Vec<u8>> = here.of_type(MessageType::DISCOVER).filter_map(|dhcp| info(&dhcp.message)).collect();
    let told = told.first().context("the relay told no port")?;
    ensure!(told.windows(port.len()).any(|part| part == port.as_bytes()), "{told:?} does not name {port}");
    let mut echoed = 0;
    for kind in [MessageType::OFFER, MessageType::ACK] {
        for answer in here.of_type(kind).filter(|answer| answer.to.port() == 67) {
            let (last, value) = answer.message.options.iter().last().context("an answer without options")?;
            ensure!(last == OptionCode::RELAY_INFO, "{kind} ends in {last}");
            ensure!(value == told.as_slice(), "{kind} gives {value:?} back, not {told:?}");
            echoed += 1;
        }
    }
    ensure!(echoed >= 2, "{echoed} answers went to the relay");
    let seen = boot::story(lab, rack, node)?;
    ensure!(seen.dhcp().iter().all(|dhcp| info(&dhcp.message).is_none()), "the machine saw the relay's words");
    Ok(())
}

/// `slipway machine show` tells relay and port.
fn see_the_port_told(server: &Server, node: &Machine, relay: &str, port: &str) -> Result<()> {
    let shown = server.journal_json(node.mac())?;
    let fact = |name: &str| shown.get("machine").and_then(|machine| machine.get(name)).and_then(Value::as_str);
    ensure!(fact("relay") == Some(relay), "the relay is not told: {shown}");
    ensure!(fact("circuit_id") == Some(port), "the port is not told: {shown}");
    let text = server.cli(["machine", "show", &node.mac().to_string()])?;
    ensure!(text.contains(&format!("via {relay} circuit {port}")), "the port is not shown:\n{text}");
    Ok(())
}
