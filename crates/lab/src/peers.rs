//! Foreign peers: servers that others wrote, which Slipway has to live beside.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::net::Host;
use crate::process::Running;

/// How long a peer may take until it serves.
const READY: Duration = Duration::from_secs(60);

/// dnsmasq as a DHCP server that knows nothing of booting: it gives addresses from `first` to `last` and nothing else.
///
/// # Errors
/// It does not start, or does not get as far as serving.
pub fn dnsmasq_dhcp(host: &Host, first: &str, last: &str) -> Result<Running> {
    dnsmasq(host, &[&format!("--dhcp-range={first},{last},1h")])
}

/// dnsmasq with DHCP arguments of the scenario's choice.
///
/// # Errors
/// It does not start, or does not get as far as serving.
pub fn dnsmasq(host: &Host, arguments: &[&str]) -> Result<Running> {
    let leases = format!("--dhcp-leasefile=/run/{}.leases", host.name());
    // Not a daemon, it does not change to a user of its own, which a user namespace does not have. No DNS, nothing of the computer's.
    let fixed = ["--no-daemon", "--conf-file=/dev/null", "--port=0", "--no-ping", "--log-dhcp", &leases];
    let running = host.start("dnsmasq", "dnsmasq", fixed.iter().chain(arguments))?;
    running.log().wait_for("started", READY)?;
    Ok(running)
}

/// ISC's relay agent: passes what it hears on `down` to `server`, reached through `up`.
///
/// # Errors
/// It does not start, or does not get as far as listening.
pub fn dhcrelay(host: &Host, down: &str, up: &str, server: &str) -> Result<Running> {
    let running = host.start("dhcrelay", "dhcrelay", ["-4", "-d", "-id", down, "-iu", up, server])?;
    running.log().wait_for("Sending on   Socket", READY)?;
    Ok(running)
}

/// The same on several networks at once, telling the server by option 82 which of its interfaces heard the client (`-a`).
///
/// # Errors
/// It does not start, or does not get as far as listening.
pub fn dhcrelay_telling_ports(host: &Host, down: &[&str], up: &str, server: &str) -> Result<Running> {
    let downs = down.iter().flat_map(|port| ["-id", *port]);
    let words = ["-4", "-d", "-a"].into_iter().chain(downs).chain(["-iu", up, server]);
    let running = host.start("dhcrelay", "dhcrelay", words)?;
    running.log().wait_for("Sending on   Socket", READY)?;
    Ok(running)
}

/// The same for DHCPv6.
///
/// # Errors
/// It does not start, or does not get as far as listening.
pub fn dhcrelay6(host: &Host, down: &str, up: &str, server: &str) -> Result<Running> {
    let upper = format!("{server}%{up}");
    let running = host.start("dhcrelay6", "dhcrelay", ["-6", "-d", "-l", down, "-u", &upper])?;
    running.log().wait_for("Sending on   Socket", READY)?;
    Ok(running)
}

/// An iSCSI target that others wrote (tgt), with one disk as its LUN 1, for those who know name and secret, or for all.
///
/// # Errors
/// It does not start, or does not take the disk.
pub fn tgt(host: &Host, disk: &Path, name: &str, account: Option<(&str, &str)>) -> Result<Running> {
    let socket = format!("TGT_IPC_SOCKET=/run/{}.tgt", host.name());
    let portal = format!("portal={}:3260", host.ip()?);
    let running = host.start("tgtd", "env", [socket.as_str(), "tgtd", "-f", "-d", "1", "--iscsi", &portal])?;
    running.log().wait_for("bs_init(", READY)?;
    let disk = disk.to_string_lossy();
    let mut steps = vec![
        format!("--mode target --op new --tid 1 --targetname {name}"),
        format!("--mode logicalunit --op new --tid 1 --lun 1 --backing-store {disk}"),
    ];
    if let Some((user, secret)) = account {
        steps.push(format!("--mode account --op new --user {user} --password {secret}"));
        steps.push(format!("--mode account --op bind --tid 1 --user {user}"));
    }
    steps.push("--mode target --op bind --tid 1 --initiator-address ALL".to_owned());
    for step in steps {
        let words = [socket.as_str(), "tgtadm", "--lld", "iscsi"].into_iter().chain(step.split(' '));
        host.run("env", words)?;
    }
    Ok(running)
}

/// An AoE target that others wrote (vblade), with a disk as its shelf 0, slot 1.
///
/// # Errors
/// It does not start.
pub fn vblade(host: &Host, disk: &Path) -> Result<Running> {
    let disk = disk.to_string_lossy();
    let running = host.start("vblade", "vblade", ["0", "1", "eth0", &disk])?;
    running.log().wait_for("sectors", READY)?;
    Ok(running)
}
