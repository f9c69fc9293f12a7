//! What a boot was, by an event log that was held against a quote.
//!
//! Whoever sends a log chooses what it says of types and data: a rogue image could be relabelled as a harmless action. So a
//! fact is taken only from a digest that stands for it, and what no rule explains counts against the boot.

use crate::check::Quoted;
use crate::eventlog::{EventLog, EventType};
use crate::hash::sha256;
use crate::wire::DecodeError;

/// What the firmware measures into PCR 4 beside images (PFP §3.3.4.5, §10.4.3). Only these very words are no image.
const HARMLESS: [&[u8]; 6] = [
    b"Calling EFI Application from Boot Option",
    b"Returning from EFI Application from Boot Option",
    b"Entering ROM Based Setup",
    b"BOOT ATTEMPTS OMITTED",
    &[0, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff],
];

/// A boot whose log replays to what the TPM quoted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Boot {
    /// What was loaded and started, by Authenticode digest, in order: the kernel inside a UKI is one of its own. What is in
    /// PCR 4 without being known as harmless is taken as an image.
    pub images: Vec<[u8; 32]>,
    /// Whether Secure Boot was on; nothing where the log does not tell it reliably.
    pub secure_boot: Option<bool>,
    /// PCR 7: Secure Boot's state and keys.
    pub pcr7: [u8; 32],
    /// PCR 11: the parts of the UKI.
    pub pcr11: [u8; 32],
    /// PCR 12: what the UKI's stub was given beside its own parts, a command line above all. Zeros: nothing.
    pub pcr12: [u8; 32],
}

impl Boot {
    /// Whether the UKI got its own parts alone. With Secure Boot off the stub takes a command line from whoever starts it
    /// in place of the image's own, and so a system from elsewhere (`root=`, `rdinit=`) under our kernel: PCR 4 and PCR 11
    /// are the same then.
    #[must_use]
    pub fn is_unaltered(&self) -> bool {
        self.pcr12 == [0; 32]
    }
}

/// Why a log says nothing about a boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BootFault {
    /// It cannot be read.
    #[error("the boot log cannot be read: {0}")]
    Unreadable(DecodeError),
    /// The quote leaves out a PCR that the facts are read from.
    #[error("the quote does not cover PCR 4, 7, 11 and 12")]
    NotCovered,
    /// It is not what the TPM has measured.
    #[error("the boot log does not replay to what the TPM has measured")]
    OtherBoot,
}

impl BootFault {
    /// Its stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreadable(_) => "boot-log-unreadable",
            Self::NotCovered => "boot-log-not-covered",
            Self::OtherBoot => "boot-log-other-boot",
        }
    }
}

impl Boot {
    /// Reads a log that the TPM vouches for.
    ///
    /// # Errors
    /// It cannot be read, or it is not what was quoted.
    pub fn read(log: &[u8], quoted: &Quoted) -> Result<Self, BootFault> {
        let log = EventLog::decode(log).map_err(BootFault::Unreadable)?;
        if ![4, 7, 11, 12].into_iter().all(|pcr| quoted.pcrs.has(pcr)) {
            return Err(BootFault::NotCovered);
        }
        if log.quote_digest(quoted.pcrs) != quoted.digest {
            return Err(BootFault::OtherBoot);
        }
        let (images, secure_boot) = (pcr4_images(&log), secure_boot(&log));
        Ok(Self { images, secure_boot, pcr7: log.replay(7), pcr11: log.replay(11), pcr12: log.replay(12) })
    }

    /// The first image that is not among those allowed. A boot without any image is judged by whoever asks.
    #[must_use]
    pub fn unknown_image(&self, allowed: &[[u8; 32]]) -> Option<[u8; 32]> {
        self.images.iter().find(|image| !allowed.contains(image)).copied()
    }
}

/// The Authenticode digests of what was started: each event of PCR 4 but for the firmware's own few words, whatever the log says
/// that it is.
#[must_use]
pub fn pcr4_images(log: &EventLog<'_>) -> Vec<[u8; 32]> {
    let harmless = HARMLESS.map(|words| sha256(&[words]));
    log.of_pcr(4).map(|event| event.digest).filter(|digest| !harmless.contains(digest)).collect()
}

/// Whether Secure Boot was on: what the first event of PCR 7 measured, if that is the variable `SecureBoot`. A later one
/// proves nothing: whoever runs can extend a PCR.
#[must_use]
pub fn secure_boot(log: &EventLog<'_>) -> Option<bool> {
    let first = log.of_pcr(7).next()?;
    if first.kind != EventType::EFI_VARIABLE_DRIVER_CONFIG || !first.tells_truth() {
        return None;
    }
    let variable = Variable::decode(first.data).filter(|variable| variable.is_secure_boot())?;
    match variable.contents {
        [value @ (0 | 1)] => Some(*value == 1),
        [] => Some(false),
        _ => None,
    }
}

/// A UEFI variable as it is measured: `UEFI_VARIABLE_DATA` (PFP §10.2.6).
struct Variable<'a> {
    guid: &'a [u8],
    /// In UTF-16.
    name: &'a [u8],
    contents: &'a [u8],
}

impl<'a> Variable<'a> {
    fn decode(data: &'a [u8]) -> Option<Self> {
        let (guid, rest) = data.split_at_checked(16)?;
        let (characters, rest) = rest.split_first_chunk()?;
        let (size, rest) = rest.split_first_chunk()?;
        let characters = usize::try_from(u64::from_le_bytes(*characters)).ok()?;
        let (name, contents) = rest.split_at_checked(characters.checked_mul(2)?)?;
        let whole = u64::try_from(contents.len()).ok()? == u64::from_le_bytes(*size);
        whole.then_some(Self { guid, name, contents })
    }

    fn is_secure_boot(&self) -> bool {
        /// `EFI_GLOBAL_VARIABLE`.
        const GLOBAL: &[u8] =
            &[0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
        self.guid == GLOBAL && self.name == b"S\0e\0c\0u\0r\0e\0B\0o\0o\0t\0"
    }
}

#[cfg(test)]
mod tests;
