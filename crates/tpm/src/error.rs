//! Why a step with a TPM did not work, for people.

use std::io;

use crate::wire::DecodeError;
use crate::{CommandCode, ResponseCode};

/// Why a step with a TPM did not work.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The TPM could not be reached.
    #[error("the TPM did not answer {command}")]
    Transport {
        /// What it was asked.
        command: CommandCode,
        /// Why not.
        source: io::Error,
    },
    /// It refused.
    #[error("{command}: {code}")]
    Refused {
        /// What it was asked.
        command: CommandCode,
        /// Its refusal.
        code: ResponseCode,
    },
    /// Its reply cannot be read.
    #[error("the TPM's reply to {command} cannot be read: {fault}")]
    Unreadable {
        /// What it was asked.
        command: CommandCode,
        /// What is wrong with the reply.
        fault: DecodeError,
    },
    /// Its reply is not authentic.
    #[error("the reply to {command} was changed between the TPM and us")]
    Forged {
        /// What it was asked.
        command: CommandCode,
    },
    /// The random bytes given for a session are no scalar of the curve: draw others. Happens once in 2^32.
    #[error("the random number drawn for the TPM session is not usable")]
    Entropy,
    /// It has no endorsement key of a kind that we know.
    #[error("the TPM has no endorsement key of a kind we know (RSA-2048, P-256 or P-384 by the TCG's templates)")]
    NoEk,
    /// It does not measure with SHA-256.
    #[error("the TPM's SHA-256 bank is switched off")]
    NoBank,
    /// A sealed secret stays closed.
    #[error("the sealed secret stays closed: {0}")]
    Closed(#[from] Closed),
}

impl TpmError {
    /// What a person can do about it, where there is something.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Refused { code, .. } => code.remedy(),
            Self::Transport { .. } => {
                Some("look whether the firmware's settings enable the TPM, and take the machine off power")
            }
            Self::NoBank => Some("switch the TPM's SHA-256 PCR bank on in the firmware's settings"),
            Self::Closed(closed) => Some(closed.remedy()),
            _ => None,
        }
    }

    /// The TPM's refusal, if that is what it is.
    #[must_use]
    pub const fn refusal(&self) -> Option<ResponseCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// Why a sealed secret stays closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Closed {
    /// The sealed blob cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(DecodeError),
    /// It was sealed for another policy key or another purpose.
    #[error("it was sealed for another policy key")]
    OtherPolicyKey,
    /// The approval is not signed by the policy key.
    #[error("the approval is not signed by the policy key")]
    ApprovalSignature,
    /// It was sealed by another TPM, or by this one before it was cleared.
    #[error("it was sealed by another TPM, or by this one before it was cleared")]
    OtherTpm,
    /// PCR 11 is not what was approved.
    #[error("the image that runs is not the approved one (PCR 11)")]
    Pcr11,
    /// PCR 12 is not empty.
    #[error("the image was started with a command line or credentials that are not its own (PCR 12)")]
    Pcr12,
    /// PCR 7 is not what it was.
    #[error("Secure Boot's state or keys are not what they were when it was sealed (PCR 7)")]
    Pcr7,
}

impl Closed {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable(_) => "sealed-unreadable",
            Self::OtherPolicyKey => "sealed-other-key",
            Self::ApprovalSignature => "sealed-approval-signature",
            Self::OtherTpm => "sealed-other-tpm",
            Self::Pcr11 => "sealed-other-image",
            Self::Pcr12 => "sealed-other-command-line",
            Self::Pcr7 => "sealed-other-secure-boot",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Unreadable(_) | Self::OtherTpm => "open the disk with the escrow key, and seal a new secret",
            Self::OtherPolicyKey | Self::ApprovalSignature => "boot an image that was built with this org's policy key",
            Self::Pcr11 => "boot an image that this org has approved",
            Self::Pcr12 => "start the image from its own boot entry, with no command line added",
            Self::Pcr7 => {
                "restore Secure Boot's settings, or have an admin open the disk by its key in escrow: `slipway machine open`"
            }
        }
    }
}
