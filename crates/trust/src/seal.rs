//! Signed bytes: one envelope for records on disk and for messages on the wire.

use minicbor::{CborLen, Decode, Encode};

use crate::id::{Digest, OrgId};
use crate::key::{Kid, PublicKey, SignatureBytes, SigningKey};

/// What a signature is for. Each has a string of its own under the signature, so that no signed thing can stand for another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Domain {
    /// An org's manifest, by its root.
    OrgManifest,
    /// An image's manifest, by image keys.
    ImageManifest,
    /// An enrolment window, by an admin.
    Window,
    /// An invite, by an admin.
    Invite,
    /// An approval of a machine, by an admin.
    Approval,
    /// An act on a known machine (suspend, revoke...), by an admin.
    Act,
    /// A list of TPMs that may enrol, by an admin.
    EkList,
    /// The end of a window before its time, by an admin.
    WindowClose,
    /// The end of an invite before its time, by an admin.
    InviteRevoke,
    /// The use of an invite, by the key that grows from its seed.
    InviteUse,
    /// A frame from a machine, by its identity key.
    Frame,
    /// A grant, by an enroller.
    Grant,
}

impl Domain {
    /// The string under the signature.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OrgManifest => "slipway/org-manifest/v1",
            Self::ImageManifest => "slipway/image-manifest/v1",
            Self::Window => "slipway/window/v1",
            Self::Invite => "slipway/invite/v1",
            Self::Approval => "slipway/approval/v1",
            Self::Act => "slipway/act/v1",
            Self::EkList => "slipway/ek-list/v1",
            Self::WindowClose => "slipway/window-close/v1",
            Self::InviteRevoke => "slipway/invite-revoke/v1",
            Self::InviteUse => "slipway/invite-use/v1",
            Self::Frame => "slipway/frame/v1",
            Self::Grant => "slipway/grant/v1",
        }
    }
}

/// What a signature is bound to beside its payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bound<'a> {
    /// A record that stands by itself in this org.
    Org(&'a OrgId),
    /// One moment of one conversation: the transcript's hash so far, and the TLS channel's exporter (RFC 9266, 32 bytes).
    Moment {
        /// The transcript's hash.
        transcript: &'a Digest,
        /// The channel.
        channel: &'a [u8; 32],
    },
    /// The end of a conversation, whatever channel it is spoken of on: a grant holds for its transcript.
    Transcript(&'a Digest),
}

/// What is signed: domain, a zero byte, what it is bound to, SHA-256 of the payload. The parts after the zero byte have fixed lengths for
/// a domain, so that no two messages share these bytes.
#[must_use]
pub fn signed_bytes(domain: Domain, bound: Bound<'_>, payload: &[u8]) -> Vec<u8> {
    let mut bytes = domain.text().as_bytes().to_vec();
    bytes.push(0);
    match bound {
        Bound::Org(org) => bytes.extend_from_slice(&org.0),
        Bound::Moment { transcript, channel } => {
            bytes.extend_from_slice(&transcript.0);
            bytes.extend_from_slice(channel);
        }
        Bound::Transcript(transcript) => bytes.extend_from_slice(&transcript.0),
    }
    bytes.extend_from_slice(&Digest::of(payload).0);
    bytes
}

/// A payload with signatures over it. The payload is kept as the bytes that came.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Signed {
    /// What is signed.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub payload: Vec<u8>,
    /// By whom.
    #[n(1)]
    pub signatures: Vec<Signature>,
}

/// One signature.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Signature {
    /// Whose it says to be.
    #[n(0)]
    pub kid: Kid,
    /// The signature.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub bytes: SignatureBytes,
}

/// Why a payload is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unproven {
    /// Too few of the keys that count have signed.
    #[error("{valid} of {needed} needed signatures are valid")]
    TooFew {
        /// Valid signatures by different keys.
        valid: usize,
        /// How many are needed.
        needed: usize,
    },
    /// Signed, but not what it should be.
    #[error("signed, but not a well-formed record")]
    Malformed,
}

/// More signatures than that on one payload are not looked at.
const MOST_SIGNATURES: usize = 32;

impl Signed {
    /// A payload that nobody has signed yet.
    #[must_use]
    pub fn unsigned(payload: Vec<u8>) -> Self {
        Self { payload, signatures: Vec::new() }
    }

    /// A payload that is signed by one key.
    #[must_use]
    pub fn by(key: &SigningKey, domain: Domain, bound: Bound<'_>, payload: Vec<u8>) -> Self {
        let mut signed = Self::unsigned(payload);
        signed.sign(key, domain, bound);
        signed
    }

    /// Adds a signature.
    pub fn sign(&mut self, key: &SigningKey, domain: Domain, bound: Bound<'_>) {
        let bytes = key.sign(&signed_bytes(domain, bound, &self.payload));
        self.attach(key.public().kid(), bytes);
    }

    /// Adds a signature that was made elsewhere; the last one of a key counts.
    pub fn attach(&mut self, kid: Kid, bytes: SignatureBytes) {
        self.signatures.retain(|signature| signature.kid != kid);
        self.signatures.push(Signature { kid, bytes });
    }

    /// The keys of these whose signatures are valid, each once.
    #[must_use]
    pub fn signers<'k>(&self, domain: Domain, bound: Bound<'_>, keys: &'k [PublicKey]) -> Vec<&'k PublicKey> {
        let message = signed_bytes(domain, bound, &self.payload);
        let signed_by = |key: &PublicKey| {
            let named = self.signatures.iter().take(MOST_SIGNATURES).filter(|signature| signature.kid == key.kid());
            named.into_iter().any(|signature| key.verifies(&message, &signature.bytes))
        };
        let mut signers: Vec<&PublicKey> = keys.iter().filter(|key| signed_by(key)).collect();
        signers.sort();
        signers.dedup();
        signers
    }

    /// The payload as a `T`, if at least `needed` (and at least one) of these keys have signed it.
    ///
    /// # Errors
    /// Too few valid signatures, or the payload is not a `T`.
    pub fn open<'b, T: Decode<'b, ()>>(
        &'b self,
        domain: Domain,
        bound: Bound<'_>,
        keys: &[PublicKey],
        needed: usize,
    ) -> Result<T, Unproven> {
        let (valid, needed) = (self.signers(domain, bound, keys).len(), needed.max(1));
        if valid < needed {
            return Err(Unproven::TooFew { valid, needed });
        }
        crate::decode(&self.payload).map_err(|_| Unproven::Malformed)
    }

    /// The payload as a `T`, whoever signed it: for what is shown, not for what is believed.
    ///
    /// # Errors
    /// The payload is not a `T`.
    pub fn peek<'b, T: Decode<'b, ()>>(&'b self) -> Result<T, Unproven> {
        crate::decode(&self.payload).map_err(|_| Unproven::Malformed)
    }
}
