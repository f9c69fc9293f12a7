//! What a TPM says of itself and signs: `TPMS_ATTEST` (part 2 §10.12) and `TPMT_SIGNATURE` (§11.3).

use crate::wire::{DecodeError, Fault, Reader, Writer};
use crate::{Algorithm, Name, PcrSet};

/// `TPM_GENERATED_VALUE`: a restricted key signs nothing from outside that begins so.
const GENERATED: u32 = 0xff54_4347;
const CERTIFY: u16 = 0x8017;
const QUOTE: u16 = 0x8018;

/// A statement with its signature by the machine's AK.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Statement {
    /// The statement: a `TPMS_ATTEST`.
    pub attest: Vec<u8>,
    /// ECDSA over P-256 and SHA-256: r and s of 32 bytes each.
    pub signature: [u8; 64],
}

/// The TPM's clock at the time of a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// Milliseconds that the TPM has been powered, since it was last cleared.
    pub millis: u64,
    /// How often the machine was reset since then.
    pub resets: u32,
    /// How often it resumed since the last reset.
    pub restarts: u32,
    /// Whether `millis` has certainly never been told before.
    pub safe: bool,
}

/// What a statement is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    /// An object of this name lives in the same TPM.
    Object(Name),
    /// These PCRs have values whose SHA-256, after each other, is this.
    Pcrs(PcrSet, [u8; 32]),
}

/// A `TPMS_ATTEST`, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Attest {
    /// What the asker gave as proof of freshness.
    pub qualifying: Vec<u8>,
    /// When.
    pub clock: Clock,
    /// The firmware's version, in its maker's own numbering.
    pub firmware: u64,
    /// About what.
    pub subject: Subject,
}

impl Attest {
    /// Reads a statement of `TPM2_Certify` or `TPM2_Quote`.
    ///
    /// # Errors
    /// The first field that is cut short, unknown or impossible; in particular, a statement that no TPM has made, or of
    /// another kind, or bytes that follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let foreign = reader.fault("TPMS_ATTEST.magic", Fault::Value);
        if reader.u32("TPMS_ATTEST.magic")? != GENERATED {
            return Err(foreign);
        }
        let unknown = reader.fault("TPMS_ATTEST.type", Fault::Value);
        let kind = reader.u16("TPMS_ATTEST.type")?;
        reader.sized("TPMS_ATTEST.qualifiedSigner")?;
        let qualifying = reader.sized_at_most("TPMS_ATTEST.extraData", 64)?.to_vec();
        let clock = Clock {
            millis: reader.u64("TPMS_CLOCK_INFO.clock")?,
            resets: reader.u32("TPMS_CLOCK_INFO.resetCount")?,
            restarts: reader.u32("TPMS_CLOCK_INFO.restartCount")?,
            safe: reader.u8("TPMS_CLOCK_INFO.safe")? == 1,
        };
        let firmware = reader.u64("TPMS_ATTEST.firmwareVersion")?;
        let subject = match kind {
            CERTIFY => {
                let name = Name(reader.sized("TPMS_CERTIFY_INFO.name")?.to_vec());
                reader.sized("TPMS_CERTIFY_INFO.qualifiedName")?;
                Subject::Object(name)
            }
            QUOTE => {
                let pcrs = PcrSet::decode(&mut reader)?;
                Subject::Pcrs(pcrs, reader.sized_array("TPMS_QUOTE_INFO.pcrDigest")?)
            }
            _ => return Err(unknown),
        };
        reader.end("TPMS_ATTEST")?;
        Ok(Self { qualifying, clock, firmware, subject })
    }
}

/// Reads a `TPMT_SIGNATURE` of ECDSA with SHA-256 over P-256: r and s, each with the zeros that a TPM may leave out.
///
/// # Errors
/// A signature of another kind, numbers that are too long, or bytes that follow.
pub fn decode_signature(bytes: &[u8]) -> Result<[u8; 64], DecodeError> {
    let mut reader = Reader::new(bytes);
    let signature = signature(&mut reader)?;
    reader.end("TPMT_SIGNATURE")?;
    Ok(signature)
}

pub(crate) fn signature(reader: &mut Reader<'_>) -> Result<[u8; 64], DecodeError> {
    let unknown = reader.fault("TPMT_SIGNATURE.sigAlg", Fault::Value);
    let scheme = (Algorithm(reader.u16("TPMT_SIGNATURE.sigAlg")?), Algorithm(reader.u16("TPMS_SIGNATURE_ECC.hash")?));
    if scheme != (Algorithm::ECDSA, Algorithm::SHA256) {
        return Err(unknown);
    }
    let long = reader.fault("TPMS_SIGNATURE_ECC", Fault::Length);
    let mut both = [0; 64];
    let (r, s) = both.split_at_mut(32);
    crate::public::pad(reader.sized("TPMS_SIGNATURE_ECC.signatureR")?, r).ok_or(long)?;
    crate::public::pad(reader.sized("TPMS_SIGNATURE_ECC.signatureS")?, s).ok_or(long)?;
    Ok(both)
}

/// Writes such a `TPMT_SIGNATURE`.
#[must_use]
pub fn encode_signature(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    Writer::new().u16(Algorithm::ECDSA.0).u16(Algorithm::SHA256.0).sized(r).sized(s).done()
}
