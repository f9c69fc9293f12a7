//! Captured frames: the classic pcap file, and what of Ethernet, IP, UDP and TCP a boot's story needs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::SystemTime;

use slipway_wire::MacAddr;

/// One UDP datagram or TCP segment seen on a LAN.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it passed, by the capturing kernel's clock.
    pub at: SystemTime,
    /// The Ethernet source.
    pub source: MacAddr,
    /// The Ethernet destination.
    pub destination: MacAddr,
    /// The sending address and port.
    pub from: SocketAddr,
    /// The receiving address and port.
    pub to: SocketAddr,
    /// What it carried.
    pub payload: Payload,
}

/// A packet's content. `len` is its length on the wire, in bytes; `data` may be shorter.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A UDP datagram.
    Udp {
        /// The captured content.
        data: Vec<u8>,
        /// Its length on the wire.
        len: usize,
    },
    /// A TCP segment.
    Tcp {
        /// The captured content.
        data: Vec<u8>,
        /// Its length on the wire.
        len: usize,
        /// The flag bits of RFC 9293 §3.1: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
        flags: u8,
    },
}

/// What a pcap file begins with: times in nanoseconds, frames of Ethernet, cut off at `snap` bytes.
pub(crate) fn file_header(snap: u32) -> Vec<u8> {
    let mut header = 0xa1b2_3c4d_u32.to_ne_bytes().to_vec();
    header.extend([2_u16, 4].map(u16::to_ne_bytes).concat());
    header.extend([0, 0, snap, 1].map(u32::to_ne_bytes).concat());
    header
}

/// A frame as it was captured.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When it passed.
    pub at: SystemTime,
    /// Its first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
    /// Its length on the wire, in bytes.
    pub len: usize,
}

impl Frame {
    /// The frame as it stands in a pcap file.
    pub(crate) fn record(&self) -> Vec<u8> {
        let at = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let seconds = u32::try_from(at.as_secs()).unwrap_or(u32::MAX);
        let [captured, len] = [self.bytes.len(), self.len].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        let mut record = [seconds, at.subsec_nanos(), captured, len].map(u32::to_ne_bytes).concat();
        record.extend(&self.bytes);
        record
    }

    /// What the frame carries, if that is the first or only fragment of a UDP datagram or a TCP segment.
    #[must_use]
    pub(crate) fn packet(&self) -> Option<Packet> {
        let mut cursor = Cursor(&self.bytes);
        let destination = MacAddr(cursor.take()?);
        let source = MacAddr(cursor.take()?);
        let (from, to, protocol, len) = match u16::from_be_bytes(cursor.take()?) {
            0x0800 => ipv4(&mut cursor)?,
            0x86dd => ipv6(&mut cursor)?,
            _ => return None,
        };
        let from_port = u16::from_be_bytes(cursor.take()?);
        let to_port = u16::from_be_bytes(cursor.take()?);
        let payload = match protocol {
            17 => {
                let [_, _, _, _] = cursor.take()?;
                let len = len.checked_sub(8)?;
                Payload::Udp { data: cursor.up_to(len), len }
            }
            6 => {
                let [_, _, _, _, _, _, _, _, offset, flags, _, _, _, _, _, _] = cursor.take()?;
                let header = usize::from(offset >> 4) * 4;
                cursor.skip(header.checked_sub(20)?)?;
                let len = len.checked_sub(header)?;
                Payload::Tcp { data: cursor.up_to(len), len, flags }
            }
            _ => return None,
        };
        let (from, to) = (SocketAddr::new(from, from_port), SocketAddr::new(to, to_port));
        Some(Packet { at: self.at, source, destination, from, to, payload })
    }
}

