//! Who is let in by a list, and who never.

use minicbor::{CborLen, Decode, Encode};

use crate::id::{Digest, MachineId, Time};

/// TPMs whose machines may enrol without a person, in a window ([`crate::Domain::EkList`]). A new list replaces the old one.
#[derive(Clone, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct EkList {
    /// The TPMs.
    #[n(0)]
    pub entries: Vec<EkEntry>,
    /// When it was signed: an older list is refused.
    #[n(1)]
    pub at: Time,
}

/// A TPM that may enrol.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct EkEntry {
    /// SHA-256 of the endorsement key's public area.
    #[n(0)]
    pub ek: Digest,
    /// The machine's name; none: one is made.
    #[n(1)]
    pub name: Option<String>,
    /// Its role.
    #[n(2)]
    pub role: String,
    /// Whether its disk may be wiped.
    #[n(3)]
    pub wipe: bool,
}

/// A key or a TPM that is never let in.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Denied {
    /// The digest of the key, or of the endorsement key.
    #[n(0)]
    pub what: Digest,
    /// The machine whose it was.
    #[n(1)]
    pub machine: MachineId,
    /// Since when.
    #[n(2)]
    pub at: Time,
    /// Why, in words.
    #[n(3)]
    pub reason: String,
}
