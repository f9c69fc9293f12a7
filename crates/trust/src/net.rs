//! Networks as invites name them.

use std::net::IpAddr;

/// Whether an address is within a network such as `10.0.0.0/8` or `fd00::/8`. A text that is no network holds nothing.
pub(crate) fn is_within(address: IpAddr, network: &str) -> bool {
    let Some((base, length)) = network.split_once('/') else { return network.parse() == Ok(address.to_canonical()) };
    let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
    match (address.to_canonical(), base) {
        (IpAddr::V4(address), IpAddr::V4(base)) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            (address.to_bits() ^ base.to_bits()) & mask == 0
        }
        (IpAddr::V6(address), IpAddr::V6(base)) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            (address.to_bits() ^ base.to_bits()) & mask == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_within_its_network_alone() {
        let rows = [
            ("10.1.2.3", "10.0.0.0/8", true),
            ("11.1.2.3", "10.0.0.0/8", false),
            ("::ffff:10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "10.1.2.3/32", true),
            ("10.1.2.4", "10.1.2.3/32", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("fd00::1", "fd00::/8", true),
            ("fe80::1", "fd00::/8", false),
            ("fe80::1", "::/0", true),
            ("10.1.2.3", "::/0", false),
            ("10.1.2.3", "10.0.0.0/33", false),
            ("10.1.2.3", "ten/8", false),
            ("10.1.2.3", "", false),
        ];
        for (address, network, within) in rows {
            assert_eq!(is_within(address.parse().unwrap(), network), within, "{address} in {network}");
        }
    }
}
