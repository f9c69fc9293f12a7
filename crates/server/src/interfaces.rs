//! The machine's network interfaces, read from the kernel, and which of them is the LAN's.

use core::ffi::CStr;
use core::ptr;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::site::{Interface, Ipv6, Mode};

/// An interface as the kernel has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Name, index, addresses; its mode is [`Mode::Off`] until the configuration says otherwise.
    pub interface: Interface,
    /// Whether it is up.
    pub up: bool,
    /// Whether it is the loopback.
    pub loopback: bool,
    /// Whether it is an Ethernet (`ARPHRD_ETHER`): the only kind that firmware boots over.
    pub ethernet: bool,
}

/// Why no interface is plainly the LAN's.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoLan {
    /// There is none that could be.
    #[error(
        "no network interface is up with an IPv4 address; give one an address (`ip address add 10.77.0.1/24 dev IF`), or name one with `--interface`"
    )]
    None,
    /// There are several, and none has the default route.
    #[error("several interfaces could be the LAN's: {}; choose with `--interface NAME`", list(.0))]
    Several(Vec<Found>),
}

fn list(found: &[Found]) -> String {
    let one = |found: &Found| {
        let addresses: Vec<String> = found.interface.v4.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
        format!("{} ({})", found.interface.name, addresses.join(", "))
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Which interface is the LAN's: the one with the default route, else the only one that is up with an IPv4 address.
///
/// # Errors
/// When there is none, or several.
pub fn lan<'a>(all: &'a [Found], default_route: Option<&str>) -> Result<&'a Found, NoLan> {
    let usable: Vec<&Found> = all
        .iter()
        .filter(|found| found.up && !found.loopback && found.ethernet && !found.interface.v4.is_empty())
        .collect();
    if let Some(found) = usable.iter().find(|found| Some(found.interface.name.as_str()) == default_route) {
        return Ok(found);
    }
    match usable.as_slice() {
        [] => Err(NoLan::None),
        [only] => Ok(only),
        several => Err(NoLan::Several(several.iter().map(|found| (*found).clone()).collect())),
    }
}

/// The interface that the IPv4 default route leaves by, from the text of `/proc/net/route`: the one of the lowest metric.
#[must_use]
pub fn default_route(proc_net_route: &str) -> Option<String> {
    let rows = proc_net_route.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, destination, metric, mask) = (fields.first()?, fields.get(1)?, fields.get(6)?, fields.get(7)?);
        let everywhere = *destination == "00000000" && *mask == "00000000";
        everywhere.then(|| (metric.parse::<u32>().unwrap_or(u32::MAX), (*name).to_owned()))
    });
    rows.min().map(|(_, name)| name)
}

/// All interfaces of this network namespace with the default route's, read from the kernel.
///
/// # Errors
/// The kernel's.
pub fn read() -> io::Result<(Vec<Found>, Option<String>)> {
    let route = std::fs::read_to_string("/proc/net/route").ok().and_then(|text| default_route(&text));
    let mut found = read_addresses()?;
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    for one in &mut found {
        // An interface that went away in between does not matter any more.
        one.interface.mtu = mtu(&socket, &one.interface.name).unwrap_or(one.interface.mtu);
    }
    Ok((found, route))
}

/// One record of `getifaddrs`.
enum Record {
    Link { index: u32, mac: [u8; 6], ethernet: bool },
    V4(Ipv4Addr, u8),
    V6(Ipv6Addr, u8),
    Other,
}

fn read_addresses() -> io::Result<Vec<Found>> {
    let mut head: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `head` is a valid place for the list's first element; the list is freed below, exactly once.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut by_name: BTreeMap<String, Found> = BTreeMap::new();
    let mut next = head;
    // SAFETY: every element up to the null pointer belongs to the list that the kernel's answer was made into.
    while let Some(element) = unsafe { next.as_ref() } {
        // SAFETY: `ifa_name` is a NUL-terminated string that lives as long as the list.
        let name = unsafe { CStr::from_ptr(element.ifa_name) }.to_string_lossy().into_owned();
        let found = by_name.entry(name.clone()).or_insert_with(|| empty(name, element.ifa_flags));
        // SAFETY: the pointers of an element are null or valid, and address and mask are of the same family.
        match unsafe { record(element.ifa_addr, element.ifa_netmask) } {
            Record::Link { index, mac, ethernet } => {
                found.interface.index = index;
                found.interface.mac = mac;
                found.ethernet = ethernet;
            }
            Record::V4(ip, prefix) => found.interface.v4.push((ip, prefix)),
            Record::V6(ip, prefix) => found.interface.v6.push((ip, prefix)),
            Record::Other => {}
        }
        next = element.ifa_next;
    }
    // SAFETY: the list came from `getifaddrs` and nothing borrowed from it is left.
    unsafe { libc::freeifaddrs(head) };
    let mut all: Vec<Found> = by_name.into_values().filter(|found| found.interface.index != 0).collect();
    all.sort_by_key(|found| found.interface.index);
    Ok(all)
}

