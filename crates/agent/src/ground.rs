//! Where a machine's preboot lives: which disk, which partition, mounted.

use std::fs::File;
use std::path::{Path, PathBuf};

use slipway_disk::devices::{self, DiskId};
use slipway_disk::esp::Esp;
use slipway_disk::fat::Health;
use slipway_disk::gpt::{self, Data, EspRoom, Ids, Layout, Partition, Present};
use slipway_disk::{Device, carry_out, efivars, esp};
use slipway_trust::record::DiskPlan;
use slipway_trust::{Digest, MachineId};
use uuid::Uuid;

use crate::invite::EFIVARS;

/// Where the ESP is mounted.
pub(crate) const ESP: &str = "/run/slipway-esp";
/// Where an ESP is mounted whose room is only counted.
const PROBE: &str = "/run/slipway-probe";
/// Room on the ESP for generations and what else is kept there, in MiB, beside the two preboots.
const ROOM: u64 = 192;
/// The least that a data partition has, in MiB: a LUKS header takes 16.
const LEAST_DATA: u64 = 64;

/// An ESP of ours, mounted.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) disk: Device,
    pub(crate) partition: Partition,
    pub(crate) esp: Esp,
    /// The data partition of the same disk.
    pub(crate) data: Option<Partition>,
}

impl Ground {
    /// The device of the data partition.
    pub(crate) fn data_path(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|data| self.disk.partition(data.number))
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &'static Path {
        Path::new(ESP)
    }
}

/// The ESP that this system was started from, or else the first that Slipway made.
///
/// # Errors
/// In words.
pub(crate) fn find(disks: &[Device]) -> Result<Ground, String> {
    let started = efivars::loader_partition(Path::new(EFIVARS)).and_then(|id| devices::find_partition(disks, id));
    let (disk, partition) = started.or_else(|| ours(disks)).ok_or("no disk has an ESP of Slipway's")?;
    let esp = Esp::mount(&disk.partition(partition.number), Path::new(ESP)).map_err(|error| error.to_string())?;
    Ok(Ground { disk: disk.clone(), data: data_of(disk), partition, esp })
}

/// The disk with an ESP that Slipway made.
pub(crate) fn ours(disks: &[Device]) -> Option<(&Device, Partition)> {
    disks.iter().find_map(|disk| {
        let table = table(disk)?;
        let partition = table.partitions().find(|partition| partition.name == gpt::ESP_NAME)?;
        Some((disk, partition))
    })
}

/// The key of a machine without a TPM, if an ESP of ours still has it.
pub(crate) fn kept_key(disks: &[Device]) -> Option<[u8; 32]> {
    let (disk, partition) = ours(disks)?;
    let esp = Esp::mount_to_read(&disk.partition(partition.number), Path::new(PROBE)).ok()?;
    let key = esp.read(crate::identity::FILE).ok()??;
    key.try_into().ok()
}

/// The data partition of a disk.
fn data_of(disk: &Device) -> Option<Partition> {
    table(disk)?.partitions().find(|partition| partition.kind == gpt::DATA)
}

fn table(disk: &Device) -> Option<gpt::Table> {
    let file = File::open(&disk.path).ok()?;
    match gpt::read(&file, disk).ok()? {
        Present::Gpt(table) => Some(table),
        Present::Blank | Present::Foreign(_) => None,
    }
}

/// What may be done to a disk.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) machine: &'a MachineId,
    pub(crate) plan: &'a DiskPlan,
    /// Whether only the ESP may be written, whatever the plan says.
    pub(crate) recovery: bool,
    /// The size of the image, in bytes.
    pub(crate) image: u64,
    /// The ids of the disks that the org was told of.
    pub(crate) told: &'a [String],
}

