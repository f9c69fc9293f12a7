//! What persons give a machine, so that it opens a disk through escrow.

use minicbor::{CborLen, Decode, Encode};
use slipway_tpm::{EkPublic, Entropy, Public, make_credential};

use super::{Escrow, Unopened};
use crate::id::{Digest, MachineId, OrgId};
use crate::keyfile::PrivateKey;
use crate::record::TpmFacts;

/// The key of an escrow slot, for one TPM alone: it opens it only where the attestation key on record is, as it opens M4's secret. The org keeps it
/// until the machine has taken it, and cannot read it; nor can a machine that was not let in.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Opening {
    /// Whose volume it opens: the machine's own, or the one that it takes the place of.
    #[n(0)]
    pub machine: MachineId,
    /// [`Escrow::digest`] of what it was made from: once the volume has another one, it is spent.
    #[n(1)]
    pub escrow: Digest,
    /// TPM2B_ID_OBJECT.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub blob: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub secret: Vec<u8>,
}

/// Why there is no opening.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoOpening {
    /// The escrow is not opened.
    #[error("the key in escrow: {0}")]
    Escrow(#[from] Unopened),
    /// The TPM's keys are not what they are said to be.
    #[error("the machine's TPM is not the one that it is said to be")]
    Tpm,
}

impl Opening {
    /// Opens a key in escrow and seals it to a machine's TPM. `entropy` is random, and used for nothing else.
    ///
    /// # Errors
    /// The escrow key does not open it, or the TPM's public keys do not fit its name.
    pub fn make(
        escrow: &Escrow,
        (org, machine): (&OrgId, &MachineId),
        key: &PrivateKey,
        tpm: &TpmFacts,
        entropy: [u8; 64],
    ) -> Result<Self, NoOpening> {
        let secret = escrow.open(key, org, machine)?;
        let ek = EkPublic::decode(&tpm.ek_public).map_err(|_| NoOpening::Tpm)?;
        if Digest(ek.hash()) != tpm.ek {
            return Err(NoOpening::Tpm);
        }
        let ak = Public::decode(&tpm.ak).map_err(|_| NoOpening::Tpm)?;
        let name = slipway_tpm::check_ak(&ak).map_err(|_| NoOpening::Tpm)?;
        let made = make_credential(&ek, &name, &secret, &Entropy(entropy)).map_err(|_| NoOpening::Tpm)?;
        Ok(Self { machine: *machine, escrow: escrow.digest(), blob: made.blob, secret: made.secret })
    }
}
