//! Commands that ask what the TPM is and holds.

use super::{Command, Entity};
use crate::wire::Writer;
use crate::{Algorithm, CommandCode, Handle, PcrSet};

/// What can be asked with [`get_capability`]: `TPM_PT`, part 2 §6.13.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Property(pub u32);

impl Property {
    /// Four characters that name the TPM's maker.
    pub const MANUFACTURER: Self = Self(0x105);
    /// The first of four times four characters that name the TPM's model.
    pub const VENDOR_STRING_1: Self = Self(0x106);
    /// The upper half of the firmware's version.
    pub const FIRMWARE_VERSION_1: Self = Self(0x10b);
    /// The lower half.
    pub const FIRMWARE_VERSION_2: Self = Self(0x10c);
    /// `TPMA_PERMANENT`: which passwords are set, whether it is locked.
    pub const PERMANENT: Self = Self(0x200);
    /// `TPMA_STARTUP_CLEAR`: which hierarchies are enabled.
    pub const STARTUP_CLEAR: Self = Self(0x201);
}

/// `TPM_CAP_TPM_PROPERTIES`.
const CAP_PROPERTIES: u32 = 6;
/// `TPM_CAP_ALGS`.
const CAP_ALGORITHMS: u32 = 0;

/// `TPM2_Startup(CLEAR)` (§9.3): what firmware does before anybody else speaks to the TPM.
#[must_use]
pub fn startup() -> Command {
    Command::new(CommandCode::STARTUP, Writer::new().u16(0).done())
}

/// `TPM2_Clear` (§24.6) by the lockout authorisation: ends all that belongs to the owner.
#[must_use]
pub fn clear() -> Command {
    Command::new(CommandCode::CLEAR, Vec::new()).authorised(Handle::LOCKOUT)
}

/// `TPM2_GetCapability` (§30.2): up to `count` properties from this one on.
#[must_use]
pub fn get_capability(first: Property, count: u32) -> Command {
    Command::new(CommandCode::GET_CAPABILITY, Writer::new().u32(CAP_PROPERTIES).u32(first.0).u32(count).done())
}

/// `TPM2_GetCapability` (§30.2): up to `count` algorithms from this one on.
#[must_use]
pub fn get_algorithms(first: Algorithm, count: u32) -> Command {
    let parameters = Writer::new().u32(CAP_ALGORITHMS).u32(first.0.into()).u32(count).done();
    Command::new(CommandCode::GET_CAPABILITY, parameters)
}

/// `TPM2_GetRandom` (§16.1): up to `count` bytes; a TPM gives at most a digest's length at a time.
#[must_use]
pub fn get_random(count: u16) -> Command {
    Command::new(CommandCode::GET_RANDOM, Writer::new().u16(count).done())
}

/// `TPM2_NV_ReadPublic` (§31.6).
#[must_use]
pub fn nv_read_public(index: Handle) -> Command {
    Command::new(CommandCode::NV_READ_PUBLIC, Vec::new()).about(index)
}

/// `TPM2_NV_Read` (§31.13): a part of an index, by the authority of the owner or of the index itself.
#[must_use]
pub fn nv_read(authority: impl Into<Entity>, index: impl Into<Entity>, size: u16, offset: u16) -> Command {
    let parameters = Writer::new().u16(size).u16(offset).done();
    Command::new(CommandCode::NV_READ, parameters).authorised(authority).about(index)
}

/// `TPM2_PCR_Read` (§22.4): as many of these as fit in one reply.
#[must_use]
pub fn pcr_read(pcrs: PcrSet) -> Command {
    Command::new(CommandCode::PCR_READ, pcrs.encode(Writer::new()).done())
}

/// `TPM2_PCR_Extend` (§22.2) of the SHA-256 bank: the PCR's handle is its number.
#[must_use]
pub fn pcr_extend(pcr: u8, digest: &[u8; 32]) -> Command {
    let parameters = Writer::new().u32(1).u16(Algorithm::SHA256.0).bytes(digest).done();
    Command::new(CommandCode::PCR_EXTEND, parameters).authorised(Handle(pcr.into()))
}

/// `TPM2_Quote` (§18.4): the signer says what values these PCRs have. By the signer's own scheme.
#[must_use]
pub fn quote(signer: Entity, pcrs: PcrSet, qualifying: &[u8]) -> Command {
    let parameters = pcrs.encode(Writer::new().sized(qualifying).u16(Algorithm::NULL.0)).done();
    Command::new(CommandCode::QUOTE, parameters).authorised(signer)
}
