//! Group commit: leases of many packets, one flush to disk, then their answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::{io, iter};

use slipway_engine::dhcp4::{Draft, Settled, settle};
use slipway_engine::journal::{Entry, Outcome};
use slipway_netio::{Source, UdpSocket};
use slipway_store::leases::LeaseStore;

use super::{Hex, story};
use crate::journal::Journal;

/// Drafts that may wait. Beyond, receiving waits, and the kernel's buffers hold the rest.
const WAITING: usize = 8192;
/// Drafts in one commit.
const TOGETHER: usize = 2048;

/// A draft with the way its answer takes.
pub(super) struct Job {
    pub(super) draft: Draft,
    pub(super) post: Post,
}

/// The way out: the socket and interface that the question came in by.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) socket: Arc<UdpSocket>,
    pub(super) ifindex: u32,
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
        let batch = iter::once(first).chain(jobs.try_iter()).take(TOGETHER);
        let (drafts, posts): (Vec<Draft>, Vec<Post>) = batch.map(|job| (job.draft, job.post)).unzip();
        let settled = settle(drafts, |records| {
            store.commit(records).map_err(|error| {
                tracing::error!(error = story(&error), leases = records.len(), "leases cannot be stored");
                story(&error)
            })
        });
        settled.into_iter().zip(posts).for_each(|(settled, post)| post.send(settled, journal));
    }
}

impl Post {
    /// Sends the answer, if there is one, and notes what came of it.
    pub(super) fn send(&self, settled: Settled, journal: &Journal) {
        let Settled { reply, entry } = settled;
        let sent = reply.map_or(Ok(()), |reply| {
            tracing::trace!(target: "slipway::bytes", from = %reply.from, to = %reply.to, "{}", Hex(&reply.data));
            let from = Source { ip: Some(reply.from.into()), ifindex: self.ifindex };
            self.socket.send(reply.to.into(), from, &reply.data)
        });
        let outcome = match sent {
            Ok(()) => entry.outcome,
            Err(error) => Outcome::Ourselves(format!("not sent: {}", story(&error))),
        };
        journal.note(Entry { outcome, ..entry });
    }
}
