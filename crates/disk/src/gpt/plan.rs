//! What becomes of a disk, decided before anything is written.

use core::ops::RangeInclusive;

use uuid::Uuid;

use super::codec::{Copies, Partition, Table};
use super::content::{Foreign, Present, WINDOW};
use super::{ALIGNMENT, DATA, DATA_NAME, ESP, ESP_NAME};
use crate::devices::{Device, DiskId};
use crate::step::Step;

/// What a disk is to have, from the grant's disk plan.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layout {
    /// The disk that is meant.
    pub disk: DiskId,
    /// Whether everything on it may be destroyed. Counts only if `disk` is the device's id.
    pub wipe: bool,
    /// How much room is needed on the ESP, in MiB: for two preboot images and two generations.
    pub room_mib: u64,
    /// How large an ESP is made where there is none with that much room, in MiB; more if that is too small for FAT32.
    pub esp_mib: u64,
    /// The data partition, if there is to be one.
    pub data: Option<Data>,
    /// The names of what is made. Drawn once per plan: a plan that is carried out again after a power cut is known by them.
    pub ids: Ids,
}

/// How large the data partition is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Data {
    /// The largest free piece, at least this many MiB.
    Rest(u64),
    /// This many MiB.
    Mib(u64),
}

/// Unique GUIDs of what is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ids {
    /// Of the table, if a new one is made.
    pub disk: Uuid,
    /// Of the ESP, if one is made.
    pub esp: Uuid,
    /// Of the data partition, if one is made.
    pub data: Uuid,
}

/// How much room an ESP that is there has, found out by mounting it: [`crate::esp::Esp::free`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EspRoom {
    /// The partition's number.
    pub number: u32,
    /// Free bytes; what Slipway itself keeps there counts as free.
    pub free: u64,
}

/// What will be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changes {
    /// The table as it will be.
    pub table: Table,
    /// The ESP to use.
    pub esp: Partition,
    /// Whether the ESP is new, and needs a file system.
    pub esp_is_new: bool,
    /// The data partition, if one was asked for.
    pub data: Option<Partition>,
    /// Whether it is new, and needs a LUKS2 header.
    pub data_is_new: bool,
    /// What is written to the disk; empty if all is there already.
    pub steps: Vec<Step>,
}

/// Why a disk stays as it is.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// The plan is for another disk.
    #[error("the plan is for the disk {wanted}, and this one is {found}")]
    OtherDisk {
        /// The plan's.
        wanted: DiskId,
        /// The device's.
        found: DiskId,
    },
    /// Something is on the disk, and the plan does not say that it may go.
    #[error("the disk holds {0}, and the plan does not allow to wipe it")]
    Foreign(Foreign),
    /// The disk cannot hold a partition table.
    #[error("the disk has {mib} MiB: too small")]
    TooSmall {
        /// Its size in MiB.
        mib: u64,
    },
    /// The disk has become smaller than what its table says.
    #[error("the disk ends before its last partition does")]
    Cut,
    /// No piece of free space is large enough.
    #[error("{what} needs {need_mib} MiB, and the largest free piece of the disk has {free_mib} MiB")]
    NoRoom {
        /// The partition that found no place.
        what: &'static str,
        /// What it needs.
        need_mib: u64,
        /// What there is.
        free_mib: u64,
    },
    /// All entries of the table are taken.
    #[error("the partition table is full")]
    Full,
}

impl Refusal {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherDisk { .. } => "disk-other",
            Self::Foreign(_) => "disk-foreign",
            Self::TooSmall { .. } => "disk-small",
            Self::Cut => "disk-cut",
            Self::NoRoom { .. } => "disk-full",
            Self::Full => "disk-table-full",
        }
    }
}

