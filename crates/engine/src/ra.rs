//! Router advertisements: what a boot server says to hosts that look for a router, where the operator wants that.
//!
//! We are never anybody's default router (lifetime 0). But firmware asks for IPv6 addresses only where an advertisement tells it to,
//! and iPXE waits 13 s for one on a network that has none.

use core::net::Ipv6Addr;

use slipway_wire::MacAddr;
use slipway_wire::ndp::{Advertisement, Prefix};

use crate::subnet::Subnet6;

/// What is advertised on an interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ra {
    /// Nothing.
    #[default]
    Off,
    /// An answer to whoever asks, which says nothing: no router, no prefix, no DHCPv6. It ends iPXE's wait.
    BootOnly,
    /// Addresses and parameters come by DHCPv6 (M and O); the subnets are on this link.
    Managed,
    /// Hosts make their own addresses in the subnets, parameters come by DHCPv6 (O).
    Stateless,
}

/// For how long hosts believe in a prefix. Shorter than RFC 4861's month: it is said again every few minutes.
const VALID: u32 = 86_400;
/// For how long they prefer addresses in it.
const PREFERRED: u32 = 14_400;

impl Ra {
    /// The name in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BootOnly => "boot-only",
            Self::Managed => "managed",
            Self::Stateless => "stateless",
        }
    }

    /// Whether it is said every few minutes too, and not only to whoever asks.
    #[must_use]
    pub const fn is_repeated(self) -> bool {
        matches!(self, Self::Managed | Self::Stateless)
    }

    /// What is said on an interface with this card and these addresses; `None` where nothing is.
    #[must_use]
    pub fn advertisement(
        self,
        mac: MacAddr,
        networks: &[(Ipv6Addr, u8)],
        subnets: &[Subnet6],
    ) -> Option<Advertisement> {
        let here = |subnet: &&Subnet6| networks.iter().any(|(ip, _)| subnet.holds(*ip));
        let prefixes = |autonomous| {
            let prefix = |subnet: &Subnet6| Prefix {
                network: subnet.network,
                len: subnet.prefix,
                // Interface identifiers have 64 bits (RFC 4291 §2.5.1): nobody could make an address elsewhere.
                autonomous: autonomous && subnet.prefix == 64,
                valid: VALID,
                preferred: PREFERRED,
            };
            subnets.iter().filter(here).map(prefix).collect()
        };
        let blank = Advertisement { mac: Some(mac), ..Advertisement::default() };
        match self {
            Self::Off => None,
            Self::BootOnly => Some(blank),
            Self::Managed => Some(Advertisement { managed: true, other: true, prefixes: prefixes(false), ..blank }),
            Self::Stateless => Some(Advertisement { other: true, prefixes: prefixes(true), ..blank }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    fn subnet(network: &str, prefix: u8) -> Subnet6 {
        Subnet6 {
            network: network.parse().unwrap(),
            prefix,
            pools: Vec::new(),
            dns: Vec::new(),
            domains: Vec::new(),
            lease: Duration::from_secs(3600),
            reservations: Vec::new(),
            shared: None,
        }
    }

    #[test]
    fn each_kind_says_what_it_must_and_nobody_becomes_a_router() {
        let networks = [("fe80::1".parse().unwrap(), 64), ("fd77::1".parse().unwrap(), 64)];
        let subnets = [subnet("fd77::", 64), subnet("fd88::", 64)];
        let mac = MacAddr([2; 6]);
        for (ra, managed, other, prefixes) in [
            (Ra::BootOnly, false, false, vec![]),
            (Ra::Managed, true, true, vec![("fd77::", false)]),
            (Ra::Stateless, false, true, vec![("fd77::", true)]),
        ] {
            let said = ra.advertisement(mac, &networks, &subnets).unwrap();
            assert_eq!((said.managed, said.other, said.lifetime), (managed, other, 0), "{}", ra.name());
            let told: Vec<_> = said.prefixes.iter().map(|p| (p.network.to_string(), p.autonomous)).collect();
            let wanted: Vec<_> = prefixes.into_iter().map(|(network, a)| (network.to_owned(), a)).collect();
            assert_eq!(told, wanted, "{}", ra.name());
        }
        assert_eq!(Ra::Off.advertisement(mac, &networks, &subnets), None);
        let odd = Ra::Stateless.advertisement(mac, &networks, &[subnet("fd77::", 72)]).unwrap();
        assert!(!odd.prefixes[0].autonomous, "no host could make itself an address in a /72");
    }
}
