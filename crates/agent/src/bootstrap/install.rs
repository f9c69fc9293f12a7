//! From a grant to a boot entry. The order matters: at each moment the disk holds either what it held, or a preboot that is whole.

use slipway_disk::esp::{Fallback, Filed, Kind};
use slipway_trust::Digest;
use slipway_trust::machine::{Granted, Waiting};
use zeroize::Zeroizing;

use super::Bootstrap;
use crate::checkpoint::Checkpoint;
use crate::ground::{self, Ground, Order};
use crate::identity::{self, Identity};
use crate::remember::{Floors, Remembered};
use crate::talk::Failure;
use crate::{inventory, online, role, slot};

/// How often the org is told that the preboot is there; after that its first boot will tell.
const TELLINGS: u32 = 4;

/// Does what the grant says.
pub(super) fn install(bootstrap: &Bootstrap<'_>, waiting: &mut Waiting, granted: &Granted) -> Result<(), Failure> {
    let console = bootstrap.console;
    let (grant, image) = (granted.grant(), granted.image());
    let disks = inventory::disks();
    let told: Vec<String> = disks.iter().map(|disk| disk.id.to_string()).collect();
    let order =
        Order { machine: &grant.machine, plan: &grant.plan, recovery: grant.recovery, image: image.size, told: &told };
    let written = |reason: String| Failure::new(Checkpoint::Written, reason);
    let ground = ground::prepare(&disks, &order).map_err(|reason| Failure::lasting(Checkpoint::Written, reason))?;
    keep_key(bootstrap, &ground, grant.recovery).map_err(written)?;
    let sources = online::sources(&grant.sources, &bootstrap.network);
    let brought = slot::bring(console, Checkpoint::Downloaded, &ground, Kind::Preboot, image, &sources);
    let (filed, how) = brought.map_err(|reason| Failure::new(Checkpoint::Downloaded, reason))?;
    console.ok(Checkpoint::Downloaded, &format!("{:.1} MiB, SHA-256 {}, {how}", slot::mib(image.size), image.sha256));
    remember(granted, &ground).map_err(written)?;
    let sha256 = slot::read_back(&ground, Kind::Preboot, &filed).map_err(written)?;
    if sha256 != image.sha256 {
        return Err(written("the disk gives back something else than was written to it".to_owned()));
    }
    let path = format!("/{} on {} ({})", Kind::Preboot.file(filed.slot), partition_name(&ground), ground.disk.id);
    console.ok(Checkpoint::Written, &format!("{path}, read back"));
    let entry = boot_entry(bootstrap, &ground, &filed)?;
    ground.esp.unmount().map_err(|error| written(error.to_string()))?;
    tell(bootstrap, waiting, sha256, entry);
    Ok(())
}

fn partition_name(ground: &Ground) -> String {
    let path = ground.disk.partition(ground.partition.number);
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A machine without a TPM keeps its key on the ESP. A key of an earlier identity makes room, but never in a recovery.
fn keep_key(bootstrap: &Bootstrap<'_>, ground: &Ground, recovery: bool) -> Result<(), String> {
    let seed = match bootstrap.ends.identity.as_ref() {
        Identity::File(key) => Some(key.seed()),
        Identity::Tpm(_) => None,
    };
    let there = ground.esp.read(identity::FILE).map_err(|error| error.to_string())?.map(Zeroizing::new);
    let stale = there.is_some_and(|there| seed.as_ref().is_none_or(|seed| there.as_slice() != seed.as_slice()));
    if stale && !recovery {
        std::fs::remove_file(ground.folder().join(identity::FILE)).map_err(|error| error.to_string())?;
    }
    let Some(seed) = seed else { return Ok(()) };
    ground.esp.write_once(identity::FILE, seed.as_slice()).map_err(|error| error.to_string())
}

/// Writes down who this machine is. What it remembers of an earlier life as the same machine stays.
fn remember(granted: &Granted, ground: &Ground) -> Result<(), String> {
    let grant = granted.grant();
    let before = Remembered::read(ground.folder()).filter(|before| before.machine == grant.machine);
    let floors = before.map(|before| before.floors).unwrap_or_default();
    let mut memory = Remembered::new(grant.machine, grant.name.clone(), grant.confirm);
    memory.heard = grant.time;
    memory.org = Some(grant.org.clone());
    memory.sources.clone_from(&grant.sources);
    memory.floors = Floors {
        preboot: floors.preboot.max(granted.image().floor),
        epoch: floors.epoch.max(granted.org().epoch),
        ..floors
    };
    memory.write(ground.folder()).map_err(|error| format!("what the machine remembers cannot be written: {error}"))
}

/// The next start tries the preboot. Where firmware keeps no variables, the preboot goes where firmware looks by itself.
fn boot_entry(bootstrap: &Bootstrap<'_>, ground: &Ground, filed: &Filed) -> Result<Option<String>, Failure> {
    let console = bootstrap.console;
    match slot::try_once(ground, filed) {
        Ok(entry) => {
            console.ok(Checkpoint::BootOrder, &format!("{entry} is started next"));
            Ok(Some(entry))
        }
        Err(reason) => {
            let fallback = slot::promote(ground, filed.slot, role::machine());
            let fallback =
                fallback.map_err(|other| Failure::new(Checkpoint::BootOrder, format!("{reason}; {other}")))?;
            let place = slot::told(fallback);
            match fallback {
                Fallback::Ours => console.ok(Checkpoint::BootOrder, &format!("{place}, for {reason}")),
                // Nothing would start the preboot.
                Fallback::Foreign => {
                    return Err(Failure::lasting(Checkpoint::BootOrder, format!("{reason}; and {place}")));
                }
            }
            Ok(None)
        }
    }
}

/// M10. An org that does not hear it learns the same from the first boot.
fn tell(bootstrap: &Bootstrap<'_>, waiting: &mut Waiting, sha256: Digest, entry: Option<String>) {
    for attempt in 1..=TELLINGS {
        match bootstrap.ends.installed(waiting, sha256, entry.clone()) {
            Ok(()) => return,
            Err(failure) => {
                let next = if attempt == TELLINGS { "the first boot will tell the org" } else { "telling it again" };
                bootstrap.console.failed(Checkpoint::Rebooting, &failure.reason, next);
            }
        }
    }
}
