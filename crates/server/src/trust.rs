//! The trust plane: one TLS 1.3 listener where machines enrol, prove themselves at each boot, and say that they are well. What is decided
//! there is `slipway-trust`'s; here are its sockets, its clock, its random bytes, its keys and its disk.

mod alarm;
mod authority;
mod book;
mod clock;
mod connection;
mod folder;
mod images;
mod list;
mod plane;
mod random;
mod standing;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use slipway_engine::journal::Outcome;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub use authority::Authority;
pub use clock::Clock;
pub use folder::{Keys, Unusable, folder, keys};
pub use plane::{Error, NotTaken, Plane, Roles};

use crate::http::{Phase, bind, has_no_ipv6, reached};
use crate::seats::{self, Seats};

/// What protects the server from its clients, and clients from each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a handshake may take, a request's head, its body, and the sending of an answer.
    pub request: Duration,
    /// How long a machine may rest between requests: a TPM takes its time.
    pub idle: Duration,
    /// How long a connection may last.
    pub connection: Duration,
    /// How long [`Handle::shutdown`] waits for answers that are being made.
    pub drain: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one address: a room behind one router.
    pub per_source: usize,
    /// How often it is looked at what has lasted too long.
    pub sweep: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            connection: Duration::from_secs(125),
            drain: Duration::from_secs(3),
            connections: 1024,
            per_source: 64,
            sweep: Duration::from_secs(1),
        }
    }
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for machines on {addr}")]
pub struct NoSocket {
    /// The address.
    pub addr: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// The org as it is served, for the control socket.
#[derive(Debug)]
pub struct Served {
    /// The org.
    pub plane: Arc<Plane>,
    /// Where machines reach it, `address:port`.
    pub listen: Vec<String>,
}

/// The running plane.
#[derive(Debug)]
pub struct Handle {
    plane: Arc<Plane>,
    addrs: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    running: JoinSet<()>,
    drain: Duration,
}

/// Opens the sockets and serves in the background. Must be called inside a Tokio runtime. An IPv6 address is left out where the kernel has no
/// IPv6, as long as another address remains.
///
/// # Errors
/// The first socket that cannot be opened; then nothing is left running.
pub fn spawn(listen: &[SocketAddr], limits: Limits, plane: Arc<Plane>) -> Result<Handle, NoSocket> {
    let mut listeners = Vec::new();
    for addr in listen {
        match bind(*addr) {
            Ok(listener) => listeners.push(listener),
            Err(error) if addr.is_ipv6() && listen.len() > 1 && has_no_ipv6(&error) => {
                tracing::debug!(%addr, "this kernel has no IPv6: machines are served over IPv4 only");
            }
            Err(source) => return Err(NoSocket { addr: *addr, source }),
        }
    }
    let (phase, watching) = watch::channel(Phase::Running);
    let seats = Seats::new(
        (limits.connections, "trust plane connections"),
        (limits.per_source, "trust plane connections from one address"),
    );
    let mut running = JoinSet::new();
    let mut addrs = Vec::new();
    for listener in listeners {
        addrs.extend(listener.local_addr().ok());
        let (plane, seats, phase) = (Arc::clone(&plane), Arc::clone(&seats), watching.clone());
        running.spawn(seats::accept(listener, watching.clone(), "a machine's", move |stream, peer, connections| {
            admit(&plane, (&seats, limits), stream, peer, &phase, connections);
        }));
    }
    running.spawn(sweep(Arc::clone(&plane), limits.sweep, watching));
    Ok(Handle { plane, addrs, phase, running, drain: limits.drain })
}

impl Handle {
    /// The addresses that it listens on, with the real ports.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// What it serves.
    #[must_use]
    pub const fn plane(&self) -> &Arc<Plane> {
        &self.plane
    }

    /// Ends it: no new requests; answers that are being made have [`Limits::drain`] to leave.
    pub async fn shutdown(mut self) {
        let _ = self.phase.send(Phase::Draining);
        let ended = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, ended).await.is_err() {
            let _ = self.phase.send(Phase::Stopped);
            self.running.shutdown().await;
        }
    }
}

/// Ends what has lasted too long, every now and then.
async fn sweep(plane: Arc<Plane>, every: Duration, mut phase: watch::Receiver<Phase>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = reached(&mut phase, Phase::Draining) => return,
            _ = ticks.tick() => {}
        }
        let plane = Arc::clone(&plane);
        let _ = tokio::task::spawn_blocking(move || plane.sweep()).await;
    }
}

fn admit(
    plane: &Arc<Plane>,
    (seats, limits): (&Arc<Seats>, Limits),
    stream: TcpStream,
    peer: SocketAddr,
    phase: &watch::Receiver<Phase>,
    connections: &mut JoinSet<()>,
) {
    match seats.take(peer.ip()) {
        Ok(seat) => {
            let (plane, phase) = (Arc::clone(plane), phase.clone());
            connections.spawn(async move {
                connection::serve(plane, limits, stream, peer, phase).await;
                drop(seat);
            });
        }
        Err(why) => connection::note(plane, peer, "connection", Outcome::Declined(why)),
    }
}
