//! DHCPv6 on one interface.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use slipway_engine::dhcp4::Policy;
use slipway_engine::dhcp6::{Draft, Heard, Link};
use slipway_netio::{Batch, Bind, UdpSocket, wait};

use super::commit::{Post, Queue};
use super::lane::{BATCH, LARGEST, Lane, Stop, drain};
use super::{Error, Hex, Ports, Shared};
use crate::journal::now;
use crate::site::{Interface, Site};

/// The groups that a server listens to (RFC 8415 §7.1): clients and relays on the link, relays that know nothing nearer.
const GROUPS: [Ipv6Addr; 2] = [Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2), Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3)];

/// What the thread works with.
struct Worker {
    interface: String,
    post: Post,
    shared: Arc<Shared>,
    queue: Queue,
}

/// Opens the socket and starts the thread.
pub(super) fn open(interface: &Interface, ports: Ports, shared: &Arc<Shared>, queue: &Queue) -> Result<Lane, Error> {
    let failed = |source| Error::Socket { interface: interface.name.clone(), source };
    let device = Some(interface.name.clone());
    let anywhere = Bind::to((Ipv6Addr::UNSPECIFIED, ports.dhcp6).into());
    let socket = UdpSocket::bind(&Bind { device, ..anywhere }).map_err(failed)?;
    for group in GROUPS {
        socket.join(group, interface.index).map_err(failed)?;
    }
    let addrs = vec![socket.local_addr()];
    let worker = Worker {
        interface: interface.name.clone(),
        post: Post { socket: Arc::new(socket), ifindex: interface.index },
        shared: Arc::clone(shared),
        queue: queue.clone(),
    };
    Lane::start("dhcp6", interface, addrs, move |stop| worker.run(&stop))
}

impl Worker {
    fn run(self, stop: &Stop) {
        let mut batch = Batch::new(BATCH, LARGEST);
        stop.until_asked(&self.interface, || {
            wait(&[&self.post.socket], &stop.waker, None)?;
            drain(&self.post, &mut batch, (&*self.shared, &self.queue), |batch, site| self.answers(batch, site))
        });
    }

    fn answers(&self, batch: &Batch, site: &Arc<Site>) -> Vec<Draft> {
        let served = |interface: &&Interface| interface.name == self.interface && interface.ipv6.dhcp;
        let Some(interface) = site.interfaces.iter().find(served) else { return Vec::new() };
        let link = Link {
            interface: &interface.name,
            networks: &interface.v6,
            server: &self.shared.server_id,
            http_port: site.http_port,
        };
        let machines = self.shared.journal.machines();
        let (known, ladders) = (machines.known(), machines.ladders());
        let policy = Policy { rules: &site.rules, catalog: &site.catalog, machines: &known, ladders: &ladders };
        let at = now();
        let mut office = self.shared.office6();
        let desk = office.desk(site);
        let heard = batch.iter().filter_map(|datagram| match datagram.from {
            SocketAddr::V6(from) => {
                tracing::trace!(target: "slipway::bytes", iface = self.interface, %from, "{}", Hex(datagram.data));
                Some(Heard { data: datagram.data, from })
            }
            SocketAddr::V4(_) => None,
        });
        heard.map(|heard| desk.answer(heard, link, policy, at)).collect()
    }
}
