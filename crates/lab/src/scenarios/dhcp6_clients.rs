//! ISC's DHCPv6 client gets a lease, renews it and gives it back: on our link, and through ISC's relay; and asks for parameters alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::lab::Lab;
use crate::net::Host;
use crate::peers;
use crate::server::Server;

/// The longest that any step may take.
const SOON: Duration = Duration::from_secs(30);

/// Puts the address on the interface; nothing of the computer's is touched.
const SCRIPT: &str = r#"#!/bin/sh
case "$reason" in
BOUND6|RENEW6|REBIND6) ip -6 addr replace "$new_ip6_address/128" dev "$interface" nodad ;;
esac
exit 0
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, rack) = (lab.lan("lan")?, lab.lan("rack")?);
    let host = lab.host("server", &[(&lan, "fd77::1/64")])?;
    let router = lab.host("router", &[(&lan, "fd77::2/64"), (&rack, "fd88::1/64")])?;
    let (near, far) = (lab.host("near", &[(&lan, "")])?, lab.host("far", &[(&rack, "")])?);
    router.run("sh", ["-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"])?;
    host.run("ip", ["route", "add", "fd88::/64", "via", "fd77::2"])?;
    let server = lab.slipway(
        &host,
        r#"
[[interface]]
name = "eth0"
mode = "dhcp"
ra = "stateless"
[[subnet6]]
network = "fd77::/64"
pool = ["fd77::1:0-fd77::1:ffff"]
dns = ["fd77::1"]
lease = "60s"
[[subnet6]]
network = "fd88::/64"
pool = ["fd88::1:0-fd88::1:ffff"]
lease = "60s"
"#,
    )?;
    server.start()?;
    lab.say("a client on our own link gets, renews and returns a lease");
    serve(lab, &server, &near, "fd77::1:")?;
    lab.say("and asks for parameters alone");
    let folder = lab.folder().join("stateless");
    let said = near.run("dhclient", words(&folder, &["-S", "-1"])?.iter())?;
    server.log()?.wait_for("INFORMATION-REQUEST os -> REPLY, parameters only", SOON).with_context(|| said)?;
    lab.say("a client behind a relay gets, renews and returns one");
    let relay = peers::dhcrelay6(&router, "eth1", "eth0", "fd77::1")?;
    lab.keep(&relay);
    serve(lab, &server, &far, "fd88::1:")?;
    server.stop()
}

fn serve(lab: &Lab, server: &Server, node: &Host, pool: &str) -> Result<()> {
    let (log, folder) = (server.log()?, lab.folder().join(node.name()));
    let mark = log.mark();
    // Its link-local address must have passed the kernel's probe.
    node.run("sh", ["-c", "while ip -6 addr show dev eth0 tentative | grep -q inet6; do :; done"])?;
    let running = node.start("dhclient", "dhclient", words(&folder, &["-d"])?)?;
    let line = log.wait_from(mark, "-> REPLY fd", SOON)?.text;
    let ip = line.split("-> REPLY ").nth(1).and_then(|rest| rest.split_whitespace().next()).context("no address")?;
    ensure!(line.contains("REQUEST ") && ip.starts_with(pool), "not its first lease: {line}");
    // A lease of a minute is renewed after half of it.
    log.wait_from(mark, &format!("RENEW {ip} os"), Duration::from_secs(45))?;
    let has = node.run("ip", ["-6", "-o", "addr", "show", "dev", "eth0"])?;
    ensure!(has.contains(&format!("{ip}/128")), "{ip} is not on its interface:\n{has}");
    let mark = log.mark();
    node.run("dhclient", words(&folder, &["-r"])?)?;
    log.wait_from(mark, &format!("{ip} released"), SOON)?;
    // Releasing ends the one that runs, but not always.
    running.kill()
}

fn words(folder: &Path, more: &[&str]) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let script = folder.join("script");
    fs::write(&script, SCRIPT)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let files = ["-6".into(), "-v".into(), "-lf".into(), folder.join("leases"), "-pf".into(), folder.join("pid")];
    let rest = ["-sf".into(), script, "-cf".into(), "/dev/null".into()];
    Ok(files.into_iter().chain(rest).chain(more.iter().map(PathBuf::from)).chain(["eth0".into()]).collect())
}
