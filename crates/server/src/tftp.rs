//! The boot plane's TFTP server, IPv4 and IPv6: sockets and files around the engine's transfer machine.
//!
//! A worker is a plain thread that waits, receives what there is, lets the machines decide and sends what they say, in trains. It has
//! one data socket for each family, shared by all its transfers: clients differ by their own address and port, and the socket's
//! port is the transfer identifier that RFC 1350 asks for. Stored images are mapped once and shared by every transfer; files of the
//! exported folder, which may change under us, are read.

mod content;
mod outbox;
mod request;
mod session;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use slipway_engine::tftp::limits::{self, Caps};
use slipway_netio::{Bind, UdpSocket, Waker};

use crate::journal::Journal;
use crate::site::SharedSite;
use content::Cache;
use worker::{Lane, Worker};

/// What protects the server from its clients, and clients from each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How much one source, and all together, may have.
    pub caps: Caps,
    /// How long [`Handle::shutdown`] lets running transfers go on.
    pub drain: Duration,
    /// Threads, at least 1. One carries some gigabytes a second.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(2));
        Self { caps: Caps::default(), drain: Duration::from_secs(3), workers }
    }
}

/// Why TFTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be opened.
    #[error("cannot open a socket for TFTP")]
    Socket(#[from] slipway_netio::Error),
    /// A thread could not be started.
    #[error("cannot start a thread for TFTP")]
    Thread(#[source] io::Error),
}

/// The running server.
#[derive(Debug)]
pub struct Handle {
    addrs: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    workers: Vec<(Waker, JoinHandle<()>)>,
}

/// What all workers share.
struct Shared {
    site: SharedSite,
    journal: Journal,
    limits: Mutex<limits::Limits>,
    cache: Mutex<Cache>,
    stop: Arc<AtomicBool>,
    drain: Duration,
    started: Instant,
}

impl Shared {
    fn limits(&self) -> MutexGuard<'_, limits::Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Opens the sockets and serves in threads of its own. An IPv6 address is left out where the kernel has no IPv6, as long as another
/// address remains. Whether answers come from these ports themselves is read from the site now, everything else at each request.
///
/// # Errors
/// The first socket that cannot be opened; then nothing is left running.
pub fn spawn(listen: &[SocketAddr], limits: Limits, site: SharedSite, journal: Journal) -> Result<Handle, Error> {
    let single_port = site.load().tftp.single_port;
    let workers = limits.workers.max(1);
    let mut lanes: Vec<Vec<Lane>> = Vec::new();
    lanes.resize_with(workers, Vec::new);
    let mut addrs = Vec::new();
    for addr in listen {
        match family(*addr, single_port, &mut lanes) {
            Ok(bound) => addrs.push(bound),
            Err(error) if addr.is_ipv6() && listen.len() > 1 && has_no_ipv6(&error) => {
                tracing::debug!(%addr, "this kernel has no IPv6: TFTP is served over IPv4 only");
            }
            Err(error) => return Err(error.into()),
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let shared = Arc::new(Shared {
        site,
        journal,
        limits: Mutex::new(limits::Limits::new(limits.caps)),
        cache: Mutex::default(),
        stop: Arc::clone(&stop),
        drain: limits.drain,
        started: Instant::now(),
    });
    let mut handle = Handle { addrs, stop, workers: Vec::new() };
    for lanes in lanes {
        let waker = Waker::new()?;
        let worker = Worker::new(Arc::clone(&shared), waker.clone());
        let thread = std::thread::Builder::new().name("tftp".into()).spawn(move || worker.run(&lanes));
        handle.workers.push((waker, thread.map_err(Error::Thread)?));
    }
    Ok(handle)
}

/// Gives each worker a socket that listens on this address and, unless answers come from the port itself, one for transfers.
fn family(addr: SocketAddr, single_port: bool, lanes: &mut [Vec<Lane>]) -> Result<SocketAddr, slipway_netio::Error> {
    // A socket that does not share the port finds out whether somebody else has it.
    let mut addr = UdpSocket::bind(&Bind::to(addr))?.local_addr();
    let reuse_port = lanes.len() > 1;
    for lanes in lanes {
        let listener = UdpSocket::bind(&Bind { reuse_port, ..Bind::to(addr) })?;
        addr = listener.local_addr();
        if single_port {
            let answers = lanes.len();
            lanes.push(Lane { socket: listener, listens: true, carries: true, answers });
        } else {
            let data = UdpSocket::bind(&Bind::to((addr.ip(), 0).into()))?;
            let answers = lanes.len() + 1;
            lanes.push(Lane { socket: listener, listens: true, carries: false, answers });
            lanes.push(Lane { socket: data, listens: false, carries: true, answers });
        }
    }
    Ok(addr)
}

fn has_no_ipv6(error: &slipway_netio::Error) -> bool {
    let slipway_netio::Error::Bind { source, .. } = error else { return false };
    let code = source.raw_os_error();
    code == Some(Errno::AFNOSUPPORT.raw_os_error()) || code == Some(Errno::ADDRNOTAVAIL.raw_os_error())
}

impl Handle {
    /// The addresses that it listens on, with the real ports.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Ends the server: no new requests, running transfers have [`Limits::drain`] to finish, then their clients are told. Waits for
    /// the threads, so it blocks for as long.
    pub fn shutdown(self) {
        self.stop.store(true, Ordering::Release);
        for (waker, _) in &self.workers {
            waker.wake();
        }
        for (_, thread) in self.workers {
            if thread.join().is_err() {
                tracing::error!("a TFTP thread had ended in a panic");
            }
        }
    }
}
