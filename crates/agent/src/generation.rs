//! The demo's operating system: it says who it is, opens its disk, and tells the org that it is well.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use data_encoding::HEXLOWER;
use slipway_disk::{devices, dm, luks};
use slipway_trust::{Digest, OrgFacts, OrgId, SigningKey, machine};
use uuid::Uuid;

use crate::checkpoint::{Checkpoint, one_line};
use crate::clock::Clock;
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::gateway::Gateways;
use crate::handover::Handover;
use crate::identity::Identity;
use crate::tls::Expected;
use crate::tpm::{self, Found};
use crate::{inventory, online, random};

/// What the mapped data is called.
const DATA: &str = "data";
/// Where a volume of ours has a mark, in bytes from its start: behind what a file system keeps at its beginning.
const MARK_AT: u64 = 1 << 20;
/// The first bytes of the mark.
const MARK: &[u8; 16] = b"slipway-mark-v1\n";
/// How often the org is told.
const TELLINGS: u32 = 20;

/// Runs: then the words of the command line are obeyed.
pub(crate) fn run(console: &Console, cmdline: &Cmdline) -> Result<(), String> {
    let handover = Handover::take(Path::new("/"))?;
    let (digest, name, version) = handover.generation.clone();
    console.say(&format!(
        "hello from generation {} version {version} on {}",
        one_line(&name),
        one_line(&handover.name)
    ));
    match open_data(&handover) {
        Ok(Some(told)) => console.ok(Checkpoint::Unlocked, &told),
        Ok(None) => console.say("no data partition was handed over"),
        Err(reason) => console.failed(Checkpoint::Unlocked, &reason, "going on without it"),
    }
    let digest: Digest = digest.parse().map_err(|error| format!("generation: {error}"))?;
    tell(console, cmdline, &handover, digest);
    Ok(())
}

/// Opens the data partition with the key that was handed over, and reads its mark, or makes one.
fn open_data(handover: &Handover) -> Result<Option<String>, String> {
    let Some((key, part)) = &handover.disk else { return Ok(None) };
    let id = Uuid::try_parse(part).map_err(|error| format!("{part}: {error}"))?;
    let disks = inventory::disks();
    let (disk, partition) =
        devices::find_partition(&disks, id).ok_or_else(|| format!("no disk has the partition {id}"))?;
    let path = disk.partition(partition.number);
    let fault = |error: io::Error| format!("{}: {error}", path.display());
    let file = File::open(&path).map_err(fault)?;
    let head = luks::read_head(&file).map_err(fault)?;
    let header = luks::Header::decode(&head).map_err(|error| error.to_string())?;
    let (volume, slot) = luks::open(&header, &head, key.as_slice()).map_err(|error| error.to_string())?;
    let sectors = partition.len().saturating_mul(u64::from(disk.sector)) / 512;
    let crypt = header.crypt(sectors).map_err(|error| error.to_string())?;
    let mapped = dm::open(DATA, &path, &crypt, &volume).map_err(|error| error.to_string())?;
    let mark = mark(&mapped).map_err(|error| format!("{}: {error}", mapped.display()))?;
    Ok(Some(format!("{} by key slot {slot}, {mark}", path.display())))
}

/// The volume's mark: a number that was drawn when it was first opened, and stays.
fn mark(mapped: &Path) -> io::Result<String> {
    let file = File::options().read(true).write(true).open(mapped)?;
    let mut there = [0; 32];
    file.read_exact_at(&mut there, MARK_AT)?;
    let (head, number) = there.split_at(16);
    if head == MARK {
        return Ok(format!("mark {}", HEXLOWER.encode(number)));
    }
    let number: [u8; 16] = random::bytes().map_err(io::Error::other)?;
    file.write_all_at(&[MARK.as_slice(), &number].concat(), MARK_AT)?;
    file.sync_all()?;
    Ok(format!("new, mark {}", HEXLOWER.encode(&number)))
}

/// M13. A generation that cannot tell goes on all the same.
fn tell(console: &Console, cmdline: &Cmdline, handover: &Handover, digest: Digest) {
    if handover.certificate.is_empty() {
        let reason = "it was started without the org, so it has no certificate";
        return console.failed(Checkpoint::Healthy, reason, "the org hears of it at the next start with it");
    }
    for attempt in 1..=TELLINGS {
        match healthy(console, cmdline, handover, digest, attempt) {
            Ok(gateway) => return console.ok(Checkpoint::Healthy, &gateway),
            Err(reason) if attempt == TELLINGS => {
                console.failed(Checkpoint::Healthy, &reason, "the org will hear of it at the next boot");
            }
            Err(reason) => {
                let seconds = u64::from(attempt).saturating_mul(2).min(30);
                console.failed(Checkpoint::Healthy, &reason, &format!("telling it again in {seconds} s"));
                thread::sleep(Duration::from_secs(seconds));
            }
        }
    }
}

fn healthy(
    console: &Console,
    cmdline: &Cmdline,
    handover: &Handover,
    digest: Digest,
    attempt: u32,
) -> Result<String, String> {
    let facts: OrgFacts = slipway_trust::decode(&handover.org).map_err(|error| format!("org: {error}"))?;
    let org = OrgId::of(&facts.root);
    let network =
        online::try_once(console, cmdline, None, attempt.saturating_sub(1)).map_err(|failure| failure.reason)?;
    let identity = match &handover.identity {
        Some(seed) => Identity::File(SigningKey::from_seed(seed)),
        None => match tpm::find() {
            Found::Working(chip) => Identity::in_tpm(*chip, org)?,
            Found::Unusable(why) => return Err(why),
        },
    };
    let gateways = Gateways::new(&facts, &handover.gateways, network.report_url.as_deref());
    let expected = Expected { org, pin: facts.ca_spki, clock: Clock::new(facts.built) };
    let identity = Arc::new(identity);
    let mut line = gateways.connect(&expected, Some((&identity, &handover.certificate)))?;
    let reply = line.ask(&machine::healthy(digest))?;
    machine::on_noted(&reply).map_err(|stop| stop.to_string())?;
    Ok(format!("to {}, as machine {}", line.peer, handover.machine))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_mark_is_made_once_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("volume");
        fs::write(&path, vec![0; 2 << 20]).unwrap();
        let first = mark(&path).unwrap();
        let number = first.strip_prefix("new, ").unwrap();
        assert_eq!((mark(&path).unwrap(), mark(&path).unwrap()), (number.to_owned(), number.to_owned()));
    }
}
