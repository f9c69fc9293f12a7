//! The policy that opens a sealed secret, computed without a TPM.
//!
//! A secret is sealed for one policy key and for Secure Boot as it is. It opens when
//! 1. PCR 11, the parts of the UKI that runs, has a value that the policy key approved, and PCR 12, what the stub took from
//!    outside of the UKI, holds nothing: `PolicyPCR(11, 12)`, whose digest must be the approved one, for `PolicyAuthorize`
//!    then replaces what was met so far by the key's name and the reference; and
//! 2. PCR 7, Secure Boot's state and keys, is what it was when the secret was sealed: `PolicyPCR(7)` after that.
//!
//! So a new image needs a new approval and no new sealing, and whoever has no approval cannot get by with another PCR 7.
//! The order matters: what comes before `PolicyAuthorize` is the policy key's to decide, what comes after is the sealer's.
//!
//! With Secure Boot off, a program that is not ours can extend PCR 11 as our stub would: then this policy holds up nobody who
//! starts programs of his own on the machine.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

use crate::hash::sha256;
use crate::wire::Writer;
use crate::{CommandCode, PcrSet, template};

/// Whose approvals open a secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyKey {
    /// The key: x and y of a P-256 point, 32 bytes each.
    pub point: [u8; 64],
    /// What the approvals are for (`policyRef`); at most 32 bytes, so that every TPM takes it.
    pub reference: Vec<u8>,
}

/// An approval: this policy, signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    /// The digest of the approved policy: [`approved_policy`].
    pub policy: [u8; 32],
    /// The policy key's signature over [`approval_digest`]: ECDSA, r and s of 32 bytes each.
    pub signature: [u8; 64],
}

/// What an approval is about: a UKI's parts, and what its stub took from elsewhere, a command line or credentials.
pub(crate) const APPROVED: PcrSet = PcrSet::one(11).and(PcrSet::one(12));

/// The policy that the build host approves for an image: PCR 11 has this value, and PCR 12 was never extended.
#[must_use]
pub fn approved_policy(pcr11: &[u8; 32]) -> [u8; 32] {
    policy_pcr(&[0; 32], APPROVED, &[pcr11, &[0; 32]])
}

/// The digest that the build host signs with the policy key: SHA-256 of policy and reference, so that it is the same as
/// ECDSA with SHA-256 over `policy ‖ reference`.
#[must_use]
pub fn approval_digest(policy: &[u8; 32], reference: &[u8]) -> [u8; 32] {
    sha256(&[policy, reference])
}

/// Whether the policy key signed this approval.
#[must_use]
pub fn approval_holds(key: &PolicyKey, approval: &Approval) -> bool {
    verifies(&key.point, &approval_digest(&approval.policy, &key.reference), &approval.signature)
}

/// The policy of a secret that is sealed for this key while PCR 7 has this value. Nothing if the key is none.
#[must_use]
pub fn sealed_policy(key: &PolicyKey, pcr7: &[u8; 32]) -> Option<[u8; 32]> {
    let name = template::verifier(&key.point).name()?;
    let code = CommandCode::POLICY_AUTHORIZE.0.to_be_bytes();
    let authorised = sha256(&[&sha256(&[&[0; 32], &code, &name.0]), &key.reference]);
    Some(policy_pcr(&authorised, PcrSet::one(7), &[pcr7]))
}

/// `PolicyPCR` (part 3 §23.7): the policy so far, extended by the selection and the digest of the values.
fn policy_pcr(before: &[u8; 32], pcrs: PcrSet, values: &[&[u8; 32]]) -> [u8; 32] {
    let values: Vec<&[u8]> = values.iter().map(|value| value.as_slice()).collect();
    let code = CommandCode::POLICY_PCR.0.to_be_bytes();
    sha256(&[before, &code, &pcrs.encode(Writer::new()).done(), &sha256(&values)])
}

/// Whether a P-256 key, x and y, signed this digest.
pub(crate) fn verifies(point: &[u8; 64], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let sec1 = [&[4], point.as_slice()].concat();
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(&sec1), Signature::from_slice(signature)) else {
        return false;
    };
    key.verify_prehash(digest, &signature).is_ok()
}