/// Decides what becomes of a disk. Partitions that are there stay, as they are, to the byte, unless `wish.wipe` says otherwise and
/// `wish.disk` is this very device. `rooms` tells of each ESP that could be mounted how much is free on it.
///
/// # Errors
/// Why nothing is done.
pub fn plan(present: &Present, device: &Device, rooms: &[EspRoom], wish: &Layout) -> Result<Changes, Refusal> {
    if device.id != wish.disk {
        return Err(Refusal::OtherDisk { wanted: wish.disk.clone(), found: device.id.clone() });
    }
    let sectors = device.size / u64::from(device.sector.max(1));
    let empty =
        || Table::empty(wish.ids.disk, device.sector, sectors).ok_or(Refusal::TooSmall { mib: device.size >> 20 });
    let (old, mut table) = match present {
        // This plan has been carried out before, and the power was cut: what it made is not wiped again.
        Present::Gpt(old) if !wish.wipe || old.disk == wish.ids.disk => {
            (Some(old), old.clone().fitted().ok_or(Refusal::Cut)?)
        }
        Present::Foreign(what) if !wish.wipe => return Err(Refusal::Foreign(*what)),
        Present::Gpt(_) | Present::Foreign(_) | Present::Blank => (None, empty()?),
    };
    let (esp, esp_is_new) = match esp_to_use(&table, rooms, wish) {
        Some(esp) => (esp, false),
        None => {
            let mib = wish.esp_mib.max(wish.room_mib).max(crate::fat::least_mib(table.sector));
            let place = place(&table, "an ESP", mib, Some(mib))?;
            (table.add(ESP, wish.ids.esp, place, ESP_NAME).ok_or(Refusal::Full)?, true)
        }
    };
    let mine = table.partitions().find(|partition| partition.kind == DATA);
    let (data, data_is_new) = match (wish.data, mine) {
        (None, _) => (None, false),
        (Some(_), Some(mine)) => (Some(mine), false),
        (Some(size), None) => {
            let place = match size {
                Data::Rest(least) => place(&table, "a data partition", least, None)?,
                Data::Mib(mib) => place(&table, "a data partition", mib, Some(mib))?,
            };
            (Some(table.add(DATA, wish.ids.data, place, DATA_NAME).ok_or(Refusal::Full)?), true)
        }
    };
    let fresh = [esp_is_new.then_some(&esp), data.as_ref().filter(|_| data_is_new)];
    let steps = match old {
        Some(old) if old.copies == Copies::Both && old.agrees(&table) => Vec::new(),
        Some(_) | None => steps(&table, old.is_none(), fresh.into_iter().flatten()),
    };
    table.copies = Copies::Both;
    Ok(Changes { table, esp, esp_is_new, data, data_is_new, steps })
}

/// An ESP that is there and will do: ours, else any with enough room.
fn esp_to_use(table: &Table, rooms: &[EspRoom], wish: &Layout) -> Option<Partition> {
    let esps = || table.partitions().filter(|partition| partition.kind == ESP);
    let has_room = |partition: &Partition| {
        rooms.iter().any(|room| room.number == partition.number && room.free >> 20 >= wish.room_mib)
    };
    esps().find(|esp| esp.name == ESP_NAME || esp.id == wish.ids.esp).or_else(|| esps().find(has_room))
}

/// A free piece of the disk: the smallest that has `need` MiB, cut down to `take`; or with `take` open, the whole largest one.
fn place(table: &Table, what: &'static str, need: u64, take: Option<u64>) -> Result<RangeInclusive<u64>, Refusal> {
    let unit = (ALIGNMENT / u64::from(table.sector.max(1))).max(1);
    let gaps = gaps(table, unit);
    // In units of the alignment, which is a MiB.
    let size = |gap: &RangeInclusive<u64>| gap.end().saturating_add(1).saturating_sub(*gap.start()) / unit;
    let largest = gaps.iter().map(size).max().unwrap_or(0);
    let fits = gaps.iter().filter(|gap| size(gap) >= need.max(1));
    let gap = match take {
        Some(_) => fits.min_by_key(|gap| size(gap)),
        None => fits.max_by_key(|gap| size(gap)),
    };
    let gap = gap.ok_or(Refusal::NoRoom { what, need_mib: need, free_mib: largest })?;
    let sectors = take.unwrap_or_else(|| size(gap)).max(1).saturating_mul(unit);
    Ok(*gap.start()..=gap.start().saturating_add(sectors).saturating_sub(1))
}

