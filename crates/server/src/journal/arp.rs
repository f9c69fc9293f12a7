//! The kernel's neighbours: who has an address that another DHCP server gave.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use slipway_wire::MacAddr;

/// `/proc/net/arp`, read again at most once in [`Arp::FRESH`].
#[derive(Debug, Default)]
pub(super) struct Arp {
    read: Option<Instant>,
    known: HashMap<Ipv4Addr, MacAddr>,
}

impl Arp {
    const FRESH: Duration = Duration::from_millis(500);

    pub(super) fn mac_of(&mut self, ip: IpAddr) -> Option<MacAddr> {
        let IpAddr::V4(ip) = ip.to_canonical() else { return None };
        if let Some(mac) = self.known.get(&ip) {
            return Some(*mac);
        }
        if self.read.is_none_or(|at| at.elapsed() >= Self::FRESH) {
            self.known = std::fs::read_to_string("/proc/net/arp").map(|text| parse(&text)).unwrap_or_default();
            self.read = Some(Instant::now());
        }
        self.known.get(&ip).copied()
    }
}

/// Complete Ethernet entries of `/proc/net/arp`.
fn parse(text: &str) -> HashMap<Ipv4Addr, MacAddr> {
    let row = |line: &str| {
        let mut fields = line.split_whitespace();
        let ip = fields.next()?.parse().ok()?;
        let (hardware, flags, mac) = (fields.next()?, fields.next()?, fields.next()?.parse().ok()?);
        let complete = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()? & 0x2 != 0;
        (hardware == "0x1" && complete).then_some((ip, mac))
    };
    text.lines().skip(1).filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_complete_neighbours_count() {
        let text = "IP address       HW type     Flags       HW address            Mask     Device\n\
                    10.0.0.5         0x1         0x2         52:54:00:12:34:56     *        eth0\n\
                    10.0.0.6         0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        let expected = [(Ipv4Addr::new(10, 0, 0, 5), MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]))];
        assert_eq!(parse(text), HashMap::from(expected));
        assert!(parse("").is_empty());
    }
}
