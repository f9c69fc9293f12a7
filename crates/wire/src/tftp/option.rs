//! Options of a request: what was said, and what it means where it means something.

use core::fmt;
use core::ops::RangeInclusive;

/// The block sizes that RFC 2348 allows, in bytes.
pub const BLKSIZE: RangeInclusive<u16> = 8..=65464;

/// One option as it travels: a name, compared without regard to case, and a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RawOption<'a> {
    /// The name, in the sender's spelling.
    pub name: &'a [u8],
    /// The value: decimal digits in every option that is known here.
    pub value: &'a [u8],
}

/// An option that is understood, with its value. `Display` is the value as it travels.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OptionKind {
    /// `blksize`: bytes of a full block, 8 to 65464 (RFC 2348).
    BlockSize(u16),
    /// `tsize`: bytes of the file; 0 in a read request asks for it (RFC 2349 §3).
    TransferSize(u64),
    /// `timeout`: seconds between retransmissions, 1 to 255 (RFC 2349 §2).
    Timeout(u8),
    /// `windowsize`: blocks sent before an acknowledgement, 1 to 65535 (RFC 7440).
    WindowSize(u16),
}

impl OptionKind {
    /// The name, in lower case: GRUB compares it with case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BlockSize(_) => "blksize",
            Self::TransferSize(_) => "tsize",
            Self::Timeout(_) => "timeout",
            Self::WindowSize(_) => "windowsize",
        }
    }
}

impl fmt::Display for OptionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BlockSize(value) | Self::WindowSize(value) => value.fmt(f),
            Self::TransferSize(value) => value.fmt(f),
            Self::Timeout(value) => value.fmt(f),
        }
    }
}

impl<'a> RawOption<'a> {
    /// The option's meaning. None for an option that is unknown here, and for a value outside the range of its RFC: such an
    /// option is left out of the OACK, as if it were unknown (RFC 2347).
    #[must_use]
    pub fn kind(&self) -> Option<OptionKind> {
        let is = |name: &str| self.name.eq_ignore_ascii_case(name.as_bytes());
        let value = decimal(self.value)?;
        if is("blksize") {
            u16::try_from(value).ok().filter(|size| BLKSIZE.contains(size)).map(OptionKind::BlockSize)
        } else if is("tsize") {
            Some(OptionKind::TransferSize(value))
        } else if is("timeout") {
            u8::try_from(value).ok().filter(|seconds| *seconds > 0).map(OptionKind::Timeout)
        } else if is("windowsize") {
            u16::try_from(value).ok().filter(|blocks| *blocks > 0).map(OptionKind::WindowSize)
        } else {
            None
        }
    }
}

/// A decimal number of ASCII digits. No sign, no space.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}
