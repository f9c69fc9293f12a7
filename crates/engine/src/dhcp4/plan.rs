//! The operator's subnets, arranged for looking up: which subnet an address is in, who it is reserved for, whether it may be given.

use core::net::Ipv4Addr;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::lease::ClientKey;
use crate::request::Place;
use crate::subnet::{Reservation, Subnet, Who};

/// A subnet of the plan: valid until the next arrangement.
pub(super) type SubnetIndex = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    subnets: Vec<Subnet>,
    by_start: BTreeMap<u32, SubnetIndex>,
    reserved: HashMap<Ipv4Addr, Who>,
    reservations: HashMap<Who, Vec<(SubnetIndex, Reservation)>>,
    /// Addresses that are never given: our own and the routers'.
    kept: HashSet<Ipv4Addr>,
}

/// Who asks, in all that a reservation may go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) client: &'a ClientKey,
    pub(super) place: &'a Place,
}

impl Asker<'_> {
    /// Everything that it can be reserved for as, the most particular first.
    fn names(self) -> impl Iterator<Item = Who> {
        let Place { circuit_id: circuit, remote_id: remote, .. } = self.place;
        let port = |circuit_id, remote_id| Who::Port { circuit_id, remote_id };
        let both = circuit.clone().zip(remote.clone());
        let names = [
            self.client.mac().map(Who::Machine),
            both.map(|(circuit, remote)| port(Some(circuit), Some(remote))),
            circuit.clone().map(|circuit| port(Some(circuit), None)),
            remote.clone().map(|remote| port(None, Some(remote))),
        ];
        names.into_iter().flatten()
    }

    /// Whether nothing is told of where it is plugged in: it speaks to us past its relay.
    const fn is_out_of_sight(self) -> bool {
        self.place.circuit_id.is_none() && self.place.remote_id.is_none()
    }
}

impl Plan {
    pub(super) fn new(subnets: Vec<Subnet>, ours: &[Ipv4Addr]) -> Self {
        let mut plan = Self { kept: ours.iter().copied().collect(), ..Self::default() };
        for (index, subnet) in subnets.iter().enumerate() {
            plan.by_start.insert(subnet.network.to_bits(), index);
            plan.kept.extend(subnet.routers.iter().copied());
            plan.kept.extend([subnet.network, broadcast(subnet)]);
            for reservation in &subnet.reservations {
                plan.reserved.insert(reservation.ip, reservation.who.clone());
                plan.reservations.entry(reservation.who.clone()).or_default().push((index, reservation.clone()));
            }
        }
        plan.subnets = subnets;
        plan
    }

    pub(super) fn subnets(&self) -> &[Subnet] {
        &self.subnets
    }

    pub(super) fn subnet(&self, index: SubnetIndex) -> Option<&Subnet> {
        self.subnets.get(index)
    }

    /// The subnet that an address lies in.
    pub(super) fn subnet_of(&self, ip: Ipv4Addr) -> Option<SubnetIndex> {
        let (_, &index) = self.by_start.range(..=ip.to_bits()).next_back()?;
        self.subnet(index).filter(|subnet| holds(subnet, ip)).map(|_| index)
    }

    /// The subnet whose pool gives this address to anybody; `None` where it is reserved, kept or in no pool.
    pub(super) fn pool_of(&self, ip: Ipv4Addr) -> Option<SubnetIndex> {
        if self.reserved.contains_key(&ip) || self.kept.contains(&ip) {
            return None;
        }
        let index = self.subnet_of(ip)?;
        let subnet = self.subnet(index)?;
        subnet.pools.iter().any(|&(first, last)| first <= ip && ip <= last).then_some(index)
    }

    /// Addresses of the pools that are nevertheless not everybody's.
    pub(super) fn set_aside(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.reserved.keys().chain(&self.kept).copied()
    }

    /// This subnet and all others of its link: those of the same shared network, in the order of the configuration.
    pub(super) fn link_of(&self, index: SubnetIndex) -> Vec<SubnetIndex> {
        let shared = self.subnet(index).and_then(|subnet| subnet.shared.as_ref());
        let siblings =
            self.subnets.iter().enumerate().filter(|(_, other)| shared.is_some() && other.shared.as_ref() == shared);
        let siblings = siblings.map(|(other, _)| other).filter(|other| *other != index);
        core::iter::once(index).chain(siblings).collect()
    }

    /// The reservation for this client in this subnet.
    pub(super) fn reservation(&self, asker: Asker<'_>, subnet: SubnetIndex) -> Option<&Reservation> {
        let here = |who| self.reservations.get(&who)?.iter().find(|(index, _)| *index == subnet);
        asker.names().find_map(here).map(|(_, reservation)| reservation)
    }

    /// Whether this address may be given to this client, as far as the plan goes.
    pub(super) fn allows(&self, ip: Ipv4Addr, asker: Asker<'_>) -> bool {
        match self.reserved.get(&ip) {
            Some(who) => asker.names().any(|name| name == *who),
            None => self.pool_of(ip).is_some(),
        }
    }

    /// Whether the address is kept for a port, and this client speaks to us past whoever could tell its port: a renewal by unicast.
    pub(super) fn cannot_tell(&self, ip: Ipv4Addr, asker: Asker<'_>) -> bool {
        asker.is_out_of_sight() && matches!(self.reserved.get(&ip), Some(Who::Port { .. }))
    }
}

/// The subnet mask of a prefix length.
pub(super) fn mask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
}

/// A subnet's directed broadcast address.
pub(super) fn broadcast(subnet: &Subnet) -> Ipv4Addr {
    subnet.network | !mask(subnet.prefix)
}

/// Whether an address lies in a subnet.
pub(super) fn holds(subnet: &Subnet, ip: Ipv4Addr) -> bool {
    ip & mask(subnet.prefix) == subnet.network
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_and_broadcasts_are_those_of_the_prefix() {
        for (prefix, expected) in
            [(8, "255.0.0.0"), (23, "255.255.254.0"), (24, "255.255.255.0"), (30, "255.255.255.252")]
        {
            assert_eq!(mask(prefix).to_string(), expected);
        }
        assert_eq!(mask(0), Ipv4Addr::UNSPECIFIED);
    }
}
