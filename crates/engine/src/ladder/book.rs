//! The ladders of all machines that asked lately.

use std::collections::BTreeMap;

use slipway_wire::MacAddr;

use super::{Footing, Ladder, Worked};
use crate::Timestamp;
use crate::journal::{About, Entry};
use crate::request::{BootRequest, Loader};

/// The ladders of the machines that asked lately. An operating system's client has none.
#[derive(Clone, Debug, Default)]
pub struct Ladders {
    by_mac: BTreeMap<MacAddr, Ladder>,
}

impl Ladders {
    /// Most machines that are followed. Beyond, those not heard of for the longest start again where they are known to take an offer.
    pub const MOST: usize = 4096;

    /// Where this machine stands, if it has asked lately.
    #[must_use]
    pub fn get(&self, mac: MacAddr) -> Option<&Ladder> {
        self.by_mac.get(&mac)
    }

    /// On which rung a DISCOVER is answered: [`Ladder::stand`].
    #[must_use]
    pub fn stand(&self, asked: &BootRequest, xid: u32, worked: Option<&Worked>, now: Timestamp) -> Option<Footing> {
        self.of(asked.mac).stand(asked, xid, worked, now)
    }

    /// On which rung it goes on: [`Ladder::stays`].
    #[must_use]
    pub fn stays(&self, asked: &BootRequest, xid: u32, worked: Option<&Worked>) -> Option<Footing> {
        self.of(asked.mac).stays(asked, xid, worked)
    }

    fn of(&self, mac: MacAddr) -> &Ladder {
        self.by_mac.get(&mac).unwrap_or(const { &Ladder::NEW })
    }

    /// Takes in what came of a packet or a transfer: [`Ladder::heed`].
    pub fn heed(&mut self, entry: &Entry, worked: Option<&Worked>) -> Option<Option<Worked>> {
        let mac = entry.mac?;
        if let Some(ladder) = self.by_mac.get_mut(&mac) {
            return ladder.heed(entry, worked);
        }
        // Only who is offered something climbs onto a ladder.
        let mut ladder = Ladder::default();
        let news = ladder.heed(entry, worked);
        if ladder != Ladder::NEW {
            self.make_room();
            self.by_mac.insert(mac, ladder);
        }
        news
    }

    /// Whether an entry can be one that [`heed`](Self::heed) does anything with.
    #[must_use]
    pub const fn matters(entry: &Entry) -> bool {
        matches!(entry.about, About::Dhcp { loader: Loader::Pxe, .. } | About::File { .. })
    }

    /// Forgets where a machine stands.
    pub fn forget(&mut self, mac: MacAddr) {
        self.by_mac.remove(&mac);
    }

    /// Forgets the quarter that was not heard of for the longest, when there is no room for one more.
    fn make_room(&mut self) {
        if self.by_mac.len() < Self::MOST {
            return;
        }
        let mut heard: Vec<Timestamp> = self.by_mac.values().map(Ladder::heard).collect();
        heard.sort_unstable();
        let oldest = heard.get(Self::MOST / 4).copied().unwrap_or_default();
        self.by_mac.retain(|_, ladder| ladder.heard() > oldest);
    }
}
