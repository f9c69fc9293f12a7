//! Addresses and networks: what a configuration's strings may say of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use slipway_engine::rules::IpNet;
use slipway_wire::MacAddr;

use super::{Reject, reject};

pub(in crate::config) fn mac(raw: &str) -> Result<MacAddr, Reject> {
    let Ok(mac) = raw.parse::<MacAddr>() else {
        return reject(format!("{raw:?} is not a MAC address"), "write six octets, such as \"52:54:00:12:34:56\"");
    };
    if mac.0.first().is_some_and(|octet| octet & 1 == 1) {
        return reject(format!("{mac} is a group address, no machine has it"), "check the first octet: it is even");
    }
    Ok(mac)
}

pub(in crate::config) fn ipv4(raw: &str) -> Result<Ipv4Addr, Reject> {
    raw.parse()
        .or_else(|_| reject(format!("{raw:?} is not an IPv4 address"), "write four numbers, such as \"10.77.0.1\""))
}

/// The address of one other computer, as clients can reach it.
pub(in crate::config) fn host4(raw: &str) -> Result<Ipv4Addr, Reject> {
    let ip = ipv4(raw)?;
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || ip.is_broadcast() {
        return reject(format!("{ip} is no computer's address on a network"), "name the server's own address");
    }
    Ok(ip)
}

/// The same for IPv6. A link-local address will do: the client is on the link.
pub(in crate::config) fn host6(raw: &str) -> Result<Ipv6Addr, Reject> {
    let ip = ipv6(raw)?;
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return reject(format!("{ip} is no computer's address on a network"), "name the server's own address");
    }
    Ok(ip)
}

/// A relay's `giaddr`, or its `link-address`.
pub(in crate::config) fn relay(raw: &str) -> Result<IpAddr, Reject> {
    let ip = ip(raw)?;
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() {
        return reject(
            format!("{ip} is no relay's address"),
            "name its address on the machines' network, as `slipway machine show` shows it",
        );
    }
    Ok(ip)
}

pub(in crate::config) fn ipv6(raw: &str) -> Result<Ipv6Addr, Reject> {
    raw.parse().or_else(|_| reject(format!("{raw:?} is not an IPv6 address"), "write one such as \"fd77::1\""))
}

pub(in crate::config) fn ip(raw: &str) -> Result<IpAddr, Reject> {
    raw.parse()
        .or_else(|_| reject(format!("{raw:?} is not an IP address"), "write one such as \"10.77.0.1\" or \"fd00::1\""))
}

/// A network in prefix notation, host bits zero.
pub(in crate::config) fn net(raw: &str) -> Result<IpNet, Reject> {
    let example = "write address/prefix length, such as \"10.77.0.0/24\" or \"fd00::/64\"";
    let Some((addr, prefix)) = raw.split_once('/') else {
        return reject(format!("{raw:?} has no prefix length"), example);
    };
    let (Ok(addr), Ok(prefix)) = (addr.parse::<IpAddr>(), prefix.parse::<u8>()) else {
        return reject(format!("{raw:?} is not a network"), example);
    };
    let widest = if addr.is_ipv4() { 32 } else { 128 };
    if prefix > widest {
        return reject(format!("/{prefix} is longer than the address: at most /{widest}"), example);
    }
    let network = masked(addr, prefix);
    if network != addr {
        return reject(format!("{raw:?} has host bits set"), format!("write \"{network}/{prefix}\""));
    }
    Ok(IpNet { addr, prefix })
}

/// A subnet that addresses can be given in: IPv4, /8 to /30.
pub(in crate::config) fn subnet(raw: &str) -> Result<(Ipv4Addr, u8), Reject> {
    match net(raw)? {
        IpNet { addr: IpAddr::V4(addr), .. }
            if addr.octets()[0] == 0 || addr.octets()[0] >= 224 || addr.is_loopback() =>
        {
            reject(format!("{raw:?} is no network that addresses are given in"), "use one such as \"10.77.0.0/24\"")
        }
        IpNet { addr: IpAddr::V4(addr), prefix } if (8..=30).contains(&prefix) => Ok((addr, prefix)),
        IpNet { addr: IpAddr::V4(_), prefix } => reject(
            format!("a subnet of /{prefix} cannot hold clients and a server"),
            "use a prefix length from 8 to 30",
        ),
        IpNet { .. } => reject(format!("{raw:?} is not IPv4"), "use an IPv4 network, or make it a `[[subnet6]]`"),
    }
}

/// A network that IPv6 addresses can be given in: /16 to /126, and none that only one link knows.
pub(in crate::config) fn subnet6(raw: &str) -> Result<(Ipv6Addr, u8), Reject> {
    match net(raw)? {
        IpNet { addr: IpAddr::V6(addr), .. } if addr.is_unicast_link_local() || addr.is_multicast() => {
            reject(format!("{raw:?} is no network that addresses are given in"), "use one such as \"fd77::/64\"")
        }
        IpNet { addr: IpAddr::V6(addr), prefix } if (16..=126).contains(&prefix) => Ok((addr, prefix)),
        IpNet { addr: IpAddr::V6(_), prefix } => {
            reject(format!("a subnet of /{prefix} cannot be served"), "use a prefix length from 16 to 126; 64 is usual")
        }
        IpNet { .. } => reject(format!("{raw:?} is not IPv6"), "use an IPv6 network, or make it a `[[subnet]]`"),
    }
}

/// `first-last`, both included, or one address.
pub(in crate::config) fn range6(raw: &str) -> Result<(Ipv6Addr, Ipv6Addr), Reject> {
    let (first, last) = raw.split_once('-').unwrap_or((raw, raw));
    let (Ok(first), Ok(last)) = (first.trim().parse::<Ipv6Addr>(), last.trim().parse::<Ipv6Addr>()) else {
        return reject(
            format!("{raw:?} is not a range of IPv6 addresses"),
            "write first-last, such as \"fd77::1:0-fd77::1:ffff\"",
        );
    };
    if first > last {
        return reject(format!("the range starts at {first} and ends before it, at {last}"), "swap the two addresses");
    }
    Ok((first, last))
}

/// The first address of an address's network.
pub(crate) fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask4(prefix))),
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6(std::net::Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

/// The netmask of a prefix length.
pub(in crate::config) fn mask4(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
}

/// `first-last`, both included, or one address.
pub(in crate::config) fn range(raw: &str) -> Result<(Ipv4Addr, Ipv4Addr), Reject> {
    let (first, last) = raw.split_once('-').unwrap_or((raw, raw));
    let (Ok(first), Ok(last)) = (first.trim().parse::<Ipv4Addr>(), last.trim().parse::<Ipv4Addr>()) else {
        return reject(
            format!("{raw:?} is not a range of IPv4 addresses"),
            "write first-last, such as \"10.77.0.100-10.77.0.200\"",
        );
    };
    if first > last {
        return reject(format!("the range starts at {first} and ends before it, at {last}"), "swap the two addresses");
    }
    Ok((first, last))
}