/// The free pieces, from an aligned sector to one before an aligned sector.
fn gaps(table: &Table, unit: u64) -> Vec<RangeInclusive<u64>> {
    let mut taken: Vec<_> = table.partitions().map(|partition| partition.sectors).collect();
    taken.sort_by_key(|sectors| *sectors.start());
    let behind = table.usable.end().saturating_add(1);
    taken.push(behind..=behind);
    let mut gaps = Vec::new();
    let mut free = *table.usable.start();
    for sectors in taken {
        let first = free.div_ceil(unit).saturating_mul(unit).max(unit);
        let end = sectors.start() / unit * unit;
        if first < end {
            gaps.push(first..=end.saturating_sub(1));
        }
        free = free.max(sectors.end().saturating_add(1));
    }
    gaps
}

/// How a table is written. The backup first, and durable, for it does not count while the primary is sound; then the primary, whose
/// entries and header do not fit each other while they are written, so that the backup counts. At every moment one copy is whole.
///
/// First of all the beginnings of `fresh` partitions are cleared, which nobody has yet: what was there in an earlier life would
/// otherwise come back as a file system of today.
pub(super) fn steps<'a>(table: &Table, new: bool, fresh: impl Iterator<Item = &'a Partition>) -> Vec<Step> {
    let sector = u64::from(table.sector);
    let last = table.sectors.saturating_sub(1);
    let clear = |partition: &Partition| {
        let len = partition.len().saturating_mul(sector).min(WINDOW);
        Step::Zero { at: partition.sectors.start().saturating_mul(sector), len }
    };
    let mut steps: Vec<Step> = fresh.map(clear).collect();
    steps.extend([
        Step::Flush,
        // Entries before their header: on a disk without a table they mean nothing until it stands.
        Step::write(table.backup_entries().saturating_mul(sector), table.entry_bytes()),
        Step::Flush,
        Step::write(last.saturating_mul(sector), table.header(false)),
        Step::Flush,
    ]);
    if new {
        // From here on the disk is a GPT's, and the backup is its table: then what else marked the disk can go.
        steps.extend([Step::write(0, protective(table)), Step::Flush]);
    }
    let entries = table.entry_bytes();
    let behind = sector.saturating_mul(2).saturating_add(crate::bytes::length(entries.len()));
    steps.extend([
        Step::write(sector.saturating_mul(2), entries),
        Step::Flush,
        Step::write(sector, table.header(true)),
    ]);
    if new {
        steps.push(Step::Zero { at: behind, len: WINDOW.saturating_sub(behind) });
        let tail = last.saturating_add(1).saturating_mul(sector).saturating_sub(WINDOW).max(WINDOW);
        let len = table.backup_entries().saturating_mul(sector).saturating_sub(tail);
        steps.push(Step::Zero { at: tail, len });
    }
    steps.push(Step::Flush);
    steps
}

/// The MBR that keeps tools that know no GPT away (UEFI specification §5.2.3).
fn protective(table: &Table) -> Vec<u8> {
    let mut mbr = vec![0; crate::bytes::index(u64::from(table.sector))];
    let sectors = u32::try_from(table.sectors.saturating_sub(1)).unwrap_or(u32::MAX);
    // From sector 1, whose place in heads and cylinders is 0/0/2, to the end, which those cannot tell.
    crate::bytes::put(&mut mbr, 446, &[0, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
    crate::bytes::put(&mut mbr, 458, &sectors.to_le_bytes());
    crate::bytes::put(&mut mbr, 510, &[0x55, 0xaa]);
    mbr
}
