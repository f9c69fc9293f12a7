//! The boot plane's HTTP/1.1 server, IPv4 and IPv6, plain and over TLS: files of the namespace and of the exported folder, scripts for
//! iPXE, the agent's report. A loop of its own and no framework, because firmware cares about bytes that frameworks decide: a length
//! and never chunks, header names in title case, HEAD like GET, no redirect, no encoding. Plain bodies go from the page cache to the
//! socket (`sendfile`).

mod answer;
mod connection;
mod done;
mod lookup;
mod parts;
mod report;
mod script;
mod secure;
mod send;
mod stream;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use socket2::{Domain, Protocol, Socket, Type};
use stream::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::journal::{Journal, now};
use crate::seats::{self, Seats};
use crate::site::SharedSite;
use crate::tls::Certificates;

/// What protects the server from its clients, and clients from each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How long a request's head or body may take from its first byte, and the first request from the connection.
    pub head: Duration,
    /// How long a connection may rest between requests.
    pub idle: Duration,
    /// How long a client may take no byte at all of what it asked for.
    pub stall: Duration,
    /// How long [`Handle::shutdown`] lets running transfers go on.
    pub drain: Duration,
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once from one address.
    pub per_source: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            connections: 512,
            per_source: 64,
        }
    }
}

/// Every address of IPv4 and IPv6, on this port.
#[must_use]
pub fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for HTTP on {addr}")]
pub struct Error {
    /// The address.
    pub addr: SocketAddr,
    /// The system's reason.
    pub source: io::Error,
}

/// The running server.
#[derive(Debug)]
pub struct Handle {
    addrs: Vec<SocketAddr>,
    phase: watch::Sender<Phase>,
    accepting: JoinSet<()>,
    drain: Duration,
}

/// How far the server is on its way to its end.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// No new requests; running transfers go on.
    Draining,
    /// Everything ends.
    Stopped,
}

/// Waits until the server has come this far.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, wanted: Phase) {
    // The sender's end is the server's end too.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

/// Opens the sockets and serves in the background. Must be called inside a Tokio runtime. An IPv6 address is left out where the
/// kernel has no IPv6, as long as another address remains.
///
/// # Errors
/// The first socket that cannot be opened; then nothing is left running.
pub fn spawn(listen: &[SocketAddr], limits: Limits, site: SharedSite, journal: Journal) -> Result<Handle, Error> {
    open(listen, Server { site, journal, limits, tls: None, seats: seats_of(limits) })
}

/// The same over TLS, with certificates from here.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_tls(
    listen: &[SocketAddr],
    limits: Limits,
    site: SharedSite,
    journal: Journal,
    certificates: Arc<Certificates>,
) -> Result<Handle, Error> {
    if let Some(first) = certificates.ours() {
        let of = site.load_full();
        tokio::task::spawn_blocking(move || first.prepare(&of));
    }
    open(listen, Server { site, journal, limits, tls: Some(certificates), seats: seats_of(limits) })
}

fn open(listen: &[SocketAddr], server: Server) -> Result<Handle, Error> {
    let mut listeners = Vec::new();
    for addr in listen {
        match bind(*addr) {
            Ok(listener) => listeners.push(listener),
            Err(error) if addr.is_ipv6() && listen.len() > 1 && has_no_ipv6(&error) => {
                tracing::debug!(%addr, "this kernel has no IPv6: HTTP is served over IPv4 only");
            }
            Err(source) => return Err(Error { addr: *addr, source }),
        }
    }
    let (phase, watching) = watch::channel(Phase::Running);
    let drain = server.limits.drain;
    let server = Arc::new(server);
    let mut accepting = JoinSet::new();
    let mut addrs = Vec::new();
    for listener in listeners {
        addrs.extend(listener.local_addr().ok());
        let (server, phase) = (Arc::clone(&server), watching.clone());
        accepting.spawn(seats::accept(listener, watching.clone(), "an HTTP", move |stream, peer, connections| {
            admit(&server, stream, peer, &phase, connections);
        }));
    }
    Ok(Handle { addrs, phase, accepting, drain })
}

pub(crate) fn has_no_ipv6(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(Errno::AFNOSUPPORT.raw_os_error()) || code == Some(Errno::ADDRNOTAVAIL.raw_os_error())
}

/// A listening socket.
pub(crate) fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        // One socket for each family: an IPv4 client then has an IPv4 address in the journal.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(256)?;
    TcpListener::from_std(socket.into())
}

impl Handle {
    /// The addresses that it listens on, with the real ports.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Ends the server: no new requests, running transfers have [`Limits::drain`] to finish, then they are cut.
    pub async fn shutdown(mut self) {
        let _ = self.phase.send(Phase::Draining);
        let ended = async { while self.accepting.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, ended).await.is_err() {
            let _ = self.phase.send(Phase::Stopped);
            while self.accepting.join_next().await.is_some() {}
        }
    }
}

fn seats_of(limits: Limits) -> Arc<Seats> {
    Seats::new((limits.connections, "HTTP connections"), (limits.per_source, "HTTP connections from one address"))
}

/// What all connections share.
#[derive(Debug)]
struct Server {
    site: SharedSite,
    journal: Journal,
    limits: Limits,
    /// For HTTPS: where its certificates come from.
    tls: Option<Arc<Certificates>>,
    seats: Arc<Seats>,
}

impl Server {
    /// HTTP, or HTTPS.
    const fn proto(&self) -> Proto {
        if self.tls.is_some() { Proto::Https } else { Proto::Http }
    }

    /// Notes what is not about a request that could be read.
    fn note_connection(&self, peer: SocketAddr, asked: &str, about: About, outcome: Outcome) {
        self.journal.note(Entry {
            at: now(),
            proto: self.proto(),
            mac: None,
            ip: Some(peer.ip()),
            uuid: None,
            interface: String::new(),
            asked: asked.to_owned(),
            about,
            outcome,
        });
    }
}

fn admit(
    server: &Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    phase: &watch::Receiver<Phase>,
    connections: &mut JoinSet<()>,
) {
    match server.seats.take(peer.ip()) {
        Ok(seat) => {
            let server = Arc::clone(server);
            let phase = phase.clone();
            connections.spawn(async move {
                serve(&server, stream, peer, phase).await;
                drop(seat);
            });
        }
        Err(why) => {
            // Whether this arrives does not matter: it must not cost a task.
            let _ =
                stream.try_write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            server.note_connection(peer, "connection", About::Other, Outcome::Declined(why));
        }
    }
}

async fn serve(server: &Server, stream: TcpStream, peer: SocketAddr, phase: watch::Receiver<Phase>) {
    let Ok(local) = stream.local_addr() else { return };
    // Small answers must not wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    let ends = answer::Ends { peer, local };
    let stream = match &server.tls {
        None => Stream::Plain(stream),
        Some(certificates) => match secure::handshake(server, certificates, stream, ends, phase.clone()).await {
            Some(stream) => Stream::Tls(stream),
            None => return,
        },
    };
    connection::serve(server, stream, ends, phase).await;
}
