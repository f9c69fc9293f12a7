//! Router advertisements on one interface, where the operator wants them: an answer to whoever asks, and, where it tells hosts how to
//! configure themselves, the same to everybody every few minutes.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_netio::{Batch, Received, Source, UdpSocket, wait};
use slipway_wire::MacAddr;
use slipway_wire::ndp::Solicitation;

use super::lane::{BATCH, LARGEST, Lane, Stop, TURNS};
use super::{Error, Shared, story};
use crate::journal::now;
use crate::site::{Interface, Site};

/// The link's hosts (RFC 4291 §2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Between two advertisements that nobody asked for (RFC 4861 §6.2.1 allows 3 to 1800 s).
const INTERVAL: Duration = Duration::from_secs(200);
/// Until it is tried again when it cannot be sent: an interface that has just come up has no address for a second or two.
const SOON: Duration = Duration::from_secs(3);

struct Worker {
    interface: String,
    ifindex: u32,
    socket: UdpSocket,
    shared: Arc<Shared>,
}

/// Opens the socket and starts the thread.
pub(super) fn open(interface: &Interface, shared: &Arc<Shared>) -> Result<Lane, Error> {
    let socket = UdpSocket::for_router_discovery(&interface.name, interface.index)
        .map_err(|source| Error::Socket { interface: interface.name.clone(), source })?;
    let addrs = vec![socket.local_addr()];
    let (name, ifindex) = (interface.name.clone(), interface.index);
    let worker = Worker { interface: name, ifindex, socket, shared: Arc::clone(shared) };
    Lane::start("ra", interface, addrs, move |stop| worker.run(&stop))
}

impl Worker {
    fn run(self, stop: &Stop) {
        let mut batch = Batch::new(BATCH, LARGEST);
        let mut next = Instant::now();
        stop.until_asked(&self.interface, || {
            if Instant::now() >= next {
                next = Instant::now() + self.tell_everybody();
            }
            let patience = next.saturating_duration_since(Instant::now());
            wait(&[&self.socket], &stop.waker, Some(patience))?;
            for _ in 0..TURNS {
                if self.socket.receive(&mut batch)? == 0 {
                    break;
                }
                let site = self.shared.site.load_full();
                let entries = batch.iter().filter_map(|datagram| self.on_solicitation(&datagram, &site));
                entries.for_each(|entry| self.shared.journal.note(entry));
            }
            Ok(())
        });
    }

    /// To everybody, without anybody's question: no entry in the journal, which is of packets that came. Returns when to do it again.
    fn tell_everybody(&self) -> Duration {
        let site = self.shared.site.load_full();
        let repeated = self.interface(&site).filter(|interface| interface.ipv6.ra.is_repeated());
        match repeated.map(|interface| self.advertise(interface, &site, ALL_NODES)) {
            None | Some(Ok(())) => INTERVAL,
            Some(Err(fault)) => {
                tracing::debug!(iface = self.interface, fault, "no router advertisement was sent; trying again");
                SOON
            }
        }
    }

    fn on_solicitation(&self, datagram: &Received<'_>, site: &Site) -> Option<Entry> {
        let interface = self.interface(site)?;
        let SocketAddr::V6(from) = datagram.from else { return None };
        // What comes from beyond the link cannot have such an address (rfc4861#6.1.1 looks at the hop limit for that).
        if !from.ip().is_unicast_link_local() && !from.ip().is_unspecified() {
            return None;
        }
        let (mac, outcome) = match Solicitation::decode(datagram.data) {
            Err(error) => (None, Outcome::Peer(error.to_string())),
            Ok(solicitation) => {
                // To the asking host alone where it has an address: the others have not asked.
                let to = if from.ip().is_unspecified() { ALL_NODES } else { *from.ip() };
                let outcome = match self.advertise(interface, site, to) {
                    Ok(()) => Outcome::Answered(format!("RA {}", interface.ipv6.ra.name())),
                    Err(fault) => Outcome::Ourselves(fault),
                };
                (solicitation.mac.or_else(|| MacAddr::of_eui64(*from.ip())), outcome)
            }
        };
        // Every host asks for routers: only those that are known as machines are to be remembered for it.
        let mac = mac.filter(|mac| self.shared.journal.machine(*mac).is_some());
        Some(Entry {
            at: now(),
            proto: Proto::Router,
            mac,
            ip: mac.map(|_| IpAddr::V6(*from.ip())).filter(|ip| !ip.is_unspecified()),
            uuid: None,
            interface: self.interface.clone(),
            asked: "RS".to_owned(),
            about: About::Other,
            outcome,
        })
    }

    fn advertise(&self, interface: &Interface, site: &Site, to: Ipv6Addr) -> Result<(), String> {
        let said = interface.ipv6.ra.advertisement(MacAddr(interface.mac), &interface.v6, &site.subnets6);
        let Some(said) = said else { return Ok(()) };
        // rfc4861#6.1.2: hosts listen to none that is not from a link-local address.
        let own = interface.v6.iter().map(|&(ip, _)| ip).find(|ip| ip.is_unicast_link_local());
        let own = own.ok_or_else(|| format!("{} has no link-local IPv6 address", self.interface))?;
        let from = Source { ip: Some(own.into()), ifindex: self.ifindex };
        let to = SocketAddrV6::new(to, 0, 0, self.ifindex);
        self.socket.send(to.into(), from, &said.encode()).map_err(|error| format!("not sent: {}", story(&error)))
    }

    fn interface<'s>(&self, site: &'s Site) -> Option<&'s Interface> {
        site.interfaces.iter().find(|interface| interface.name == self.interface)
    }
}
