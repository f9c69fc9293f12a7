//! The messages. A machine's go as [`crate::Signed`] with an [`Ask`] as payload; a server's go as a [`Reply`], which TLS protects, and in which a
//! grant is signed by itself. All of them travel as bodies of `POST /v1/frame`.
//!
//! M1-M5 of one enrolment, and M1, M2, M11 of one boot, live in one TLS connection; everything later comes on a connection of its own.

use minicbor::{CborLen, Decode, Encode};

use crate::escrow::{Escrow, Opening};
use crate::id::{Digest, InviteId, MachineId, OrgId, TicketId, Time};
use crate::image::Arch;
use crate::key::{PublicKey, SignatureBytes};
use crate::record::{DiskPlan, Inventory, Share};
use crate::refusal::Refusal;
use crate::seal::Signed;

/// The protocol's version.
pub const VERSION: u32 = 1;
/// The path that frames are posted to.
pub const PATH: &str = "/v1/frame";
/// Their media type.
pub const MEDIA_TYPE: &str = "application/cbor";
/// The largest frame with a boot log, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// The largest frame without one, in bytes.
pub const LARGEST_SMALL: usize = 16 * 1024;
/// The exporter's label (RFC 9266); its context is empty and its length 32 bytes.
pub const EXPORTER: &[u8] = b"EXPORTER-Channel-Binding";

/// What a machine wants.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, PartialEq)]
#[cbor(index_only)]
pub enum Intent {
    /// An identity.
    #[n(0)]
    Enrol,
    /// Its ESP again; it has an identity.
    #[n(1)]
    Recover,
    /// To start its operating system.
    #[n(2)]
    Boot,
}

/// What a machine says.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Ask {
    /// M1, unsigned: nothing is known yet.
    #[n(1)]
    Hello(#[n(0)] Hello),
    /// M3, signed by the key that it shows.
    #[n(3)]
    Evidence(#[n(0)] Box<Evidence>),
    /// M5.
    #[n(5)]
    Activated(#[n(0)] Activated),
    /// M7, on a new connection: the transcript under its signature is the ticket's.
    #[n(7)]
    Poll(#[n(0)] Poll),
    /// M10, the same.
    #[n(10)]
    Installed(#[n(0)] Installed),
    /// M11, after a hello with the intent to boot.
    #[n(11)]
    Boot(#[n(0)] Box<Boot>),
    /// M13, over TLS with the machine's certificate; unsigned.
    #[n(13)]
    Healthy(#[n(0)] Healthy),
}

/// M1.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Hello {
    /// The versions of the protocol that it speaks.
    #[n(0)]
    pub versions: Vec<u32>,
    /// Its org.
    #[n(1)]
    pub org: OrgId,
    /// 32 random bytes.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// SHA-256 of what it will reveal in M3.
    #[n(3)]
    pub commitment: Digest,
    /// The version of the image that runs.
    #[n(4)]
    pub image_version: u64,
    /// Its processor.
    #[n(5)]
    pub arch: Arch,
    /// What it wants.
    #[n(6)]
    pub intent: Intent,
    /// The invite that it comes with.
    #[n(7)]
    pub invite: Option<InviteId>,
    /// Who it is, if it knows.
    #[n(8)]
    pub machine: Option<MachineId>,
}

/// M2.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Challenge {
    /// 32 random bytes.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// The org, so that a machine sees at once whom it talks to.
    #[n(1)]
    pub org: OrgId,
    /// What a quote is bound to, for a hello with the intent to boot: its qualifying data is SHA-256(this ‖ th2).
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub quote_nonce: [u8; 32],
    /// The PCRs that a quote must cover (SHA-256 bank).
    #[n(3)]
    pub pcrs: Vec<u8>,
    /// The server's clock.
    #[n(4)]
    pub time: Time,
}

/// M3.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Evidence {
    /// What it committed to in M1.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub reveal: [u8; 32],
    /// Its identity key; the frame is signed with it.
    #[n(1)]
    pub key: PublicKey,
    /// What it says of itself.
    #[n(2)]
    pub inventory: Inventory,
    /// What its TPM says.
    #[n(3)]
    pub tpm: Option<TpmEvidence>,
    /// The invite's key has signed the machine's key as it is encoded ([`crate::Domain::InviteUse`], bound to th2 and the channel).
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub invite: Option<SignatureBytes>,
}

/// What a TPM says of itself and of the identity key in it.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct TpmEvidence {
    /// The endorsement key's public area (TPMT_PUBLIC).
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub ek: Vec<u8>,
    /// The endorsement key's certificate and what vouches for it, DER, the leaf first; none in many TPMs.
    #[n(1)]
    pub certificates: Vec<minicbor::bytes::ByteVec>,
    /// The attestation key's public area (TPMT_PUBLIC).
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub ak: Vec<u8>,
    /// The identity key's public area (TPMT_PUBLIC).
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub identity: Vec<u8>,
    /// TPM2_Certify of the identity key by the attestation key, with SHA-256(th2 ‖ channel) as qualifying data: TPMS_ATTEST.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub certified: Vec<u8>,
    /// Its signature.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: SignatureBytes,
}

/// M4: only the TPM with that endorsement key can tell the secret, and only if the attestation key is in it.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Activate {
    /// TPM2B_ID_OBJECT.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub blob: Vec<u8>,
    /// TPM2B_ENCRYPTED_SECRET.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub secret: Vec<u8>,
    /// What the quote is bound to: its qualifying data is SHA-256(this ‖ th4).
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub quote_nonce: [u8; 32],
}

/// M5.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Activated {
    /// HMAC-SHA256 of th4 with the activated secret.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub proof: [u8; 32],
    /// What booted.
    #[n(1)]
    pub quote: Quote,
}

