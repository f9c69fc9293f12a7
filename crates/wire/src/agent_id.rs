//! What relays and switches call their ports and themselves.

use core::fmt::{self, Write as _};
use core::str::FromStr;

/// A name that a relay or a switch gave: a circuit id or remote id of option 82 (RFC 3046), or an interface id or remote id of DHCPv6.
/// Bytes of its maker's choice, at least one: text with some, numbers with others.
///
/// It is shown as text where it is plain text and as `0x` with hexadecimal digits otherwise, and read back from both.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AgentId(Box<[u8]>);

/// The text was empty, or not an even number of hexadecimal digits after its `0x`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseAgentIdError;

impl fmt::Display for ParseAgentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a circuit or remote id is a text, or 0x with pairs of hexadecimal digits")
    }
}

impl core::error::Error for ParseAgentIdError {}

const HEX: &str = "0x";

impl AgentId {
    /// The name of these bytes; none of no bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// The bytes, as they came.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A number that follows from the bytes (FNV-1a of 64 bits), for where a name is too long to be spelt out. It is no secret.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.0.iter().fold(0xcbf2_9ce4_8422_2325, mix)
    }

    /// Whether it reads the same for everybody: printable ASCII that is taken neither for digits nor for a digest.
    fn is_text(&self) -> bool {
        let plain =
            |byte: &u8| (byte.is_ascii_graphic() || *byte == b' ') && !matches!(byte, b'"' | b'\'' | b'`' | b'\\');
        let edge = |byte: Option<&u8>| byte == Some(&b' ');
        let taken = self.0.starts_with(HEX.as_bytes()) || self.0.starts_with(b"~");
        self.0.iter().all(plain) && !taken && !edge(self.0.first()) && !edge(self.0.last())
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_text() {
            return self.0.iter().try_for_each(|byte| f.write_char(char::from(*byte)));
        }
        f.write_str(HEX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for AgentId {
    type Err = ParseAgentIdError;

    fn from_str(text: &str) -> Result<Self, ParseAgentIdError> {
        let Some(digits) = text.strip_prefix(HEX) else { return Self::new(text.as_bytes()).ok_or(ParseAgentIdError) };
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return Err(ParseAgentIdError) };
        let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.and_then(|bytes| Self::new(&bytes)).ok_or(ParseAgentIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_shown_as_it_is_and_everything_else_in_digits() {
        for (bytes, shown) in [
            (&b"eth0"[..], "eth0"),
            (b"ge-0/0/1:100.0", "ge-0/0/1:100.0"),
            (b"rack 4, port 7", "rack 4, port 7"),
            (&[0, 4, 0, 100, 1, 7], "0x000400640107"),
            (b"port\n", "0x706f72740a"),
            (b" eth0", "0x2065746830"),
            (b"0xff", "0x30786666"),
            (b"~a", "0x7e61"),
            (b"a\"b", "0x612262"),
            ("b\u{e4}r".as_bytes(), "0x62c3a472"),
        ] {
            let id = AgentId::new(bytes).unwrap();
            assert_eq!(id.to_string(), shown);
            assert_eq!(shown.parse(), Ok(id), "{shown}");
        }
        assert_eq!("0x00AB".parse(), Ok(AgentId::new(&[0, 0xab]).unwrap()));
    }

    #[test]
    fn nothing_and_broken_digits_are_no_names() {
        for text in ["", "0x", "0x0", "0xgg", "0x00 11"] {
            assert_eq!(text.parse::<AgentId>(), Err(ParseAgentIdError), "{text:?}");
        }
        assert_eq!(AgentId::new(&[]), None);
    }

    #[test]
    fn names_that_differ_have_digests_that_differ() {
        let digest = |bytes: &[u8]| AgentId::new(bytes).unwrap().digest();
        assert_eq!(digest(b"eth0"), digest(b"eth0"));
        assert_ne!(digest(b"eth0"), digest(b"eth1"));
        assert_eq!(digest(b"a"), 0xaf63_dc4c_8601_ec8c, "as the makers of FNV publish it");
    }
}
