//! Group commit: leases of many packets, one flush to disk for each address family, then their answers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::{io, iter};

use slipway_engine::draft::{Draft, Settled, settle};
use slipway_engine::journal::{Entry, Outcome};
use slipway_engine::{dhcp4, dhcp6};
use slipway_netio::{Source, UdpSocket};
use slipway_store::leases::{LeaseError, LeaseStore};

use super::{Hex, story};
use crate::journal::Journal;

/// Drafts that may wait. Beyond, receiving waits, and the kernel's buffers hold the rest.
const WAITING: usize = 8192;
/// Drafts in one commit.
const TOGETHER: usize = 2048;

/// A draft with the way its answer takes.
pub(super) struct Job {
    pub(super) draft: Pending,
    pub(super) post: Post,
}

/// A draft of either family.
pub(super) enum Pending {
    V4(dhcp4::Draft),
    V6(dhcp6::Draft),
}

impl From<dhcp4::Draft> for Pending {
    fn from(draft: dhcp4::Draft) -> Self {
        Self::V4(draft)
    }
}

impl From<dhcp6::Draft> for Pending {
    fn from(draft: dhcp6::Draft) -> Self {
        Self::V6(draft)
    }
}

/// The way out: the socket and interface that the question came in by.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) ifindex: u32,
}

/// A datagram of either family.
pub(super) struct Outgoing {
    to: SocketAddr,
    /// None: as the routes say.
    from: Option<IpAddr>,
    data: Vec<u8>,
}

impl From<dhcp4::Transmit> for Outgoing {
    fn from(reply: dhcp4::Transmit) -> Self {
        Self { to: reply.to.into(), from: Some(reply.from.into()), data: reply.data }
    }
}

impl From<dhcp6::Transmit> for Outgoing {
    fn from(reply: dhcp6::Transmit) -> Self {
        Self { to: reply.to.into(), from: None, data: reply.data }
    }
}

pub(super) type Queue = SyncSender<Job>;

/// Starts the thread that commits.
pub(super) fn spawn<S: LeaseStore + 'static>(store: S, journal: Journal) -> io::Result<(Queue, JoinHandle<()>)> {
    let (queue, jobs) = sync_channel(WAITING);
    let run = move || run(store, &jobs, &journal);
    let thread = std::thread::Builder::new().name("leases".into()).spawn(run)?;
    Ok((queue, thread))
}

fn run<S: LeaseStore>(mut store: S, jobs: &Receiver<Job>, journal: &Journal) {
    while let Ok(first) = jobs.recv() {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for Job { draft, post } in iter::once(first).chain(jobs.try_iter()).take(TOGETHER) {
            match draft {
                Pending::V4(draft) => v4.push((draft, post)),
                Pending::V6(draft) => v6.push((draft, post)),
            }
        }
        commit(v4, journal, |records| store.commit(records));
        commit(v6, journal, |writes| store.commit6(writes));
    }
}

/// Makes these drafts durable together and sends their answers.
fn commit<W: Clone, T: Into<Outgoing>>(
    batch: Vec<(Draft<W, T>, Post)>,
    journal: &Journal,
    write: impl FnOnce(&[W]) -> Result<(), LeaseError>,
) {
    let (drafts, posts): (Vec<Draft<W, T>>, Vec<Post>) = batch.into_iter().unzip();
    let settled = settle(drafts, |writes| {
        write(writes).map_err(|error| {
            tracing::error!(error = story(&error), leases = writes.len(), "leases cannot be stored");
            story(&error)
        })
    });
    settled.into_iter().zip(posts).for_each(|(settled, post)| post.send(settled, journal));
}

impl Post {
    /// Sends the answer, if there is one, and notes what came of it.
    pub(super) fn send<T: Into<Outgoing>>(&self, settled: Settled<T>, journal: &Journal) {
        let Settled { reply, entry } = settled;
        let sent = reply.map_or(Ok(()), |reply| {
            let Outgoing { to, from, data } = reply.into();
            tracing::trace!(target: "slipway::bytes", %to, "{}", Hex(&data));
            self.socket.send(to, Source { ip: from, ifindex: self.ifindex }, &data)
        });
        let outcome = match sent {
            Ok(()) => entry.outcome,
            Err(error) => Outcome::Ourselves(format!("not sent: {}", story(&error))),
        };
        journal.note(Entry { outcome, ..entry });
    }
}