/// Makes the ESP, where there is none, and the data partition, as the plan says; mounts the ESP.
///
/// # Errors
/// In words. Then nothing was changed that the plan does not cover.
pub(crate) fn prepare(disks: &[Device], order: &Order<'_>) -> Result<Ground, String> {
    let disk = choose(disks, order)?;
    let layout = layout(disk, order);
    let file = File::options().read(true).write(true).open(&disk.path).map_err(|error| named(disk, &error))?;
    let present = gpt::read(&file, disk).map_err(|error| named(disk, &error))?;
    let rooms = rooms(disk, &present);
    let changes = gpt::plan(&present, disk, &rooms, &layout).map_err(|refusal| named(disk, &refusal))?;
    gpt::write(&file, disk, &changes).map_err(|error| named(disk, &error))?;
    let path = disk.partition(changes.esp.number);
    format_if_needed(&path, disk, &changes)?;
    let esp = Esp::mount(&path, Path::new(ESP)).map_err(|error| error.to_string())?;
    let data = changes.data.or_else(|| changes.table.partitions().find(|partition| partition.kind == gpt::DATA));
    Ok(Ground { disk: disk.clone(), partition: changes.esp, esp, data })
}

fn named(disk: &Device, reason: &dyn core::fmt::Display) -> String {
    format!("the disk {} ({}): {reason}", disk.id, disk.name)
}

/// The disk that the plan means: the one that it names; else the one that has our ESP, or the only one.
fn choose<'a>(disks: &'a [Device], order: &Order<'_>) -> Result<&'a Device, String> {
    if let Some(id) = &order.plan.disk {
        return devices::find(disks, &DiskId::from(id.as_str())).map_err(|error| error.to_string());
    }
    if let Some((disk, _)) = ours(disks) {
        return Ok(disk);
    }
    match disks {
        [only] => Ok(only),
        [] => Err("this machine shows no disk: is its driver in the image?".to_owned()),
        several => Err(format!("the plan names no disk, and this machine has {}", several.len())),
    }
}

fn layout(disk: &Device, order: &Order<'_>) -> Layout {
    let DiskPlan { wipe, esp_mib, data, .. } = *order.plan;
    // A wipe holds for a disk that the plan names and the org was told of, and for no other.
    let named =
        order.plan.disk.as_deref() == Some(disk.id.as_str()) && order.told.iter().any(|id| id == disk.id.as_str());
    Layout {
        disk: disk.id.clone(),
        wipe: wipe && named && !order.recovery,
        room_mib: (order.image >> 20).saturating_add(1).saturating_mul(2).saturating_add(ROOM),
        esp_mib: u64::from(esp_mib),
        data: (data && !order.recovery).then_some(Data::Rest(LEAST_DATA)),
        ids: ids(order.machine, disk.id.as_str()),
    }
}

/// The names of what is made on this disk for this machine: always the same, so that a plan that is carried out again after a power cut
/// finds what it has made.
fn ids(machine: &MachineId, disk: &str) -> Ids {
    let id = |what: &str| {
        let digest = Digest::of_all(&[b"slipway-disk-ids-v1", &machine.0, disk.as_bytes(), &[0], what.as_bytes()]);
        uuid::Builder::from_custom_bytes(*digest.0.first_chunk().unwrap_or(&[0; 16])).into_uuid()
    };
    Ids { disk: id("disk"), esp: id("esp"), data: id("data") }
}

/// How much room there is on each ESP that can be mounted.
fn rooms(disk: &Device, present: &Present) -> Vec<EspRoom> {
    let Present::Gpt(table) = present else { return Vec::new() };
    let esps = table.partitions().filter(|partition| partition.kind == gpt::ESP);
    esps.filter_map(|partition| {
        let esp = Esp::mount_to_read(&disk.partition(partition.number), Path::new(PROBE)).ok()?;
        let free = esp.free_beside_ours().ok()?;
        esp.unmount().ok()?;
        Some(EspRoom { number: partition.number, free })
    })
    .collect()
}

