//! How many may come in, and how often.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use super::refused::Written;
use crate::id::Time;
use crate::refusal::Refusal;

/// What a door lets through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DoorLimits {
    /// Hellos of one address in a minute.
    pub hellos_a_minute: usize,
    /// Conversations at once.
    pub conversations: usize,
    /// How long a conversation may last, in seconds.
    pub seconds: u64,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self { hellos_a_minute: 10, conversations: 1024, seconds: 120 }
    }
}

/// Counts who comes in. It forgets an address after a minute, so it holds no more than a minute's visitors, and at most [`Door::MOST`].
#[derive(Clone, Debug, Default)]
pub struct Door {
    limits: DoorLimits,
    visits: BTreeMap<IpAddr, VecDeque<Time>>,
    /// When conversations that are under way began, by their number.
    open: BTreeMap<u64, Time>,
    last: u64,
    /// Refusals that stand in the audit log.
    pub(crate) written: Written,
}

/// A conversation's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seat(u64);

impl Door {
    /// The most addresses that are counted at once.
    pub const MOST: usize = 4096;

    /// A door with these limits.
    #[must_use]
    pub fn new(limits: DoorLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// How long a conversation may last, in seconds.
    pub(crate) const fn seconds(&self) -> u64 {
        self.limits.seconds
    }

    /// Lets a hello in.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn enter(&mut self, address: IpAddr, now: Time) -> Result<Seat, Refusal> {
        self.tidy(now);
        if self.open.len() >= self.limits.conversations {
            return Err(Refusal::TooMany);
        }
        if !self.visits.contains_key(&address) && self.visits.len() >= Self::MOST {
            return Err(Refusal::TooMany);
        }
        let visits = self.visits.entry(address).or_default();
        if visits.len() >= self.limits.hellos_a_minute {
            return Err(Refusal::TooMany);
        }
        visits.push_back(now);
        self.last = self.last.wrapping_add(1);
        self.open.insert(self.last, now);
        Ok(Seat(self.last))
    }

    /// A conversation is over.
    pub(crate) fn leave(&mut self, seat: Seat) {
        self.open.remove(&seat.0);
    }

    fn tidy(&mut self, now: Time) {
        let seconds = self.limits.seconds;
        self.open.retain(|_, since| now.since(*since) < seconds);
        self.visits.retain(|_, visits| {
            visits.retain(|at| now.since(*at) < 60);
            !visits.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_hellos_of_one_address_in_a_minute_and_no_more_than_1024_conversations() {
        let mut door = Door::default();
        let here: IpAddr = [10, 0, 0, 1].into();
        for n in 0..10 {
            assert!(door.enter(here, Time(100)).is_ok(), "{n}");
        }
        assert_eq!(door.enter(here, Time(159)), Err(Refusal::TooMany));
        assert!(door.enter(here, Time(160)).is_ok());

        let mut door = Door::default();
        let mut seats: Vec<_> =
            (0..1024_u32).map(|n| door.enter(IpAddr::from(n.to_be_bytes()), Time(0)).unwrap()).collect();
        assert_eq!(door.enter(here, Time(1)), Err(Refusal::TooMany));
        door.leave(seats.pop().unwrap());
        assert!(door.enter(here, Time(1)).is_ok());
        assert!(door.enter(here, Time(120)).is_ok(), "those that last too long are not waited for");
    }
}
