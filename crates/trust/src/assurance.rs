//! How well a machine's identity is known. It is recorded and shown, never implied.

use core::fmt;
use core::str::FromStr;

use minicbor::{CborLen, Decode, Encode};

/// How well we know who a machine is, from nothing to everything. Policies ask for a minimum, so the order counts.
#[derive(Clone, Copy, CborLen, Debug, Decode, Default, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(index_only)]
pub enum Assurance {
    /// It says a MAC address or a serial number, as anybody can.
    #[default]
    #[n(0)]
    Claimed,
    /// It proved that it holds a secret invite.
    #[n(1)]
    Invited,
    /// A person compared six words on its console with ours.
    #[n(2)]
    Approved,
    /// Its key lives in a virtual TPM, which its host can read.
    #[n(3)]
    VirtualTpm,
    /// Its key lives in a TPM whose endorsement key we know.
    #[n(4)]
    Tpm,
    /// The same, and a maker that we trust vouches for the TPM.
    #[n(5)]
    TpmChain,
    /// Its TPM also vouches for what booted: nothing but images that we allow.
    #[n(6)]
    TpmBoot,
}

impl Assurance {
    /// All, from the weakest to the strongest.
    pub const ALL: [Self; 7] =
        [Self::Claimed, Self::Invited, Self::Approved, Self::VirtualTpm, Self::Tpm, Self::TpmChain, Self::TpmBoot];

    /// Its name, as configuration and listings spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Invited => "invited",
            Self::Approved => "approved",
            Self::VirtualTpm => "vtpm",
            Self::Tpm => "tpm",
            Self::TpmChain => "tpm-chain",
            Self::TpmBoot => "tpm-boot",
        }
    }
}

impl fmt::Display for Assurance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Assurance {
    type Err = UnknownAssurance;

    fn from_str(text: &str) -> Result<Self, UnknownAssurance> {
        Self::ALL.into_iter().find(|assurance| assurance.name() == text).ok_or(UnknownAssurance)
    }
}

/// A word that is no assurance.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no such assurance: there are claimed, invited, approved, vtpm, tpm, tpm-chain and tpm-boot")]
pub struct UnknownAssurance;
