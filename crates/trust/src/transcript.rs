//! What was said so far, as one hash: `th(0) = SHA-256("slipway-enrol-v1" ‖ org_id)`, `th(n) = SHA-256(th(n-1) ‖ len ‖ frame n)`, `len` being
//! the length of frame n in 4 big-endian bytes. A frame is hashed as it was sent, signatures included.

use crate::id::{Digest, OrgId};

/// A transcript.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Transcript(Digest);

impl Transcript {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(org: &OrgId) -> Self {
        Self(Digest::of_all(&[b"slipway-enrol-v1", &org.0]))
    }

    /// The transcript that has this hash.
    #[must_use]
    pub const fn of(hash: Digest) -> Self {
        Self(hash)
    }

    /// This frame was said next, by either side.
    #[must_use]
    pub fn then(self, frame: &[u8]) -> Self {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self(Digest::of_all(&[&self.0.0, &length, frame]))
    }

    /// Its hash.
    #[must_use]
    pub const fn hash(&self) -> &Digest {
        &self.0
    }
}