fn ipv4(cursor: &mut Cursor<'_>) -> Option<(IpAddr, IpAddr, u8, usize)> {
    let [first, _, len0, len1, _, _, frag0, frag1, _, protocol, _, _] = cursor.take()?;
    let from: [u8; 4] = cursor.take()?;
    let to: [u8; 4] = cursor.take()?;
    if u16::from_be_bytes([frag0, frag1]) & 0x1fff != 0 {
        return None;
    }
    let header = usize::from(first & 0xf) * 4;
    cursor.skip(header.checked_sub(20)?)?;
    let len = usize::from(u16::from_be_bytes([len0, len1])).checked_sub(header)?;
    Some((Ipv4Addr::from(from).into(), Ipv4Addr::from(to).into(), protocol, len))
}

/// Without extension headers: nothing that a boot sends by UDP or TCP has them here.
fn ipv6(cursor: &mut Cursor<'_>) -> Option<(IpAddr, IpAddr, u8, usize)> {
    let [_, _, _, _, len0, len1, protocol, _] = cursor.take()?;
    let from: [u8; 16] = cursor.take()?;
    let to: [u8; 16] = cursor.take()?;
    let len = usize::from(u16::from_be_bytes([len0, len1]));
    Some((Ipv6Addr::from(from).into(), Ipv6Addr::from(to).into(), protocol, len))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.0 = self.0.get(count..)?;
        Some(())
    }

    /// The content, without the padding that Ethernet adds behind short packets.
    fn up_to(&self, len: usize) -> Vec<u8> {
        self.0.get(..len).unwrap_or(self.0).to_vec()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// An Ethernet frame with an IPv4 UDP datagram.
    pub(crate) fn udp(from: &str, to: &str, data: &[u8]) -> Frame {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let (IpAddr::V4(from_ip), IpAddr::V4(to_ip)) = (from.ip(), to.ip()) else { panic!("IPv4 only") };
        let mut bytes = vec![0xff; 6];
        bytes.extend([0x52, 0x54, 0, 1, 2, 3, 8, 0]);
        bytes.extend([0x45, 0]);
        bytes.extend(u16::try_from(28 + data.len()).unwrap().to_be_bytes());
        bytes.extend([0, 0, 0, 0, 64, 17, 0, 0]);
        bytes.extend(from_ip.octets());
        bytes.extend(to_ip.octets());
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        bytes.extend(u16::try_from(8 + data.len()).unwrap().to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(data);
        Frame { at: SystemTime::UNIX_EPOCH + Duration::from_secs(1), len: bytes.len(), bytes }
    }

    #[test]
    fn a_captured_datagram_is_read_without_its_padding() {
        let mut frame = udp("10.0.0.2:68", "10.0.0.1:67", b"hello");
        frame.bytes.extend([0; 13]);
        let packet = frame.packet().unwrap();
        assert_eq!((packet.from.port(), packet.to.port()), (68, 67));
        assert_eq!(packet.source.to_string(), "52:54:00:01:02:03");
        let Payload::Udp { data, len } = packet.payload else { panic!("a datagram") };
        assert_eq!((data.as_slice(), len), (&b"hello"[..], 5));
    }

    #[test]
    fn every_truncation_of_a_frame_is_survived() {
        let frame = udp("10.0.0.2:68", "10.0.0.1:67", b"hello");
        for len in 0..frame.bytes.len() {
            let cut = Frame { bytes: frame.bytes[..len].to_vec(), ..frame.clone() };
            assert_eq!(cut.packet().is_some(), len >= 14 + 20 + 8, "{len}");
        }
    }

    #[test]
    fn a_record_tells_the_time_and_both_lengths() {
        let at = SystemTime::UNIX_EPOCH + Duration::new(7, 9);
        let record = Frame { at, bytes: vec![1, 2, 3], len: 1500 }.record();
        let words: Vec<u32> = record[..16].chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
        assert_eq!((words.as_slice(), &record[16..]), (&[7, 9, 3, 1500][..], &[1, 2, 3][..]));
        assert_eq!(file_header(2048).len(), 24);
    }
}
