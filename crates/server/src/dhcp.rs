//! DHCPv4 in the world: sockets on 67 and 4011 of every served interface, the desk, and the lease store behind it.
//!
//! Each interface has a thread of its own that empties its sockets and asks the engine. What needs no disk is answered at once; what
//! does goes to the one thread that commits: it takes all that waits, commits once, and lets the answers out. While it flushes, the
//! next batch gathers, so the harder the storm, the more leases share one flush.
//!
//! Before an address is offered it is not probed for a squatter: a probe's second of waiting costs UEFI its offer. A client that
//! finds a squatter declines, and the address is put aside.

mod commit;
mod lane;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::{fmt, io, iter};

use slipway_engine::dhcp4::{Book, Desk};
use slipway_store::leases::{LeaseError, LeaseStore};

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
}

impl Default for Ports {
    fn default() -> Self {
        Self { dhcp: 67, boot_server: 4011 }
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
    lanes: Vec<Lane>,
    queue: Option<Queue>,
    committer: JoinHandle<()>,
}

/// What all threads share.
#[derive(Debug)]
struct Shared {
    site: SharedSite,
    journal: Journal,
    office: Mutex<Office>,
}

/// The desk, and the site that it was last arranged by.
#[derive(Debug)]
struct Office {
    desk: Desk,
    arranged: Arc<Site>,
}

impl Shared {
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

/// All our IPv4 addresses.
fn ours(site: &Site) -> Vec<Ipv4Addr> {
    site.interfaces.iter().flat_map(|interface| &interface.v4).map(|&(ip, _)| ip).collect()
}

/// Restores the leases, opens the sockets of every interface that wants DHCP or ProxyDHCP, and serves in threads of its own.
///
/// # Errors
/// The first thing that cannot be had; then nothing is left running.
pub fn spawn<S: LeaseStore + 'static>(
    ports: Ports,
    store: S,
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
    let shared = Arc::new(Shared { site, journal: journal.clone(), office });
    let (queue, committer) = commit::spawn(store, journal).map_err(Error::Thread)?;
    let mut handle = Handle { ports, shared, lanes: Vec::new(), queue: Some(queue), committer };
    for interface in served(&picture) {
        match handle.open(interface) {
            Ok(()) => {}
            Err(error) => {
                handle.shutdown();
                return Err(error);
            }
        }
    }
    Ok(handle)
}

fn served(site: &Site) -> impl Iterator<Item = &Interface> {
    site.interfaces.iter().filter(|interface| interface.mode != Mode::Off)
}

impl Handle {
    /// The addresses that an interface is listened on, with the real ports: DHCP's, then the boot server's.
    #[must_use]
    pub fn local_addrs(&self, interface: &str) -> Option<[SocketAddr; 2]> {
        self.lanes.iter().find(|lane| lane.is_of(interface)).map(Lane::local_addrs)
    }

    /// Follows a change of the site's interfaces: opens what is new, closes what is gone. Returns what could not be opened, in
    /// words. A changed mode needs nothing: each packet finds it in the site.
    pub fn adopt(&mut self, site: &Site) -> Vec<String> {
        let wanted = |lane: &Lane| served(site).any(|interface| lane.serves(interface));
        let (kept, gone) = std::mem::take(&mut self.lanes).into_iter().partition(wanted);
        self.lanes = kept;
        stop(gone);
        let missing = served(site).filter(|interface| !self.lanes.iter().any(|lane| lane.serves(interface)));
        let missing: Vec<Interface> = missing.cloned().collect();
        missing.iter().filter_map(|interface| self.open(interface).err()).map(|error| story(&error)).collect()
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

    fn open(&mut self, interface: &Interface) -> Result<(), Error> {
        let Some(queue) = &self.queue else { return Ok(()) };
        self.lanes.push(Lane::open(interface, self.ports, &self.shared, queue)?);
        Ok(())
    }
}

fn stop(lanes: Vec<Lane>) {
    lanes.iter().for_each(Lane::stop);
    lanes.into_iter().for_each(Lane::join);
}

/// An error with its causes, in one line.
fn story(error: &dyn std::error::Error) -> String {
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