/// Makes a file system where there is none: on a new ESP, and on one of ours that was destroyed.
fn format_if_needed(path: &Path, disk: &Device, changes: &gpt::Changes) -> Result<(), String> {
    let fault = |error: std::io::Error| format!("{}: {error}", path.display());
    let file = File::options().read(true).write(true).open(path).map_err(fault)?;
    let size = changes.esp.len().saturating_mul(u64::from(disk.sector));
    let (health, head) = esp::look(&file, size).map_err(fault)?;
    if health == Health::Fat {
        return Ok(());
    }
    let known: Vec<Uuid> = efivars::read(Path::new(EFIVARS)).map(|v| v.our_partitions().collect()).unwrap_or_default();
    let serial = u32::from_le_bytes(crate::random::bytes()?);
    let steps =
        esp::repair(&changes.table, &changes.esp, &known, &head, serial).map_err(|refusal| refusal.to_string())?;
    carry_out(&file, &steps).map_err(fault)?;
    devices::drop_cache(&file).map_err(fault)?;
    match esp::look(&file, size).map_err(fault)? {
        (Health::Fat, _) => Ok(()),
        _ => Err(format!("{}: the disk does not keep what is written", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(id: &str) -> Device {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        Device::from_file(file.path(), id, 512).unwrap()
    }

    fn plan(disk: Option<&str>, wipe: bool) -> DiskPlan {
        DiskPlan { disk: disk.map(str::to_owned), wipe, esp_mib: 512, data: true }
    }

    #[test]
    fn a_disk_is_wiped_only_if_the_plan_names_it_and_the_org_was_told_of_it() {
        let machine = MachineId([1; 16]);
        let device = disk("serial:a");
        for (named, wipe, told, recovery, wiped) in [
            (Some("serial:a"), true, "serial:a", false, true),
            (Some("serial:a"), false, "serial:a", false, false),
            (Some("serial:a"), true, "serial:b", false, false),
            (None, true, "serial:a", false, false),
            (Some("serial:a"), true, "serial:a", true, false),
        ] {
            let (plan, told) = (plan(named, wipe), [told.to_owned()]);
            let order = Order { machine: &machine, plan: &plan, recovery, image: 20 << 20, told: &told };
            let layout = layout(&device, &order);
            assert_eq!(layout.wipe, wiped, "{named:?} {wipe} {told:?} {recovery}");
            assert_eq!(layout.data.is_some(), !recovery);
        }
    }

    #[test]
    fn a_plan_without_a_name_is_for_the_only_disk_or_for_none() {
        let machine = MachineId([1; 16]);
        let both = [disk("serial:a"), disk("serial:b")];
        let told = |plan: &DiskPlan, disks: &[Device]| {
            let order = Order { machine: &machine, plan, recovery: false, image: 0, told: &[] };
            choose(disks, &order).map(|disk| disk.id.to_string())
        };
        assert_eq!(told(&plan(Some("serial:b"), false), &both), Ok("serial:b".to_owned()));
        assert_eq!(told(&plan(None, false), &both[..1]), Ok("serial:a".to_owned()));
        assert!(told(&plan(None, false), &both).unwrap_err().contains("has 2"));
        assert!(told(&plan(None, false), &[]).unwrap_err().contains("no disk"));
        assert!(told(&plan(Some("serial:c"), false), &both).unwrap_err().contains("serial:c"));
    }

    #[test]
    fn what_is_made_has_the_same_name_each_time() {
        let machine = MachineId([1; 16]);
        assert_eq!(ids(&machine, "serial:a"), ids(&machine, "serial:a"));
        assert_ne!(ids(&machine, "serial:a"), ids(&machine, "serial:b"));
        assert_ne!(ids(&machine, "serial:a"), ids(&MachineId([2; 16]), "serial:a"));
        let ids = ids(&machine, "serial:a");
        assert!(ids.disk != ids.esp && ids.esp != ids.data);
    }
}
