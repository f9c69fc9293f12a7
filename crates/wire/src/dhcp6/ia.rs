//! Identity associations: the addresses that a client asks for or is given.

use core::net::Ipv6Addr;

use super::options::{Options, Status};
use super::{OptionCode, StatusCode};
use crate::{DecodeError, Fault, Field};

/// What kind of addresses an identity association holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum IaKind {
    /// Addresses that are not temporary (option 3).
    NonTemporary,
    /// Temporary addresses (option 4): the client decides for itself when to ask again.
    Temporary,
}

impl IaKind {
    /// The option that carries it.
    #[must_use]
    pub const fn code(self) -> OptionCode {
        match self {
            Self::NonTemporary => OptionCode::IA_NA,
            Self::Temporary => OptionCode::IA_TA,
        }
    }
}

/// An identity association for addresses (RFC 8415 §21.4 and §21.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ia {
    /// Its kind.
    pub kind: IaKind,
    /// The client's number for it.
    pub iaid: u32,
    /// Seconds until the client turns to its server again; 0 leaves it to the client, and a temporary one has none.
    pub t1: u32,
    /// Seconds until it turns to any server.
    pub t2: u32,
    /// Its addresses and status.
    pub options: Options,
}

/// An address in an identity association (RFC 8415 §21.6).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IaAddr {
    /// The address.
    pub ip: Ipv6Addr,
    /// Seconds for which new connections may use it.
    pub preferred: u32,
    /// Seconds for which it may be used at all; 0 takes it away.
    pub valid: u32,
}

impl Ia {
    /// An association without addresses.
    #[must_use]
    pub const fn new(kind: IaKind, iaid: u32) -> Self {
        Self { kind, iaid, t1: 0, t2: 0, options: Options::new() }
    }

    /// Reads the value of option 3 or 4.
    pub fn decode(kind: IaKind, bytes: &[u8]) -> Result<Self, DecodeError> {
        let cut = DecodeError::new(Field::Option6(kind.code().0), 0, Fault::Truncated);
        let (iaid, rest) = bytes.split_first_chunk::<4>().ok_or(cut)?;
        let mut ia = Self::new(kind, u32::from_be_bytes(*iaid));
        let rest = match kind {
            IaKind::Temporary => rest,
            IaKind::NonTemporary => {
                let (t1, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
                let (t2, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
                (ia.t1, ia.t2) = (u32::from_be_bytes(*t1), u32::from_be_bytes(*t2));
                rest
            }
        };
        ia.options = Options::decode(rest, bytes.len().saturating_sub(rest.len()))?;
        Ok(ia)
    }

    /// The value of its option.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.iaid.to_be_bytes().to_vec();
        if self.kind == IaKind::NonTemporary {
            out.extend(self.t1.to_be_bytes());
            out.extend(self.t2.to_be_bytes());
        }
        self.options.put(&mut out);
        out
    }

    /// Its addresses, in order; one that cannot be read is left out.
    pub fn addresses(&self) -> impl Iterator<Item = IaAddr> {
        self.options.all(OptionCode::IA_ADDR).filter_map(IaAddr::decode)
    }

    /// Adds an address.
    pub fn push(&mut self, address: &IaAddr) -> &mut Self {
        self.options.push(OptionCode::IA_ADDR, address.encode());
        self
    }

    /// Sets its status, with words for a person.
    pub fn set_status(&mut self, code: StatusCode, text: &str) -> &mut Self {
        self.options.push(OptionCode::STATUS, Status::encode(code, text));
        self
    }
}

impl IaAddr {
    /// Reads the value of option 5, as far as it is fixed.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (ip, rest) = bytes.split_first_chunk::<16>()?;
        let (preferred, rest) = rest.split_first_chunk::<4>()?;
        let valid = rest.first_chunk::<4>()?;
        Some(Self {
            ip: Ipv6Addr::from(*ip),
            preferred: u32::from_be_bytes(*preferred),
            valid: u32::from_be_bytes(*valid),
        })
    }

    /// The value of option 5.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.ip.octets().to_vec();
        out.extend(self.preferred.to_be_bytes());
        out.extend(self.valid.to_be_bytes());
        out
    }
}
