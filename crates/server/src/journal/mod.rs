//! The journal: one entry per packet's outcome, to the log, to each machine's history, and to a file that outlives the process.

mod arp;
mod file;
mod history;
mod log;
mod plain;
mod record;

use core::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use slipway_engine::Timestamp;
use slipway_engine::journal::Entry;
use slipway_wire::MacAddr;

use arp::Arp;
use file::Writer;
use log::Limiter;

pub use history::{History, Limits};

use crate::machines::{self, Machines};

/// The wall clock.
#[must_use]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("cannot write the journal")]
    Io(#[from] io::Error),
    /// What is remembered of machines cannot be kept.
    #[error(transparent)]
    Machines(#[from] machines::Error),
}

/// A handle on the journal; cheap to clone. Noting takes microseconds: a lock around memory, and queues to the writing threads that
/// are never waited for. What is remembered of machines comes with it, because it learns from every entry.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    history: Mutex<History>,
    arp: Mutex<Arp>,
    limiter: Mutex<Limiter>,
    machines: Machines,
    writer: Option<Writer>,
    unwritten: AtomicU64,
}

/// A lock whose data stays usable when a thread panicked with it: the journal's parts are never half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    /// The journal in a data folder: what an earlier process wrote is remembered, what comes is written behind it.
    ///
    /// # Errors
    /// The file system's. Lines that cannot be read are skipped and counted in the log.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let mut history = History::default();
        let (read, skipped) = file::load(data, |mut entry| {
            plain::make_plain(&mut entry);
            history.add(Arc::new(entry));
        })?;
        if skipped > 0 {
            tracing::warn!(skipped, "the journal holds lines that cannot be read: they are left out");
        }
        tracing::debug!(entries = read, "journal read");
        let writer = Writer::spawn(data)?;
        let machines = Machines::open(data)?;
        Ok(Self(Arc::new(Inner { history: Mutex::new(history), machines, writer: Some(writer), ..Inner::default() })))
    }

    /// Notes one outcome.
    pub fn note(&self, mut entry: Entry) {
        plain::make_plain(&mut entry);
        if entry.mac.is_none() {
            entry.mac = entry.ip.and_then(|ip| self.mac_of(ip));
        }
        if let Some(suppressed) = lock(&self.0.limiter).admit(&entry) {
            if suppressed > 0 {
                tracing::warn!(
                    suppressed,
                    "log lines about declined packets were held back: there were too many at once"
                );
            }
            log::line(&entry);
        }
        let entry = Arc::new(entry);
        self.0.machines.heard(&entry);
        lock(&self.0.history).add(Arc::clone(&entry));
        let written = self.0.writer.as_ref().is_none_or(|writer| writer.send(entry));
        if !written && self.0.unwritten.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                "the disk is too slow for the journal: entries are left out of its file, `slipway status` counts them"
            );
        }
    }

    /// The machine that has this address, as far as DHCP told, else as far as the kernel's neighbours tell, else
    /// the one that an IPv6 address was made from.
    #[must_use]
    pub fn mac_of(&self, ip: IpAddr) -> Option<MacAddr> {
        let told = lock(&self.0.history).mac_of(ip);
        let made_from_it = || match ip {
            IpAddr::V6(ip) => MacAddr::of_eui64(ip),
            IpAddr::V4(_) => None,
        };
        told.or_else(|| lock(&self.0.arp).mac_of(ip)).or_else(made_from_it)
    }

    /// Every machine that is remembered with its entries, oldest entry first, the machine last seen first. Each is taken out by
    /// itself, so that packets do not wait for the whole.
    #[must_use]
    pub fn histories(&self) -> Vec<(MacAddr, Vec<Arc<Entry>>)> {
        let order = lock(&self.0.history).order();
        order.into_iter().filter_map(|mac| Some((mac, self.machine(mac)?))).collect()
    }

    /// How many machines are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.0.history).count()
    }

    /// The entries of one machine, oldest first.
    #[must_use]
    pub fn machine(&self, mac: MacAddr) -> Option<Vec<Arc<Entry>>> {
        lock(&self.0.history).machine(mac)
    }

    /// How many entries could not be queued for writing, because the disk was too slow.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.0.unwritten.load(Ordering::Relaxed)
    }

    /// What is remembered of machines.
    #[must_use]
    pub fn machines(&self) -> &Machines {
        &self.0.machines
    }

    /// Waits until everything noted before is written.
    pub fn flush(&self) {
        self.0.machines.flush();
        if let Some(writer) = &self.0.writer {
            writer.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Why;
    use slipway_engine::journal::{About, Outcome, Proto};

    fn entry(n: u64, mac: Option<MacAddr>, ip: Option<IpAddr>) -> Entry {
        Entry {
            at: Timestamp(n),
            proto: Proto::Tftp,
            mac,
            ip,
            uuid: None,
            interface: "eth0".to_owned(),
            asked: format!("RRQ {n}"),
            about: About::Other,
            outcome: Outcome::Declined(Why::NotFound),
        }
    }

    #[test]
    fn what_was_noted_is_remembered_by_the_next_process() {
        let data = tempfile::tempdir().unwrap();
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let first = Journal::open(data.path()).unwrap();
        for n in 0..10 {
            first.note(entry(n, Some(mac), None));
        }
        first.flush();
        drop(first);
        let second = Journal::open(data.path()).unwrap();
        let asked: Vec<String> = second.machine(mac).unwrap().iter().map(|entry| entry.asked.clone()).collect();
        assert_eq!(asked, (0..10).map(|n| format!("RRQ {n}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_transfer_is_its_machines_once_dhcp_told_the_address() {
        let journal = Journal::default();
        let (mac, ip) = (MacAddr([2, 0, 0, 0, 0, 1]), Some("10.0.0.5".parse().unwrap()));
        journal.note(entry(1, Some(mac), ip));
        journal.note(entry(2, None, ip));
        assert_eq!(journal.machine(mac).unwrap().len(), 2);
    }
}
