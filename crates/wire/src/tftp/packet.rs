//! The six packets.

use super::{OptionKind, RawOption};
use crate::named::named;
use crate::{DecodeError, Fault, Field};
use core::fmt;

/// Bytes of a full block where no `blksize` was agreed (RFC 1350).
pub const DEFAULT_BLKSIZE: u16 = 512;
/// The longest request that is read, in bytes. RFC 2347 allows 512; a long name with many options may pass that.
pub const MAX_REQUEST: usize = 1024;

const RRQ: u16 = 1;
const WRQ: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// One TFTP packet, borrowed from its datagram.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Packet<'a> {
    /// A client asks to read.
    Rrq(Request<'a>),
    /// A client asks to write.
    Wrq(Request<'a>),
    /// A block of the file. A block shorter than the block size is the last one.
    Data {
        /// The block's number, from 1, modulo 65536.
        block: u16,
        /// Its bytes.
        data: &'a [u8],
    },
    /// A block, or with 0 the OACK, has arrived.
    Ack {
        /// The number of the last block in order.
        block: u16,
    },
    /// The transfer is over.
    Error {
        /// Why.
        code: ErrorCode,
        /// For a human.
        text: &'a [u8],
    },
    /// The options that the server accepts (RFC 2347).
    Oack(Vec<RawOption<'a>>),
}

/// A read or write request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request<'a> {
    /// The file's name as sent: any bytes without NUL. To be normalised before it is used.
    pub file: &'a [u8],
    /// How the bytes are to be translated.
    pub mode: Mode<'a>,
    /// All options, known or not, in order.
    pub options: Vec<RawOption<'a>>,
}

/// The transfer mode, compared without regard to case.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Mode<'a> {
    /// Bytes as they are.
    Octet,
    /// Lines end in CR LF.
    Netascii,
    /// Obsolete: to a user's mailbox.
    Mail,
    /// Anything else.
    Other(&'a [u8]),
}

impl<'a> Mode<'a> {
    fn from_wire(name: &'a [u8]) -> Self {
        [Self::Octet, Self::Netascii, Self::Mail]
            .into_iter()
            .find(|mode| mode.name().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Other(name))
    }

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'a [u8] {
        match self {
            Self::Octet => b"octet",
            Self::Netascii => b"netascii",
            Self::Mail => b"mail",
            Self::Other(name) => name,
        }
    }
}

/// An error code (RFC 1350 appendix, RFC 2347).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ErrorCode(pub u16);

named! {
    ErrorCode with "{}";

    /// See the text. iPXE aborts its size probes with this.
    UNDEFINED = 0, "undefined";
    /// File not found.
    NOT_FOUND = 1, "file not found";
    /// Access violation.
    ACCESS = 2, "access violation";
    /// Disk full.
    DISK_FULL = 3, "disk full";
    /// Illegal operation.
    ILLEGAL = 4, "illegal operation";
    /// Unknown transfer: the packet came from, or to, a port that has none.
    UNKNOWN_TID = 5, "unknown transfer";
    /// File already exists.
    EXISTS = 6, "file already exists";
    /// No such user.
    NO_USER = 7, "no such user";
    /// The options are refused (RFC 2347). edk2 aborts its size probes with this.
    OPTION = 8, "options refused";
}

impl Request<'_> {
    /// The options that are understood, in the order in which they were asked; a repeated one counts once, the first time.
    #[must_use]
    pub fn known(&self) -> Vec<OptionKind> {
        known(&self.options)
    }
}