fn empty(name: String, flags: libc::c_uint) -> Found {
    let has = |flag: libc::c_int| flags & flag.cast_unsigned() != 0;
    Found {
        interface: Interface {
            name,
            index: 0,
            mac: [0; 6],
            v4: Vec::new(),
            v6: Vec::new(),
            mtu: 1500,
            mode: Mode::Off,
            ipv6: Ipv6::default(),
        },
        up: has(libc::IFF_UP),
        loopback: has(libc::IFF_LOOPBACK),
        ethernet: false,
    }
}

/// # Safety
/// Both pointers are null or point to a socket address of the family that its first field names.
unsafe fn record(addr: *const libc::sockaddr, mask: *const libc::sockaddr) -> Record {
    // SAFETY: by this function's contract.
    let Some(family) = (unsafe { addr.as_ref() }).map(|addr| libc::c_int::from(addr.sa_family)) else {
        return Record::Other;
    };
    // SAFETY: the family says which structure is there; a netmask has its address's family.
    unsafe {
        match family {
            libc::AF_PACKET => {
                let link = ptr::read_unaligned(addr.cast::<libc::sockaddr_ll>());
                let [a, b, c, d, e, f, ..] = link.sll_addr;
                Record::Link {
                    index: link.sll_ifindex.cast_unsigned(),
                    mac: [a, b, c, d, e, f],
                    ethernet: link.sll_hatype == libc::ARPHRD_ETHER,
                }
            }
            libc::AF_INET => {
                let bits = |at: *const libc::sockaddr| {
                    u32::from_be(ptr::read_unaligned(at.cast::<libc::sockaddr_in>()).sin_addr.s_addr)
                };
                let prefix = if mask.is_null() { 32 } else { bits(mask).leading_ones() };
                Record::V4(Ipv4Addr::from_bits(bits(addr)), u8::try_from(prefix).unwrap_or(32))
            }
            libc::AF_INET6 => {
                let bits = |at: *const libc::sockaddr| {
                    u128::from_be_bytes(ptr::read_unaligned(at.cast::<libc::sockaddr_in6>()).sin6_addr.s6_addr)
                };
                let prefix = if mask.is_null() { 128 } else { bits(mask).leading_ones() };
                Record::V6(Ipv6Addr::from_bits(bits(addr)), u8::try_from(prefix).unwrap_or(128))
            }
            _ => Record::Other,
        }
    }
}

/// An interface's MTU in bytes (`SIOCGIFMTU`). Not from `/sys`: that shows the namespace in which it was mounted.
fn mtu(socket: &std::net::UdpSocket, name: &str) -> io::Result<u32> {
    use std::os::fd::AsRawFd;
    // SAFETY: an all-zero `ifreq` is a valid one.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // SAFETY: the descriptor is open and `request` is a valid `ifreq` with a NUL-terminated name.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIOCGIFMTU filled this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    Ok(u32::try_from(mtu).unwrap_or(1500))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, ip: Option<[u8; 4]>) -> Found {
        let mut found = empty(name.to_owned(), libc::IFF_UP.cast_unsigned());
        found.ethernet = true;
        found.interface.v4 = ip.map(|ip| (Ipv4Addr::from(ip), 24)).into_iter().collect();
        found
    }

    #[test]
    fn the_default_route_decides_else_there_must_be_one() {
        let (a, b, bare) = (found("a", Some([10, 0, 0, 1])), found("b", Some([10, 1, 0, 1])), found("c", None));
        let mut lo = found("lo", Some([127, 0, 0, 1]));
        lo.loopback = true;
        let mut down = found("d", Some([10, 2, 0, 1]));
        down.up = false;
        let all = [lo.clone(), a.clone(), b.clone(), bare.clone(), down.clone()];
        assert_eq!(lan(&all, Some("b")), Ok(&b));
        assert_eq!(lan(&all, None), Err(NoLan::Several(vec![a.clone(), b.clone()])));
        assert_eq!(lan(&[lo.clone(), bare.clone(), a.clone()], None), Ok(&a));
        assert_eq!(lan(&[lo, bare, down], Some("d")), Err(NoLan::None));
    }

    #[test]
    fn several_interfaces_are_listed_with_their_addresses_and_the_remedy() {
        let all = [found("a", Some([10, 0, 0, 1])), found("b", Some([10, 1, 0, 1]))];
        let message = lan(&all, None).unwrap_err().to_string();
        assert_eq!(
            message,
            "several interfaces could be the LAN's: a (10.0.0.1/24), b (10.1.0.1/24); choose with `--interface NAME`"
        );
    }

    #[test]
    fn the_default_route_of_the_lowest_metric_is_taken() {
        let text = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                    wlan0\t00000000\t0107A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                    eth0\t00000000\t0107A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                    eth1\t0007A8C0\t00000000\t0001\t0\t0\t1\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(default_route(text).as_deref(), Some("eth0"));
        assert_eq!(default_route("Iface\tDestination\n"), None);
    }

    #[test]
    fn the_kernel_tells_of_the_loopback() {
        let (all, _) = read().unwrap();
        let lo = all.iter().find(|found| found.loopback).expect("a loopback interface");
        assert!(lo.up && !lo.ethernet && lo.interface.index > 0 && lo.interface.mtu >= 1280, "{lo:?}");
        assert!(lo.interface.v4.contains(&(Ipv4Addr::LOCALHOST, 8)), "{lo:?}");
    }
}
