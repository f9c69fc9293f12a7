//! The message: fixed header and options, to bytes and back.

use super::parse::Reader;
use super::{Op, OptionCode, Options};
use crate::{DecodeError, Fault, Field, MacAddr};
use core::fmt;
use core::net::Ipv4Addr;

/// Bytes of the fixed header, without the magic cookie.
pub const HEADER_LEN: usize = 236;
/// Bytes that every message is padded to: BOOTP's fixed size (RFC 1542 §2.1), below which old relays and ROMs drop it.
pub const MIN_MESSAGE: usize = 300;
/// The hardware type of Ethernet.
pub const HTYPE_ETHERNET: u8 = 1;

const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
const OPTIONS_AT: usize = HEADER_LEN + COOKIE.len();
const SNAME_AT: usize = 44;
const FILE_AT: usize = 108;
const BROADCAST_FLAG: u16 = 0x8000;

/// A DHCPv4 message (RFC 2131 §2, figure 1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub op: Op,
    /// Hardware type; 1 is Ethernet.
    pub htype: u8,
    /// Length of the hardware address in `chaddr`: at most 16.
    pub hlen: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction, chosen by the client.
    pub xid: u32,
    /// Seconds since the client began, it says. Never a basis for a decision: iPXE and edk2 put other things here.
    pub secs: u16,
    /// Flags; the highest bit asks for broadcast replies.
    pub flags: u16,
    /// The address that the client has and answers ARP for.
    pub ciaddr: Ipv4Addr,
    /// The address that the client is given.
    pub yiaddr: Ipv4Addr,
    /// The next server of the boot: what edk2, iPXE, GRUB, shim and U-Boot fetch the boot file from.
    pub siaddr: Ipv4Addr,
    /// The relay that passed the message on.
    pub giaddr: Ipv4Addr,
    /// The client's hardware address, padded with zeros.
    pub chaddr: [u8; 16],
    /// Server host name, NUL-terminated; zeros when the field held options (overload).
    pub sname: [u8; 64],
    /// Boot file name, NUL-terminated; zeros when the field held options (overload).
    pub file: [u8; 128],
    /// The options, without overload (52): the options that it announced are here.
    pub options: Options,
    /// What was wrong with the bytes this was read from, and tolerated. Ignored by [`Message::encode`].
    pub faults: Vec<DecodeError>,
}

/// The message does not fit its size limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EncodeError {
    /// Bytes that the message needs.
    pub needed: usize,
    /// Bytes that it may have.
    pub limit: usize,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message needs {} bytes, {} are allowed", self.needed, self.limit)
    }
}

impl core::error::Error for EncodeError {}

impl Message {
    /// An empty request from this Ethernet address.
    #[must_use]
    pub fn request(xid: u32, mac: MacAddr) -> Self {
        let mut chaddr = [0; 16];
        for (to, from) in chaddr.iter_mut().zip(mac.0) {
            *to = from;
        }
        Self { chaddr, ..Self::blank(Op::REQUEST, HTYPE_ETHERNET, 6, xid) }
    }

    /// An empty reply to this request: `htype`, `hlen`, `xid`, `flags`, `giaddr` and `chaddr` are copied (RFC 2131 §4.3.1, table
    /// 3), everything else is zero.
    #[must_use]
    pub fn reply_to(request: &Self) -> Self {
        Self {
            flags: request.flags,
            giaddr: request.giaddr,
            chaddr: request.chaddr,
            ..Self::blank(Op::REPLY, request.htype, request.hlen, request.xid)
        }
    }

