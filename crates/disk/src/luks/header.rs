//! The header's two copies: 4 KiB of fields, then JSON.

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::bytes::{array, index, length, put, slice};
use crate::step::Step;

/// Bytes of the fields.
const FIELDS: usize = 4096;
/// Bytes of a copy that we make: the smallest size.
pub(super) const COPY: u64 = 16 * 1024;
/// The sizes that a copy can have, and so where the second one can be.
const SIZES: [u64; 9] = [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
/// Of the first copy, and of the second.
const MAGIC: [&[u8; 6]; 2] = [b"LUKS\xba\xbe", b"SKUL\xba\xbe"];
/// Where the checksum is.
const SUM: usize = 448;

/// A header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Bytes of one copy.
    pub copy: u64,
    /// Rises with each change: of two sound copies the one with the higher number counts.
    pub sequence: u64,
    /// Which volume it is.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
    /// Whose volume it says it is.
    pub subsystem: String,
    /// Salts of the two copies' checksums.
    pub(super) salts: [[u8; 64]; 2],
    /// Key slots, tokens, segments, digests, configuration. What is not ours in it is kept.
    pub json: Value,
}

/// Why bytes are not a LUKS2 header.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HeaderError {
    /// No mark of LUKS at the start, nor of a second copy.
    #[error("no LUKS header")]
    Missing,
    /// LUKS, of a version other than 2.
    #[error("a LUKS header of version {0}; only version 2 is read")]
    Version(u16),
    /// Neither copy's checksum is right.
    #[error("neither copy of the LUKS header is sound")]
    Damaged,
}

impl Header {
    /// Reads a header from a device's first bytes, from whichever copy counts.
    ///
    /// # Errors
    /// There is none, or none that is sound.
    pub fn decode(head: &[u8]) -> Result<Self, HeaderError> {
        let first = decode(head, 0);
        let seconds = match &first {
            Ok(first) => vec![first.copy],
            Err(_) => SIZES.to_vec(),
        };
        let second = seconds.into_iter().map(|at| decode(head, at)).find(|copy| *copy != Err(HeaderError::Missing));
        match (first, second.unwrap_or(Err(HeaderError::Missing))) {
            (Ok(first), Ok(second)) => Ok(if second.sequence > first.sequence { second } else { first }),
            (Ok(header), Err(_)) | (Err(_), Ok(header)) => Ok(header),
            (Err(HeaderError::Missing), Err(error)) | (Err(error), Err(_)) => Err(error),
        }
    }

    /// Both copies as they are written: the first, durable, and then the second. While the first is written the second is the old
    /// one and sound; while the second is written the first is the new one.
    #[must_use]
    pub fn steps(&self) -> Option<Vec<Step>> {
        let [first, second] = [self.encode(0)?, self.encode(1)?];
        Some(vec![Step::write(0, first), Step::Flush, Step::write(self.copy, second), Step::Flush])
    }

    /// One copy's bytes. `None`: the JSON does not fit.
    fn encode(&self, which: usize) -> Option<Vec<u8>> {
        let json = self.json.to_string();
        // A NUL ends it.
        if length(json.len()) >= self.copy.checked_sub(length(FIELDS))? {
            return None;
        }
        let mut bytes = vec![0; index(self.copy)];
        put(&mut bytes, 0, *MAGIC.get(which)?);
        put(&mut bytes, 6, &2_u16.to_be_bytes());
        put(&mut bytes, 8, &self.copy.to_be_bytes());
        put(&mut bytes, 16, &self.sequence.to_be_bytes());
        put(&mut bytes, 24, cut(&self.label, 47));
        put(&mut bytes, 72, b"sha256");
        put(&mut bytes, 104, self.salts.get(which)?);
        put(&mut bytes, 168, self.uuid.hyphenated().to_string().as_bytes());
        put(&mut bytes, 208, cut(&self.subsystem, 47));
        let place = if which == 0 { 0 } else { self.copy };
        put(&mut bytes, 256, &place.to_be_bytes());
        put(&mut bytes, FIELDS, json.as_bytes());
        let sum = Sha256::digest(&bytes);
        put(&mut bytes, SUM, &sum);
        Some(bytes)
    }
}

fn cut(text: &str, at: usize) -> &[u8] {
    text.as_bytes().get(..at.min(text.len())).unwrap_or_default()
}

/// Reads the copy at a place.
fn decode(head: &[u8], at: u64) -> Result<Header, HeaderError> {
    let which = usize::from(at != 0);
    let fields = slice(head, index(at), FIELDS).ok_or(HeaderError::Missing)?;
    let magic = MAGIC.get(which).ok_or(HeaderError::Missing)?;
    if !fields.starts_with(*magic) {
        return Err(HeaderError::Missing);
    }
    let long = |place| array(fields, place).map(u64::from_be_bytes).unwrap_or_default();
    match array(fields, 6).map(u16::from_be_bytes) {
        Some(2) => {}
        version => return Err(HeaderError::Version(version.unwrap_or_default())),
    }
    let copy = long(8);
    if !SIZES.contains(&copy) || long(256) != at || text(fields, 72, 32) != "sha256" {
        return Err(HeaderError::Damaged);
    }
    let mut bytes = slice(head, index(at), index(copy)).ok_or(HeaderError::Damaged)?.to_vec();
    put(&mut bytes, SUM, &[0; 64]);
    let sum: [u8; 32] = Sha256::digest(&bytes).into();
    if slice(fields, SUM, 32) != Some(&sum) {
        return Err(HeaderError::Damaged);
    }
    let json = bytes.get(FIELDS..).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    let salt: [u8; 64] = array(fields, 104).unwrap_or([0; 64]);
    Ok(Header {
        copy,
        sequence: long(16),
        uuid: Uuid::try_parse(&text(fields, 168, 40)).unwrap_or_default(),
        label: text(fields, 24, 48),
        subsystem: text(fields, 208, 48),
        // The other copy's salt is not needed to read, and any will do to write.
        salts: [salt, salt],
        json: serde_json::from_slice(json).map_err(|_| HeaderError::Damaged)?,
    })
}

fn text(fields: &[u8], at: usize, len: usize) -> String {
    let bytes = slice(fields, at, len).unwrap_or_default().split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}
