//! One interface: its two sockets and the thread that empties them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use slipway_engine::Timestamp;
use slipway_engine::dhcp4::{Draft, Heard, Link, Policy, beside, settle};
use slipway_engine::request::Exchange;
use slipway_netio::{Batch, Bind, Received, UdpSocket, Waker, wait};

use super::commit::{Job, Post, Queue};
use super::{Error, Hex, Ports, Shared, ours, story};
use crate::journal::now;
use crate::site::{Interface, Mode, Site};

/// Datagrams that one system call takes.
const BATCH: usize = 64;
/// So often a socket is emptied before the other, and the end, get their turn: a flood must not keep them out.
const TURNS: usize = 16;
/// The largest datagram that is read: more than any link carries unfragmented to us.
const LARGEST: usize = 4096;
/// Pause after a socket failed (its interface went down), before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A served interface.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    index: u32,
    addrs: [SocketAddr; 2],
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
}

/// What the thread works with.
struct Worker {
    interface: String,
    /// DHCP's socket, then the boot server's.
    posts: [Post; 2],
    shared: Arc<Shared>,
    queue: Queue,
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Lane {
    pub(super) fn open(
        interface: &Interface,
        ports: Ports,
        shared: &Arc<Shared>,
        queue: &Queue,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Socket { interface: interface.name.clone(), source };
        let bind = |port| {
            let device = Some(interface.name.clone());
            UdpSocket::bind(&Bind { device, ..Bind::to((Ipv4Addr::UNSPECIFIED, port).into()) }).map_err(failed)
        };
        let sockets = [Arc::new(bind(ports.dhcp)?), Arc::new(bind(ports.boot_server)?)];
        let addrs = [&sockets[0], &sockets[1]].map(|socket| socket.local_addr());
        let waker = Waker::new().map_err(failed)?;
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            interface: interface.name.clone(),
            posts: sockets.map(|socket| Post { socket, ifindex: interface.index }),
            shared: Arc::clone(shared),
            queue: queue.clone(),
            stop: Arc::clone(&stop),
            waker: waker.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("dhcp-{}", interface.name)).spawn(move || worker.run());
        let thread = thread.map_err(Error::Thread)?;
        Ok(Self { name: interface.name.clone(), index: interface.index, addrs, stop, waker, thread })
    }

    pub(super) fn is_of(&self, interface: &str) -> bool {
        self.name == interface
    }

    /// Whether this is still that very interface: one that was made anew under its name has another index.
    pub(super) fn serves(&self, interface: &Interface) -> bool {
        self.name == interface.name && self.index == interface.index
    }

    pub(super) const fn local_addrs(&self) -> [SocketAddr; 2] {
        self.addrs
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(interface = self.name, "a DHCP thread had ended in a panic");
        }
    }
}

impl Worker {
    fn run(self) {
        let mut batch = Batch::new(BATCH, LARGEST);
        while !self.stop.load(Ordering::Acquire) {
            let [dhcp, boot_server] = &self.posts;
            let outcome = wait(&[&dhcp.socket, &boot_server.socket], &self.waker, None)
                .and_then(|_| self.drain(dhcp, &mut batch, Self::on_dhcp))
                .and_then(|()| self.drain(boot_server, &mut batch, Self::on_boot_server));
            if let Err(error) = outcome {
                tracing::error!(iface = self.interface, error = story(&error), "DHCP cannot receive; trying again");
                let _ = wait(&[], &self.waker, Some(PAUSE));
            }
        }
    }

    /// Answers what this socket holds.
    fn drain(
        &self,
        post: &Post,
        batch: &mut Batch,
        on_batch: fn(&Self, &Batch, &Arc<Site>) -> Vec<Draft>,
    ) -> Result<(), slipway_netio::Error> {
        for _ in 0..TURNS {
            if post.socket.receive(batch)? == 0 {
                break;
            }
            let site = self.shared.site.load_full();
            let drafts = on_batch(self, batch, &site);
            let (later, now): (Vec<Draft>, Vec<Draft>) = drafts.into_iter().partition(Draft::needs_commit);
            for draft in later {
                // The queue lives as long as we do.
                let _ = self.queue.send(Job { draft, post: post.clone() });
            }
            let settled = settle(now, |_| Ok::<(), &str>(()));
            settled.into_iter().for_each(|settled| post.send(settled, &self.shared.journal));
        }
        Ok(())
    }

    fn on_dhcp(&self, batch: &Batch, site: &Arc<Site>) -> Vec<Draft> {
        let Some(interface) = self.interface(site) else { return Vec::new() };
        let (policy, at, ours) = (policy(site), now(), ours(site));
        let heard = batch.iter().filter_map(|datagram| heard(interface, &datagram));
        match interface.mode {
            Mode::Off => Vec::new(),
            Mode::Proxy => heard
                .map(|(heard, server)| {
                    beside(heard, link(site, interface, Exchange::ProxyDhcp, server, &ours), policy, at)
                })
                .collect(),
            Mode::Dhcp => {
                let mut office = self.shared.office();
                let desk = office.desk(site);
                let answer = |(heard, server)| {
                    desk.answer(heard, link(site, interface, Exchange::Dhcp, server, &ours), policy, at)
                };
                heard.map(answer).collect()
            }
        }
    }

    fn on_boot_server(&self, batch: &Batch, site: &Arc<Site>) -> Vec<Draft> {
        let Some(interface) = self.interface(site).filter(|interface| interface.mode != Mode::Off) else {
            return Vec::new();
        };
        let (policy, at, ours): (_, Timestamp, _) = (policy(site), now(), ours(site));
        let heard = batch.iter().filter_map(|datagram| heard(interface, &datagram));
        heard
            .map(|(heard, server)| {
                beside(heard, link(site, interface, Exchange::BootServer, server, &ours), policy, at)
            })
            .collect()
    }

    fn interface<'s>(&self, site: &'s Site) -> Option<&'s Interface> {
        site.interfaces.iter().find(|interface| interface.name == self.interface)
    }
}

/// A datagram with our address that answers it: the one it was sent to, or the interface's first.
fn heard<'b>(interface: &Interface, datagram: &Received<'b>) -> Option<(Heard<'b>, Ipv4Addr)> {
    let (SocketAddr::V4(from), IpAddr::V4(to), IpAddr::V4(local)) = (datagram.from, datagram.to, datagram.local) else {
        return None;
    };
    tracing::trace!(target: "slipway::bytes", iface = interface.name, %from, %to, "{}", Hex(datagram.data));
    let server = interface.v4.iter().map(|&(ip, _)| ip).find(|&ip| ip == local);
    let server = server.or_else(|| interface.v4.first().map(|&(ip, _)| ip)).unwrap_or(local);
    Some((Heard { data: datagram.data, from, to }, server))
}

fn link<'s>(
    site: &Site,
    interface: &'s Interface,
    exchange: Exchange,
    server: Ipv4Addr,
    ours: &'s [Ipv4Addr],
) -> Link<'s> {
    let mtu = u16::try_from(interface.mtu).unwrap_or(u16::MAX);
    let (interface, networks) = (interface.name.as_str(), interface.v4.as_slice());
    Link { exchange, interface, networks, mtu, server, ours, http_port: site.http_port }
}

const fn policy(site: &Site) -> Policy<'_> {
    Policy { rules: &site.rules, catalog: &site.catalog }
}
