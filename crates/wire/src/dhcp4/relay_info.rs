//! Relay agent information: option 82 (RFC 3046), what relays and switches tell of a machine's place.

use core::fmt::{self, Write as _};
use core::net::Ipv4Addr;

use super::OptionCode;
use crate::{AgentId, DecodeError, Fault, Field};

const CIRCUIT_ID: u8 = 1;
const REMOTE_ID: u8 = 2;
/// RFC 3527.
const LINK_SELECTION: u8 = 5;
/// RFC 3993.
const SUBSCRIBER_ID: u8 = 6;
/// RFC 5107.
const SERVER_OVERRIDE: u8 = 11;

/// The value of option 82, read in place: it goes back to the relay byte for byte, so nothing here takes it apart.
///
/// Its sub-options are code, length and value, without the PAD and END of option 43. What stands before a sub-option that is cut off
/// is read; [`RelayInfo::fault`] names the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RelayInfo<'a>(pub &'a [u8]);

impl<'a> RelayInfo<'a> {
    /// Sub-options in the order of the wire, as far as they can be read.
    pub fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            let (code, value, tail) = next(rest)?;
            rest = tail;
            Some((code, value))
        })
    }

    /// The first sub-option with this code.
    #[must_use]
    pub fn get(self, code: u8) -> Option<&'a [u8]> {
        self.iter().find(|(have, _)| *have == code).map(|(_, value)| value)
    }

    /// The port that the machine is plugged into (sub-option 1).
    #[must_use]
    pub fn circuit_id(self) -> Option<AgentId> {
        AgentId::new(self.get(CIRCUIT_ID)?)
    }

    /// The switch or relay that has that port, or the customer behind it (sub-option 2).
    #[must_use]
    pub fn remote_id(self) -> Option<AgentId> {
        AgentId::new(self.get(REMOTE_ID)?)
    }

    /// An address of the machine's network, where that is not the relay's own (sub-option 5, RFC 3527).
    #[must_use]
    pub fn link_selection(self) -> Option<Ipv4Addr> {
        self.ip(LINK_SELECTION)
    }

    /// The address that the machine shall take for its server's, so that all it says goes through the relay (sub-option 11, RFC 5107).
    #[must_use]
    pub fn server_override(self) -> Option<Ipv4Addr> {
        self.ip(SERVER_OVERRIDE)
    }

    fn ip(self, code: u8) -> Option<Ipv4Addr> {
        let octets = <[u8; 4]>::try_from(self.get(code)?).ok()?;
        Some(Ipv4Addr::from(octets)).filter(|ip| !ip.is_unspecified())
    }

    /// The first sub-option that cannot be read, its place counted from the option's first byte.
    #[must_use]
    pub fn fault(self) -> Option<DecodeError> {
        let mut rest = self.0;
        while let Some((_, _, tail)) = next(rest) {
            rest = tail;
        }
        let code = rest.first()?;
        let at = self.0.len().saturating_sub(rest.len());
        Some(DecodeError::new(Field::SubOption(OptionCode::RELAY_INFO.0, *code), at, Fault::Truncated))
    }
}

/// The first sub-option of these bytes, and what follows it.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [code, len, rest @ ..] = bytes else { return None };
    let (value, tail) = rest.split_at_checked(usize::from(*len))?;
    Some((*code, value, tail))
}

impl fmt::Display for RelayInfo<'_> {
    /// `circuit eth0, remote 0x0004deadbeef, link 10.88.0.0`, with the numbers of what has no name here.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (code, value)) in self.iter().enumerate() {
            if n > 0 {
                f.write_str(", ")?;
            }
            let (name, address) = match code {
                CIRCUIT_ID => ("circuit", false),
                REMOTE_ID => ("remote", false),
                LINK_SELECTION => ("link", true),
                SUBSCRIBER_ID => ("subscriber", false),
                SERVER_OVERRIDE => ("server", true),
                _ => ("", false),
            };
            if name.is_empty() {
                write!(f, "{code} =")?;
            } else {
                f.write_str(name)?;
            }
            match (<[u8; 4]>::try_from(value).ok().filter(|_| address), AgentId::new(value)) {
                (Some(octets), _) => write!(f, " {}", Ipv4Addr::from(octets))?,
                (None, Some(id)) => write!(f, " {id}")?,
                (None, None) => f.write_char(' ')?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] =
        &[1, 4, b'e', b't', b'h', b'0', 2, 3, 0, 4, 9, 5, 4, 10, 88, 0, 0, 11, 4, 10, 88, 0, 1, 9, 2, 255, 0];

    #[test]
    fn what_a_relay_tells_is_read() {
        let info = RelayInfo(WHOLE);
        assert_eq!(info.circuit_id().unwrap().to_string(), "eth0");
        assert_eq!(info.remote_id().unwrap().as_bytes(), [0, 4, 9]);
        assert_eq!(info.link_selection(), Some(Ipv4Addr::new(10, 88, 0, 0)));
        assert_eq!(info.server_override(), Some(Ipv4Addr::new(10, 88, 0, 1)));
        assert_eq!(info.get(9), Some(&[255, 0][..]), "no END inside");
        assert_eq!(info.fault(), None);
        assert_eq!(info.to_string(), "circuit eth0, remote 0x000409, link 10.88.0.0, server 10.88.0.1, 9 = 0xff00");
    }

    #[test]
    fn at_every_length_what_is_whole_is_read_and_the_rest_is_named() {
        let ends = [0, 6, 11, 17, 23, 27];
        for len in 0..=WHOLE.len() {
            let info = RelayInfo(&WHOLE[..len]);
            assert_eq!(info.iter().count(), ends.iter().filter(|end| **end > 0 && **end <= len).count(), "{len}");
            assert_eq!(info.fault().is_none(), ends.contains(&len), "{len}");
            assert_eq!(info.circuit_id().is_some(), len >= 6, "{len}");
        }
    }

    #[test]
    fn what_has_another_length_or_says_nothing_is_not_told() {
        let odd = RelayInfo(&[1, 0, 5, 3, 10, 88, 0, 11, 4, 0, 0, 0, 0]);
        assert_eq!((odd.circuit_id(), odd.link_selection(), odd.server_override()), (None, None, None));
        assert_eq!(odd.fault(), None);
    }
}
