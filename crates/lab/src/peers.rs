//! Foreign peers: servers that others wrote, which Slipway has to live beside.

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
