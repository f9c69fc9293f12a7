//! Images brought to the ESP: a preboot into the slot that is not good, a generation into its cache.

use slipway_disk::efivars::{self, Entry, Target};
use slipway_disk::esp::{Esp, EspError, Filed, Kind};
use slipway_trust::{Digest, ImageManifest};

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::console::Console;
use crate::fetch::{self, Blob};
use crate::ground::Ground;
use crate::invite::EFIVARS;

/// How often all sources are gone through.
const ROUNDS: u32 = 3;

/// The image in a slot: there already, or fetched from the first source that has it. A source that gives something else is named, and
/// the next one is tried.
///
/// # Errors
/// In words: no source had it, or the ESP failed.
pub(crate) fn bring(
    console: &Console,
    step: Checkpoint,
    esp: &Esp,
    kind: Kind,
    image: &ImageManifest,
    sources: &[String],
) -> Result<(Filed, &'static str), String> {
    if let Some(filed) = there(esp, kind, &image.sha256) {
        return Ok((filed, "there already"));
    }
    let blob = Blob { sha256: image.sha256, size: image.size };
    let mut last = "no source is known".to_owned();
    for round in 1..=ROUNDS {
        for source in sources {
            console.under_way(step, &format!("{:.1} MiB from {source}", mib(image.size)));
            match from(esp, kind, image, source, &blob) {
                Ok(filed) => return Ok((filed, "downloaded")),
                Err(Failed::Here(reason)) => return Err(reason),
                Err(Failed::Source(reason)) => {
                    console.failed(step, &format!("{source}: {reason}"), "trying the next source");
                    last = format!("{source}: {reason}");
                }
            }
        }
        if sources.is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_secs(u64::from(round)));
    }
    Err(last)
}

/// An image that a slot holds, to the byte.
pub(crate) fn there(esp: &Esp, kind: Kind, sha256: &Digest) -> Option<Filed> {
    let filed = esp.book(kind).ok()?.holds(&sha256.0)?;
    // Verified each time: what a disk gave back yesterday says nothing of today.
    esp.load(kind, &filed).ok().map(|_| filed)
}

/// Whose fault it is.
enum Failed {
    /// The source's: another may do better.
    Source(String),
    /// This machine's.
    Here(String),
}

fn from(esp: &Esp, kind: Kind, image: &ImageManifest, source: &str, blob: &Blob) -> Result<Filed, Failed> {
    let here = |error: EspError| Failed::Here(error.to_string());
    let mut incoming = esp.begin(kind, image.version, image.size, image.sha256.0).map_err(here)?;
    let mut fault = None;
    let fetched = fetch::from_source(source, blob, &mut |piece| {
        incoming.write(piece).map_err(|error| {
            let told = error.to_string();
            fault = Some(here(error));
            told
        })
    });
    if let Some(fault) = fault {
        return Err(fault);
    }
    fetched.map_err(Failed::Source)?;
    incoming.finish().map_err(|error| match error {
        EspError::Digest { .. } => Failed::Source("it gave something else than was promised: its SHA-256 differs".to_owned()),
        other => here(other),
    })
}

/// Bytes as MiB, for people.
pub(crate) fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

/// Lets firmware try this preboot at the next start, once. Its number, such as `Boot0003`; none where firmware keeps no variables, and then
/// why not.
pub(crate) fn try_once(ground: &Ground, filed: &Filed) -> Result<String, String> {
    let path = Path::new(EFIVARS);
    let variables = efivars::read(path).map_err(|error| error.to_string())?;
    let entry = entry(ground, filed);
    let changes = efivars::try_once(&variables, &entry).map_err(|refusal| refusal.to_string())?;
    efivars::apply(path, &changes).map_err(|error| error.to_string())?;
    let number = variables.after(&changes).entry(&entry.target).ok_or("the boot entry is not there")?;
    Ok(format!("Boot{number:04X}"))
}

/// Puts this preboot, and then the other one, first in the boot order.
pub(crate) fn settle_order(ground: &Ground, filed: &Filed) -> Result<(), String> {
    let path = Path::new(EFIVARS);
    let variables = efivars::read(path).map_err(|error| error.to_string())?;
    let changes = efivars::settle_order(&variables, &[entry(ground, filed)]).map_err(|refusal| refusal.to_string())?;
    efivars::apply(path, &changes).map_err(|error| error.to_string())
}

fn entry(ground: &Ground, filed: &Filed) -> Entry {
    let file = Kind::Preboot.file(filed.slot);
    let description = match filed.slot {
        slipway_disk::esp::Slot::A => "Slipway",
        slipway_disk::esp::Slot::B => "Slipway (slot B)",
    };
    Entry { description: description.to_owned(), target: Target::on(&ground.partition, &file) }
}
