//! Network interfaces, and the DHCP client's sockets.

mod ioctl;
mod packet;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use slipway_wire::MacAddr;
use socket2::SockRef;

use crate::dhcp::{Client, Lease, Output};

/// Between two looks at what the kernel has found.
const LOOK: Duration = Duration::from_millis(50);
/// How long a network card may take to appear after its driver was loaded: those on USB need seconds.
const APPEARANCE: Duration = Duration::from_secs(30);
/// How long one interface may try to get an address while others wait.
const TURN: Duration = Duration::from_secs(20);
/// How long other interfaces wait for the one that the machine booted from.
const PREFERENCE: Duration = Duration::from_secs(3);

/// An Ethernet interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) mac: MacAddr,
    carrier: bool,
}

/// Waits for an interface with a link, gets an address on it, and sets that with its route.
pub(crate) fn up(
    preferred: Option<MacAddr>,
    report_url: Option<&str>,
    patience: Duration,
) -> Result<(Link, Lease), String> {
    let start = Instant::now();
    let links = find_links(preferred, patience)?;
    configure(&links, report_url, patience.saturating_sub(start.elapsed()))
}

/// Waits for interfaces with a link, sets them up on the way, and gives those that have one, the preferred first.
fn find_links(preferred: Option<MacAddr>, patience: Duration) -> Result<Vec<Link>, String> {
    let start = Instant::now();
    loop {
        let mut links = ethernet();
        for link in &links {
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

/// The Ethernet interfaces of the kernel.
fn ethernet() -> Vec<Link> {
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
fn configure(links: &[Link], report_url: Option<&str>, patience: Duration) -> Result<(Link, Lease), String> {
    let start = Instant::now();
    let mut last = "no interface to try".to_owned();
    while start.elapsed() < patience {
        for link in links {
            match lease(link, report_url) {
                Ok(lease) => {
                    ioctl::set_address(&link.name, lease.ip, lease.prefix)
                        .map_err(|error| format!("cannot set {} on {}: {error}", lease.ip, link.name))?;
                    if let Some(router) = lease.router {
                        // Without it, whatever is on the local network can still be reached.
                        let _ = ioctl::set_default_route(router);
                    }
                    return Ok((link.clone(), lease));
                }
                Err(error) => last = format!("no address on {}: {error}", link.name),
            }
        }
    }
    Err(last)
}

/// One interface's turn at DHCP.
fn lease(link: &Link, report_url: Option<&str>) -> io::Result<Lease> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 68))?;
    SockRef::from(&socket).bind_device(Some(link.name.as_bytes()))?;
    socket.set_broadcast(true)?;
    let start = Instant::now();
    let mut client = Client::new(start.elapsed(), transaction_id()?, report_url.map(str::to_owned));
    let mut buffer = [0_u8; 1536];
    loop {
        let now = start.elapsed();
        if now >= TURN {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no DHCP server answers"));
        }
        match client.poll(now) {
            Output::Send(say) => {
                let packet = packet::encode(say, link.mac, now);
                socket.send_to(&packet, (Ipv4Addr::BROADCAST, 67))?;
            }
            Output::Wait(until) => {
                // A timeout of zero would mean to wait for ever.
                let wait = until.min(TURN).saturating_sub(now).max(Duration::from_millis(1));
                socket.set_read_timeout(Some(wait))?;
                match socket.recv(&mut buffer) {
                    Ok(length) => {
                        let heard = buffer.get(..length).and_then(|bytes| packet::decode(bytes, link.mac));
                        if let Some(heard) = heard {
                            client.handle(start.elapsed(), &heard);
                        }
                    }
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                    Err(error) => return Err(error),
                }
            }
            Output::Bound(lease) => return Ok(lease),
        }
    }
}

/// A number from the kernel's random pool, which needs not be full for this.
fn transaction_id() -> io::Result<u32> {
    let mut bytes = [0_u8; 4];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}
