//! DHCP in the world: sockets on 67 and 4011 of every served interface, on 547 where IPv6 is served too, the desks, and the lease
//! store behind them.
//!
//! Each interface has a thread for each protocol that empties its sockets and asks the engine. What needs no disk is answered at once; what
//! does goes to the one thread that commits: it takes all that waits, commits once, and lets the answers out. While it flushes, the
//! next batch gathers, so the harder the storm, the more leases share one flush.
//!
//! Before an address is offered it is not probed for a squatter: a probe's second of waiting costs UEFI its offer. A client that
//! finds a squatter declines, and the address is put aside.

mod commit;
mod lane;
mod router;
mod v4;
mod v6;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fmt, io, iter};

use slipway_engine::dhcp4::{Book, Desk};
use slipway_engine::dhcp6;
use slipway_engine::ra::Ra;
use slipway_store::leases::{LeaseError, LeaseStore};
use slipway_wire::dhcp6::Duid;

use crate::journal::{Journal, now};
use crate::site::{Interface, Mode, SharedSite, Site};
use commit::Queue;
use lane::Lane;

/// UDP ports to listen on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ports {
    /// DHCP and ProxyDHCP.
    pub dhcp: u16,
    /// The PXE boot server.
    pub boot_server: u16,
    /// DHCPv6.
    pub dhcp6: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { dhcp: 67, boot_server: 4011, dhcp6: 547 }
    }
}

/// Why DHCP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be opened.
    #[error("cannot listen for DHCP on interface {interface}")]
    Socket {
        /// The interface.
        interface: String,
        /// Why.
        source: slipway_netio::Error,
    },
    /// The lease database cannot be used.
    #[error("cannot use the leases")]
    Leases(#[from] LeaseError),
    /// A thread could not be started.
    #[error("cannot start a thread for DHCP")]
    Thread(#[source] io::Error),
}

/// The running servers.
#[derive(Debug)]
pub struct Handle {
    ports: Ports,
    shared: Arc<Shared>,
    lanes: Vec<(Protocol, Lane)>,
    queue: Option<Queue>,
    committer: JoinHandle<()>,
}

/// What one lane speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    V4,
    V6,
    Router,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::V4, Self::V6, Self::Router];

    /// Whether it is spoken on this interface.
    fn is_wanted(self, interface: &Interface) -> bool {
        match self {
            Self::V4 => interface.mode != Mode::Off,
            Self::V6 => interface.ipv6.dhcp,
            Self::Router => interface.ipv6.ra != Ra::Off,
        }
    }
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    site: SharedSite,
    journal: Journal,
    office: Mutex<Office>,
    office6: Mutex<Office6>,
    server_id: Duid,
}

/// The desk, and the site that it was last arranged by.
#[derive(Debug)]
struct Office {
    desk: Desk,
    arranged: Arc<Site>,
}

/// The same for IPv6.
#[derive(Debug)]
struct Office6 {
    desk: dhcp6::Desk,
    arranged: Arc<Site>,
}

impl Shared {
    fn office6(&self) -> MutexGuard<'_, Office6> {
        self.office6.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Office {
    /// The desk as this site wants it. Leases stay when the subnets change.
    fn desk(&mut self, site: &Arc<Site>) -> &mut Desk {
        if !Arc::ptr_eq(&self.arranged, site) {
            if self.arranged.subnets != site.subnets || self.arranged.interfaces != site.interfaces {
                self.desk.book_mut().arrange(site.subnets.clone(), &ours(site), now());
            }
            self.arranged = Arc::clone(site);
        }
        &mut self.desk
    }
}

impl Office6 {
    /// The desk as this site wants it. Leases stay when the subnets change.
    fn desk(&mut self, site: &Arc<Site>) -> &mut dhcp6::Desk {
        if !Arc::ptr_eq(&self.arranged, site) {
            if self.arranged.subnets6 != site.subnets6 || self.arranged.interfaces != site.interfaces {
                self.desk.book_mut().arrange(site.subnets6.clone(), &ours6(site));
            }
            self.arranged = Arc::clone(site);
        }
        &mut self.desk
    }
}

/// All our IPv6 addresses.
fn ours6(site: &Site) -> Vec<Ipv6Addr> {
    site.interfaces.iter().flat_map(|interface| &interface.v6).map(|&(ip, _)| ip).collect()
}

/// All our IPv4 addresses.
fn ours(site: &Site) -> Vec<Ipv4Addr> {
    site.interfaces.iter().flat_map(|interface| &interface.v4).map(|&(ip, _)| ip).collect()
}

/// Restores the leases, opens the sockets of every interface that wants DHCP, ProxyDHCP, DHCPv6 or router advertisements, and serves
/// in threads of its own.
///
/// # Errors
/// The first thing that cannot be had; then nothing is left running.
pub fn spawn<S: LeaseStore + 'static>(
    ports: Ports,
    mut store: S,
    site: SharedSite,
    journal: Journal,
) -> Result<Handle, Error> {
    let picture = site.load_full();
    let records = store.restore()?;
    tracing::debug!(leases = records.len(), "leases restored");
    let mut book = Book::new();
    book.restore(records, now());
    book.arrange(picture.subnets.clone(), &ours(&picture), now());
    let office = Mutex::new(Office { desk: Desk::new(book), arranged: Arc::clone(&picture) });
    let office6 =
        Mutex::new(Office6 { desk: dhcp6::Desk::new(book6(&store, &picture)?), arranged: Arc::clone(&picture) });
    let server_id = store.server_id()?;
    let shared = Arc::new(Shared { site, journal: journal.clone(), office, office6, server_id });
    let (queue, committer) = commit::spawn(store, journal).map_err(Error::Thread)?;
    let mut handle = Handle { ports, shared, lanes: Vec::new(), queue: Some(queue), committer };
    for (protocol, interface) in served(&picture) {
        match handle.open(protocol, interface) {
            Ok(()) => {}
            Err(error) => {
                handle.shutdown();
                return Err(error);
            }
        }
    }
    Ok(handle)
}

