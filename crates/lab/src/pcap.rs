//! Captured frames: the classic pcap stream, and what of Ethernet, IP, UDP and TCP a boot's story needs.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

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

/// Reads a pcap stream frame by frame, as it is written by `tcpdump -w` on this machine.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    source: R,
    swapped: bool,
    nanoseconds: bool,
}

/// A frame as it was captured.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// When it passed.
    pub at: SystemTime,
    /// Its first bytes, from the Ethernet header on.
    pub bytes: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Reads the file header.
    ///
    /// # Errors
    /// It is not a pcap stream of Ethernet frames.
    pub(crate) fn new(mut source: R) -> io::Result<Self> {
        let mut header = [0_u8; 24];
        source.read_exact(&mut header)?;
        let [a, b, c, d, ..] = header;
        let (swapped, nanoseconds) = match u32::from_le_bytes([a, b, c, d]) {
            0xa1b2_c3d4 => (false, false),
            0xa1b2_3c4d => (false, true),
            0xd4c3_b2a1 => (true, false),
            0x4d3c_b2a1 => (true, true),
            other => return Err(io::Error::other(format!("not a pcap stream: it begins with {other:08x}"))),
        };
        Ok(Self { source, swapped, nanoseconds })
    }

    /// The next frame, or `None` at the stream's end. A frame that was cut off by the end is not a frame.
    ///
    /// # Errors
    /// The stream can't be read, or claims a frame of more than 1 MiB.
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut words = [0_u32; 4];
        for word in &mut words {
            let mut bytes = [0_u8; 4];
            match self.source.read_exact(&mut bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
            *word = if self.swapped { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        }
        let [seconds, fraction, captured, _] = words;
        if captured > 1 << 20 {
            return Err(io::Error::other(format!("a captured frame of {captured} bytes")));
        }
        let mut bytes = vec![0_u8; usize::try_from(captured).map_err(io::Error::other)?];
        match self.source.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let fraction = if self.nanoseconds {
            Duration::from_nanos(fraction.into())
        } else {
            Duration::from_micros(fraction.into())
        };
        Ok(Some(Frame { at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()) + fraction, bytes }))
    }
}

impl Frame {
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
        Frame { at: SystemTime::UNIX_EPOCH + Duration::from_secs(1), bytes }
    }

    /// The stream that `tcpdump -w` would write of these frames.
    fn stream(frames: &[Frame]) -> Vec<u8> {
        let mut out = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
        out.extend([0; 20]);
        for frame in frames {
            let len = u32::try_from(frame.bytes.len()).unwrap().to_le_bytes();
            out.extend(1_u32.to_le_bytes());
            out.extend(0_u32.to_le_bytes());
            out.extend(len);
            out.extend(len);
            out.extend(&frame.bytes);
        }
        out
    }

    #[test]
    fn a_captured_datagram_is_read_back_without_its_padding() {
        let mut frame = udp("10.0.0.2:68", "10.0.0.1:67", b"hello");
        frame.bytes.extend([0; 13]);
        let written = stream(&[frame]);
        let mut reader = Reader::new(&written[..]).unwrap();
        let packet = reader.next_frame().unwrap().unwrap().packet().unwrap();
        assert_eq!((packet.from.port(), packet.to.port()), (68, 67));
        assert_eq!(packet.source.to_string(), "52:54:00:01:02:03");
        let Payload::Udp { data, len } = packet.payload else { panic!("a datagram") };
        assert_eq!((data.as_slice(), len), (&b"hello"[..], 5));
        assert!(reader.next_frame().unwrap().is_none());
    }

    #[test]
    fn every_truncation_of_a_frame_and_of_a_stream_is_survived() {
        let frame = udp("10.0.0.2:68", "10.0.0.1:67", b"hello");
        for len in 0..frame.bytes.len() {
            let cut = Frame { at: frame.at, bytes: frame.bytes[..len].to_vec() };
            assert_eq!(cut.packet().is_some(), len >= 14 + 20 + 8, "{len}");
        }
        let whole = stream(&[frame]);
        for len in 24..whole.len() {
            assert!(Reader::new(&whole[..len]).unwrap().next_frame().unwrap().is_none(), "{len}");
        }
    }
}
