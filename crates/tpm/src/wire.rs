//! Bytes as a TPM writes them: big-endian numbers, and buffers with a two-byte size (`TPM2B_…`, part 2 §10.4).

use core::fmt;

/// A decoder's refusal: what, where and why. Copyable and without text of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} at byte {at} {fault}")]
pub struct DecodeError {
    /// The field that could not be read, by its name in the TPM specification.
    pub field: &'static str,
    /// Where it begins, in bytes from the start of what was decoded.
    pub at: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It ends before it is complete.
    Truncated,
    /// More follows than belongs there.
    Trailing,
    /// It is longer or shorter than it can be.
    Length,
    /// Its value is not one that this field can have, or that we know.
    Value,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "is cut short",
            Self::Trailing => "is followed by bytes that do not belong there",
            Self::Length => "has an impossible length",
            Self::Value => "has a value that is unknown or impossible",
        })
    }
}

/// Reads numbers in the byte order of TPM structures.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn fault(&self, field: &'static str, fault: Fault) -> DecodeError {
        DecodeError { field, at: self.at, fault }
    }

    pub(crate) fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(self.fault(field, Fault::Truncated))?;
        self.rest = rest;
        self.at = self.at.saturating_add(count);
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let fault = self.fault(field, Fault::Truncated);
        self.take(field, N)?.try_into().map_err(|_| fault)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(field).map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// A `TPM2B_…`: its size in two bytes, then so many bytes.
    pub(crate) fn sized(&mut self, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let size = self.u16(field)?;
        self.take(field, usize::from(size))
    }

    /// A `TPM2B_…` of at most `most` bytes.
    pub(crate) fn sized_at_most(&mut self, field: &'static str, most: usize) -> Result<&'a [u8], DecodeError> {
        let fault = self.fault(field, Fault::Length);
        let bytes = self.sized(field)?;
        if bytes.len() > most { Err(fault) } else { Ok(bytes) }
    }

    /// A `TPM2B_…` of exactly `N` bytes.
    pub(crate) fn sized_array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let fault = self.fault(field, Fault::Length);
        self.sized(field)?.try_into().map_err(|_| fault)
    }

    /// Nothing may follow.
    pub(crate) const fn end(&self, field: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.fault(field, Fault::Trailing)) }
    }
}

/// Writes them. What is written is small and made by us, so a size that does not fit in its field is cut to what the field
/// can say, and the TPM then refuses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX)).bytes(bytes)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A length as a TPM counts: `u32::MAX` for what is longer, which no TPM takes.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
