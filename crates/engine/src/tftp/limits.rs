//! Who may ask, and how often: a TFTP server answers 40 bytes with many, to an address that anybody can forge.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::HashMap;

use crate::Why;
use crate::rules::IpNet;

/// What one source, and all together, may have. The default suits a LAN with a machine behind each address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caps {
    /// Transfers at a time for one address.
    pub transfers_per_source: u32,
    /// Requests a second for one address; so many may come at once.
    pub requests_per_second: u32,
    /// Transfers at a time for all.
    pub transfers: u32,
    /// Addresses that are kept in mind; beyond, new ones are refused until old ones are forgotten.
    pub sources: usize,
}

impl Default for Caps {
    fn default() -> Self {
        Self { transfers_per_source: 16, requests_per_second: 64, transfers: 4096, sources: 16384 }
    }
}

/// How often it is looked who can be forgotten.
const LOOK: Duration = Duration::from_millis(250);

/// Keeps count of who asks.
#[derive(Clone, Debug)]
pub struct Limits {
    caps: Caps,
    transfers: u32,
    sources: HashMap<IpAddr, Source>,
    /// When sources were last looked through for those to forget.
    looked: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    transfers: u32,
    /// Requests that may still come, in nanoseconds of their refilling.
    credit: Duration,
    refilled: Duration,
}

/// Whether a source may ask at all: from a network that is served, and an address and port that one machine can have.
///
/// # Errors
/// [`Why::NotServed`].
pub fn admit(from: SocketAddr, served: &[IpNet]) -> Result<(), Why> {
    let ip = from.ip();
    let one_machine = match ip {
        IpAddr::V4(v4) => !v4.is_broadcast(),
        IpAddr::V6(_) => true,
    };
    let usable = one_machine && from.port() != 0 && !ip.is_multicast() && !ip.is_unspecified();
    if usable && served.iter().any(|net| net.contains(ip) && !is_broadcast(net, ip)) {
        return Ok(());
    }
    Err(Why::NotServed)
}

/// Whether `ip` is the network's own broadcast address.
fn is_broadcast(net: &IpNet, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) if net.prefix < 31 => ip.to_bits() | (u32::MAX << (32 - net.prefix.max(1))) == u32::MAX,
        _ => false,
    }
}

impl Limits {
    /// Nobody has asked yet.
    #[must_use]
    pub fn new(caps: Caps) -> Self {
        Self { caps, transfers: 0, sources: HashMap::new(), looked: None }
    }

    /// Counts a request. To be asked before anything is looked up or answered.
    ///
    /// # Errors
    /// [`Why::Limited`].
    pub fn request(&mut self, now: Duration, ip: IpAddr) -> Result<(), Why> {
        let full = Duration::from_secs(1);
        let price = full / self.caps.requests_per_second.max(1);
        if !self.sources.contains_key(&ip) && self.sources.len() >= self.caps.sources {
            self.forget(now);
            if self.sources.len() >= self.caps.sources {
                return Err(Why::Limited { limit: "addresses that ask" });
            }
        }
        let fresh = Source { transfers: 0, credit: full, refilled: now };
        let source = self.sources.entry(ip).or_insert(fresh);
        source.credit = (source.credit + now.saturating_sub(source.refilled)).min(full);
        source.refilled = now;
        source.credit = source.credit.checked_sub(price).ok_or(Why::Limited { limit: "requests a second" })?;
        Ok(())
    }

    /// Counts a transfer that begins.
    ///
    /// # Errors
    /// [`Why::Limited`]: then it must not begin.
    pub fn open(&mut self, now: Duration, ip: IpAddr) -> Result<(), Why> {
        let source = self.sources.entry(ip);
        let source = source.or_insert(Source { transfers: 0, credit: Duration::ZERO, refilled: now });
        if source.transfers >= self.caps.transfers_per_source {
            return Err(Why::Limited { limit: "transfers of one address" });
        }
        if self.transfers >= self.caps.transfers {
            return Err(Why::Limited { limit: "transfers of all" });
        }
        source.transfers += 1;
        self.transfers += 1;
        Ok(())
    }

