//! Control messages (`cmsg(3)`), laid out and read by safe code.
//!
//! The layout is Linux's: a length as wide as a pointer, two 32-bit numbers, the data, padding to a pointer's width.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const WORD: usize = size_of::<usize>();
const HEADER: usize = WORD + 8;

/// Room for the control messages of one datagram: packet info of either family and a segment size.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Control {
    bytes: [u8; Self::SIZE],
    len: usize,
}

/// What the kernel tells about where a datagram came in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PacketInfo {
    /// The destination in the packet's header.
    pub(crate) to: IpAddr,
    /// Our address that an answer should leave from (IPv4: differs from `to` for broadcasts).
    pub(crate) local: IpAddr,
    /// The kernel's index of the interface.
    pub(crate) ifindex: u32,
}

impl Control {
    pub(crate) const SIZE: usize = 96;

    pub(crate) const fn new() -> Self {
        Self { bytes: [0; Self::SIZE], len: 0 }
    }

    pub(crate) const fn as_mut_ptr(&mut self) -> *mut libc::c_void {
        self.bytes.as_mut_ptr().cast()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Sends from this address, out of this interface (0: as the routes say).
    pub(crate) fn push_source(&mut self, from: Option<IpAddr>, ifindex: u32, to_v6: bool) {
        if to_v6 {
            let from = match from {
                Some(IpAddr::V6(from)) => from,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            let mut info = [0; 20];
            let (addr, index) = info.split_at_mut(16);
            addr.copy_from_slice(&from.octets());
            index.copy_from_slice(&ifindex.to_ne_bytes());
            self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        } else {
            let from = match from {
                Some(IpAddr::V4(from)) => from,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            let mut info = [0; 12];
            let (index, rest) = info.split_at_mut(4);
            let (spec_dst, _) = rest.split_at_mut(4);
            index.copy_from_slice(&ifindex.to_ne_bytes());
            spec_dst.copy_from_slice(&from.octets());
            self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
    }

    /// Cuts the message into datagrams of this size (`UDP_SEGMENT`, udp(7)).
    pub(crate) fn push_segment(&mut self, size: u16) {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &size.to_ne_bytes());
    }

    fn push(&mut self, level: i32, kind: i32, data: &[u8]) {
        let parts: [&[u8]; 4] = [&(HEADER + data.len()).to_ne_bytes(), &level.to_ne_bytes(), &kind.to_ne_bytes(), data];
        let free = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (slot, byte) in free.iter_mut().zip(parts.iter().copied().flatten()) {
            *slot = *byte;
        }
        self.len += (HEADER + data.len()).next_multiple_of(WORD);
    }

    /// The packet info among the first `len` bytes of what the kernel wrote.
    pub(crate) fn packet_info(&self, len: usize) -> Option<PacketInfo> {
        let mut rest = self.bytes.get(..len)?;
        loop {
            let (total, after) = rest.split_first_chunk::<WORD>()?;
            let (level, after) = after.split_first_chunk::<4>()?;
            let (kind, after) = after.split_first_chunk::<4>()?;
            let total = usize::from_ne_bytes(*total);
            let data = after.get(..total.checked_sub(HEADER)?)?;
            match (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind)) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => return v4_info(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => return v6_info(data),
                _ => rest = rest.get(total.next_multiple_of(WORD)..)?,
            }
        }
    }
}

fn v4_info(data: &[u8]) -> Option<PacketInfo> {
    let (ifindex, data) = data.split_first_chunk::<4>()?;
    let (local, data) = data.split_first_chunk::<4>()?;
    let to = data.first_chunk::<4>()?;
    Some(PacketInfo {
        to: Ipv4Addr::from(*to).into(),
        local: Ipv4Addr::from(*local).into(),
        ifindex: u32::from_ne_bytes(*ifindex),
    })
}

fn v6_info(data: &[u8]) -> Option<PacketInfo> {
    let (to, data) = data.split_first_chunk::<16>()?;
    let to = Ipv6Addr::from(*to).into();
    Some(PacketInfo { to, local: to, ifindex: u32::from_ne_bytes(*data.first_chunk::<4>()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_can_be_read_back_wherever_it_stands() {
        let mut control = Control::new();
        control.push_segment(1472);
        control.push_source(Some(Ipv6Addr::LOCALHOST.into()), 7, true);
        let info = PacketInfo { to: Ipv6Addr::LOCALHOST.into(), local: Ipv6Addr::LOCALHOST.into(), ifindex: 7 };
        assert_eq!(control.packet_info(control.len()), Some(info));
        for short in 0..60 {
            assert_eq!(control.packet_info(short), None, "{short} bytes are not enough");
        }
    }

    #[test]
    fn lengths_are_those_of_the_system_headers() {
        // SAFETY: CMSG_SPACE only computes.
        let want = unsafe { libc::CMSG_SPACE(12) + libc::CMSG_SPACE(2) };
        let mut control = Control::new();
        control.push_source(None, 0, false);
        control.push_segment(512);
        assert_eq!(control.len(), usize::try_from(want).unwrap());
    }
}
