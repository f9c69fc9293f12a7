//! The key that this machine is known by: in its TPM, where it can't be taken from; else in a file on its ESP.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use slipway_trust::key::SignatureBytes;
use slipway_trust::{Digest, OrgId, PublicKey, SigningKey};

use crate::tpm::{self, Chip};

/// The file on the ESP that holds the key of a machine without a TPM: 32 bytes.
pub(crate) const FILE: &str = "EFI/slipway/identity.key";

/// The machine's key.
pub(crate) enum Identity {
    /// In memory, from a file.
    File(SigningKey),
    /// In the TPM.
    Tpm(InTpm),
}

/// A key that the TPM makes anew each time, always the same.
pub(crate) struct InTpm {
    org: OrgId,
    public: PublicKey,
    chip: Mutex<Chip>,
}

impl Identity {
    /// The key of this org in this machine's TPM.
    ///
    /// # Errors
    /// In words: the TPM's refusal.
    pub(crate) fn in_tpm(mut chip: Chip, org: OrgId) -> Result<Self, String> {
        let keys = chip.identity(&org.0).map_err(|error| tpm::in_words(&error))?;
        let point = keys.identity.p256_point().ok_or("the TPM's identity key is not on the curve P-256")?;
        let public = PublicKey::p256(&point).ok_or("the TPM's identity key is no point of its curve")?;
        Ok(Self::Tpm(InTpm { org, public, chip: Mutex::new(chip) }))
    }

    /// Its public half.
    pub(crate) fn public(&self) -> PublicKey {
        match self {
            Self::File(key) => key.public(),
            Self::Tpm(key) => key.public,
        }
    }

    /// Signs.
    ///
    /// # Errors
    /// In words: the TPM's refusal.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<SignatureBytes, String> {
        match self {
            Self::File(key) => Ok(key.sign(message)),
            Self::Tpm(key) => key.with_chip(|chip| chip.sign(&key.org.0, &Digest::of(message).0)),
        }
    }

    /// The TPM that it is in.
    pub(crate) fn tpm(&self) -> Option<&InTpm> {
        match self {
            Self::File(_) => None,
            Self::Tpm(key) => Some(key),
        }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> &'static str {
        match self {
            Self::File(_) => "in a file: this machine is no better known than a person's word",
            Self::Tpm(_) => "in the TPM",
        }
    }
}

impl InTpm {
    /// Works with the TPM.
    ///
    /// # Errors
    /// In words, with the remedy where there is one.
    pub(crate) fn with_chip<T>(
        &self,
        work: impl FnOnce(&mut Chip) -> Result<T, slipway_tpm::TpmError>,
    ) -> Result<T, String> {
        let mut chip = self.chip.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut chip).map_err(|error| tpm::in_words(&error))
    }

    /// The org that its keys are for.
    pub(crate) fn org(&self) -> &OrgId {
        &self.org
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public())
    }
}
