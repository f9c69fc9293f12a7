//! How many may come in, and how often.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

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
    /// When who is known already (a ticket, a machine) spoke, by its number: no more than there are of them.
    asked: BTreeMap<[u8; 16], VecDeque<Time>>,
}

/// A conversation's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Seat(u64);

impl Door {
    /// The most addresses that are counted at once.
    pub const MOST: usize = 4096;

    /// How often one ticket, or one machine, is listened to in a minute: each time costs a write to the disk. A machine that waits asks twelve times.
    pub const MOST_ASKS: usize = 60;

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

    /// Listens to a message that stands by itself, of a ticket or a machine that exists and has proved that it is its own.
    ///
    /// # Errors
    /// It speaks too often.
    pub(crate) fn listen(&mut self, who: [u8; 16], now: Time) -> Result<(), Refusal> {
        tidy(&mut self.asked, now);
        let asked = self.asked.entry(who).or_default();
        if asked.len() >= Self::MOST_ASKS {
            return Err(Refusal::TooMany);
        }
        asked.push_back(now);
        Ok(())
    }

    /// A conversation is over.
    pub(crate) fn leave(&mut self, seat: Seat) {
        self.open.remove(&seat.0);
    }

    fn tidy(&mut self, now: Time) {
        let seconds = self.limits.seconds;
        self.open.retain(|_, since| *since <= now && now.since(*since) < seconds);
        tidy(&mut self.visits, now);
    }
}

/// Forgets what was more than a minute ago, and what is yet to come: after the clock was set back nobody waits until it is where it was.
fn tidy<K: Ord>(visits: &mut BTreeMap<K, VecDeque<Time>>, now: Time) {
    visits.retain(|_, visits| {
        visits.retain(|at| *at <= now && now.since(*at) < 60);
        !visits.is_empty()
    });
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

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limits = DoorLimits { hellos_a_minute: 1, conversations: 1, seconds: 120 };
        let (mut door, here) = (Door::new(limits), IpAddr::from([10, 0, 0, 1]));
        door.enter(here, Time(1_000_000)).unwrap();
        assert_eq!(door.enter(here, Time(1_000_001)), Err(Refusal::TooMany));
        assert!(door.enter(here, Time(500_000)).is_ok());
    }
}
