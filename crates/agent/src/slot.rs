//! Images brought to the ESP: a preboot into the slot that is not good, a generation into its cache.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use slipway_disk::devices::drop_cache;
use slipway_disk::efivars::{self, Entry, Target};
use slipway_disk::esp::{Esp, EspError, Fallback, Filed, Kind, Slot};
use slipway_image::Machine;
use slipway_trust::{Digest, ImageManifest};

use crate::checkpoint::Checkpoint;
use crate::console::Console;
use crate::fetch::{self, Blob};
use crate::ground::Ground;
use crate::invite::EFIVARS;

/// How often all sources are gone through.
const ROUNDS: u32 = 3;
/// How much is read at once, in bytes.
const PIECE: usize = 256 * 1024;

/// The image in a slot: there already, or fetched from the first source that has it. A source that gives something else is named, and
/// the next one is tried.
///
/// # Errors
/// In words: no source had it, or the ESP failed.
pub(crate) fn bring(
    console: &Console,
    step: Checkpoint,
    ground: &Ground,
    kind: Kind,
    image: &ImageManifest,
    sources: &[String],
) -> Result<(Filed, &'static str), String> {
    if let Some(filed) = there(ground, kind, &image.sha256) {
        return Ok((filed, "there already"));
    }
    let blob = Blob { sha256: image.sha256, size: image.size };
    let mut last = "no source is known".to_owned();
    for round in 1..=ROUNDS {
        for source in sources {
            console.under_way(step, &format!("{:.1} MiB from {source}", mib(image.size)));
            match from(&ground.esp, kind, image, source, &blob) {
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

/// An image that a slot holds, to the byte: read each time, for what a disk gave back yesterday says nothing of today.
pub(crate) fn there(ground: &Ground, kind: Kind, sha256: &Digest) -> Option<Filed> {
    let filed = ground.esp.book(kind).ok()?.holds(&sha256.0)?;
    (read_back(ground, kind, &filed).ok()? == *sha256).then_some(filed)
}

/// The digest of what the disk, not the memory, gives back for an image.
pub(crate) fn read_back(ground: &Ground, kind: Kind, filed: &Filed) -> Result<Digest, String> {
    let path = ground.folder().join(kind.file(filed.slot));
    hash(&path).map_err(|error| format!("{}: {error}", kind.file(filed.slot)))
}

fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    drop_cache(&file)?;
    let (mut sha, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest(sha.finalize().into())),
            got => sha.update(piece.get(..got).unwrap_or_default()),
        }
    }
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
        EspError::Digest { .. } => {
            Failed::Source("it gave something else than was promised: its SHA-256 differs".to_owned())
        }
        other => here(other),
    })
}

/// Bytes as MiB, for people.
pub(crate) fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) / 1024.0
}

/// Lets firmware try this preboot at the next start, once; where there is no good one to fall back to, it also gets a place in the boot
/// order. Its number, such as `Boot0003`; none where firmware keeps no variables, and then
/// why not.
pub(crate) fn try_once(ground: &Ground, filed: &Filed) -> Result<String, String> {
    let path = Path::new(EFIVARS);
    let variables = efivars::read(path).map_err(|error| error.to_string())?;
    let entry = entry(ground, filed);
    let good = ground.esp.book(Kind::Preboot).ok().and_then(|book| book.good);
    let trial = if good.is_some() { efivars::try_once } else { efivars::try_first };
    let changes = trial(&variables, &entry).map_err(|refusal| refusal.to_string())?;
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

/// Takes the image in this slot for good if it was on trial, and puts a copy of the good one where firmware looks by itself. What was done,
/// in words.
pub(crate) fn promote(ground: &Ground, running: Slot, machine: Machine) -> Result<&'static str, String> {
    let book = ground.esp.book(Kind::Preboot).map_err(|error| error.to_string())?;
    let promoted = book.promoted(running);
    if promoted != book {
        ground.esp.write_book(Kind::Preboot, &promoted).map_err(|error| error.to_string())?;
    }
    match ground.esp.write_fallback(machine) {
        Ok(Fallback::Ours) => Ok("a copy is where firmware looks by itself"),
        Ok(Fallback::Foreign) => Ok("another system's loader is where firmware looks by itself, and stays there"),
        Err(error) => Err(error.to_string()),
    }
}

/// The slot that this preboot was started from: the one that the stub names; or, started from the copy that firmware found by itself, the
/// good one if it has this version.
pub(crate) fn own(ground: &Ground, version: u64) -> Result<Option<Filed>, String> {
    let book = ground.esp.book(Kind::Preboot).map_err(|error| error.to_string())?;
    let slots = || [book.good, book.trial].into_iter().flatten();
    let started = efivars::loader_file(Path::new(EFIVARS)).and_then(|file| Kind::Preboot.slot_of(&file));
    Ok(match started {
        Some(slot) => slots().find(|filed| filed.slot == slot),
        None => slots().find(|filed| filed.version == version),
    })
}

/// Whether this preboot was taken for good before.
pub(crate) fn is_good(ground: &Ground, filed: &Filed) -> bool {
    ground.esp.book(Kind::Preboot).is_ok_and(|book| book.good == Some(*filed))
}

fn entry(ground: &Ground, filed: &Filed) -> Entry {
    let file = Kind::Preboot.file(filed.slot);
    let description = match filed.slot {
        Slot::A => "Slipway",
        Slot::B => "Slipway (slot B)",
    };
    Entry { description: description.to_owned(), target: Target::on(&ground.partition, &file) }
}
