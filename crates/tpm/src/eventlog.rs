//! What the firmware measured, as it tells it: the crypto-agile event log of the TCG PC Client Platform Firmware Profile
//! (PFP 1.05 §10), which Linux gives as `/sys/kernel/security/tpm0/binary_bios_measurements`.
//!
//! A log is only a claim. [`EventLog::replay`] computes the PCRs that it claims; where they are the quoted ones, the digests in
//! it, and their order, are true. Everything else in an event is not: its type is measured nowhere, and its data only where
//! its digest says so. Who reads on must know that: [`crate::boot`].

use crate::hash::sha256;
use crate::wire::{DecodeError, Fault};
use crate::{Algorithm, PcrSet};

/// A kind of event: `TCG_EVENTTYPE` (PFP §10.4.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct EventType(pub u32);

impl EventType {
    /// Tells something without measuring it.
    pub const NO_ACTION: Self = Self(0x0000_0003);
    /// Marks where the firmware ends and what it boots begins.
    pub const SEPARATOR: Self = Self(0x0000_0004);
    /// A step of a boot loader: systemd-stub measures a UKI's parts so.
    pub const IPL: Self = Self(0x0000_000d);
    /// A UEFI variable that decides what is trusted: `SecureBoot`, `PK`, `KEK`, `db`, `dbx`.
    pub const EFI_VARIABLE_DRIVER_CONFIG: Self = Self(0x8000_0001);
    /// A program that was loaded: its Authenticode digest.
    pub const EFI_BOOT_SERVICES_APPLICATION: Self = Self(0x8000_0003);
    /// Something that happened, in words.
    pub const EFI_ACTION: Self = Self(0x8000_0007);
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event<'a> {
    /// The PCR that it extends.
    pub pcr: u32,
    /// What kind it says that it is.
    pub kind: EventType,
    /// The digest that the PCR was extended with in the SHA-256 bank.
    pub digest: [u8; 32],
    /// What it says of itself.
    pub data: &'a [u8],
}

impl Event<'_> {
    /// Whether the digest is that of the data: then the data were measured too.
    #[must_use]
    pub fn tells_truth(&self) -> bool {
        sha256(&[self.data]) == self.digest
    }
}

/// A log, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EventLog<'a> {
    /// What was measured, in its order. Events that measure nothing are left out.
    pub events: Vec<Event<'a>>,
    /// The locality at which the TPM was started, where the log tells it: PCR 0 begins with it.
    pub startup_locality: u8,
}

/// The longest list of algorithms in a log's head, and of digests in an event. TPMs have up to five banks.
const MOST_BANKS: u32 = 16;
/// Begins the first event of a crypto-agile log.
const SPEC_ID: &[u8; 16] = b"Spec ID Event03\0";
/// Begins the event that tells the locality.
const STARTUP_LOCALITY: &[u8; 16] = b"StartupLocality\0";

impl<'a> EventLog<'a> {
    /// Reads a log. What follows an event that reaches beyond the end is an error: a log is whole, or it proves nothing.
    ///
    /// # Errors
    /// The first field that is cut short or impossible; a log without a SHA-256 bank.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Little::new(bytes);
        let banks = head(&mut reader)?;
        let mut log = Self { events: Vec::new(), startup_locality: 0 };
        while !reader.rest.is_empty() {
            let (pcr, kind) = (reader.u32("PCRIndex")?, EventType(reader.u32("EventType")?));
            let digest = digest(&mut reader, &banks)?;
            let size = reader.u32("EventSize")?;
            let data = reader.take("Event", size)?;
            if kind != EventType::NO_ACTION {
                log.events.push(Event { pcr, kind, digest, data });
            } else if let (0, Some([locality])) = (pcr, data.strip_prefix(STARTUP_LOCALITY)) {
                log.startup_locality = *locality;
            }
        }
        Ok(log)
    }

    /// The value that a PCR has after these events. PCRs 17 to 22 begin with ones, PCR 0 with the locality.
    #[must_use]
    pub fn replay(&self, pcr: u8) -> [u8; 32] {
        let mut value = if matches!(pcr, 17..=22) { [0xff; 32] } else { [0; 32] };
        if let (0, Some(last)) = (pcr, value.last_mut()) {
            *last = self.startup_locality;
        }
        let events = self.events.iter().filter(|event| event.pcr == u32::from(pcr));
        events.fold(value, |value, event| sha256(&[&value, &event.digest]))
    }

    /// The digest that a quote of these PCRs has after these events.
    #[must_use]
    pub fn quote_digest(&self, pcrs: PcrSet) -> [u8; 32] {
        let values: Vec<[u8; 32]> = pcrs.iter().map(|pcr| self.replay(pcr)).collect();
        let values: Vec<&[u8]> = values.iter().map(<[u8; 32]>::as_slice).collect();
        sha256(&values)
    }

    /// The events of one PCR, in their order.
    pub fn of_pcr(&self, pcr: u8) -> impl Iterator<Item = &Event<'a>> {
        self.events.iter().filter(move |event| event.pcr == u32::from(pcr))
    }
}

