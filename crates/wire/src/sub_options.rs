//! Options inside an option: code, length, value; the framing that options 43, 82 and 175 share.

use crate::{DecodeError, Fault, Field};

/// Encapsulated options (RFC 2132 §8.4), in the order of the wire. Code 0 is a PAD and 255 the END, where they are used at all.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SubOptions {
    list: Vec<(u8, Vec<u8>)>,
}

const PAD: u8 = 0;
const END: u8 = 255;

impl SubOptions {
    /// No sub-options.
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Reads the value of option `outer`. Bytes after an END are ignored; END may be missing.
    pub fn decode(outer: u8, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut list = Vec::new();
        let mut rest = bytes;
        while let Some((code, tail)) = rest.split_first() {
            match *code {
                PAD => rest = tail,
                END => break,
                code => {
                    let at = bytes.len() - rest.len();
                    let cut = DecodeError::new(Field::SubOption(outer, code), at, Fault::Truncated);
                    let (len, tail) = tail.split_first().ok_or(cut)?;
                    let (value, tail) = tail.split_at_checked(usize::from(*len)).ok_or(cut)?;
                    list.push((code, value.to_vec()));
                    rest = tail;
                }
            }
        }
        Ok(Self { list })
    }

    /// The value to be carried by the enclosing option, without an END: PXE wants one, iPXE and relays want none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (code, value) in &self.list {
            for piece in pieces(value) {
                out.push(*code);
                out.push(u8::try_from(piece.len()).unwrap_or(u8::MAX));
                out.extend_from_slice(piece);
            }
        }
        out
    }

    /// The first sub-option with this code.
    #[must_use]
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        self.iter().find(|(have, _)| *have == code).map(|(_, value)| value)
    }

    /// The first sub-option with this code, where it has exactly `N` bytes.
    #[must_use]
    pub fn array<const N: usize>(&self, code: u8) -> Option<[u8; N]> {
        self.get(code)?.try_into().ok()
    }

    /// All sub-options, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.list.iter().map(|(code, value)| (*code, value.as_slice()))
    }

    /// Adds a sub-option at the end. Codes 0 and 255 are no options and are left out.
    pub fn push(&mut self, code: u8, value: impl Into<Vec<u8>>) -> &mut Self {
        if !matches!(code, PAD | END) {
            self.list.push((code, value.into()));
        }
        self
    }
}

/// Pieces of at most 255 bytes; one empty piece for an empty value.
fn pieces(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = value.is_empty().then_some(value);
    value.chunks(255).chain(empty)
}
