//! From power-on to an address, each step on the console.

use std::thread;
use std::time::Duration;

use crate::checkpoint::Checkpoint;
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::net::{self, Network};
use crate::prompt::Wanted;
use crate::talk::Failure;

/// How long to look for a link, and how long for an address, before a person is told.
const PATIENCE: Duration = Duration::from_secs(45);
/// The pause before it is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// Brings the network up: once.
///
/// # Errors
/// At which step it failed, and why.
pub(crate) fn try_once(console: &Console, cmdline: &Cmdline, wanted: Option<&Wanted>) -> Result<Network, Failure> {
    let links = match wanted {
        None => net::find_links(cmdline.boot_interface(), PATIENCE),
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

/// Brings the network up: until it is.
pub(crate) fn until_up(console: &Console, cmdline: &Cmdline) -> Network {
    loop {
        match try_once(console, cmdline, None) {
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
