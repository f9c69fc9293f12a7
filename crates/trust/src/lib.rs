//! Who trusts whom, and why: the org's keys and signed records, the messages of enrolment, of local boot and of recovery, and the life
//! of a machine. Server and agent share it.
//!
//! This crate is pure: no socket, clock, file, log or randomness. Time, random bytes and the TLS channel's exporter come in as values.
//! A signature always covers bytes as they were sent ([`Signed`]); nothing is ever re-encoded to be checked.

pub mod assurance;
pub mod audit;
pub mod desk;
pub mod disk_key;
pub mod enroller;
pub mod escrow;
pub mod frames;
pub mod gateway;
pub mod id;
pub mod image;
pub mod invite;
pub mod key;
pub mod keyfile;
pub mod life;
pub mod machine;
mod net;
pub mod node;
pub mod org;
pub mod record;
pub mod refusal;
pub mod registry;
pub mod seal;
pub mod transcript;
pub mod window;
pub mod words;

pub use assurance::Assurance;
pub use id::{Digest, InviteId, MachineId, OrgId, TicketId, Time};
pub use image::{Arch, ImageManifest, Role};
pub use key::{Kid, PublicKey, SigningKey};
pub use org::{OrgFacts, OrgManifest};
pub use refusal::Refusal;
pub use registry::{Change, Draft, Registry, Table};
pub use seal::{Domain, Signed};

/// Encodes a value as CBOR. Writing to memory cannot fail.
#[must_use]
pub fn encode<T: minicbor::Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = minicbor::encode(value, &mut bytes).map_err(drop) else { return Vec::new() };
    bytes
}

/// Decodes a value that fills all of `bytes`. Fields that this version does not know are skipped.
///
/// # Errors
/// The bytes are not that value, or others follow it.
pub fn decode<'b, T: minicbor::Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Undecodable> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let value = decoder.decode().map_err(|_| Undecodable)?;
    if decoder.position() == bytes.len() { Ok(value) } else { Err(Undecodable) }
}

/// Bytes that are not what they should be. Which byte it was helps nobody but an attacker.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a well-formed message")]
pub struct Undecodable;
