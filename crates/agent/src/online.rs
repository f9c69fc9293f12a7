//! From power-on to an address, each step on the console.

use std::path::Path;
use std::thread;
use std::time::Duration;

use slipway_disk::efivars;
use slipway_wire::MacAddr;

use crate::checkpoint::Checkpoint;
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::invite::EFIVARS;
use crate::net::{self, Network};
use crate::prompt::Wanted;
use crate::talk::Failure;

/// How long to look for a link, and how long for an address, before a person is told.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Brings the network up: once. Of several interfaces with a link, each turn begins with another one: an address on a network from which
/// the org cannot be reached is of no use.
///
/// # Errors
/// At which step it failed, and why.
pub(crate) fn try_once(
    console: &Console,
    cmdline: &Cmdline,
    wanted: Option<&Wanted>,
    turn: u32,
) -> Result<Network, Failure> {
    let links = match wanted {
        None => {
            let preferred = cmdline.boot_interface().or_else(booted_by);
            net::find_links(preferred, PATIENCE).map(|links| in_turn(links, turn))
        }
        Some(wanted) => net::find_named(&wanted.interface, PATIENCE).map(|link| vec![link]),
    };
    let links = links.map_err(|reason| Failure::new(Checkpoint::LinkUp, reason))?;
    for link in &links {
        let speed = link.speed().map(|speed| format!(", {speed} Mbit/s")).unwrap_or_default();
        console.ok(Checkpoint::LinkUp, &format!("{}{speed}, {}", link.name, link.mac));
    }
    let fixed = wanted.and_then(|wanted| wanted.address).zip(links.first());
    let network = match fixed {
        Some((address, link)) => net::set_static(link, address.ip, address.prefix, address.router),
        None => net::configure(&links, cmdline.report_url(), PATIENCE),
    };
    let network = network.map_err(|reason| Failure::new(Checkpoint::Dhcp, reason))?;
    let how = if fixed.is_some() { ", set by hand" } else { "" };
    console.ok(Checkpoint::Dhcp, &format!("{}/{} on {}{how}", network.ip, network.prefix, network.link.name));
    match network.router {
        Some(router) => console.ok(Checkpoint::Route, &format!("by {router}")),
        None => console.ok(Checkpoint::Route, "none out of this network: only what is on it can be reached"),
    }
    Ok(network)
}

/// The interface that firmware booted this system over, if it did.
fn booted_by() -> Option<MacAddr> {
    let variables = efivars::read(Path::new(EFIVARS)).ok()?;
    variables.current().and_then(|number| variables.network(number)).map(MacAddr)
}

fn in_turn<T>(mut links: Vec<T>, turn: u32) -> Vec<T> {
    let first = usize::try_from(turn).unwrap_or(0).checked_rem(links.len()).unwrap_or(0);
    links.rotate_left(first);
    links
}

/// Brings the network up: until it is.
pub(crate) fn until_up(console: &Console, cmdline: &Cmdline, turn: u32) -> Network {
    loop {
        match try_once(console, cmdline, None, turn) {
            Ok(network) => return network,
            Err(failure) => {
                console.failed(failure.step, &failure.reason, &format!("trying again in {} s", PAUSE.as_secs()));
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Where images are to be had: where the org says, and from the server that answered our DHCP client.
pub(crate) fn sources(told: &[String], network: &Network) -> Vec<String> {
    let boot_server = network.report_url.as_deref().and_then(crate::http::Url::parse);
    let own = boot_server.map(|url| format!("http://{}", url.authority));
    let mut sources = told.to_vec();
    sources.extend(own.filter(|own| !told.iter().any(|source| source.trim_end_matches('/') == own)));
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_begins_with_another_interface() {
        let turn = |number| in_turn(vec!["eth0", "eth1", "eth2"], number);
        assert_eq!(turn(0), ["eth0", "eth1", "eth2"]);
        assert_eq!(turn(1), ["eth1", "eth2", "eth0"]);
        assert_eq!(turn(5), ["eth2", "eth0", "eth1"]);
        assert_eq!(in_turn(Vec::<u8>::new(), 7), [0; 0]);
    }
}