/// The first event, in the form of TPM 1.2, names the banks and their sizes (PFP §10.4.5.1).
fn head(reader: &mut Little<'_>) -> Result<Vec<(Algorithm, u16)>, DecodeError> {
    let no_head = reader.fault("TCG_PCClientPCREvent", Fault::Value);
    let (pcr, kind) = (reader.u32("pcrIndex")?, EventType(reader.u32("eventType")?));
    reader.take("digest", 20)?;
    let size = reader.u32("eventDataSize")?;
    let data = reader.take("event", size)?;
    if pcr != 0 || kind != EventType::NO_ACTION || !data.starts_with(SPEC_ID) {
        return Err(no_head);
    }
    let mut inside = Little::new(data);
    // signature, platform class, versions, errata, size of a native integer
    inside.take("TCG_EfiSpecIDEvent", 24)?;
    let many = inside.fault("numberOfAlgorithms", Fault::Value);
    let count = inside.u32("numberOfAlgorithms")?;
    if count > MOST_BANKS {
        return Err(many);
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        banks.push((Algorithm(inside.u16("algorithmId")?), inside.u16("digestSize")?));
    }
    if banks.contains(&(Algorithm::SHA256, 32)) { Ok(banks) } else { Err(many) }
}

/// The SHA-256 digest among those of an event: exactly one, for the log of one bank is what is replayed.
fn digest(reader: &mut Little<'_>, banks: &[(Algorithm, u16)]) -> Result<[u8; 32], DecodeError> {
    let wrong = reader.fault("DigestValues", Fault::Value);
    let count = reader.u32("DigestCount")?;
    if count > MOST_BANKS {
        return Err(wrong);
    }
    let mut found = None;
    for _ in 0..count {
        let algorithm = Algorithm(reader.u16("AlgorithmId")?);
        let (_, size) = banks.iter().find(|(known, _)| *known == algorithm).ok_or(wrong)?;
        let digest = reader.take("Digest", u32::from(*size))?;
        if algorithm == Algorithm::SHA256 && found.replace(digest).is_some() {
            return Err(wrong);
        }
    }
    found.and_then(|digest| digest.try_into().ok()).ok_or(wrong)
}

/// Reads little-endian numbers: logs are the firmware's, not the TPM's.
struct Little<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Little<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    const fn fault(&self, field: &'static str, fault: Fault) -> DecodeError {
        DecodeError { field, at: self.at, fault }
    }

    fn take(&mut self, field: &'static str, count: u32) -> Result<&'a [u8], DecodeError> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let (head, rest) = self.rest.split_at_checked(count).ok_or(self.fault(field, Fault::Truncated))?;
        self.rest = rest;
        self.at = self.at.saturating_add(count);
        Ok(head)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        let fault = self.fault(field, Fault::Truncated);
        self.take(field, 2)?.try_into().map(u16::from_le_bytes).map_err(|_| fault)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        let fault = self.fault(field, Fault::Truncated);
        self.take(field, 4)?.try_into().map(u32::from_le_bytes).map_err(|_| fault)
    }
}
