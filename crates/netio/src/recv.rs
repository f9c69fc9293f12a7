//! Receiving many datagrams with one system call.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::ptr;

use crate::control::Control;
use crate::{Error, UdpSocket};

/// The most datagrams that one call takes.
const MOST: usize = 64;

/// Room for a batch of received datagrams, used again and again.
pub struct Batch {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    size: usize,
    filled: usize,
}

struct Slot {
    name: Name,
    control: Control,
    control_len: usize,
    len: usize,
    flags: libc::c_int,
}

impl Slot {
    const fn new() -> Self {
        Self { name: Name([0; Name::SIZE]), control: Control::new(), control_len: 0, len: 0, flags: 0 }
    }
}

/// A socket address as the kernel writes it: `sockaddr_in` or `sockaddr_in6`, read by safe code.
#[repr(C, align(4))]
struct Name([u8; Name::SIZE]);

impl Name {
    const SIZE: usize = size_of::<libc::sockaddr_in6>();
    const SIZE_FOR_KERNEL: libc::socklen_t = 28;

    fn decode(&self) -> Option<SocketAddr> {
        let (family, rest) = self.0.split_first_chunk::<2>()?;
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        match i32::from(libc::sa_family_t::from_ne_bytes(*family)) {
            libc::AF_INET => Some((Ipv4Addr::from(*rest.first_chunk::<4>()?), port).into()),
            libc::AF_INET6 => {
                let (flow, rest) = rest.split_first_chunk::<4>()?;
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                let scope = u32::from_ne_bytes(*rest.first_chunk::<4>()?);
                Some(SocketAddrV6::new(Ipv6Addr::from(*ip), port, u32::from_be_bytes(*flow), scope).into())
            }
            _ => None,
        }
    }
}

/// One received datagram.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// The destination in its header: ours, a broadcast or a multicast address.
    pub to: IpAddr,
    /// Our address on the interface it came in on: where an answer leaves from.
    pub local: IpAddr,
    /// The kernel's index of that interface.
    pub ifindex: u32,
    /// Whether the datagram was longer than the batch has room for.
    pub truncated: bool,
    /// The payload.
    pub data: &'a [u8],
}

impl Batch {
    /// Room for `count` datagrams (1 to 64) of `size` bytes each.
    #[must_use]
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, MOST);
        let slots = (0..count).map(|_| Slot::new()).collect();
        Self { slots, bytes: vec![0; count * size], size, filled: 0 }
    }

    /// The datagrams of the last [`UdpSocket::receive`]. One without packet info (there is none on Linux) is left out.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        self.slots.iter().zip(self.bytes.chunks_exact(self.size)).take(self.filled).filter_map(|(slot, bytes)| {
            let from = slot.name.decode()?;
            let info = slot.control.packet_info(slot.control_len)?;
            Some(Received {
                from,
                to: info.to,
                local: info.local,
                ifindex: info.ifindex,
                truncated: slot.flags & libc::MSG_TRUNC != 0,
                data: bytes.get(..slot.len)?,
            })
        })
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch({} of {} x {} bytes)", self.filled, self.slots.len(), self.size)
    }
}

impl UdpSocket {
    /// Takes what has arrived, without waiting; returns how many datagrams, 0 when there are none.
    ///
    /// # Errors
    /// [`Error::Receive`] when the socket itself fails. An ICMP error that came back for an earlier datagram is no such failure.
    pub fn receive(&self, batch: &mut Batch) -> Result<usize, Error> {
        self.take(batch, libc::MSG_DONTWAIT)
    }

    /// Like [`receive`](Self::receive), but waits some milliseconds for the first datagram: for a socket where the next one is
    /// about to come. It saves the call that waits for many.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_soon(&self, batch: &mut Batch) -> Result<usize, Error> {
        self.take(batch, libc::MSG_WAITFORONE)
    }

    fn take(&self, batch: &mut Batch, flags: libc::c_int) -> Result<usize, Error> {
        batch.filled = 0;
        loop {
            match receive(&self.socket, batch, flags) {
                Ok(filled) => {
                    batch.filled = filled;
                    return Ok(filled);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(0),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionRefused => {}
                    _ => return Err(Error::Receive(error)),
                },
            }
        }
    }
}

fn receive(socket: &impl AsRawFd, batch: &mut Batch, flags: libc::c_int) -> io::Result<usize> {
    let empty = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
    let mut vectors = [empty; MOST];
    // SAFETY: all-zero bytes are a valid mmsghdr: null pointers with zero lengths.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { std::mem::zeroed() };
    let room = batch.slots.iter_mut().zip(batch.bytes.chunks_exact_mut(batch.size));
    for ((slot, bytes), (vector, header)) in room.zip(vectors.iter_mut().zip(&mut headers)) {
        *vector = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = (&raw mut slot.name.0).cast();
        header.msg_hdr.msg_namelen = Name::SIZE_FOR_KERNEL;
        header.msg_hdr.msg_control = slot.control.as_mut_ptr();
        header.msg_hdr.msg_controllen = Control::SIZE;
    }
    let count = libc::c_uint::try_from(batch.slots.len()).unwrap_or_default();
    // SAFETY: the first `count` headers point to live, exclusively borrowed buffers of the lengths given, for the call's duration.
    let filled = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, flags, ptr::null_mut()) };
    let filled = usize::try_from(filled).map_err(|_| io::Error::last_os_error())?;
    for (slot, header) in batch.slots.iter_mut().zip(&headers).take(filled) {
        slot.control_len = header.msg_hdr.msg_controllen;
        slot.flags = header.msg_hdr.msg_flags;
        slot.len = usize::try_from(header.msg_len).unwrap_or_default();
    }
    Ok(filled)
}
