//! DHCPv4 on one interface: DHCP's socket and the boot server's.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use slipway_engine::Timestamp;
use slipway_engine::dhcp4::{Draft, Heard, Link, Policy, beside};
use slipway_engine::ladder::Ladders;
use slipway_engine::machine::Memories;
use slipway_engine::request::Exchange;
use slipway_netio::{Batch, Bind, Received, UdpSocket, wait};

use super::commit::{Post, Queue};
use super::lane::{BATCH, LARGEST, Lane, Stop, drain};
use super::{Error, Hex, Ports, Shared, ours};
use crate::journal::now;
use crate::site::{Interface, Mode, Site};

/// What the thread works with.
struct Worker {
    interface: String,
    /// DHCP's socket, then the boot server's.
    posts: [Post; 2],
    shared: Arc<Shared>,
    queue: Queue,
}

/// Opens the sockets and starts the thread.
pub(super) fn open(interface: &Interface, ports: Ports, shared: &Arc<Shared>, queue: &Queue) -> Result<Lane, Error> {
    let bind = |port| {
        let device = Some(interface.name.clone());
        UdpSocket::bind(&Bind { device, ..Bind::to((Ipv4Addr::UNSPECIFIED, port).into()) })
            .map_err(|source| Error::Socket { interface: interface.name.clone(), source })
    };
    let sockets = [Arc::new(bind(ports.dhcp)?), Arc::new(bind(ports.boot_server)?)];
    let addrs = sockets.iter().map(|socket| socket.local_addr()).collect();
    let worker = Worker {
        interface: interface.name.clone(),
        posts: sockets.map(|socket| Post { socket, ifindex: interface.index }),
        shared: Arc::clone(shared),
        queue: queue.clone(),
    };
    Lane::start("dhcp", interface, addrs, move |stop| worker.run(&stop))
}

impl Worker {
    fn run(self, stop: &Stop) {
        let mut batch = Batch::new(BATCH, LARGEST);
        stop.until_asked(&self.interface, || {
            let [dhcp, boot_server] = &self.posts;
            let desk = (&*self.shared, &self.queue);
            wait(&[&dhcp.socket, &boot_server.socket], &stop.waker, None)
                .and_then(|_| drain(dhcp, &mut batch, desk, |batch, site| self.on_dhcp(batch, site)))
                .and_then(|()| drain(boot_server, &mut batch, desk, |batch, site| self.on_boot_server(batch, site)))
        });
    }

    fn on_dhcp(&self, batch: &Batch, site: &Arc<Site>) -> Vec<Draft> {
        let Some(interface) = self.interface(site) else { return Vec::new() };
        let machines = self.shared.journal.machines();
        let (known, ladders) = (machines.known(), machines.ladders());
        let (policy, at, ours) = (policy(site, &known, &ladders), now(), ours(site));
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
        let machines = self.shared.journal.machines();
        let (known, ladders) = (machines.known(), machines.ladders());
        let (policy, at, ours): (_, Timestamp, _) = (policy(site, &known, &ladders), now(), ours(site));
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

const fn policy<'s>(site: &'s Site, machines: &'s Memories, ladders: &'s Ladders) -> Policy<'s> {
    Policy { rules: &site.rules, catalog: &site.catalog, machines, ladders }
}
