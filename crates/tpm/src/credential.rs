//! What a server needs of an endorsement key (EK), without a TPM: its identity, and a secret that only its TPM can open.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::exchange::{by_curve, by_rsa};
use crate::hash::Hash;
use crate::public::pad;
use crate::template::EkKind;
use crate::wire::{DecodeError, Writer};
use crate::{Kind, Name, Public, cipher};

/// The public part of an EK whose template we know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EkPublic {
    kind: EkKind,
    public: Public,
    canonical: [u8; 32],
}

/// Why something is no EK.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EkFault {
    /// It is no public part at all.
    #[error("the endorsement key cannot be read: {0}")]
    Unreadable(DecodeError),
    /// It is made from none of the templates in [`EkKind`].
    #[error("the key is no endorsement key of a kind we know (RSA-2048, P-256 or P-384 by the TCG's templates)")]
    NoTemplate,
}

impl EkPublic {
    /// Reads a `TPMT_PUBLIC` that an EK's template made.
    ///
    /// # Errors
    /// It cannot be read, or no template that we know fits.
    pub fn decode(bytes: &[u8]) -> Result<Self, EkFault> {
        Self::new(Public::decode(bytes).map_err(EkFault::Unreadable)?)
    }

    /// The same of a public part that was read already.
    ///
    /// # Errors
    /// No template that we know fits.
    pub fn new(public: Public) -> Result<Self, EkFault> {
        let kind = EkKind::ALL.into_iter().find(|kind| kind.fits(&public)).ok_or(EkFault::NoTemplate)?;
        let canonical = canonical(kind, &public).ok_or(EkFault::NoTemplate)?.sha256();
        Ok(Self { kind, public, canonical })
    }

    /// Which template made it.
    #[must_use]
    pub const fn kind(&self) -> EkKind {
        self.kind
    }

    /// Its public part.
    #[must_use]
    pub const fn public(&self) -> &Public {
        &self.public
    }

    /// Its `TPMT_PUBLIC`, as it is sent.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.public.encode()
    }

    /// SHA-256 of its `TPMT_PUBLIC`: the identity of its TPM. A point's numbers count in full length, so that one key has one
    /// hash however it is written.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.canonical
    }
}

/// The same key with all its zeros; nothing if its numbers are none of this kind's.
fn canonical(kind: EkKind, public: &Public) -> Option<Public> {
    let mut public = public.clone();
    match &mut public.kind {
        Kind::Rsa { modulus, .. } => {
            // A modulus of 2048 bits begins with its highest bit.
            let whole = modulus.len() == 256 && modulus.first().is_some_and(|first| first & 0x80 != 0);
            whole.then_some(())?;
        }
        Kind::Ecc { x, y, .. } => {
            for number in [x, y] {
                let mut whole = vec![0; if kind == EkKind::P384 { 48 } else { 32 }];
                pad(number, &mut whole)?;
                *number = whole;
            }
        }
        Kind::KeyedHash { .. } => return None,
    }
    Some(public)
}

/// 64 random bytes, drawn for one use by whoever can draw them.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Entropy(pub [u8; 64]);

/// A secret for one TPM and one key in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// The secret, encrypted and bound to the AK's name: the contents of a `TPM2B_ID_OBJECT`.
    pub blob: Vec<u8>,
    /// What opens it, encrypted to the EK: the contents of a `TPM2B_ENCRYPTED_SECRET`.
    pub secret: Vec<u8>,
}

/// The random bytes, or the key, are none that the curve or RSA can use: about once in 2^32 draws, or an EK that is a fake.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the endorsement key, or the random number drawn for it, is not usable")]
pub struct Unusable;

/// Makes a credential (part 1 §24): only the TPM of this EK gets `secret` out, and only if a key of this name is in it.
///
/// # Errors
/// The EK is no point of its curve, or `entropy` no scalar; then draw again once.
pub fn make_credential(
    ek: &EkPublic,
    ak_name: &Name,
    secret: &[u8; 32],
    entropy: &Entropy,
) -> Result<Credential, Unusable> {
    let hash = Hash::of(ek.public.name_algorithm).ok_or(Unusable)?;
    let (seed, sent) = seed_for(ek, hash, entropy).ok_or(Unusable)?;
    let key_size = if ek.kind == EkKind::P384 { 32 } else { 16 };
    let key = hash.kdfa(&seed, "STORAGE", &ak_name.0, &[], key_size);
    let mut inside = Zeroizing::new(Writer::new().sized(secret).done());
    cipher::encrypt(&key, &[0; 16], &mut inside).ok_or(Unusable)?;
    let key = hash.kdfa(&seed, "INTEGRITY", &[], &[], hash.size());
    let integrity = hash.hmac(&key, &[&inside, &ak_name.0]);
    Ok(Credential { blob: Writer::new().sized(&integrity).bytes(&inside).done(), secret: sent })
}

/// The seed, and what tells it to the TPM.
fn seed_for(ek: &EkPublic, hash: Hash, entropy: &Entropy) -> Option<(Zeroizing<Vec<u8>>, Vec<u8>)> {
    match &ek.public.kind {
        Kind::Rsa { modulus, .. } => {
            let (seed, mask) = entropy.0.split_at(32);
            let sent = by_rsa(modulus, seed, mask, hash, "IDENTITY")?;
            Some((Zeroizing::new(seed.to_vec()), sent))
        }
        Kind::Ecc { curve, x, y, .. } => {
            let shared = by_curve(*curve, x, y, &entropy.0, hash, "IDENTITY")?;
            Some((shared.seed, shared.sent))
        }
        Kind::KeyedHash { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: Vec<u8>) -> Result<EkPublic, EkFault> {
        let mut public = EkKind::P256.template();
        let Kind::Ecc { x: place, .. } = &mut public.kind else { unreachable!() };
        *place = x;
        EkPublic::new(public)
    }

    #[test]
    fn one_endorsement_key_has_one_hash_however_it_is_written() {
        let whole = point([vec![0], vec![7; 31]].concat()).unwrap();
        let short = point(vec![7; 31]).unwrap();
        assert_ne!(whole.encode(), short.encode());
        assert_eq!(whole.hash(), short.hash());
        assert_eq!(whole.hash(), whole.public().sha256());
        assert_eq!(point([vec![0], vec![7; 32]].concat()), Err(EkFault::NoTemplate));
    }

    #[test]
    fn what_no_template_made_is_no_endorsement_key() {
        let mut signing = EkKind::P256.template();
        signing.attributes = signing.attributes | crate::Attributes::SIGN;
        let mut small = EkKind::Rsa2048.template();
        let Kind::Rsa { modulus, .. } = &mut small.kind else { unreachable!() };
        *modulus = vec![0x7f; 256];
        for public in [signing, small, crate::template::storage(), crate::template::attestation(&[1; 16])] {
            assert_eq!(EkPublic::new(public), Err(EkFault::NoTemplate));
        }
    }
}