/// What a TPM says of what booted.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Quote {
    /// TPMS_ATTEST.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub attest: Vec<u8>,
    /// Its signature by the attestation key.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub signature: SignatureBytes,
    /// The firmware's event log, as the kernel shows it.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub log: Vec<u8>,
}

/// M6.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct TicketTold {
    /// The ticket.
    #[n(0)]
    pub ticket: TicketId,
    /// Whether it is approved already.
    #[n(1)]
    pub approved: bool,
    /// When to ask again, in seconds.
    #[n(2)]
    pub delay: u32,
    /// The invite's label, if it came with one.
    #[n(3)]
    pub label: Option<String>,
}

/// M7.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Poll {
    /// The ticket.
    #[n(0)]
    pub ticket: TicketId,
    /// Rises with each.
    #[n(1)]
    pub counter: u64,
}

/// M8: signed by an enroller that the org's manifest names ([`crate::Domain::Grant`], bound to the ticket's transcript).
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Grant {
    /// Who it is now.
    #[n(0)]
    pub machine: MachineId,
    /// Its name.
    #[n(1)]
    pub name: String,
    /// The key that it is for.
    #[n(2)]
    pub key: PublicKey,
    /// The TPM that it is for.
    #[n(3)]
    pub ek: Option<Digest>,
    /// Its certificate, DER, at most an hour long.
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// The org's manifest, signed by its root.
    #[n(5)]
    pub org: Signed,
    /// The preboot image's manifest, signed by image keys.
    #[n(6)]
    pub image: Signed,
    /// Where the image is to be had, beside `/blob/sha256/…` of the server that netbooted it: URLs without that path.
    #[n(7)]
    pub sources: Vec<String>,
    /// What to do with the disk.
    #[n(8)]
    pub plan: DiskPlan,
    /// What the first boot must show.
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub confirm: [u8; 32],
    /// The server's clock.
    #[n(10)]
    pub time: Time,
    /// Until when it may be acted on.
    #[n(11)]
    pub expires: Time,
    /// Whether it is a recovery: only the ESP may be written, whatever the plan says.
    #[n(12)]
    pub recovery: bool,
}

