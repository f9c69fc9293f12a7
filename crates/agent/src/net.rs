//! Network interfaces, and the DHCP client's sockets.

mod ioctl;
mod packet;
mod packet6;
mod turn;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use slipway_wire::MacAddr;

use crate::dhcp::Lease;
use turn::Given;

/// Between two looks at what the kernel has found.
const LOOK: Duration = Duration::from_millis(50);
/// How long a network card may take to appear after its driver was loaded: those on USB need seconds.
const APPEARANCE: Duration = Duration::from_secs(30);
/// An address is not asked for again sooner than after so many seconds.
const SOONEST: u64 = 30;
/// How long other interfaces wait for the one that the machine booted from.
const PREFERENCE: Duration = Duration::from_secs(3);

/// An Ethernet interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) mac: MacAddr,
    pub(crate) carrier: bool,
}

impl Link {
    /// Its speed in Mbit/s, where its driver tells.
    pub(crate) fn speed(&self) -> Option<u32> {
        let text = fs::read_to_string(Path::new("/sys/class/net").join(&self.name).join("speed")).ok()?;
        text.trim().parse().ok().filter(|speed| *speed > 0)
    }
}

/// A machine on the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Network {
    pub(crate) link: Link,
    pub(crate) ip: IpAddr,
    /// The length of its network's prefix.
    pub(crate) prefix: u8,
    /// The way out of the local network, if there is one.
    pub(crate) router: Option<Ipv4Addr>,
    /// When half of the time for which the address was given is over: it is asked for again then. None: it stays.
    pub(crate) renew: Option<Instant>,
    /// Where to report, if anybody said so.
    pub(crate) report_url: Option<String>,
}

/// Waits for an interface with a link, gets an address on it, and sets that with its route.
pub(crate) fn up(preferred: Option<MacAddr>, report_url: Option<&str>, patience: Duration) -> Result<Network, String> {
    let start = Instant::now();
    let links = find_links(preferred, patience)?;
    configure(&links, report_url, patience.saturating_sub(start.elapsed()))
}

/// Waits for interfaces with a link, sets them up on the way, and gives those that have one, the preferred first.
pub(crate) fn find_links(preferred: Option<MacAddr>, patience: Duration) -> Result<Vec<Link>, String> {
    let start = Instant::now();
    loop {
        let mut links = ethernet();
        for link in &links {
            // A server gives the address, and looks after it: the second that IPv6 takes to look for a squatter is saved.
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_dad", link.name), "0");
            // An interface that cannot be set up gets no carrier, and is named below.
            let _ = ioctl::set_up(&link.name);
        }
        let waited = start.elapsed();
        let here = |link: &Link| Some(link.mac) == preferred;
        let settled =
            preferred.is_none() || waited >= PREFERENCE || links.iter().any(|link| link.carrier && here(link));
        if settled && links.iter().any(|link| link.carrier) {
            links.retain(|link| link.carrier);
            links.sort_by_key(|link| !here(link));
            return Ok(links);
        }
        let limit = if links.is_empty() { patience.min(APPEARANCE) } else { patience };
        if waited >= limit {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            return Err(match names.as_slice() {
                [] => "no network interface found: is its driver in the initramfs?".to_owned(),
                names => format!("no link on {}", names.join(", ")),
            });
        }
        thread::sleep(LOOK);
    }
}

/// Waits for the interface of this name to have a link.
pub(crate) fn find_named(name: &str, patience: Duration) -> Result<Link, String> {
    let start = Instant::now();
    loop {
        let links = ethernet();
        let Some(link) = links.iter().find(|link| link.name == name) else {
            let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
            return Err(format!("there is no interface `{name}`: there are {}", names.join(", ")));
        };
        ioctl::set_up(name).map_err(|error| format!("cannot set {name} up: {error}"))?;
        if link.carrier {
            return Ok(link.clone());
        }
        if start.elapsed() >= patience {
            return Err(format!("no link on {name}"));
        }
        thread::sleep(LOOK);
    }
}

