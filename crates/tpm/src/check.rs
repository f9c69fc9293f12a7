//! What a server checks of a TPM's keys and statements, without a TPM. Each refusal has a stable code.

use subtle::ConstantTimeEq as _;

use crate::attest::{Attest, Clock, Statement, Subject};
use crate::hash::sha256;
use crate::policy::verifies;
use crate::wire::DecodeError;
use crate::{Algorithm, Attributes, Kind, Name, PcrSet, Public, Scheme, Symmetric, template};

/// Why evidence is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The key is no P-256 key that signs by ECDSA with SHA-256 under a name of SHA-256.
    #[error("the key is no P-256 key that signs by ECDSA with SHA-256")]
    KeyKind,
    /// The key could live outside of its TPM, or was not made in it.
    #[error("the key was not made in a TPM that keeps it: fixedTPM, fixedParent and sensitiveDataOrigin must be set")]
    KeyOrigin,
    /// The AK would sign what is not the TPM's, or the key does more than to sign.
    #[error("the key is not of the right use: an AK is restricted and signs, an identity signs, neither decrypts")]
    KeyUse,
    /// The key's name cannot be computed, or its point is none.
    #[error("the key is not a point of its curve")]
    KeyPoint,
    /// The statement cannot be read, or no TPM has made it.
    #[error("the statement cannot be read: {0}")]
    Unreadable(DecodeError),
    /// The signature over the statement is not the AK's.
    #[error("the statement is not signed by the attestation key")]
    Signature,
    /// The statement was made for another occasion.
    #[error("the statement was made for another occasion")]
    Qualifying,
    /// The statement is about something else.
    #[error("the statement is about something else")]
    Subject,
}

impl Refusal {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::KeyKind => "tpm-key-kind",
            Self::KeyOrigin => "tpm-key-origin",
            Self::KeyUse => "tpm-key-use",
            Self::KeyPoint => "tpm-key-point",
            Self::Unreadable(_) => "tpm-unreadable",
            Self::Signature => "tpm-signature",
            Self::Qualifying => "tpm-not-fresh",
            Self::Subject => "tpm-other-subject",
        }
    }
}

/// Whether a public part is an attestation key: made in its TPM, kept there, restricted, and only for signing. Gives its
/// name, for [`crate::make_credential`].
///
/// # Errors
/// What is wrong with it.
pub fn check_ak(public: &Public) -> Result<Name, Refusal> {
    check_key(public, Attributes::RESTRICTED | Attributes::SIGN, Attributes::DECRYPT)?;
    public.name().ok_or(Refusal::KeyKind)
}

/// Whether a public part is an identity key: made in its TPM, kept there, and only for signing. Gives its point, x and y.
///
/// # Errors
/// What is wrong with it.
pub fn check_identity(public: &Public) -> Result<[u8; 64], Refusal> {
    check_key(public, Attributes::SIGN, Attributes::DECRYPT | Attributes::RESTRICTED)
}

fn check_key(public: &Public, wanted: Attributes, unwanted: Attributes) -> Result<[u8; 64], Refusal> {
    let Kind::Ecc { symmetric: Symmetric::NULL, scheme: Scheme::ECDSA_SHA256, .. } = public.kind else {
        return Err(Refusal::KeyKind);
    };
    let point = public.p256_point().ok_or(Refusal::KeyKind)?;
    if public.name_algorithm != Algorithm::SHA256 {
        return Err(Refusal::KeyKind);
    }
    if !public.attributes.has(template::NATIVE) {
        return Err(Refusal::KeyOrigin);
    }
    if !public.attributes.has(wanted) || !public.attributes.lacks(unwanted) {
        return Err(Refusal::KeyUse);
    }
    let sec1 = [&[4], point.as_slice()].concat();
    p256::PublicKey::from_sec1_bytes(&sec1).map_err(|_| Refusal::KeyPoint)?;
    Ok(point)
}

/// Whether an AK states that an object of this name is in its TPM, for this occasion.
///
/// # Errors
/// What is wrong with the AK or its statement.
pub fn check_certify(ak: &Public, statement: &Statement, expected: &Name, qualifying: &[u8]) -> Result<Clock, Refusal> {
    let attest = check_statement(ak, statement, qualifying)?;
    match attest.subject {
        Subject::Object(name) if name == *expected => Ok(attest.clock),
        _ => Err(Refusal::Subject),
    }
}

/// What an AK states of these PCRs, and of no others, for this occasion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quoted {
    /// Which PCRs.
    pub pcrs: PcrSet,
    /// SHA-256 of their values after each other, rising.
    pub digest: [u8; 32],
    /// The TPM's clock.
    pub clock: Clock,
    /// The TPM firmware's version.
    pub firmware: u64,
}

/// Checks a quote of exactly these PCRs.
///
/// # Errors
/// What is wrong with the AK or its statement.
pub fn check_quote(ak: &Public, statement: &Statement, pcrs: PcrSet, qualifying: &[u8]) -> Result<Quoted, Refusal> {
    let attest = check_statement(ak, statement, qualifying)?;
    match attest.subject {
        Subject::Pcrs(quoted, digest) if quoted == pcrs => {
            Ok(Quoted { pcrs, digest, clock: attest.clock, firmware: attest.firmware })
        }
        _ => Err(Refusal::Subject),
    }
}

/// Nothing of a statement is read before its signature is known to be the AK's.
fn check_statement(ak: &Public, statement: &Statement, qualifying: &[u8]) -> Result<Attest, Refusal> {
    check_ak(ak)?;
    let point = ak.p256_point().ok_or(Refusal::KeyKind)?;
    if !verifies(&point, &sha256(&[&statement.attest]), &statement.signature) {
        return Err(Refusal::Signature);
    }
    let attest = Attest::decode(&statement.attest).map_err(Refusal::Unreadable)?;
    if !bool::from(attest.qualifying.ct_eq(qualifying)) {
        return Err(Refusal::Qualifying);
    }
    Ok(attest)
}

/// Whether a P-256 identity, x and y, signed this SHA-256 digest: r and s of 32 bytes each.
#[must_use]
pub fn check_signature(point: &[u8; 64], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    verifies(point, digest, signature)
}
