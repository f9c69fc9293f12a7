//! Why the desk does not take a record, in words for the admin who submits it.

use crate::invite::BadInvite;
use crate::life::State;
use crate::org::BadManifest;
use crate::record::Verb;
use crate::refusal::Refusal;
use crate::window::BadWindow;

/// Why a record is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Objection {
    /// Too few admins of the org have signed it.
    #[error(
        "{valid} of {needed} needed admins have signed this: sign it with the key of an admin whom the org's manifest names"
    )]
    Unsigned {
        /// Valid signatures.
        valid: usize,
        /// Needed signatures.
        needed: usize,
    },
    /// It is signed, but it is no such record.
    #[error(
        "this is signed, but it is no record of this kind: sign it with the same version of slipway as the server's"
    )]
    Malformed,
    /// It was used before, or something later was.
    #[error("this record was used before, or one that was signed later: sign a new one")]
    Used,
    /// It is from the future.
    #[error("this record was signed in the future: set the clock of the machine that signs, or of this server")]
    Future,
    /// A window that cannot be.
    #[error("{0}: ask for a shorter window, or fewer machines")]
    Window(#[from] BadWindow),
    /// Its time is over.
    #[error("its time is over: sign a new one")]
    Over,
    /// There is no such window.
    #[error("no such window is open: `slipway window show` shows them")]
    NoWindow,
    /// An invite that cannot be.
    #[error("{0}")]
    Invite(#[from] BadInvite),
    /// There is no such invite.
    #[error("there is no such invite: `slipway invite list` shows those that there are")]
    NoInvite,
    /// It was revoked before.
    #[error("this invite was revoked at {0}: nobody comes in by it any more")]
    InviteRevoked(crate::id::Time),
    /// There are too many invites.
    #[error("there are too many invites: revoke some, or let some expire")]
    TooManyInvites,
    /// There is no such ticket.
    #[error("nobody asks under this ticket: `slipway requests` shows who does")]
    NoTicket,
    /// The approval is for somebody else: the machine has asked anew since.
    #[error("this was signed for another conversation: the machine has asked anew since, so compare its words again")]
    OtherTicket,
    /// The ticket cannot go there from where it is.
    #[error("that cannot be done now: {0}")]
    State(Refusal),
    /// The machine cannot go there from where it is.
    #[error("`{verb}` is not for a machine that is {state}: `slipway machine show` tells since when", verb = .0.name(), state = .1.name())]
    Machine(Verb, State),
    /// Nothing of this machine's is shut out.
    #[error("neither the machine's key nor its TPM is shut out: there is nothing to unban")]
    NotBanned,
    /// Less is known of the machine than the org demands.
    #[error(
        "it is known by `{has}` only, and `{needs}` is demanded: use a machine with a TPM, or lower the org's policy"
    )]
    Assurance {
        /// What it would be known by.
        has: crate::Assurance,
        /// What is demanded.
        needs: crate::Assurance,
    },
    /// A name that is no plain word.
    #[error("`{0}` is no name: take lower-case letters, digits, hyphens and dots, at most 63")]
    Name(String),
    /// A living machine has that name.
    #[error("a machine named `{0}` exists: take another name, or retire that machine")]
    NameTaken(String),
    /// A plan for a disk that the machine does not have.
    #[error("the machine has no disk `{0}`: `slipway requests` shows its disks")]
    NoDisk(String),
    /// A plan to wipe, without saying what.
    #[error("a disk is wiped only by its name: name the disk")]
    NamelessWipe,
    /// There is no such machine.
    #[error("there is no such machine: `slipway machines` shows those that there are")]
    NoMachine,
    /// Nothing is opened by it.
    #[error(
        "this opens no disk: it needs the key in escrow that the machine last told of, and a TPM; make a new one with the escrow key"
    )]
    Opening,
    /// The org's manifest is not believed.
    #[error(transparent)]
    Manifest(#[from] BadManifest),
    /// Another manifest of this epoch was installed.
    #[error("another manifest of epoch {0} was installed before: sign one with a higher epoch")]
    SameEpoch(u64),
}
