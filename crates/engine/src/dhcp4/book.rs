//! The lease book: every address that somebody has, had or is about to have, in memory, indexed so that nothing ever walks it.
//!
//! The book is never less careful than the database under it: a lease enters the book before it is durable, and leaves by time or by
//! its client's own word. So a commit that fails costs an address for a while, never two clients on one.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

use super::lease::{ClientKey, Holder, Record};
use super::plan::{Asker, Plan, SubnetIndex};
use super::ranges::Ranges;
use crate::subnet::Subnet;
use crate::{Timestamp, Why};

/// How long an offered address waits for its REQUEST. UEFI collects offers for 4 s, 8 s, 16 s and may pick an early one last.
pub const HOLD: Duration = Duration::from_secs(16);

/// Most offers in flight to clients that were never seen before: what a flood of DISCOVERs can cost.
pub const HOLDS_MAX: usize = 16_384;

/// How long a declined address stays out of use.
pub const QUARANTINE: Duration = Duration::from_secs(600);

/// Former addresses that are remembered per client.
const FORMER_MAX: usize = 8;

/// One thing that a decision changes about an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// An offered address waits for its client. Not durable: after a restart the client's REQUEST finds it free.
    Hold {
        /// The address.
        ip: Ipv4Addr,
        /// Who it was offered to.
        client: ClientKey,
        /// Until when.
        until: Timestamp,
    },
    /// The client chose another server's offer.
    Unhold {
        /// The client.
        client: ClientKey,
    },
    /// What must be durable before the answer leaves.
    Durable(Record),
}

/// Every address in use, by address, by client and by the time it falls free.
#[derive(Debug, Default)]
pub struct Book {
    plan: Plan,
    /// One per subnet of the plan.
    rooms: Vec<Room>,
    slots: HashMap<Ipv4Addr, Slot>,
    clients: HashMap<ClientKey, Vec<Ipv4Addr>>,
    /// When each taken address falls free.
    due: BTreeSet<(Timestamp, Ipv4Addr)>,
    holds: usize,
}

/// What is free in one subnet.
#[derive(Debug, Default)]
struct Room {
    /// Addresses that nobody ever had.
    fresh: Ranges,
    /// Free addresses with a former holder, the one left longest ago first.
    idle: BTreeSet<(Timestamp, Ipv4Addr)>,
}

#[derive(Debug, Default)]
struct Slot {
    record: Option<Record>,
    hold: Option<(ClientKey, Timestamp)>,
}

impl Slot {
    fn taken_until(&self) -> Timestamp {
        let record = self.record.as_ref().map_or(Timestamp(0), |record| record.until);
        self.hold.as_ref().map_or(record, |&(_, until)| until.max(record))
    }

    /// Whether somebody else than this client has the address now.
    fn is_taken_from(&self, client: &ClientKey, now: Timestamp) -> bool {
        let record = self.record.as_ref().is_some_and(|record| record.is_live(now) && !record.is_of(client));
        record || self.hold.as_ref().is_some_and(|(holder, until)| *until > now && holder != client)
    }

    fn is_of(&self, client: &ClientKey) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_of(client))
            || self.hold.as_ref().is_some_and(|(holder, _)| holder == client)
    }
}

