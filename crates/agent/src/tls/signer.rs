//! The machine's identity key as TLS wants it, wherever it is: in a TPM it cannot be taken out of, so it is asked to sign.

use std::fmt;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use slipway_trust::PublicKey;

use crate::identity::Identity;

/// The key.
#[derive(Clone)]
pub(super) struct Key(Arc<Identity>);

impl Key {
    pub(super) fn new(identity: Arc<Identity>) -> Self {
        Self(identity)
    }

    fn scheme(&self) -> SignatureScheme {
        match self.0.public() {
            PublicKey::Ed25519(_) => SignatureScheme::ED25519,
            PublicKey::P256(_) => SignatureScheme::ECDSA_NISTP256_SHA256,
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.public())
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| -> Box<dyn Signer> { Box::new(self.clone()) })
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.public() {
            PublicKey::Ed25519(_) => SignatureAlgorithm::ED25519,
            PublicKey::P256(_) => SignatureAlgorithm::ECDSA,
        }
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.sign(message).map_err(Error::General)?;
        match self.0.public() {
            PublicKey::Ed25519(_) => Ok(signature.to_vec()),
            PublicKey::P256(_) => Ok(der_of(&signature)),
        }
    }

    fn scheme(&self) -> SignatureScheme {
        Self::scheme(self)
    }
}

/// An ECDSA signature as TLS carries it: a SEQUENCE of two INTEGERs (RFC 8446 §4.2.3).
fn der_of(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap_or(0)], both.as_slice()].concat()
}

/// A positive number as an INTEGER: no zeros before it but one that keeps it positive.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let zero = digits.first().is_none_or(|first| *first >= 0x80);
    let length = u8::try_from(digits.len().saturating_add(usize::from(zero))).unwrap_or(0);
    let head: &[u8] = if zero { &[2, length, 0] } else { &[2, length] };
    [head, &digits].concat()
}

/// Shows the machine's certificate to whoever asks.
#[derive(Debug)]
pub(super) struct Resolver(Arc<CertifiedKey>);

impl Resolver {
    pub(super) fn new(certified: CertifiedKey) -> Self {
        Self(Arc::new(certified))
    }
}

impl ResolvesClientCert for Resolver {
    fn resolve(&self, _issuers: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_signature_are_positive_and_short() {
        for (bytes, der) in [
            (&[0, 0, 1][..], &[2, 1, 1][..]),
            (&[0x80, 1], &[2, 3, 0, 0x80, 1]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0, 0], &[2, 1, 0]),
        ] {
            assert_eq!(integer(bytes), der);
        }
    }
}
