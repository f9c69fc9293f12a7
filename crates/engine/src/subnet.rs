//! The networks that we give addresses in, as the operator described them.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use slipway_wire::{AgentId, MacAddr};

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
    /// The shared network that it is part of: all subnets of that name are on one link, and a client of the link may have an address
    /// of any of them. None: a link of its own.
    pub shared: Option<String>,
}

/// An address kept for one machine, or for whatever is plugged in at one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reservation {
    /// For whom.
    pub who: Who,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Option 12.
    pub hostname: Option<String>,
}

/// For whom an address is kept.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Who {
    /// One machine.
    Machine(MacAddr),
    /// Whoever is plugged in there, as relays and switches tell it in option 82. At least one of the two is given; both must hold.
    Port {
        /// The port.
        circuit_id: Option<AgentId>,
        /// The switch or relay that has the port, or the customer behind it.
        remote_id: Option<AgentId>,
    },
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine(mac) => mac.fmt(f),
            Self::Port { circuit_id: Some(circuit), remote_id: Some(remote) } => {
                write!(f, "port {circuit} of {remote}")
            }
            Self::Port { circuit_id: Some(circuit), remote_id: None } => write!(f, "port {circuit}"),
            Self::Port { circuit_id: None, remote_id: Some(remote) } => write!(f, "remote id {remote}"),
            Self::Port { circuit_id: None, remote_id: None } => f.write_str("nobody"),
        }
    }
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
    /// The shared network that it is part of, as with IPv4.
    pub shared: Option<String>,
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