impl Book {
    /// An empty book without any subnet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the store kept, at start. Later calls of [`Book::arrange`] find the addresses taken.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, now: Timestamp) {
        for record in records {
            self.apply(Change::Durable(record), now);
        }
    }

    /// Takes the operator's subnets, at start and at every change; leases stay. `ours` are our own addresses: never given. The one
    /// operation that costs as much as the book is large.
    pub fn arrange(&mut self, subnets: Vec<Subnet>, ours: &[Ipv4Addr], now: Timestamp) {
        self.plan = Plan::new(subnets, ours);
        self.rooms = self.plan.subnets().iter().map(|_| Room::default()).collect();
        for (room, subnet) in self.rooms.iter_mut().zip(self.plan.subnets()) {
            subnet.pools.iter().for_each(|&(first, last)| room.fresh.insert(first, last));
        }
        for ip in self.plan.set_aside() {
            let room = self.plan.subnet_of(ip).and_then(|index| self.rooms.get_mut(index));
            room.map(|room| room.fresh.remove(ip));
        }
        let known: Vec<Ipv4Addr> = self.slots.keys().copied().collect();
        for ip in known {
            if let Some(index) = self.plan.pool_of(ip) {
                self.rooms.get_mut(index).map(|room| room.fresh.remove(ip));
            }
            self.list(ip, now);
        }
    }

    /// The subnets as last arranged.
    #[must_use]
    pub fn subnets(&self) -> &[Subnet] {
        self.plan.subnets()
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lets everything fall free whose time is over. Each address costs a logarithm once.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(until, ip)) = self.due.first().filter(|(until, _)| *until <= now) {
            self.due.remove(&(until, ip));
            self.list(ip, now);
        }
    }

    /// Writes one change into the book.
    pub fn apply(&mut self, change: Change, now: Timestamp) {
        match change {
            Change::Hold { ip, client, until } => {
                self.unlist(ip);
                self.index(&client, ip);
                let slot = self.slots.entry(ip).or_default();
                if slot.hold.replace((client, until)).is_none() {
                    self.holds += 1;
                }
                self.list(ip, now);
            }
            Change::Unhold { client } => {
                for ip in self.clients.get(&client).cloned().unwrap_or_default() {
                    self.unlist(ip);
                    if self.slots.get(&ip).is_some_and(|slot| slot.hold.as_ref().is_some_and(|(c, _)| *c == client)) {
                        self.drop_hold(ip);
                    }
                    self.list(ip, now);
                }
            }
            Change::Durable(record) => self.record(record, now),
        }
    }

    fn record(&mut self, record: Record, now: Timestamp) {
        let ip = record.ip;
        self.unlist(ip);
        self.drop_hold(ip);
        let slot = self.slots.entry(ip).or_default();
        let holder = record.holder.clone();
        let before = slot.record.replace(record).map(|record| record.holder);
        if let Some(Holder::Client(former)) = before.filter(|before| *before != holder) {
            self.unindex(&former, ip);
        }
        if let Holder::Client(client) = holder {
            self.index(&client, ip);
        }
        self.list(ip, now);
    }

    /// The live lease or hold of this client in this subnet, else its former address there if that is still free.
    pub(super) fn address_of(&self, asker: Asker<'_>, subnet: SubnetIndex, now: Timestamp) -> Option<Ipv4Addr> {
        let here = |ip: &&Ipv4Addr| self.plan.subnet_of(**ip) == Some(subnet) && self.may_have(**ip, asker, now);
        let mine = self.clients.get(asker.client)?;
        let taken = |ip: &&Ipv4Addr| self.slots.get(*ip).is_some_and(|slot| slot.taken_until() > now);
        mine.iter().rev().filter(here).find(taken).or_else(|| mine.iter().rev().find(here)).copied()
    }

    /// Whether this client leases another address than this in one of these subnets.
    pub(super) fn leases_another(
        &self,
        client: &ClientKey,
        ip: Ipv4Addr,
        subnets: &[SubnetIndex],
        now: Timestamp,
    ) -> bool {
        let mine = self.clients.get(client).map_or(&[][..], Vec::as_slice);
        let here = |other: Ipv4Addr| self.plan.subnet_of(other).is_some_and(|subnet| subnets.contains(&subnet));
        mine.iter().any(|&other| other != ip && here(other) && self.lease(other, client, now).is_some())
    }

    /// Whether the book knows this client at all: a lease, a hold, or a former address.
    pub(super) fn knows(&self, client: &ClientKey) -> bool {
        self.clients.contains_key(client)
    }

    /// This client's live lease of this address.
    pub(super) fn lease(&self, ip: Ipv4Addr, client: &ClientKey, now: Timestamp) -> Option<&Record> {
        self.slots.get(&ip)?.record.as_ref().filter(|record| record.is_live(now) && record.is_of(client))
    }

    /// Whether this client has this address now, by a lease or an offer.
    pub(super) fn is_taken_by(&self, ip: Ipv4Addr, client: &ClientKey, now: Timestamp) -> bool {
        let held = |slot: &Slot| slot.hold.as_ref().is_some_and(|(holder, until)| holder == client && *until > now);
        self.lease(ip, client, now).is_some() || self.slots.get(&ip).is_some_and(held)
    }

    /// Whether this address is in any way this client's: leased, offered, or formerly leased and untaken since.
    pub(super) fn is_of(&self, ip: Ipv4Addr, client: &ClientKey) -> bool {
        self.slots.get(&ip).is_some_and(|slot| slot.is_of(client))
    }

    /// Whether this client may have this address: the plan allows it and nobody else has it.
    pub(super) fn may_have(&self, ip: Ipv4Addr, asker: Asker<'_>, now: Timestamp) -> bool {
        let client = asker.client;
        // Whoever has the port's address was there when it got it.
        let allowed =
            self.plan.allows(ip, asker) || (self.plan.cannot_tell(ip, asker) && self.lease(ip, client, now).is_some());
        allowed && !self.slots.get(&ip).is_some_and(|slot| slot.is_taken_from(client, now))
    }

    /// The address to offer on a link of these subnets: reserved, had, wished for, never used, or left longest ago, in this order (RFC
    /// 2131 §4.3.1); within each, in the order of the subnets.
    ///
    /// # Errors
    /// [`Why::NoSubnet`] on a link without any, [`Why::PoolEmpty`], and [`Why::Limited`] for a newcomer while too many offers are in
    /// flight.
    pub(super) fn choose(
        &self,
        asker: Asker<'_>,
        link: &[SubnetIndex],
        wish: Option<Ipv4Addr>,
        now: Timestamp,
    ) -> Result<(Ipv4Addr, SubnetIndex), Why> {
        let first = |pick: &dyn Fn(SubnetIndex) -> Option<Ipv4Addr>| {
            link.iter().find_map(|&subnet| Some((pick(subnet)?, subnet)))
        };
        if link.is_empty() {
            return Err(Why::NoSubnet);
        }
        let reserved = |subnet| {
            let ip = self.plan.reservation(asker, subnet)?.ip;
            self.may_have(ip, asker, now).then_some(ip)
        };
        if let Some(own) = first(&reserved).or_else(|| first(&|subnet| self.address_of(asker, subnet, now))) {
            return Ok(own);
        }
        if self.holds >= HOLDS_MAX && !self.knows(asker.client) {
            return Err(Why::Limited { limit: "offers in flight" });
        }
        let wished = |subnet| wish.filter(|&ip| self.plan.pool_of(ip) == Some(subnet) && self.may_have(ip, asker, now));
        let free = |subnet: SubnetIndex| {
            let room = self.rooms.get(subnet)?;
            room.fresh.first().or_else(|| room.idle.first().map(|&(_, ip)| ip))
        };
        first(&wished).or_else(|| first(&free)).ok_or(Why::PoolEmpty)
    }

    /// Takes the address out of every index of time and freedom.
    fn unlist(&mut self, ip: Ipv4Addr) {
        let until = self.slots.get(&ip).map(Slot::taken_until);
        let left = self.slots.get(&ip).and_then(|slot| slot.record.as_ref()).map(|record| record.until);
        if let Some(until) = until {
            self.due.remove(&(until, ip));
        }
        if let Some(room) = self.plan.pool_of(ip).and_then(|index| self.rooms.get_mut(index)) {
            room.fresh.remove(ip);
            left.map(|left| room.idle.remove(&(left, ip)));
        }
    }

    /// Puts the address into the index where it belongs now: taken until, idle since, or fresh.
    fn list(&mut self, ip: Ipv4Addr, now: Timestamp) {
        if self.slots.get(&ip).is_some_and(|slot| slot.hold.as_ref().is_some_and(|&(_, until)| until <= now)) {
            self.drop_hold(ip);
        }
        let Some(slot) = self.slots.get(&ip) else { return };
        let until = slot.taken_until();
        let left = slot.record.as_ref().map(|record| record.until);
        if until > now {
            self.due.insert((until, ip));
            return;
        }
        if left.is_none() {
            self.slots.remove(&ip);
        }
        let room = self.plan.pool_of(ip).and_then(|index| self.rooms.get_mut(index));
        match (room, left) {
            (Some(room), Some(left)) => _ = room.idle.insert((left, ip)),
            (Some(room), None) => room.fresh.insert(ip, ip),
            (None, _) => {}
        }
    }

    fn drop_hold(&mut self, ip: Ipv4Addr) {
        let Some(slot) = self.slots.get_mut(&ip) else { return };
        let Some((client, _)) = slot.hold.take() else { return };
        self.holds = self.holds.saturating_sub(1);
        if !slot.is_of(&client) {
            self.unindex(&client, ip);
        }
    }

    fn index(&mut self, client: &ClientKey, ip: Ipv4Addr) {
        let mine = self.clients.entry(client.clone()).or_default();
        mine.retain(|&known| known != ip);
        mine.push(ip);
        if mine.len() > FORMER_MAX {
            mine.remove(0);
        }
    }

    fn unindex(&mut self, client: &ClientKey, ip: Ipv4Addr) {
        let Some(mine) = self.clients.get_mut(client) else { return };
        mine.retain(|&known| known != ip);
        if mine.is_empty() {
            self.clients.remove(client);
        }
    }
}
