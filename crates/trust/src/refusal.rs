//! Why a machine is refused: a closed set with stable codes, said to the machine and written in the audit log alike.

use core::fmt;

use minicbor::{CborLen, Decode, Encode};

/// Why a machine is refused.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(index_only)]
pub enum Refusal {
    /// The message is not a well-formed one, or not the one that is due.
    #[n(0)]
    Malformed,
    /// A version of the protocol that we do not speak.
    #[n(1)]
    Version,
    /// Another org's.
    #[n(2)]
    WrongOrg,
    /// Too many at once, or too often.
    #[n(3)]
    TooMany,
    /// The conversation took too long, or is over.
    #[n(4)]
    Stale,
    /// No enrolment window is open, or it is full.
    #[n(5)]
    NoWindow,
    /// The image that asks is below the floor.
    #[n(6)]
    OldImage,
    /// The invite is not known, not yet or no more valid, or does not match this machine.
    #[n(7)]
    BadInvite,
    /// The invite has been used as often as it may be.
    #[n(8)]
    InviteUsed,
    /// A signature is not valid, or is another channel's.
    #[n(9)]
    BadSignature,
    /// What was committed to is not what was revealed.
    #[n(10)]
    BadCommitment,
    /// The TPM's evidence does not hold together.
    #[n(11)]
    BadEvidence,
    /// The boot log tells of a program that is not allowed, or is not what the TPM quotes.
    #[n(12)]
    BadBootLog,
    /// Less is known of the machine than is asked for.
    #[n(13)]
    Assurance,
    /// A person said no.
    #[n(14)]
    Denied,
    /// Nobody decided in time.
    #[n(15)]
    Expired,
    /// No such machine, key or ticket.
    #[n(16)]
    Unknown,
    /// The machine is suspended.
    #[n(17)]
    Suspended,
    /// The machine was retired.
    #[n(18)]
    Retired,
    /// The machine, its key or its TPM was revoked.
    #[n(19)]
    Revoked,
    /// The machine may not do this in its present state.
    #[n(20)]
    WrongState,
    /// A counter did not rise: the message was sent before.
    #[n(21)]
    Replayed,
    /// Too many recoveries, of this machine or of the fleet: a person must look.
    #[n(22)]
    RecoveryLimit,
    /// This node cannot decide it: its state is not fresh, or it does not play that role.
    #[n(23)]
    NotHere,
    /// We failed: the server's log says why.
    #[n(24)]
    Internal,
    /// There is no image for this machine to install or to start.
    #[n(25)]
    NoImage,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 26] = [
        Self::Malformed,
        Self::Version,
        Self::WrongOrg,
        Self::TooMany,
        Self::Stale,
        Self::NoWindow,
        Self::OldImage,
        Self::BadInvite,
        Self::InviteUsed,
        Self::BadSignature,
        Self::BadCommitment,
        Self::BadEvidence,
        Self::BadBootLog,
        Self::Assurance,
        Self::Denied,
        Self::Expired,
        Self::Unknown,
        Self::Suspended,
        Self::Retired,
        Self::Revoked,
        Self::WrongState,
        Self::Replayed,
        Self::RecoveryLimit,
        Self::NotHere,
        Self::Internal,
        Self::NoImage,
    ];

    /// Its stable code, and what to tell the person before the machine.
    #[must_use]
    pub const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed => ("malformed", "the message is not one that is due now"),
            Self::Version => ("version", "this image speaks another version of the protocol: boot a newer one"),
            Self::WrongOrg => ("wrong-org", "this image belongs to another org"),
            Self::TooMany => ("too-many", "too many machines ask at once: it is tried again"),
            Self::Stale => ("stale", "it took too long: it is tried again"),
            Self::NoWindow => ("no-window", "no enrolment window is open: `slipway window open` opens one"),
            Self::OldImage => ("old-image", "this image is too old: boot a newer one"),
            Self::BadInvite => ("bad-invite", "the invite is not valid here, or not for this machine"),
            Self::InviteUsed => ("invite-used", "the invite is used up"),
            Self::BadSignature => ("bad-signature", "a signature is not valid"),
            Self::BadCommitment => ("bad-commitment", "what was revealed is not what was committed to"),
            Self::BadEvidence => ("bad-evidence", "the TPM's evidence is not sound"),
            Self::BadBootLog => ("bad-boot-log", "the boot log tells of a program that is not allowed"),
            Self::Assurance => ("assurance", "not enough is known of this machine"),
            Self::Denied => ("denied", "a person denied it"),
            Self::Expired => ("expired", "nobody approved it in time"),
            Self::Unknown => ("unknown", "this machine is not known here"),
            Self::Suspended => ("suspended", "this machine is suspended: `slipway machine resume` ends that"),
            Self::Retired => ("retired", "this machine was retired: it may enrol anew"),
            Self::Revoked => ("revoked", "this machine was revoked"),
            Self::WrongState => ("wrong-state", "this machine may not do this now"),
            Self::Replayed => ("replayed", "this message was sent before"),
            Self::RecoveryLimit => ("recovery-limit", "too many recoveries: a person must approve this one"),
            Self::NotHere => ("not-here", "this server does not decide that: another is tried"),
            Self::Internal => ("internal", "the server failed: its log says why"),
            Self::NoImage => ("no-image", "there is no image for this machine: `slipway image build` makes one"),
        }
    }

    /// Its stable code: logs, metrics and the audit log name it.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.told().0
    }

    /// Whether it is worth trying again by itself, later or elsewhere.
    #[must_use]
    pub const fn passes(self) -> bool {
        matches!(self, Self::TooMany | Self::Stale | Self::NoWindow | Self::NotHere | Self::Internal | Self::NoImage)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.told().1)
    }
}

impl core::error::Error for Refusal {}
