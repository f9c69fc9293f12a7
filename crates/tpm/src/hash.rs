//! Hashes, and the two key derivations of the TPM specification (part 1 §11.4.10).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha384};
use zeroize::Zeroizing;

/// A hash algorithm that we can compute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
}

impl Hash {
    /// The hash that a TPM names so, if we can compute it.
    pub(crate) const fn of(algorithm: crate::Algorithm) -> Option<Self> {
        match algorithm {
            crate::Algorithm::SHA256 => Some(Self::Sha256),
            crate::Algorithm::SHA384 => Some(Self::Sha384),
            _ => None,
        }
    }

    /// The size of a digest, in bytes.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// The digest of all parts after each other.
    pub(crate) fn digest(self, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        fn run<D: sha2::Digest>(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
            let hash = parts.iter().fold(D::new(), |hash, part| hash.chain_update(part));
            Zeroizing::new(hash.finalize().to_vec())
        }
        match self {
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha384 => run::<Sha384>(parts),
        }
    }

    /// HMAC over all parts. An HMAC takes a key of any length.
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Sha256 => Hmac::<Sha256>::new_from_slice(key).map(|mac| {
                let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
                Zeroizing::new(mac.finalize().into_bytes().to_vec())
            }),
            Self::Sha384 => Hmac::<Sha384>::new_from_slice(key).map(|mac| {
                let mac = parts.iter().fold(mac, |mac, part| mac.chain_update(part));
                Zeroizing::new(mac.finalize().into_bytes().to_vec())
            }),
        }
        .unwrap_or_default()
    }

    /// `KDFa`: `size` bytes from a key, a label and two contexts.
    pub(crate) fn kdfa(self, key: &[u8], label: &str, u: &[u8], v: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
        let bits = bits(size);
        let made = (1_u32..).map(|nth| {
            self.hmac(key, &[&nth.to_be_bytes(), label.as_bytes(), &[0], u, v, &bits]) //
        });
        gather(made, size)
    }

    /// `KDFe`: `size` bytes from a point's x, a label and the x of both parties.
    pub(crate) fn kdfe(self, z: &[u8], label: &str, u: &[u8], v: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
        let made = (1_u32..).map(|nth| self.digest(&[&nth.to_be_bytes(), z, label.as_bytes(), &[0], u, v]));
        gather(made, size)
    }

    /// MGF1 (RFC 8017 §B.2.1).
    pub(crate) fn mgf1(self, seed: &[u8], size: usize) -> Zeroizing<Vec<u8>> {
        gather((0_u32..).map(|nth| self.digest(&[seed, &nth.to_be_bytes()])), size)
    }
}

fn bits(size: usize) -> [u8; 4] {
    crate::wire::count(size.saturating_mul(8)).to_be_bytes()
}

fn gather(blocks: impl Iterator<Item = Zeroizing<Vec<u8>>>, size: usize) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(size.saturating_add(64)));
    for block in blocks {
        if out.len() >= size {
            break;
        }
        out.extend_from_slice(&block);
    }
    out.truncate(size);
    out
}

/// SHA-256 of all parts after each other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}
