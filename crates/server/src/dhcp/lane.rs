//! One protocol on one interface: a thread of its own that ends when it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use slipway_engine::draft::{Draft, settle};
use slipway_netio::{Batch, Waker, wait};

use super::commit::{Job, Outgoing, Pending, Post, Queue};
use super::{Error, Shared, story};
use crate::site::{Interface, Site};

/// Datagrams that one system call takes.
pub(super) const BATCH: usize = 64;
/// So often a socket is emptied before the other, and the end, get their turn: a flood must not keep them out.
pub(super) const TURNS: usize = 16;
/// The largest datagram that is read: more than any link carries unfragmented to us.
pub(super) const LARGEST: usize = 4096;
/// Pause after a socket failed (its interface went down), before it is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A served interface.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    index: u32,
    addrs: Vec<SocketAddr>,
    stop: Stop,
    thread: JoinHandle<()>,
}

/// What a lane's thread heeds.
#[derive(Clone, Debug)]
pub(super) struct Stop {
    asked: Arc<AtomicBool>,
    pub(super) waker: Waker,
}

impl Stop {
    /// Does this again and again until the lane is to end. After a failure it waits a moment.
    pub(super) fn until_asked(&self, interface: &str, mut work: impl FnMut() -> Result<(), slipway_netio::Error>) {
        while !self.asked.load(Ordering::Acquire) {
            if let Err(error) = work() {
                tracing::error!(iface = interface, error = story(&error), "DHCP cannot receive; trying again");
                let _ = wait(&[], &self.waker, Some(PAUSE));
            }
        }
    }
}

impl Lane {
    /// Starts a thread `<protocol>-<interface>` that does this work. `addrs` are what its sockets are bound to.
    pub(super) fn start(
        protocol: &str,
        interface: &Interface,
        addrs: Vec<SocketAddr>,
        work: impl FnOnce(Stop) + Send + 'static,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Socket { interface: interface.name.clone(), source };
        let stop = Stop { asked: Arc::default(), waker: Waker::new().map_err(failed)? };
        let heeded = stop.clone();
        let thread = std::thread::Builder::new().name(format!("{protocol}-{}", interface.name));
        let thread = thread.spawn(move || work(heeded)).map_err(Error::Thread)?;
        Ok(Self { name: interface.name.clone(), index: interface.index, addrs, stop, thread })
    }

    pub(super) fn is_of(&self, interface: &str) -> bool {
        self.name == interface
    }

    /// Whether this is still that very interface: one that was made anew under its name has another index.
    pub(super) fn serves(&self, interface: &Interface) -> bool {
        self.name == interface.name && self.index == interface.index
    }

    pub(super) fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    pub(super) fn stop(&self) {
        self.stop.asked.store(true, Ordering::Release);
        self.stop.waker.wake();
    }

    pub(super) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(interface = self.name, "a DHCP thread had ended in a panic");
        }
    }
}

/// Answers what this socket holds: what needs no disk at once, the rest when it is durable.
pub(super) fn drain<W: Clone, T: Into<Outgoing>>(
    post: &Post,
    batch: &mut Batch,
    (shared, queue): (&Shared, &Queue),
    mut on_batch: impl FnMut(&Batch, &Arc<Site>) -> Vec<Draft<W, T>>,
) -> Result<(), slipway_netio::Error>
where
    Pending: From<Draft<W, T>>,
{
    for _ in 0..TURNS {
        if post.socket.receive(batch)? == 0 {
            break;
        }
        let site = shared.site.load_full();
        let (later, now): (Vec<_>, Vec<_>) = on_batch(batch, &site).into_iter().partition(Draft::needs_commit);
        for draft in later {
            // The queue lives as long as we do.
            let _ = queue.send(Job { draft: draft.into(), post: post.clone() });
        }
        let settled = settle(now, |_| Ok::<(), &str>(()));
        settled.into_iter().for_each(|settled| post.send(settled, &shared.journal));
    }
    Ok(())
}