/// The options that are understood, in order and each once.
fn known(options: &[RawOption<'_>]) -> Vec<OptionKind> {
    let mut known: Vec<OptionKind> = Vec::new();
    for kind in options.iter().filter_map(RawOption::kind) {
        if !known.iter().any(|have| have.name() == kind.name()) {
            known.push(kind);
        }
    }
    known
}

/// The first four bytes of a DATA packet; the block's bytes follow.
#[must_use]
pub const fn data_header(block: u16) -> [u8; 4] {
    let [op_high, op_low] = DATA.to_be_bytes();
    let [high, low] = block.to_be_bytes();
    [op_high, op_low, high, low]
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::new(Field::Opcode, 0, Fault::Truncated);
        let (opcode, body) = bytes.split_first_chunk::<2>().ok_or(short)?;
        match u16::from_be_bytes(*opcode) {
            RRQ => request(bytes).map(Packet::Rrq),
            WRQ => request(bytes).map(Packet::Wrq),
            DATA => number(body, Field::Block).map(|(block, data)| Packet::Data { block, data }),
            ACK => number(body, Field::Block).map(|(block, _)| Packet::Ack { block }),
            ERROR => number(body, Field::ErrorCode).map(|(code, text)| Packet::Error {
                code: ErrorCode(code),
                text: text.split(|byte| *byte == 0).next().unwrap_or_default(),
            }),
            OACK => options(&mut Strings { bytes, at: 2 }).map(Packet::Oack),
            _ => Err(DecodeError::new(Field::Opcode, 0, Fault::Value)),
        }
    }

    /// Appends the packet to `out`. A NUL inside a name, value or text would end it early on the wire and is left out.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Rrq(request) => put_request(out, RRQ, request),
            Self::Wrq(request) => put_request(out, WRQ, request),
            Self::Data { block, data } => {
                out.extend(data_header(*block));
                out.extend_from_slice(data);
            }
            Self::Ack { block } => {
                out.extend(ACK.to_be_bytes());
                out.extend(block.to_be_bytes());
            }
            Self::Error { code, text } => {
                out.extend(ERROR.to_be_bytes());
                out.extend(code.0.to_be_bytes());
                put_string(out, text);
            }
            Self::Oack(options) => {
                out.extend(OACK.to_be_bytes());
                put_options(out, options);
            }
        }
    }

    /// Appends an OACK of these options to `out`: the ones asked for and accepted, no others (edk2 fails on one it did not ask).
    pub fn encode_oack(accepted: &[OptionKind], out: &mut Vec<u8>) {
        out.extend(OACK.to_be_bytes());
        for option in accepted {
            put_string(out, option.name().as_bytes());
            put_string(out, option.to_string().as_bytes());
        }
    }

    /// The options that an OACK grants, where this is one; in order and each once.
    #[must_use]
    pub fn granted(&self) -> Vec<OptionKind> {
        match self {
            Self::Oack(options) => known(options),
            _ => Vec::new(),
        }
    }
}

fn put_request(out: &mut Vec<u8>, opcode: u16, request: &Request<'_>) {
    out.extend(opcode.to_be_bytes());
    put_string(out, request.file);
    put_string(out, request.mode.name());
    put_options(out, &request.options);
}

fn put_options(out: &mut Vec<u8>, options: &[RawOption<'_>]) {
    for option in options {
        put_string(out, option.name);
        put_string(out, option.value);
    }
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().filter(|byte| **byte != 0));
    out.push(0);
}

fn number(body: &[u8], field: Field) -> Result<(u16, &[u8]), DecodeError> {
    let short = DecodeError::new(field, 2, Fault::Truncated);
    let (number, rest) = body.split_first_chunk::<2>().ok_or(short)?;
    Ok((u16::from_be_bytes(*number), rest))
}

fn request(bytes: &[u8]) -> Result<Request<'_>, DecodeError> {
    if bytes.len() > MAX_REQUEST {
        return Err(DecodeError::new(Field::Packet, 0, Fault::Length));
    }
    let mut strings = Strings { bytes, at: 2 };
    let file = strings.take(Field::FileName)?;
    let mode = Mode::from_wire(strings.take(Field::Mode)?);
    Ok(Request { file, mode, options: options(&mut strings)? })
}

/// Reads name and value pairs up to the end, or up to an empty name: that is padding.
fn options<'a>(strings: &mut Strings<'a>) -> Result<Vec<RawOption<'a>>, DecodeError> {
    let mut options = Vec::new();
    while !strings.is_at_end() {
        let name = strings.take(Field::OptionName)?;
        if name.is_empty() {
            break;
        }
        options.push(RawOption { name, value: strings.take(Field::OptionValue)? });
    }
    Ok(options)
}

/// NUL-terminated strings, one after the other.
struct Strings<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Strings<'a> {
    fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn take(&mut self, field: Field) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0);
        let text = end.and_then(|end| rest.get(..end));
        let text = text.ok_or(DecodeError::new(field, self.at, Fault::Unterminated))?;
        self.at += text.len() + 1;
        Ok(text)
    }
}

impl fmt::Display for Packet<'_> {
    /// One line for eyes, such as `RRQ "a.efi" octet blksize=1468 windowsize=4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tell = |f: &mut fmt::Formatter<'_>, name: &str, request: &Request<'_>| {
            write!(f, "{name} \"{}\" {}", request.file.escape_ascii(), request.mode.name().escape_ascii())?;
            tell_options(f, &request.options)
        };
        match self {
            Self::Rrq(request) => tell(f, "RRQ", request),
            Self::Wrq(request) => tell(f, "WRQ", request),
            Self::Data { block, data } => write!(f, "DATA {block}, {} bytes", data.len()),
            Self::Ack { block } => write!(f, "ACK {block}"),
            Self::Error { code, text } => write!(f, "ERROR {code} \"{}\"", text.escape_ascii()),
            Self::Oack(options) => f.write_str("OACK").and_then(|()| tell_options(f, options)),
        }
    }
}

fn tell_options(f: &mut fmt::Formatter<'_>, options: &[RawOption<'_>]) -> fmt::Result {
    options.iter().try_for_each(|option| write!(f, " {}={}", option.name.escape_ascii(), option.value.escape_ascii()))
}
