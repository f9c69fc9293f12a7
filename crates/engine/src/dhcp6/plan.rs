//! The operator's IPv6 networks, indexed.

use core::net::Ipv6Addr;
use std::collections::{HashMap, HashSet};

use slipway_wire::MacAddr;

use super::lease::ClientKey;
use crate::subnet::Subnet6;

/// A subnet of the plan: valid until the next arrangement.
pub(super) type SubnetIndex = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    subnets: Vec<Subnet6>,
    reserved: HashMap<Ipv6Addr, MacAddr>,
    /// Addresses that are never given: our own and the networks' (the routers' anycast address, RFC 4291 §2.6.1).
    kept: HashSet<Ipv6Addr>,
}

impl Plan {
    pub(super) fn new(subnets: Vec<Subnet6>, ours: &[Ipv6Addr]) -> Self {
        let mut kept: HashSet<Ipv6Addr> = ours.iter().copied().collect();
        kept.extend(subnets.iter().map(|subnet| subnet.network));
        let reservations = subnets.iter().flat_map(|subnet| &subnet.reservations);
        let reserved = reservations.map(|reservation| (reservation.ip, reservation.mac)).collect();
        Self { subnets, reserved, kept }
    }

    pub(super) fn subnets(&self) -> &[Subnet6] {
        &self.subnets
    }

    pub(super) fn subnet(&self, index: SubnetIndex) -> Option<&Subnet6> {
        self.subnets.get(index)
    }

    /// The subnet that an address lies in: they do not overlap.
    pub(super) fn subnet_of(&self, ip: Ipv6Addr) -> Option<SubnetIndex> {
        self.subnets.iter().position(|subnet| subnet.holds(ip))
    }

    /// This subnet and all others of its link: those of the same shared network, in the order of the configuration.
    pub(super) fn link_of(&self, index: SubnetIndex) -> Vec<SubnetIndex> {
        let shared = self.subnet(index).and_then(|subnet| subnet.shared.as_ref());
        let siblings =
            self.subnets.iter().enumerate().filter(|(_, other)| shared.is_some() && other.shared.as_ref() == shared);
        let siblings = siblings.map(|(other, _)| other).filter(|other| *other != index);
        core::iter::once(index).chain(siblings).collect()
    }

    /// The address reserved for this machine in this subnet.
    pub(super) fn reservation(&self, mac: Option<MacAddr>, subnet: SubnetIndex) -> Option<Ipv6Addr> {
        let reservations = &self.subnet(subnet)?.reservations;
        reservations.iter().find(|reservation| Some(reservation.mac) == mac).map(|reservation| reservation.ip)
    }

    /// Whether this is the address that is kept for this machine.
    pub(super) fn is_reserved_for(&self, ip: Ipv6Addr, mac: Option<MacAddr>) -> bool {
        self.reserved.get(&ip).is_some_and(|owner| Some(*owner) == mac)
    }

    /// Whether this address may be given to this machine, as far as the plan goes.
    pub(super) fn allows(&self, ip: Ipv6Addr, mac: Option<MacAddr>) -> bool {
        match self.reserved.get(&ip) {
            Some(owner) => Some(*owner) == mac,
            None => !self.kept.contains(&ip) && self.subnet_of(ip).is_some_and(|subnet| self.is_in_pool(ip, subnet)),
        }
    }

    fn is_in_pool(&self, ip: Ipv6Addr, subnet: SubnetIndex) -> bool {
        self.subnet(subnet).is_some_and(|subnet| subnet.pools.iter().any(|(first, last)| (first..=last).contains(&&ip)))
    }

    /// The addresses of a subnet's pools, beginning where this client's place is: each client has its own, so most get the first they
    /// look at, and get the same again although nobody remembers it. At most `most` of them.
    pub(super) fn candidates(
        &self,
        subnet: SubnetIndex,
        client: &ClientKey,
        most: u128,
    ) -> impl Iterator<Item = Ipv6Addr> {
        let pools = self.subnet(subnet).map_or(&[][..], |subnet| &subnet.pools);
        let total = pools.iter().map(size).fold(0, u128::saturating_add);
        let place = place(client).checked_rem(total).unwrap_or(0);
        (0..total.min(most)).filter_map(move |step| {
            let mut offset = place.checked_add(step)?.checked_rem(total)?;
            for pool in pools {
                match offset.checked_sub(size(pool)) {
                    None => return pool.0.to_bits().checked_add(offset).map(Ipv6Addr::from_bits),
                    Some(rest) => offset = rest,
                }
            }
            None
        })
    }
}

fn size(&(first, last): &(Ipv6Addr, Ipv6Addr)) -> u128 {
    last.to_bits().checked_sub(first.to_bits()).map_or(0, |span| span.saturating_add(1))
}

/// A number that follows from the client alone, spread evenly: FNV-1a of 128 bits. It is no secret.
fn place(client: &ClientKey) -> u128 {
    const START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let (iaid, kind) = (client.iaid.to_be_bytes(), client.kind.code().0.to_be_bytes());
    let bytes = client.duid.as_bytes().iter().chain(&iaid).chain(&kind);
    let hash = bytes.fold(START, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    // The low bits of FNV depend on the low bits of the bytes alone.
    hash ^ (hash >> 61)
}