    /// Counts a transfer that has ended.
    pub fn close(&mut self, ip: IpAddr) {
        self.transfers = self.transfers.saturating_sub(1);
        if let Some(source) = self.sources.get_mut(&ip) {
            source.transfers = source.transfers.saturating_sub(1);
        }
    }

    /// Forgets who has no transfer and has not asked for a second: their credit is full again. That looks at all of them, so it is
    /// not done for each of a flood's forged addresses.
    fn forget(&mut self, now: Duration) {
        if self.looked.is_some_and(|looked| now < looked + LOOK) {
            return;
        }
        self.looked = Some(now);
        self.sources.retain(|_, source| source.transfers > 0 || now < source.refilled + Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2));

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn only_single_machines_of_served_networks_are_admitted() {
        let net = |addr: &str, prefix| IpNet { addr: addr.parse().unwrap(), prefix };
        let served = [net("10.0.0.0", 24), net("fe80::", 64), net("192.0.2.8", 31), net("198.51.100.7", 32)];
        for (from, admitted) in [
            ("10.0.0.7:1024", true),
            ("10.0.1.7:1024", false),
            ("10.0.0.7:0", false),
            ("10.0.0.255:1024", false),
            ("255.255.255.255:1024", false),
            ("224.0.0.1:1024", false),
            ("0.0.0.0:68", false),
            ("192.0.2.9:7", true),
            ("198.51.100.7:7", true),
            ("[fe80::1]:1024", true),
            ("[fe80::1]:0", false),
            ("[fe80:0:0:1::1]:1024", false),
            ("[ff02::1]:1024", false),
            ("[::]:1024", false),
        ] {
            let answer = admit(from.parse().unwrap(), &served);
            assert_eq!(answer, if admitted { Ok(()) } else { Err(Why::NotServed) }, "{from}");
        }
        let everywhere = [net("0.0.0.0", 0)];
        for (from, admitted) in [("203.0.113.1:9", true), ("255.255.255.255:9", false), ("239.1.1.1:9", false)] {
            assert_eq!(admit(from.parse().unwrap(), &everywhere).is_ok(), admitted, "{from}");
        }
    }

    #[test]
    fn requests_of_one_address_are_so_many_a_second_and_do_not_touch_another() {
        let mut limits = Limits::new(Caps::default());
        let mut asked = |now, ip, times| (0..times).filter(|_| limits.request(now, ip).is_ok()).count();
        assert_eq!(asked(at(1.0), A, 200), 64);
        assert_eq!(asked(at(1.0), B, 10), 10);
        assert_eq!(asked(at(1.5), A, 200), 32);
        assert_eq!(asked(at(99.0), A, 200), 64);
    }

    #[test]
    fn transfers_are_limited_for_one_and_for_all() {
        let mut limits = Limits::new(Caps { transfers_per_source: 2, transfers: 3, ..Caps::default() });
        let one = Why::Limited { limit: "transfers of one address" };
        assert_eq!([(); 3].map(|()| limits.open(at(0.0), A)), [Ok(()), Ok(()), Err(one)]);
        let all = Why::Limited { limit: "transfers of all" };
        assert_eq!([(); 2].map(|()| limits.open(at(0.0), B)), [Ok(()), Err(all)]);
        limits.close(A);
        assert_eq!(limits.open(at(0.0), B), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_frees_itself() {
        let mut limits = Limits::new(Caps { sources: 100, ..Caps::default() });
        let ip = |n: u32| IpAddr::V4(n.into());
        assert_eq!((0..1000).filter(|n| limits.request(at(0.0), ip(*n)).is_ok()).count(), 100);
        limits.open(at(0.0), ip(7)).unwrap();
        assert_eq!((1000..2000).filter(|n| limits.request(at(5.0), ip(*n)).is_ok()).count(), 99);
        assert_eq!(limits.looked, Some(at(5.0)));
        assert!(limits.request(at(5.1), ip(3000)).is_err());
        assert_eq!(limits.looked, Some(at(5.0)), "not again so soon");
        assert!(limits.sources.contains_key(&ip(7)), "a transfer keeps its source in mind");
    }
}
