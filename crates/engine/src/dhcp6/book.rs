//! The lease book: every address that somebody has, in memory, indexed so that nothing ever walks it.
//!
//! An offer takes nothing: a flood of SOLICITs leaves no trace, and a client whose address is taken in between gets another one in
//! the REPLY (RFC 8415 §18.3.2 leaves that to the server).

use core::net::Ipv6Addr;
use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

use slipway_wire::MacAddr;

use super::lease::{ClientKey, Holder, Record, Write};
use super::plan::{Plan, SubnetIndex};
use crate::subnet::Subnet6;
use crate::{Timestamp, Why};

/// Most leases at one time: what clients who invent identities can cost in memory and on disk.
pub const LEASES_MAX: usize = 131_072;
/// How long a declined address stays out of use.
pub const QUARANTINE: Duration = Duration::from_secs(600);
/// Addresses of a pool that are looked at for a free one: all of a pool that is not larger, and so many that none of them is free
/// only in a pool that is all but full.
const LOOKS: u128 = 4096;

/// Who wants an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker<'a> {
    pub(super) client: &'a ClientKey,
    pub(super) mac: Option<MacAddr>,
    /// Addresses that it names.
    pub(super) wishes: &'a [Ipv6Addr],
    /// Addresses that its other associations are given by the same message.
    pub(super) taken: &'a [Ipv6Addr],
}

/// Every address in use, by address, by client and by the time it falls free.
#[derive(Debug, Default)]
pub struct Book {
    plan: Plan,
    leases: HashMap<Ipv6Addr, Record>,
    clients: HashMap<ClientKey, BTreeSet<Ipv6Addr>>,
    due: BTreeSet<(Timestamp, Ipv6Addr)>,
    /// Leases that ended by time and are still on disk.
    ended: BTreeSet<Ipv6Addr>,
}

impl Book {
    /// An empty book without any subnet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what the store kept, at start.
    pub fn restore(&mut self, records: impl IntoIterator<Item = Record>, now: Timestamp) {
        records.into_iter().for_each(|record| self.apply(&Write::Put(record)));
        self.expire(now);
    }

    /// Takes the operator's subnets, at start and at every change; leases stay. `ours` are our own addresses: never given.
    pub fn arrange(&mut self, subnets: Vec<Subnet6>, ours: &[Ipv6Addr]) {
        self.plan = Plan::new(subnets, ours);
    }

    /// The subnets as last arranged.
    #[must_use]
    pub fn subnets(&self) -> &[Subnet6] {
        self.plan.subnets()
    }

    /// How many addresses are taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    pub(super) const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lets everything fall free whose time is over. What this book answers is right for this time.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(_, ip)) = self.due.first().filter(|(until, _)| *until <= now) {
            self.remove(ip);
            self.ended.insert(ip);
        }
    }

    /// What may be wiped from the disk with the next commit.
    pub(super) fn ended(&self) -> impl Iterator<Item = Write> {
        self.ended.iter().copied().map(Write::Drop)
    }

    /// Writes one change into the book.
    pub fn apply(&mut self, write: &Write) {
        match write {
            Write::Put(record) => {
                self.remove(record.ip);
                self.ended.remove(&record.ip);
                self.due.insert((record.until, record.ip));
                if let Holder::Client(client) = &record.holder {
                    self.clients.entry(client.clone()).or_default().insert(record.ip);
                }
                self.leases.insert(record.ip, record.clone());
            }
            Write::Drop(ip) => {
                self.remove(*ip);
                self.ended.remove(ip);
            }
        }
    }

    fn remove(&mut self, ip: Ipv6Addr) {
        let Some(record) = self.leases.remove(&ip) else { return };
        self.due.remove(&(record.until, ip));
        if let Holder::Client(client) = &record.holder
            && let Some(mine) = self.clients.get_mut(client)
        {
            mine.remove(&ip);
            if mine.is_empty() {
                self.clients.remove(client);
            }
        }
    }

    /// This client's lease of this address.
    pub(super) fn lease(&self, ip: Ipv6Addr, client: &ClientKey) -> Option<&Record> {
        self.leases.get(&ip).filter(|record| record.is_of(client))
    }

    /// Every address in this subnet that this client leases.
    pub(super) fn leases_of(&self, client: &ClientKey, subnet: SubnetIndex) -> impl Iterator<Item = Ipv6Addr> {
        let mine = self.clients.get(client).into_iter().flatten().copied();
        mine.filter(move |ip| self.plan.subnet_of(*ip) == Some(subnet))
    }

    /// Whether this client may have this address: the plan allows it and nobody else has it. What is reserved for a machine passes
    /// from one of its programs to the next, which has another DUID, though the one before did not give it back.
    pub(super) fn may_have(&self, ip: Ipv6Addr, client: &ClientKey, mac: Option<MacAddr>) -> bool {
        let free = match self.leases.get(&ip).map(|record| &record.holder) {
            None => true,
            Some(Holder::Stranger) => false,
            Some(Holder::Client(holder)) => {
                holder == client || (holder.duid != client.duid && self.plan.is_reserved_for(ip, mac))
            }
        };
        free && self.plan.allows(ip, mac)
    }

    /// The address to give: reserved, had, wished for, or the first free one from the client's own place on.
    ///
    /// # Errors
    /// [`Why::PoolEmpty`], and [`Why::Limited`] for a newcomer when there are too many leases.
    pub(super) fn choose(&self, seeker: Seeker<'_>, subnet: SubnetIndex) -> Result<Ipv6Addr, Why> {
        let Seeker { client, mac, wishes, taken } = seeker;
        let free = |ip: &Ipv6Addr| !taken.contains(ip) && self.may_have(*ip, client, mac);
        if let Some(ip) = self.plan.reservation(mac, subnet).filter(free) {
            return Ok(ip);
        }
        if let Some(ip) = self.leases_of(client, subnet).find(free) {
            return Ok(ip);
        }
        if self.leases.len() >= LEASES_MAX {
            return Err(Why::Limited { limit: "IPv6 leases" });
        }
        let wish = wishes.iter().copied().find(|ip| self.plan.subnet_of(*ip) == Some(subnet) && free(ip));
        wish.or_else(|| self.plan.candidates(subnet, client, LOOKS).find(free)).ok_or(Why::PoolEmpty)
    }
}
