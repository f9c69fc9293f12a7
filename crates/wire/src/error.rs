//! What is wrong with bytes: one error for every decoder of this crate.

use core::fmt;

/// The part of a packet that a decoder could not read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Field {
    /// The fixed header of a DHCP message (236 bytes and the magic cookie).
    Header,
    /// The DHCP magic cookie `63 82 53 63` (RFC 2131 §3): without it this is plain BOOTP, or no DHCP at all.
    Cookie,
    /// The hardware address length `hlen`.
    HardwareLength,
    /// The whole option area: `options`, `file` or `sname`.
    OptionArea,
    /// A DHCP option, by its code.
    Option(u8),
    /// A DHCPv6 option, by its code.
    Option6(u16),
    /// The relays that a DHCPv6 message has passed.
    Hops,
    /// A sub-option: the enclosing option's code and its own.
    SubOption(u8, u8),
    /// The TFTP opcode.
    Opcode,
    /// The TFTP block number.
    Block,
    /// The TFTP error code.
    ErrorCode,
    /// The file name of a TFTP request.
    FileName,
    /// The mode of a TFTP request.
    Mode,
    /// The name of a TFTP option.
    OptionName,
    /// The value of a TFTP option.
    OptionValue,
    /// A TFTP packet as a whole.
    Packet,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Fault {
    /// It ends before it is complete.
    Truncated,
    /// Its end mark is missing: END of an option area, NUL of a TFTP string.
    Unterminated,
    /// It is longer or shorter than this field can be.
    Length,
    /// Its value is not one that this field can have.
    Value,
}

/// A decoder's refusal: what, where and why. Copyable and without text of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DecodeError {
    /// The field that could not be read.
    pub field: Field,
    /// Offset of that field in the decoded bytes.
    pub at: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

impl DecodeError {
    /// Names a fault.
    #[must_use]
    pub const fn new(field: Field, at: usize, fault: Fault) -> Self {
        Self { field, at, fault }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option(code) => return write!(f, "option {code}"),
            Self::Option6(code) => return write!(f, "option {code}"),
            Self::SubOption(outer, inner) => return write!(f, "option {outer}.{inner}"),
            Self::Header => "header",
            Self::Hops => "number of relays",
            Self::Cookie => "magic cookie",
            Self::HardwareLength => "hardware address length",
            Self::OptionArea => "option area",
            Self::Opcode => "opcode",
            Self::Block => "block number",
            Self::ErrorCode => "error code",
            Self::FileName => "file name",
            Self::Mode => "mode",
            Self::OptionName => "option name",
            Self::OptionValue => "option value",
            Self::Packet => "packet",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "is cut short",
            Self::Unterminated => "lacks its end mark",
            Self::Length => "has an impossible length",
            Self::Value => "has an impossible value",
        })
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} {}", self.field, self.at, self.fault)
    }
}

impl core::error::Error for DecodeError {}
