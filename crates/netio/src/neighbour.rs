//! Reaching a machine that cannot answer ARP yet, because it does not have the address that it is being given.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use crate::{Error, UdpSocket};

impl UdpSocket {
    /// Tells the kernel that `ip` is at `mac` on `device`, so that a unicast goes there without ARP. The entry is an ordinary one:
    /// the kernel checks and forgets it by itself. Needs `CAP_NET_ADMIN`.
    ///
    /// # Errors
    /// [`Error::Neighbour`].
    pub fn learn_neighbour(&self, device: &str, ip: Ipv4Addr, mac: [u8; 6]) -> Result<(), Error> {
        let request = request(device, ip, mac);
        // SAFETY: SIOCSARP reads one `arpreq` (arp(7)); ours lives through the call.
        match unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCSARP, &raw const request) } {
            0 => Ok(()),
            _ => Err(Error::Neighbour { ip, device: device.to_owned(), source: io::Error::last_os_error() }),
        }
    }
}

fn request(device: &str, ip: Ipv4Addr, mac: [u8; 6]) -> libc::arpreq {
    // SAFETY: all-zero bytes are a valid arpreq: it holds only integers.
    let mut request: libc::arpreq = unsafe { std::mem::zeroed() };
    request.arp_flags = libc::ATF_COM;
    request.arp_pa.sa_family = family(libc::AF_INET);
    request.arp_ha.sa_family = libc::ARPHRD_ETHER;
    // A sockaddr_in's address stands after its port, that is after two bytes of `sa_data`.
    put(request.arp_pa.sa_data.iter_mut().skip(2), &ip.octets());
    put(request.arp_ha.sa_data.iter_mut(), &mac);
    // One byte stays NUL.
    put(request.arp_dev.iter_mut().take(libc::IFNAMSIZ - 1), device.as_bytes());
    request
}

fn family(family: libc::c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(family).unwrap_or_default()
}

fn put<'a>(slots: impl Iterator<Item = &'a mut libc::c_char>, bytes: &[u8]) {
    for (slot, byte) in slots.zip(bytes) {
        *slot = libc::c_char::from_ne_bytes([*byte]);
    }
}
