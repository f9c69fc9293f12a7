//! The eight settings of an interface that the agent makes, by `ioctl` (netdevice(7)): less code than netlink.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::AsRawFd;

use rustix::net::netdevice::name_to_index;

/// Sets the interface up.
pub(crate) fn set_up(name: &str) -> io::Result<()> {
    let mut request = request_for(name)?;
    call(libc::SIOCGIFFLAGS, &raw mut request)?;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let up = flags | UP;
    if flags != up {
        request.ifr_ifru.ifru_flags = up;
        call(libc::SIOCSIFFLAGS, &raw mut request)?;
    }
    Ok(())
}

/// Sets the interface's address and the mask of its network.
pub(crate) fn set_address(name: &str, ip: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_addr = socket_address(ip);
    call(libc::SIOCSIFADDR, &raw mut request)?;
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_netmask = socket_address(mask(prefix));
    call(libc::SIOCSIFNETMASK, &raw mut request)
}

/// Takes the interface's address away, and with it the routes through it.
pub(crate) fn clear_address(name: &str) -> io::Result<()> {
    let mut request = request_for(name)?;
    request.ifr_ifru.ifru_addr = socket_address(Ipv4Addr::UNSPECIFIED);
    call(libc::SIOCSIFADDR, &raw mut request)
}

/// Adds an IPv6 address. DHCPv6 tells no prefix length; without a router that does, the 64 bits that all networks have (RFC 4291
/// §2.5.4) at least lead to a server that is near.
pub(crate) fn set_address6(name: &str, ip: Ipv6Addr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
    let index = i32::try_from(name_to_index(&socket, name)?).unwrap_or(0);
    let mut request =
        libc::in6_ifreq { ifr6_addr: libc::in6_addr { s6_addr: ip.octets() }, ifr6_prefixlen: 64, ifr6_ifindex: index };
    call_on(&socket, libc::SIOCSIFADDR, &raw mut request)
}

/// Sets the default route.
pub(crate) fn set_default_route(router: Ipv4Addr) -> io::Result<()> {
    let mut route = default_route();
    route.rt_gateway = socket_address(router);
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    call(libc::SIOCADDRT, &raw mut route)
}

/// Takes the default route away: a router of yesterday stays beside today's otherwise.
pub(crate) fn clear_default_route() -> io::Result<()> {
    let mut route = default_route();
    route.rt_flags = libc::RTF_UP;
    call(libc::SIOCDELRT, &raw mut route)
}

fn default_route() -> libc::rtentry {
    // SAFETY: rtentry is a C struct of numbers and pointers: all zeros is a valid value of it.
    let mut route: libc::rtentry = unsafe { core::mem::zeroed() };
    route.rt_dst = socket_address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = socket_address(Ipv4Addr::UNSPECIFIED);
    route
}

/// `IFF_UP` in the width that the kernel's struct has it in.
const UP: libc::c_short = 1;
const _: () = assert!(libc::IFF_UP == 1);

fn mask(prefix: u8) -> Ipv4Addr {
    let host_bits = 32_u32.saturating_sub(u32::from(prefix));
    Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
}

fn request_for(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: ifreq is a C struct of numbers and pointers: all zeros is a valid value of it.
    let mut request: libc::ifreq = unsafe { core::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the interface's name is too long"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = c_char(from);
    }
    Ok(request)
}

/// The address in the kernel's form. `sockaddr` is filled by its bytes: `sockaddr_in` is family, port (zero), address.
fn socket_address(ip: Ipv4Addr) -> libc::sockaddr {
    let [a, b, c, d] = ip.octets().map(c_char);
    let family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(2);
    libc::sockaddr { sa_family: family, sa_data: [0, 0, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0] }
}

/// A byte as C's `char`, which has a sign on x86 and none on ARM.
fn c_char(byte: u8) -> libc::c_char {
    libc::c_char::from_ne_bytes([byte])
}

fn call<T>(request: libc::c_ulong, argument: *mut T) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    call_on(&socket, request, argument)
}

fn call_on<T>(socket: &UdpSocket, request: libc::c_ulong, argument: *mut T) -> io::Result<()> {
    // SAFETY: the argument points to the struct that this request reads and writes, alive for the call.
    match unsafe { libc::ioctl(socket.as_raw_fd(), request, argument) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_becomes_its_mask() {
        for (prefix, expected) in [(0, "0.0.0.0"), (8, "255.0.0.0"), (20, "255.255.240.0"), (32, "255.255.255.255")] {
            assert_eq!(mask(prefix).to_string(), expected);
        }
    }

    /// In a network namespace of this thread's own, which takes root.
    #[test]
    fn an_interface_that_lost_its_address_leaves_the_default_route_to_another() {
        // SAFETY: only this thread's network changes.
        let alone = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(alone, 0, "this test needs root, for a network of its own: {}", io::Error::last_os_error());
        for words in ["link add eth8 type veth peer name eth9", "link set eth8 up", "link set eth9 up"] {
            assert!(std::process::Command::new("ip").args(words.split(' ')).status().unwrap().success(), "{words}");
        }
        let routers = || {
            let table = std::fs::read_to_string("/proc/thread-self/net/route").unwrap();
            let rows = table.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
            let defaults = rows.filter(|row| row[1] == "00000000").map(|row| format!("{} {}", row[0], row[2]));
            defaults.collect::<Vec<_>>()
        };
        let (first, second) = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 2, 0, 1));
        set_address("eth8", Ipv4Addr::new(10, 1, 0, 5), 24).unwrap();
        set_default_route(first).unwrap();
        assert_eq!(routers(), [format!("eth8 {:08X}", first.to_bits().swap_bytes())]);
        set_address("eth9", Ipv4Addr::new(10, 2, 0, 5), 24).unwrap();
        set_default_route(second).unwrap();
        assert_eq!(routers().len(), 2, "each address keeps its own");
        clear_address("eth8").unwrap();
        assert_eq!(routers(), [format!("eth9 {:08X}", second.to_bits().swap_bytes())]);
        clear_default_route().unwrap();
        assert_eq!(routers(), [""; 0]);
    }

    #[test]
    fn an_address_has_the_layout_of_sockaddr_in() {
        let address = socket_address(Ipv4Addr::new(10, 0, 200, 1));
        assert_eq!(i32::from(address.sa_family), libc::AF_INET);
        assert_eq!(
            address.sa_data[..6].iter().map(|byte| byte.cast_unsigned()).collect::<Vec<_>>(),
            [0, 0, 10, 0, 200, 1]
        );
    }
}