    fn blank(op: Op, htype: u8, hlen: u8, xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            op,
            htype,
            hlen,
            hops: 0,
            xid,
            secs: 0,
            flags: 0,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            chaddr: [0; 16],
            sname: [0; 64],
            file: [0; 128],
            options: Options::new(),
            faults: Vec::new(),
        }
    }

    /// Reads a UDP payload. Refused is only what has no header, no cookie or an `hlen` over 16; a missing END, a truncated last
    /// option, or an option of impossible length is kept or skipped, and named in `faults`.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Cursor { bytes };
        let short = DecodeError::new(Field::Header, bytes.len(), Fault::Truncated);
        let message = from.header().ok_or(short)?;
        let cookie: [u8; 4] = from.take().ok_or(short)?;
        if cookie != COOKIE {
            return Err(DecodeError::new(Field::Cookie, HEADER_LEN, Fault::Value));
        }
        if message.hlen > 16 {
            return Err(DecodeError::new(Field::HardwareLength, 2, Fault::Value));
        }
        Ok(message.with_options(from.bytes))
    }

    /// Reads the option areas in the order of RFC 2131 §4.1: `options`, then `file`, then `sname`.
    fn with_options(mut self, area: &[u8]) -> Self {
        let mut reader = Reader::default();
        reader.area(area, OPTIONS_AT);
        let (in_file, in_sname) = reader.overload();
        if in_file {
            reader.area(&core::mem::replace(&mut self.file, [0; 128]), FILE_AT);
        }
        if in_sname {
            reader.area(&core::mem::replace(&mut self.sname, [0; 64]), SNAME_AT);
        }
        // An overload option inside an overloaded field announces nothing.
        reader.options.remove(OptionCode::OVERLOAD);
        reader.check_lengths();
        Self { options: reader.options, faults: reader.faults, ..self }
    }

    /// The message as a UDP payload of at most `limit` bytes: see [`reply_limit`](super::reply_limit).
    pub fn encode(&self, limit: usize) -> Result<Vec<u8>, EncodeError> {
        let needed = self.encoded_len();
        if needed > limit {
            return Err(EncodeError { needed, limit });
        }
        let mut out = Vec::with_capacity(needed);
        self.put_header(&mut out);
        out.extend(COOKIE);
        for (code, value) in self.options.iter().filter(|(code, _)| *code != OptionCode::RELAY_INFO) {
            put_option(&mut out, code, value);
        }
        if let Some(info) = self.options.relay_info() {
            put_option(&mut out, OptionCode::RELAY_INFO, info.0);
        }
        out.push(OptionCode::END.0);
        out.resize(out.len().max(MIN_MESSAGE), 0);
        Ok(out)
    }

    /// The length in bytes that [`Message::encode`] would produce, padding to 300 included.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let options: usize = self.options.iter().map(|(code, value)| option_len(code, value.len())).sum();
        (OPTIONS_AT + options + 1).max(MIN_MESSAGE)
    }

    fn put_header(&self, out: &mut Vec<u8>) {
        out.extend([self.op.0, self.htype, self.hlen, self.hops]);
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        for ip in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            out.extend(ip.octets());
        }
        out.extend(self.chaddr);
        out.extend(self.sname);
        out.extend(self.file);
    }

    /// The Ethernet address, where the client has one: `htype` 1 and `hlen` 6.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let (mac, _) = self.chaddr.split_first_chunk::<6>()?;
        (self.htype == HTYPE_ETHERNET && self.hlen == 6).then_some(MacAddr(*mac))
    }

    /// Whether the client asks for broadcast replies.
    #[must_use]
    pub const fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST_FLAG != 0
    }

    /// Sets or clears the broadcast flag.
    pub const fn set_broadcast(&mut self, on: bool) {
        self.flags = if on { self.flags | BROADCAST_FLAG } else { self.flags & !BROADCAST_FLAG };
    }

    /// The header's boot file name, up to its NUL. A client's own default in a request (U-Boot), ours in a reply.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        until_nul(&self.file)
    }

    /// The header's server name, up to its NUL.
    #[must_use]
    pub fn server_name(&self) -> &[u8] {
        until_nul(&self.sname)
    }

    /// Puts a boot file name into the header. False, and nothing changed, when it is longer than 127 bytes or holds a NUL: then it
    /// can only travel in option 67.
    pub fn set_file_name(&mut self, name: &[u8]) -> bool {
        set_field(&mut self.file, name)
    }

    /// Puts a server name into the header. False, and nothing changed, when it is longer than 63 bytes or holds a NUL.
    pub fn set_server_name(&mut self, name: &[u8]) -> bool {
        set_field(&mut self.sname, name)
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn set_field(field: &mut [u8], name: &[u8]) -> bool {
    if name.len() >= field.len() || name.contains(&0) {
        return false;
    }
    field.fill(0);
    for (to, from) in field.iter_mut().zip(name) {
        *to = *from;
    }
    true
}

/// A PAD follows these: edk2 terminates a boot file option in place and so overwrites the tag of the next one.
const fn is_padded(code: OptionCode) -> bool {
    matches!(code, OptionCode::BOOT_FILE | OptionCode::TFTP_SERVER)
}

/// Bytes of one option on the wire: split into instances of 255 (RFC 3396 §5), padded where need be.
fn option_len(code: OptionCode, len: usize) -> usize {
    len + 2 * len.div_ceil(255).max(1) + usize::from(is_padded(code))
}

fn put_option(out: &mut Vec<u8>, code: OptionCode, value: &[u8]) {
    let mut rest = value;
    loop {
        let len = u8::try_from(rest.len()).unwrap_or(u8::MAX);
        let (piece, tail) = rest.split_at_checked(usize::from(len)).unwrap_or((rest, &[]));
        out.extend([code.0, len]);
        out.extend_from_slice(piece);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    if is_padded(code) {
        out.push(OptionCode::PAD.0);
    }
}

/// Takes arrays off the front of bytes.
struct Cursor<'a> {
    bytes: &'a [u8],
}

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*taken)
    }

    fn header(&mut self) -> Option<Message> {
        let [op, htype, hlen, hops] = self.take()?;
        let xid = u32::from_be_bytes(self.take()?);
        Some(Message {
            hops,
            secs: u16::from_be_bytes(self.take()?),
            flags: u16::from_be_bytes(self.take()?),
            ciaddr: Ipv4Addr::from(self.take::<4>()?),
            yiaddr: Ipv4Addr::from(self.take::<4>()?),
            siaddr: Ipv4Addr::from(self.take::<4>()?),
            giaddr: Ipv4Addr::from(self.take::<4>()?),
            chaddr: self.take()?,
            sname: self.take()?,
            file: self.take()?,
            ..Message::blank(Op(op), htype, hlen, xid)
        })
    }
}
