//! A frame that lacks the machine's signature.

use super::stop::Misled;
use crate::encode;
use crate::frames::Ask;
use crate::id::Digest;
use crate::key::{PublicKey, SignatureBytes, SigningKey};
use crate::seal::{Bound, Domain, Signed, signed_bytes};
use crate::transcript::Transcript;

/// A frame that the machine's key must sign, and the state that follows.
#[derive(Debug)]
pub struct NeedsSignature<S> {
    key: PublicKey,
    message: Vec<u8>,
    payload: Vec<u8>,
    next: S,
}

/// A state that a frame leads to.
pub(crate) trait Sent {
    /// This frame was sent.
    fn sent(&mut self, frame: &[u8]);
}

impl Sent for Transcript {
    fn sent(&mut self, frame: &[u8]) {
        *self = self.then(frame);
    }
}

impl Sent for () {
    fn sent(&mut self, _: &[u8]) {}
}

#[expect(private_bounds, reason = "the states that a frame leads to are this module's")]
impl<S: Sent> NeedsSignature<S> {
    pub(crate) fn new(key: PublicKey, ask: &Ask, transcript: &Digest, channel: &[u8; 32], next: S) -> Self {
        let payload = encode(ask);
        let message = signed_bytes(Domain::Frame, Bound::Moment { transcript, channel }, &payload);
        Self { key, message, payload, next }
    }

    /// What to sign: all of it by Ed25519, or SHA-256 over it by ECDSA.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// The frame to send, and the state that follows.
    ///
    /// # Errors
    /// The signature is not this machine's.
    pub fn signed(self, signature: SignatureBytes) -> Result<(S, Vec<u8>), Misled> {
        let Self { key, message, payload, mut next } = self;
        if !key.verifies(&message, &signature) {
            return Err(Misled::OwnSignature);
        }
        let mut signed = Signed::unsigned(payload);
        signed.attach(key.kid(), signature);
        let frame = encode(&signed);
        next.sent(&frame);
        Ok((next, frame))
    }

    /// The same with a key in memory.
    ///
    /// # Errors
    /// It is another key.
    pub fn sign(self, key: &SigningKey) -> Result<(S, Vec<u8>), Misled> {
        let signature = key.sign(&self.message);
        self.signed(signature)
    }
}
