//! Why a machine goes no further, in words for its console.

use crate::frames::{Refused, Reply};
use crate::image::Rejected;
use crate::org::BadManifest;

/// Why a machine goes no further.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stop {
    /// The server says no.
    #[error("the server refuses: {}", .0.why)]
    Refused(Refused),
    /// The server says what it should not: it is not believed.
    #[error(transparent)]
    Misled(#[from] Misled),
}

/// What a machine does not believe of a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Misled {
    /// The reply does not read.
    #[error("the server's reply is damaged")]
    Malformed,
    /// Another reply is due.
    #[error("the server answers what was not asked")]
    NotDue,
    /// It speaks for another org.
    #[error("the server speaks for another org")]
    WrongOrg,
    /// It asks for a quote of other PCRs than it must.
    #[error("the server asks for a weak proof of the boot")]
    WeakQuote,
    /// The org's manifest is not believed.
    #[error(transparent)]
    Manifest(#[from] BadManifest),
    /// The pinned machine CA is not the manifest's.
    #[error("the org's manifest names another machine CA than the one that this connection was checked with")]
    OtherCa,
    /// The grant is signed by nobody who may.
    #[error("the grant is not signed by an enroller of the org")]
    Grant,
    /// The grant is for another machine.
    #[error("the grant is for another {0}")]
    OtherGrant(&'static str),
    /// The grant's time is over.
    #[error("the grant has expired")]
    ExpiredGrant,
    /// The plan goes beyond what a machine does to its disks.
    #[error("the plan would wipe a disk that was not named, or that this machine did not tell of")]
    Plan,
    /// The image's manifest is not admitted.
    #[error("the image: {0}")]
    Image(Rejected),
    /// The signature that was handed in is not valid: it is never sent.
    #[error("the signature of this machine's own key is not valid")]
    OwnSignature,
}

/// The reply, unless it is a refusal.
pub(crate) fn read(reply: &[u8]) -> Result<Reply, Stop> {
    match crate::decode(reply) {
        Err(_) => Err(Misled::Malformed.into()),
        Ok(Reply::Refused(refused)) => Err(Stop::Refused(refused)),
        Ok(reply) => Ok(reply),
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}