fn book6<S: LeaseStore>(store: &S, site: &Site) -> Result<dhcp6::Book, LeaseError> {
    let mut book = dhcp6::Book::new();
    book.arrange(site.subnets6.clone(), &ours6(site));
    book.restore(store.restore6()?, now());
    Ok(book)
}

fn served(site: &Site) -> impl Iterator<Item = (Protocol, &Interface)> {
    Protocol::ALL.into_iter().flat_map(|protocol| {
        let wanted = site.interfaces.iter().filter(move |interface| protocol.is_wanted(interface));
        wanted.map(move |interface| (protocol, interface))
    })
}

impl Handle {
    /// The addresses that an interface is listened on for DHCPv4, with the real ports: DHCP's, then the boot server's.
    #[must_use]
    pub fn local_addrs(&self, interface: &str) -> Option<&[SocketAddr]> {
        self.addrs_of(Protocol::V4, interface)
    }

    /// The address that an interface is listened on for DHCPv6, with the real port.
    #[must_use]
    pub fn local_addr6(&self, interface: &str) -> Option<SocketAddr> {
        self.addrs_of(Protocol::V6, interface)?.first().copied()
    }

    fn addrs_of(&self, protocol: Protocol, interface: &str) -> Option<&[SocketAddr]> {
        let lane = self.lanes.iter().find(|(spoken, lane)| *spoken == protocol && lane.is_of(interface));
        lane.map(|(_, lane)| lane.local_addrs())
    }

    /// Follows a change of the site's interfaces: opens what is new, closes what is gone. Returns what could not be opened, in
    /// words. A changed mode needs nothing: each packet finds it in the site.
    pub fn adopt(&mut self, site: &Site) -> Vec<String> {
        let serves = |(protocol, lane): &(Protocol, Lane), wanted: &(Protocol, &Interface)| {
            *protocol == wanted.0 && lane.serves(wanted.1)
        };
        let (kept, gone) = std::mem::take(&mut self.lanes)
            .into_iter()
            .partition(|lane| served(site).any(|wanted| serves(lane, &wanted)));
        self.lanes = kept;
        stop(gone);
        let missing: Vec<_> =
            served(site).filter(|wanted| !self.lanes.iter().any(|lane| serves(lane, wanted))).collect();
        let faults = missing.into_iter().filter_map(|(protocol, interface)| self.open(protocol, interface).err());
        faults.map(|error| story(&error)).collect()
    }

    /// Ends the servers: what was heard is answered, leases that wait are committed, sockets are closed.
    pub fn shutdown(mut self) {
        stop(std::mem::take(&mut self.lanes));
        // The committer ends when nobody can give it work any more.
        self.queue = None;
        if self.committer.join().is_err() {
            tracing::error!("the thread that stores leases had ended in a panic");
        }
    }

    fn open(&mut self, protocol: Protocol, interface: &Interface) -> Result<(), Error> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let lane = match protocol {
            Protocol::V4 => v4::open(interface, self.ports, &self.shared, queue)?,
            Protocol::V6 => v6::open(interface, self.ports, &self.shared, queue)?,
            Protocol::Router => router::open(interface, &self.shared)?,
        };
        self.lanes.push((protocol, lane));
        Ok(())
    }
}

fn stop(lanes: Vec<(Protocol, Lane)>) {
    lanes.iter().for_each(|(_, lane)| lane.stop());
    lanes.into_iter().for_each(|(_, lane)| lane.join());
}

/// An error with its causes, in one line.
pub(crate) fn story(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The bytes of a message, for the log.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
