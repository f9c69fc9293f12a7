//! The machine's TPM, through the kernel's resource manager.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use slipway_tpm::{Entropy, EventLog, Standing, Tpm, TpmError, boot};
use slipway_trust::Digest;

/// The kernel's resource manager.
const DEVICE: &str = "/dev/tpmrm0";
/// What the firmware measured.
const LOG: &str = "/sys/kernel/security/tpm0/binary_bios_measurements";
/// Where firmware tells of its TPM, before any driver has found it.
const ANNOUNCED: &str = "/sys/firmware/acpi/tables/TPM2";
/// How long the driver of a TPM that was announced may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest reply of a TPM.
const LARGEST: usize = 4096;

type Transport = Box<dyn FnMut(&[u8]) -> io::Result<Vec<u8>> + Send>;

/// A TPM.
pub(crate) type Chip = Tpm<Transport>;

/// What there is.
pub(crate) enum Found {
    /// A TPM that works.
    Working(Box<Chip>),
    /// None that can be used, and why in words.
    Unusable(String),
}

/// Looks for a TPM that works.
pub(crate) fn find() -> Found {
    let start = Instant::now();
    while !Path::new(DEVICE).exists() {
        if !Path::new(ANNOUNCED).exists() {
            return Found::Unusable("this machine has no TPM 2.0, or its firmware hides it".to_owned());
        }
        if start.elapsed() > PATIENCE {
            return Found::Unusable("the firmware tells of a TPM, but no driver in this image finds it".to_owned());
        }
        thread::sleep(Duration::from_millis(50));
    }
    match open().and_then(|mut chip| Ok((chip.switches().map_err(|error| in_words(&error))?.standing(), chip))) {
        Ok((Standing::Working, chip)) => Found::Working(Box::new(chip)),
        Ok((standing @ (Standing::Disabled | Standing::Owned), _)) => Found::Unusable(standing.to_string()),
        Err(reason) => Found::Unusable(reason),
    }
}

fn open() -> Result<Chip, String> {
    let file = OpenOptions::new().read(true).write(true).open(DEVICE).map_err(|error| format!("{DEVICE}: {error}"))?;
    Ok(Tpm::new(transport(file)))
}

fn transport(mut file: File) -> Transport {
    Box::new(move |command| {
        file.write_all(command)?;
        let mut reply = vec![0; LARGEST];
        let got = file.read(&mut reply)?;
        reply.truncate(got);
        Ok(reply)
    })
}

/// The firmware's event log; empty if there is none.
pub(crate) fn event_log() -> Vec<u8> {
    std::fs::read(LOG).unwrap_or_default()
}

/// What the event log tells of what was started, for a person who compares it with what the org allows: each program's Authenticode digest, and
/// what the parts of the image make of PCR 11.
pub(crate) fn started() -> Vec<String> {
    let log = event_log();
    let Ok(log) = EventLog::decode(&log) else { return vec!["the firmware's boot log cannot be read".to_owned()] };
    let mut told: Vec<String> = boot::pcr4_images(&log)
        .iter()
        .map(|image| format!("the boot log tells of a program: {}", Digest(*image)))
        .collect();
    told.push(format!("the boot log makes of PCR 11: {}", Digest(log.replay(11))));
    told
}

/// Random bytes for one session with the TPM.
pub(crate) fn entropy() -> Result<Entropy, String> {
    Ok(Entropy(crate::random::bytes()?))
}

/// A fault with its cause and, where there is one, the remedy.
pub(crate) fn in_words(error: &TpmError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let remedy = error.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
    format!("{error}{cause}{remedy}")
}
