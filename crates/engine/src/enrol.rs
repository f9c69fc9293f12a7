//! What the org says of machines, as far as it decides what they are given when they boot from the network.
//!
//! All of it is convenience: hardware addresses and UUIDs are believed here as everywhere in booting, and what is served is public. Who a
//! machine is, it proves to the org itself.

use core::time::Duration;
use std::collections::HashMap;

use slipway_wire::MacAddr;
use uuid::Uuid;

use crate::rules::Boot;
use crate::{Timestamp, Why};

/// What machines are given that the org is to decide about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enrol {
    /// The public image in which machines enrol and recover.
    pub boot: Boot,
    /// Machines that nobody knows are given it also while no window is open.
    pub open_discovery: bool,
    /// An enrolled machine that was sent to its disk, and was not heard by the gateway for so long since, has lost its way there.
    pub recover_after: Duration,
}

impl Enrol {
    /// The usual time for a machine to be heard after it was sent to its disk.
    pub const RECOVER_AFTER: Duration = Duration::from_secs(120);
    /// The longest that it may be.
    pub const LONGEST: Duration = Duration::from_secs(3600);
}

/// Where a machine stands in the org. One that asked and was denied, expired or retired stands nowhere: it may ask anew, as any other.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum State {
    /// It asked to be let in, or was: it has no identity yet.
    Asking,
    /// It has its identity, and has not said that there is something on its disk to boot: that, or its recovery, is awaited.
    Awaited,
    /// It boots from its own disk, or is to for the first time.
    Enrolled,
    /// It boots from its own disk, and is told there that an admin withholds everything from it.
    Suspended,
    /// It is never let in again.
    Revoked,
}

/// What the org knows of a machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Standing {
    /// Where it stands.
    pub state: State,
    /// The SMBIOS UUID that it has, where that is known. A machine that tells another is another machine.
    pub uuid: Option<Uuid>,
    /// When enroller or gateway heard it last.
    pub heard: Timestamp,
}

/// What the org knows of all machines, by their hardware addresses.
#[derive(Clone, Debug, Default)]
pub struct Standings {
    by_mac: HashMap<MacAddr, Known>,
    window_open: bool,
    /// The time, as of when this was made; it is looked at only while a machine is awaited.
    now: Timestamp,
}

/// A machine's standing, and what it did since it was heard last.
#[derive(Clone, Copy, Debug)]
struct Known {
    standing: Standing,
    /// When it was first sent to its disk since it was heard.
    sent: Option<Timestamp>,
}

impl Standings {
    /// Says where the machine with this hardware address stands; none takes it out.
    pub fn put(&mut self, mac: MacAddr, standing: Option<Standing>) {
        let Some(standing) = standing else {
            self.by_mac.remove(&mac);
            return;
        };
        let sent = self.by_mac.get(&mac).and_then(|known| known.sent).filter(|sent| *sent > standing.heard);
        self.by_mac.insert(mac, Known { standing, sent });
    }

    /// Says whether an enrolment window is open.
    pub const fn set_window(&mut self, open: bool) {
        self.window_open = open;
    }

    /// Whether an enrolment window is open.
    #[must_use]
    pub const fn window_open(&self) -> bool {
        self.window_open
    }

    /// Where the machine stands that tells these.
    #[must_use]
    pub fn of(&self, mac: MacAddr, uuid: Option<Uuid>) -> Option<&Standing> {
        self.known(mac, uuid).map(|known| &known.standing)
    }

    /// Notes that this machine was sent to its disk. Returns whether that was news.
    pub fn sent(&mut self, mac: MacAddr, at: Timestamp) -> bool {
        let Some(known) = self.by_mac.get_mut(&mac) else { return false };
        let news = known.sent.is_none() && known.standing.state == State::Enrolled;
        if news {
            known.sent = Some(at);
            self.now = self.now.max(at);
        }
        news
    }

    /// Takes note of the time. Returns whether it matters to anybody.
    pub fn tick(&mut self, now: Timestamp) -> bool {
        let matters = self.waits();
        if matters {
            self.now = now;
        }
        matters
    }

    /// Whether a machine was sent to its disk lately and not heard since, so that the time matters.
    #[must_use]
    pub fn waits(&self) -> bool {
        let is_due = |sent: Timestamp| self.now.since(sent) < Enrol::LONGEST;
        self.by_mac.values().any(|known| known.sent.is_some_and(is_due))
    }

    /// Whether the machine that tells these is never to be let in again.
    #[must_use]
    pub fn is_revoked(&self, mac: MacAddr, uuid: Option<Uuid>) -> bool {
        self.of(mac, uuid).is_some_and(|standing| standing.state == State::Revoked)
    }

    /// Whether this machine is given the image now, or why not.
    ///
    /// # Errors
    /// It is not; or it boots from its own disk ([`Why::is_local_boot`]).
    pub fn verdict(&self, mac: MacAddr, uuid: Option<Uuid>, enrol: &Enrol) -> Result<(), Why> {
        let Some(known) = self.known(mac, uuid) else {
            return if self.window_open || enrol.open_discovery { Ok(()) } else { Err(Why::NoWindow) };
        };
        let lost = known.sent.is_some_and(|sent| self.now.since(sent) >= enrol.recover_after);
        match known.standing.state {
            State::Asking | State::Awaited => Ok(()),
            State::Enrolled if lost => Ok(()),
            State::Enrolled => Err(Why::Enrolled),
            State::Suspended => Err(Why::Suspended),
            State::Revoked => Err(Why::Revoked),
        }
    }

    fn known(&self, mac: MacAddr, uuid: Option<Uuid>) -> Option<&Known> {
        let known = self.by_mac.get(&mac)?;
        let same = |its: Uuid, told: Uuid| its == told || its.to_bytes_le() == told.into_bytes();
        let is_it = known.standing.uuid.zip(uuid).is_none_or(|(its, told)| same(its, told));
        is_it.then_some(known)
    }
}

#[cfg(test)]
mod tests;