/// The Ethernet interfaces of the kernel.
pub(crate) fn ethernet() -> Vec<Link> {
    let Ok(entries) = fs::read_dir("/sys/class/net") else { return Vec::new() };
    let mut links: Vec<Link> = entries.flatten().filter_map(|entry| link_of(&entry.path())).collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    links
}

fn link_of(path: &Path) -> Option<Link> {
    const ETHERNET: &str = "1";
    let field = |name: &str| fs::read_to_string(path.join(name)).ok().map(|text| text.trim().to_owned());
    // Bridges, tunnels and the like have no device behind them.
    if field("type")? != ETHERNET || !path.join("device").exists() {
        return None;
    }
    Some(Link {
        name: path.file_name()?.to_str()?.to_owned(),
        mac: field("address")?.parse().ok()?,
        // Cannot be read while the interface is down.
        carrier: field("carrier").is_some_and(|carrier| carrier == "1"),
    })
}

/// Gets an address on the first of these interfaces where a server answers, and sets it with its route.
pub(crate) fn configure(links: &[Link], report_url: Option<&str>, patience: Duration) -> Result<Network, String> {
    let start = Instant::now();
    let mut last = "no interface to try".to_owned();
    while start.elapsed() < patience {
        for link in links {
            match turn::take(link, report_url) {
                Ok(given) => return set(link, given, report_url),
                Err(error) => last = format!("no address on {}: {error}", link.name),
            }
        }
        // A link that has just gone is told at once.
        thread::sleep(LOOK);
    }
    Err(last)
}

/// Asks once more for the address that a network has, which was given for some time only. The server gives the same again, unless it has a
/// reason not to.
pub(crate) fn renew(network: &Network) -> Result<Network, String> {
    let url = network.report_url.as_deref();
    let given =
        turn::take(&network.link, url).map_err(|error| format!("no address on {}: {error}", network.link.name))?;
    set(&network.link, given, url)
}

/// Gives the interface what it was given.
fn set(link: &Link, given: Given, report_url: Option<&str>) -> Result<Network, String> {
    let failed = |ip: IpAddr| move |error: io::Error| format!("cannot set {ip} on {}: {error}", link.name);
    let (ip, prefix, router, renew, report_url) = match given {
        Given::V4(lease) => {
            let ip = lease.ip.into();
            // One interface at a time: nothing may go out by a network that was given up.
            for other in ethernet().iter().filter(|other| other.name != link.name) {
                // One without an address has none to lose.
                let _ = ioctl::clear_address(&other.name);
            }
            let _ = ioctl::clear_default_route();
            ioctl::set_address(&link.name, lease.ip, lease.prefix).map_err(failed(ip))?;
            if let Some(router) = lease.router {
                // Without it, whatever is on the local network can still be reached.
                let _ = ioctl::set_default_route(router);
            }
            let half = lease.seconds.map(|seconds| Duration::from_secs(u64::from(seconds / 2).max(SOONEST)));
            let renew = half.and_then(|half| Instant::now().checked_add(half));
            (ip, lease.prefix, lease.router, renew, lease.report_url)
        }
        Given::V6(ip, url) => {
            ioctl::set_address6(&link.name, ip).map_err(failed(ip.into()))?;
            (ip.into(), 64, None, None, report_url.map(str::to_owned).or(url))
        }
    };
    Ok(Network { link: link.clone(), ip, prefix, router, renew, report_url })
}

/// Gives the interface an address that a person has chosen.
pub(crate) fn set_static(link: &Link, ip: Ipv4Addr, prefix: u8, router: Option<Ipv4Addr>) -> Result<Network, String> {
    set(link, Given::V4(Lease { ip, prefix, router, seconds: None, report_url: None }), None)
}

/// A number from the kernel's random pool, which needs not be full for this.
fn transaction_id() -> io::Result<u32> {
    let mut bytes = [0_u8; 4];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}
