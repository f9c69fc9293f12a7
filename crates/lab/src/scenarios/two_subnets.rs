//! One server on two networks: one with a subnet, one that two subnets share. Machines boot in all three, and a client that is carried
//! from one network to the other is told that its address is wrong there.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::boot;
use super::dhcp_clients::{dhclient_files, script};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::net::{Host, Lan};
use crate::process::Running;
use crate::server::Server;

/// The first subnet of the rack has room for one machine only.
const CONFIG: &str = r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[interface]]
name = "eth1"
mode = "dhcp"

[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
router = "10.77.0.1"
authoritative = true

[[subnet]]
network = "10.77.8.0/24"
shared-network = "rack"
pool = ["10.77.8.100"]
router = "10.77.8.1"

[[subnet]]
network = "10.77.9.0/24"
shared-network = "rack"
pool = ["10.77.9.100-10.77.9.200"]
router = "10.77.9.1"

[[rule]]
name = "office"
when = { subnet = "10.77.0.0/24" }
boot = "debian"
path = "direct"

[[rule]]
name = "rack"
when = { subnet = ["10.77.8.0/24", "10.77.9.0/24"] }
boot = "debian"
append = "lab.place=rack"
"#;

/// How long a client may take until it has an address: dhclient waits some seconds before it starts anew.
const SOON: Duration = Duration::from_secs(90);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (office, rack) = (lab.lan("office")?, lab.lan("rack")?);
    let host = lab.host("server", &[(&office, "10.77.0.1/24"), (&rack, "10.77.8.1/24")])?;
    host.run("ip", ["addr", "add", "10.77.9.1/24", "dev", "eth1"])?;
    let server = lab.slipway(&host, CONFIG)?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    lab.say("a machine boots in the office");
    let first = Order::new("node1", 1, Firmware::UefiPxe);
    ensure!(boots(lab, &server, first, &office, "10.77.0.1")? == "10.77.0.100", "not the office's first address");

    lab.say(
        "two boot in the rack: the second has its address of the second subnet, and its files from our address there",
    );
    let second = Order::new("node2", 2, Firmware::Bios);
    ensure!(boots(lab, &server, second, &rack, "10.77.8.1")? == "10.77.8.100", "not the rack's only address");
    let third = Order::new("node3", 3, Firmware::Bios);
    ensure!(boots(lab, &server, third, &rack, "10.77.9.1")? == "10.77.9.100", "not the second subnet's first address");

    lab.say("a client comes back to the rack with an address of its second subnet, and is carried to the office");
    let mover = lab.host("mover", &[(&rack, "")])?;
    see_it_move(lab, &server, &mover, &office)?;
    server.stop()
}

/// Boots a machine to its end; says which address it had. The server's address is where it has its files from.
fn boots(lab: &mut Lab, server: &Server, order: Order, lan: &Lan, files: &str) -> Result<String> {
    let node = lab.power_on(order, lan)?;
    let booted = boot::see_it_boot(lab, server, &node)?;
    let in_rack = booted.cmdline.contains("lab.place=rack");
    ensure!(in_rack == (lan.name() == "rack"), "not this network's command line: {:?}", booted.cmdline);
    let story = boot::story(lab, lan, &node)?;
    let by_tftp = story.transfers().iter().map(|transfer| transfer.server);
    let by_http = story.requests().iter().filter(|request| request.method == "GET").map(|request| request.server);
    let servers: Vec<String> = by_tftp.chain(by_http).map(|server| server.ip().to_string()).collect();
    ensure!(servers.iter().any(|server| server == files), "no file came from {files}: {servers:?}");
    Ok(booted.ip)
}

fn see_it_move(lab: &Lab, server: &Server, mover: &Host, office: &Lan) -> Result<()> {
    let folder = lab.folder().join("mover");
    fs::create_dir_all(&folder)?;
    let log = server.log()?;
    let start = || -> Result<Running> {
        let mut words = dhclient_files(&folder);
        words.extend(["-d".into(), "-sf".into(), script(&folder)?, "-cf".into(), "/dev/null".into(), "eth0".into()]);
        mover.start("dhclient", "dhclient", words)
    };
    let mark = log.mark();
    let client = start()?;
    log.wait_from(mark, "REQUEST selecting 10.77.9.101 os -> ACK 10.77.9.101", SOON)?;
    client.log().wait_for("bound to 10.77.9.101", SOON)?;
    client.kill()?;

    let mark = log.mark();
    let client = start()?;
    log.wait_from(mark, "REQUEST init-reboot 10.77.9.101 os -> ACK 10.77.9.101", SOON)?;
    client.log().wait_for("bound to 10.77.9.101", SOON)?;
    client.kill()?;

    mover.replug(0, office)?;
    let mark = log.mark();
    let client = start()?;
    log.wait_from(mark, "REQUEST init-reboot 10.77.9.101 os -> NAK (wrong-address)", SOON)?;
    log.wait_from(mark, "REQUEST selecting 10.77.0.101 os -> ACK 10.77.0.101", SOON)?;
    client.log().wait_for("bound to 10.77.0.101", SOON)?;
    client.kill()
}
