//! IPv6's groups: the ones that DHCPv6 servers and routers listen to, and the socket for router discovery.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicBool;

use socket2::{Domain, Protocol, Socket, Type};

use crate::socket::set_flag;
use crate::{Error, UdpSocket};

/// The link's routers (RFC 4291 §2.7.1): whoever looks for one asks them.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// ICMPv6 type of a router solicitation (RFC 4861 §4.1).
const SOLICITATION: u8 = 133;
/// Every message of neighbour discovery travels with this hop limit, and is worth nothing with another (RFC 4861 §6.1).
const HOPS: u32 = 255;

impl UdpSocket {
    /// Joins a group on the interface with this index.
    ///
    /// # Errors
    /// [`Error::Join`].
    pub fn join(&self, group: Ipv6Addr, ifindex: u32) -> Result<(), Error> {
        self.socket.join_multicast_v6(&group, ifindex).map_err(|source| Error::Join { group, source })
    }

    /// A socket of the same manners for router discovery on one interface: it receives router solicitations and sends whatever
    /// ICMPv6 message it is given, both from the type on; the kernel sees to the checksum. Ports are 0.
    ///
    /// # Errors
    /// [`Error::Discovery`], [`Error::Join`]. It takes `CAP_NET_RAW`.
    pub fn for_router_discovery(device: &str, ifindex: u32) -> Result<Self, Error> {
        let failed = |source| Error::Discovery { device: device.to_owned(), source };
        let socket = open(device).map_err(failed)?;
        let addr = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let socket = Self { socket, addr, offload: AtomicBool::new(false) };
        socket.join(ALL_ROUTERS, ifindex)?;
        Ok(socket)
    }
}

fn open(device: &str) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    // First of all: until then it takes in every ICMPv6 message of the machine.
    let filter = filter(SOLICITATION);
    set(&socket, libc::IPPROTO_ICMPV6, ICMP6_FILTER, &filter)?;
    socket.bind_device(Some(device.as_bytes()))?;
    set_flag(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
    socket.set_multicast_hops_v6(HOPS)?;
    socket.set_unicast_hops_v6(HOPS)?;
    socket.set_multicast_loop_v6(false)?;
    Ok(socket)
}

/// `ICMP6_FILTER` of `linux/icmpv6.h`: 256 bits, a set one blocks its type.
const ICMP6_FILTER: libc::c_int = 1;

fn filter(passes: u8) -> [u32; 8] {
    let mut filter = [u32::MAX; 8];
    if let Some(word) = filter.get_mut(usize::from(passes / 32)) {
        *word &= !(1 << (passes % 32));
    }
    filter
}

fn set(socket: &Socket, level: libc::c_int, option: libc::c_int, value: &[u32; 8]) -> io::Result<()> {
    let len = libc::socklen_t::try_from(size_of_val(value)).unwrap_or_default();
    // SAFETY: the pointer is to a live array of the length given; the kernel only reads it.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value.as_ptr().cast(), len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_lets_one_type_through() {
        let filter = filter(SOLICITATION);
        let passes = |kind: u8| filter[usize::from(kind / 32)] >> (kind % 32) & 1 == 0;
        assert_eq!((0..=255).filter(|kind| passes(*kind)).collect::<Vec<u8>>(), [SOLICITATION]);
    }
}
