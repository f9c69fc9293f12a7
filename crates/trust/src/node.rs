//! A server's end of all conversations: one [`Conversation`] per TLS connection takes frames in and gives [`Step`]s out.
//!
//! The shell holds the registry alone from [`Conversation::on_frame`] until the draft is settled. It adds what this crate cannot have: the
//! TLS channel, random bytes, a clock, and the machine CA's signature on a certificate.

mod conversation;
mod door;
mod images;
mod refused;
mod step;

use std::net::IpAddr;

use crate::id::{MachineId, Time};
use crate::key::{PublicKey, SigningKey};
use crate::org::OrgManifest;
use crate::registry::Registry;
use crate::seal::Signed;

pub use conversation::Conversation;
pub(crate) use conversation::Heard;
pub use door::{Door, DoorLimits};
pub(crate) use images::Started;
pub use images::{Images, Known};
pub(crate) use step::Unfinished;
pub use step::{Answer, CertificateWanted, NeedsCertificate, Note, Step};

/// Everything that a server decides by.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What is known.
    pub registry: &'a Registry,
    /// The org's manifest.
    pub org: &'a OrgManifest,
    /// The same, as its root signed it.
    pub org_signed: &'a Signed,
    /// What machines may run.
    pub images: &'a Images,
    /// Makers of TPMs that are trusted: their root certificates, DER.
    pub tpm_roots: &'a [Vec<u8>],
    /// The key that grants are signed with; none: this server is no enroller.
    pub enroller: Option<&'a SigningKey>,
    /// Whether this server is a gateway.
    pub gateway: bool,
    /// Where images are to be had: URLs without `/blob/sha256/…`.
    pub sources: &'a [String],
    /// Now.
    pub now: Time,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// From where.
    pub address: IpAddr,
    /// The TLS channel: the exporter of [`crate::frames::EXPORTER`].
    pub channel: [u8; 32],
    /// Whose certificate it showed, if it showed a valid one of the machine CA.
    pub certificate: Option<Caller>,
}

/// What a machine's certificate says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caller {
    /// The machine.
    pub machine: MachineId,
    /// Its key.
    pub key: PublicKey,
    /// The record's epoch when it was issued.
    pub epoch: u64,
}

/// Random bytes for one step, each used for one thing.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct Fresh {
    pub(crate) nonce: [u8; 32],
    pub(crate) quote_nonce: [u8; 32],
    pub(crate) confirm: [u8; 32],
    pub(crate) share: [u8; 32],
    pub(crate) activation: [u8; 32],
    pub(crate) entropy: [u8; 64],
    pub(crate) ticket: [u8; 16],
    pub(crate) machine: [u8; 16],
}

impl Fresh {
    /// How many random bytes a step takes.
    pub const LENGTH: usize = 32 * 5 + 64 + 16 * 2;

    /// Deals these bytes out. They are never used for a second step.
    #[must_use]
    pub fn new(random: &[u8; Self::LENGTH]) -> Self {
        let mut rest = random.as_slice();
        Self {
            nonce: deal(&mut rest),
            quote_nonce: deal(&mut rest),
            confirm: deal(&mut rest),
            share: deal(&mut rest),
            activation: deal(&mut rest),
            entropy: deal(&mut rest),
            ticket: deal(&mut rest),
            machine: deal(&mut rest),
        }
    }
}

impl core::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Fresh")
    }
}

fn deal<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (dealt, after) = rest.split_first_chunk().unwrap_or((&[0; N], &[]));
    *rest = after;
    *dealt
}