/// M10.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Installed {
    /// The ticket.
    #[n(0)]
    pub ticket: TicketId,
    /// Rises with each, polls included.
    #[n(1)]
    pub counter: u64,
    /// What was read back from the ESP.
    #[n(2)]
    pub sha256: Digest,
    /// The boot entry, such as `Boot0003`; none where firmware keeps no variables.
    #[n(3)]
    pub entry: Option<String>,
}

/// M11, from the preboot.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Boot {
    /// Who it is.
    #[n(0)]
    pub machine: MachineId,
    /// The grant's nonce, at the first boot after it.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub confirm: Option<[u8; 32]>,
    /// What booted, if it has a TPM: qualifying data SHA-256(M2's quote nonce ‖ th2).
    #[n(2)]
    pub quote: Option<Quote>,
    /// The generation that it has in its cache.
    #[n(3)]
    pub generation: Option<Digest>,
    /// Rises with each boot.
    #[n(4)]
    pub counter: u64,
    /// The commitment of M1, revealed: M1 was this machine's.
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub reveal: [u8; 32],
    /// What its data partition says of itself, if it is this machine's and was used before.
    #[n(6)]
    pub volume: Option<Volume>,
}

/// What the header of a machine's data partition says.
#[derive(Clone, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Volume {
    /// The epochs of the shares that it has key slots for.
    #[n(0)]
    pub epochs: Vec<u64>,
    /// The key of its escrow slot, sealed to the org's escrow key.
    #[n(1)]
    pub escrow: Option<Escrow>,
}

/// M12.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Material {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Its role.
    #[n(1)]
    pub role: String,
    /// The org's manifest, signed by its root.
    #[n(2)]
    pub org: Signed,
    /// The generation's manifest, signed by image keys.
    #[n(3)]
    pub generation: Signed,
    /// Where images are to be had: URLs without `/blob/sha256/…`.
    #[n(4)]
    pub sources: Vec<String>,
    /// The org's shares of the disk key, the newest last: the machine opens with what it has, and moves on to the newest.
    #[n(5)]
    pub shares: Vec<Share>,
    /// Its certificate, DER, 24 hours long.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub certificate: Vec<u8>,
    /// A newer preboot for the other slot, if there is one.
    #[n(7)]
    pub preboot: Option<Signed>,
    /// The server's clock.
    #[n(8)]
    pub time: Time,
    /// Whether its last start was by this same preboot, and the system said that it is well: its entry may stand first in the boot order.
    #[n(9)]
    pub promote: bool,
    /// The manifest of the preboot that runs, with the PCR policy that lets its TPM unseal.
    #[n(10)]
    pub running: Option<Signed>,
    /// What opens the data partition through escrow, where the machine cannot do so itself.
    #[n(11)]
    pub opening: Option<Opening>,
}

/// M13, from the operating system.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Healthy {
    /// The generation that runs.
    #[n(0)]
    pub generation: Digest,
}

/// What a server answers.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub enum Reply {
    /// No, and why.
    #[n(0)]
    Refused(#[n(0)] Refused),
    /// M2.
    #[n(2)]
    Challenge(#[n(0)] Challenge),
    /// M4.
    #[n(4)]
    Activate(#[n(0)] Activate),
    /// M6, and the answer to polls while nothing is decided.
    #[n(6)]
    Ticket(#[n(0)] TicketTold),
    /// M8: a [`Grant`] as payload.
    #[n(8)]
    Grant(#[n(0)] Signed),
    /// To M10 and M13.
    #[n(9)]
    Noted,
    /// M12.
    #[n(12)]
    Material(#[n(0)] Box<Material>),
}

/// Why a server says no.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Refused {
    /// Why.
    #[n(0)]
    pub why: Refusal,
    /// When to try again, in seconds, if that makes sense.
    #[n(1)]
    pub again: Option<u32>,
}
