//! What persons say of machines.

use minicbor::{CborLen, Decode, Encode};

use super::DiskPlan;
use crate::escrow::Opening;
use crate::id::{Digest, MachineId, TicketId, Time};

/// A person's word on a ticket ([`crate::Domain::Approval`]): bound to key, TPM and transcript, so that it is of use for nobody else.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Approval {
    /// The ticket.
    #[n(0)]
    pub ticket: TicketId,
    /// Its key.
    #[n(1)]
    pub key: Digest,
    /// Its TPM.
    #[n(2)]
    pub ek: Option<Digest>,
    /// Its transcript.
    #[n(3)]
    pub transcript: Digest,
    /// Yes or no.
    #[n(4)]
    pub yes: bool,
    /// The machine's name.
    #[n(5)]
    pub name: String,
    /// Its role.
    #[n(6)]
    pub role: String,
    /// What it is to do with its disk.
    #[n(7)]
    pub plan: DiskPlan,
    /// When.
    #[n(8)]
    pub at: Time,
    /// The machine that this one takes the place of. Its identity ends in the same act: it is retired; revoked if it had another TPM.
    #[n(9)]
    pub replaces: Option<MachineId>,
    /// What opens that machine's data partition for this one: a key in escrow that persons have opened.
    #[n(10)]
    pub opening: Option<Opening>,
}

/// What an admin does to a known machine ([`crate::Domain::Act`]).
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Act {
    /// The machine.
    #[n(0)]
    pub machine: MachineId,
    /// What.
    #[n(1)]
    pub verb: Verb,
    /// Why, in words.
    #[n(2)]
    pub reason: String,
    /// When.
    #[n(3)]
    pub at: Time,
    /// To open a machine's data partition: how.
    #[n(4)]
    pub opening: Option<Opening>,
}

/// What can be done to a machine.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, PartialEq)]
#[cbor(index_only)]
pub enum Verb {
    /// Give it nothing for now.
    #[n(0)]
    Suspend,
    /// End that.
    #[n(1)]
    Resume,
    /// Its identity ends; the hardware may enrol anew.
    #[n(2)]
    Retire,
    /// Its identity ends, and its key and its TPM are never let in again.
    #[n(3)]
    Revoke,
    /// Key and TPM of a revoked machine may enrol anew; its identity stays dead.
    #[n(4)]
    Unban,
    /// Its next start opens its data partition through escrow, and seals its half of the key anew.
    #[n(5)]
    Open,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Suspend, Self::Resume, Self::Retire, Self::Revoke, Self::Unban, Self::Open];

    /// Its name, as the command line and the audit log spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Retire => "retire",
            Self::Revoke => "revoke",
            Self::Unban => "unban",
            Self::Open => "open",
        }
    }
}
