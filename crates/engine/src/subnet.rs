//! The networks that we give addresses in, as the operator described them.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use slipway_wire::MacAddr;

/// One IPv4 subnet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subnet {
    /// Network address (host bits zero).
    pub network: Ipv4Addr,
    /// Prefix length: 8-30.
    pub prefix: u8,
    /// Ranges of addresses to give out, both ends included; inside the network, not overlapping.
    pub pools: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// Option 3.
    pub routers: Vec<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 15.
    pub domain: Option<String>,
    /// Option 42.
    pub ntp: Vec<Ipv4Addr>,
    /// Option 26, 576-65535.
    pub mtu: Option<u16>,
    /// How long a lease lasts: 60 s to 10 years.
    pub lease: Duration,
    /// Addresses kept for certain machines; inside the network, in a pool or not.
    pub reservations: Vec<Reservation>,
    /// Whether a client that asks for an address of this network which we did not give it is told so (DHCPNAK).
    pub authoritative: bool,
}

/// An address kept for one machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reservation {
    /// The machine.
    pub mac: MacAddr,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Option 12.
    pub hostname: Option<String>,
}

/// One IPv6 network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Subnet6 {
    /// Network address (host bits zero).
    pub network: Ipv6Addr,
    /// Prefix length: 16-126.
    pub prefix: u8,
    /// Ranges of addresses to give out, both ends included; inside the network, not overlapping. None: only machines with a
    /// reservation get an address, others get parameters alone (stateless).
    pub pools: Vec<(Ipv6Addr, Ipv6Addr)>,
    /// Option 23.
    pub dns: Vec<Ipv6Addr>,
    /// Option 24.
    pub domains: Vec<String>,
    /// How long a lease lasts: 60 s to 10 years.
    pub lease: Duration,
    /// Addresses kept for certain machines; inside the network, in a pool or not.
    pub reservations: Vec<Reservation6>,
}

/// An IPv6 address kept for one machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reservation6 {
    /// The machine.
    pub mac: MacAddr,
    /// Its address.
    pub ip: Ipv6Addr,
}

impl Subnet6 {
    /// Whether an address lies in it.
    #[must_use]
    pub fn holds(&self, ip: Ipv6Addr) -> bool {
        let differs = self.network.to_bits() ^ ip.to_bits();
        differs.leading_zeros() >= u32::from(self.prefix)
    }
}
