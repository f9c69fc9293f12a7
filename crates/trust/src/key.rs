//! Keys: Ed25519 where a person, a build host or a server without hardware holds them, P-256 where a TPM does.

use core::fmt;

use ed25519_dalek::Signer as _;
use minicbor::{CborLen, Decode, Encode};
use p256::ecdsa::signature::Verifier as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;

use crate::id::{Digest, bytes_of_hex};

/// A public key.
#[derive(Clone, Copy, CborLen, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), its 32 bytes.
    #[n(0)]
    Ed25519(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        [u8; 32],
    ),
    /// ECDSA with P-256 and SHA-256: the point, compressed (SEC 1 §2.3.3). TPMs know no Ed25519.
    #[n(1)]
    P256(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        [u8; 33],
    ),
}

/// The short name of a key: the first 8 bytes of SHA-256 over its encoding. It finds a key in a list, and proves nothing.
#[derive(Clone, Copy, CborLen, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(transparent)]
pub struct Kid(
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub [u8; 8],
);

/// A signature: 64 bytes. Of ECDSA, `r` and `s` as big-endian numbers of 32 bytes.
pub type SignatureBytes = [u8; 64];

impl PublicKey {
    /// The key with this point: x and y, 32 bytes each, as a TPM tells them. None if there is no such point on the curve.
    #[must_use]
    pub fn p256(point: &[u8; 64]) -> Option<Self> {
        let uncompressed = [&[4], point.as_slice()].concat();
        let key = p256::PublicKey::from_sec1_bytes(&uncompressed).ok()?;
        let point = key.to_sec1_point(true);
        point.as_bytes().try_into().ok().map(Self::P256)
    }

    /// Its short name.
    #[must_use]
    pub fn kid(&self) -> Kid {
        let digest = self.digest().0;
        Kid(*digest.first_chunk().unwrap_or(&[0; 8]))
    }

    /// SHA-256 over its encoding: what deny lists and records name it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&crate::encode(self))
    }

    /// Whether this is the holder's signature of these bytes. Ed25519 is checked strictly: no key of small order, no second form of a
    /// signature passes.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &SignatureBytes) -> bool {
        match self {
            Self::Ed25519(bytes) => ed25519_dalek::VerifyingKey::from_bytes(bytes)
                .is_ok_and(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()),
            Self::P256(point) => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point);
                let signature = p256::ecdsa::Signature::from_slice(signature);
                matches!((key, signature), (Ok(key), Ok(signature)) if key.verify(message, &signature).is_ok())
            }
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = match self {
            Self::Ed25519(bytes) => ("ed25519", bytes.as_slice()),
            Self::P256(point) => ("p256", point.as_slice()),
        };
        write!(f, "{kind}:")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::str::FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let (kind, digits) = text.split_once(':').ok_or(NoKey)?;
        match kind {
            "ed25519" => bytes_of_hex(digits).map(Self::Ed25519),
            "p256" => bytes_of_hex(digits).map(Self::P256),
            _ => None,
        }
        .filter(Self::is_a_point)
        .ok_or(NoKey)
    }
}

impl PublicKey {
    fn is_a_point(&self) -> bool {
        match self {
            Self::Ed25519(bytes) => ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak()),
            Self::P256(point) => p256::ecdsa::VerifyingKey::from_sec1_bytes(point).is_ok(),
        }
    }
}

/// A text that is no public key.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a public key: write `ed25519:` and 64 hexadecimal digits, or `p256:` and 66")]
pub struct NoKey;

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// A private Ed25519 key, in memory. It is wiped when it is dropped, and prints nothing of itself.
///
/// Whoever holds a key elsewhere (a TPM, a hardware token) signs [`crate::seal::signed_bytes`] himself and attaches the signature with
/// [`crate::Signed::attach`]: nothing here asks for the private half.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key that grows from these 32 random bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Its seed, to be kept in a file that only its owner reads.
    #[must_use]
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.verifying_key().to_bytes())
    }

    /// Signs these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}
