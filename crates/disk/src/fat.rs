//! A new FAT32 file system (Microsoft, "FAT32 File System Specification" 1.03), and whether a partition holds a FAT at all. What is in
//! one is the kernel's business: it is mounted.

use crate::bytes::{index, is_zero, length, put, slice, u16_at, u32_at};
use crate::step::Step;

/// Sectors before the first FAT.
const RESERVED: u32 = 32;
/// Copies of the FAT.
const FATS: u32 = 2;
/// Where the copy of the boot sector and of the sector behind it stands.
const COPY: u64 = 6;
/// With fewer clusters a FAT is a FAT16, whatever it says.
const LEAST_CLUSTERS: u32 = 65_525;

/// What a new file system is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Format {
    /// Bytes of the partition.
    pub size: u64,
    /// Bytes in a sector of the disk.
    pub sector: u32,
    /// Sectors before the partition, which old firmware looks at.
    pub hidden: u64,
    /// The serial number, any number.
    pub serial: u32,
    /// Its label: at most 11 bytes are taken.
    pub label: &'static str,
}

/// The least number of MiB that a FAT32 takes on a disk with sectors of this many bytes, rounded up to what people write.
#[must_use]
pub fn least_mib(sector: u32) -> u64 {
    if sector > 512 { 272 } else { 64 }
}

/// How a new file system is written: the boot sector last, so that a power cut leaves a file system or, plainly, none.
///
/// `None`: the partition is too small for FAT32, or too large (2 TiB).
#[must_use]
pub fn format(wish: &Format) -> Option<Vec<Step>> {
    let sector = u64::from(wish.sector);
    let total = u32::try_from(wish.size.checked_div(sector)?).ok()?;
    let per_cluster = per_cluster(wish);
    let fat = fat_sectors(total, per_cluster, wish.sector)?;
    let data = RESERVED.checked_add(fat.checked_mul(FATS)?)?;
    let clusters = total.checked_sub(data)? / u32::from(per_cluster);
    if clusters < LEAST_CLUSTERS {
        return None;
    }
    let boot = boot_sector(wish, total, per_cluster, fat);
    let info = info_sector(wish.sector, clusters.checked_sub(1)?);
    // The medium's byte and "clean"; then the root folder, which is one cluster.
    let mut first = vec![0; index(sector)];
    for (place, entry) in [(0, 0x0fff_fff8_u32), (4, 0x0fff_ffff), (8, 0x0fff_ffff)] {
        put(&mut first, place, &entry.to_le_bytes());
    }
    let mut root = vec![0; index(sector)];
    put(&mut root, 0, &label_of(wish.label));
    put(&mut root, 11, &[0x08]);
    let at = |number: u64| number.saturating_mul(sector);
    let fats = u64::from(RESERVED);
    let cluster = u64::from(per_cluster);
    let mut steps = vec![
        Step::Zero { at: 0, len: at(fats) },
        Step::Flush,
        Step::Zero { at: at(fats), len: at(u64::from(data).saturating_add(cluster).saturating_sub(fats)) },
    ];
    for copy in 0..u64::from(FATS) {
        steps.push(Step::write(at(fats.saturating_add(copy.saturating_mul(u64::from(fat)))), first.clone()));
    }
    steps.push(Step::write(at(u64::from(data)), root));
    steps.push(Step::write(at(COPY), [boot.clone(), info.clone()].concat()));
    steps.extend([Step::write(at(1), info), Step::Flush, Step::write(0, boot), Step::Flush]);
    Some(steps)
}

/// Sectors in a cluster, as Microsoft's table has it: by 260 MiB, 8 GiB, 16 GiB, 32 GiB.
fn per_cluster(wish: &Format) -> u8 {
    let bytes: u32 = match wish.size >> 20 {
        0..=260 => 512,
        261..=8_192 => 4096,
        8_193..=16_384 => 8192,
        16_385..=32_768 => 16_384,
        _ => 32_768,
    };
    u8::try_from(bytes / wish.sector.max(1)).unwrap_or(64).max(1)
}

/// Sectors of one FAT, rounded up to a multiple of four, so that the clusters begin at a multiple of 4 KiB.
fn fat_sectors(total: u32, per_cluster: u8, sector: u32) -> Option<u32> {
    let clusters = total.checked_sub(RESERVED)? / u32::from(per_cluster);
    let bytes = u64::from(clusters).saturating_add(2).saturating_mul(4);
    let sectors = u32::try_from(bytes.div_ceil(u64::from(sector))).ok()?;
    sectors.checked_next_multiple_of(4)
}

fn boot_sector(wish: &Format, total: u32, per_cluster: u8, fat: u32) -> Vec<u8> {
    let mut boot = vec![0; index(u64::from(wish.sector))];
    put(&mut boot, 0, &[0xeb, 0x58, 0x90]);
    put(&mut boot, 3, b"SLIPWAY ");
    put(&mut boot, 11, &u16::try_from(wish.sector).unwrap_or(512).to_le_bytes());
    put(&mut boot, 13, &[per_cluster]);
    put(&mut boot, 14, &32_u16.to_le_bytes());
    put(&mut boot, 16, &[2]);
    // A fixed disk.
    put(&mut boot, 21, &[0xf8]);
    put(&mut boot, 24, &63_u16.to_le_bytes());
    put(&mut boot, 26, &255_u16.to_le_bytes());
    put(&mut boot, 28, &u32::try_from(wish.hidden).unwrap_or(0).to_le_bytes());
    put(&mut boot, 32, &total.to_le_bytes());
    put(&mut boot, 36, &fat.to_le_bytes());
    // The root folder's cluster, the information sector, the copy.
    put(&mut boot, 44, &2_u32.to_le_bytes());
    put(&mut boot, 48, &1_u16.to_le_bytes());
    put(&mut boot, 50, &6_u16.to_le_bytes());
    put(&mut boot, 64, &[0x80, 0, 0x29]);
    put(&mut boot, 67, &wish.serial.to_le_bytes());
    put(&mut boot, 71, &label_of(wish.label));
    put(&mut boot, 82, b"FAT32   ");
    put(&mut boot, 510, &[0x55, 0xaa]);
    boot
}

fn info_sector(sector: u32, free: u32) -> Vec<u8> {
    let mut info = vec![0; index(u64::from(sector))];
    put(&mut info, 0, b"RRaA");
    put(&mut info, 484, b"rrAa");
    put(&mut info, 488, &free.to_le_bytes());
    put(&mut info, 492, &3_u32.to_le_bytes());
    put(&mut info, 510, &[0x55, 0xaa]);
    info
}

/// Eleven bytes, upper case, filled with spaces.
fn label_of(label: &str) -> [u8; 11] {
    let mut bytes = [b' '; 11];
    for (place, byte) in bytes.iter_mut().zip(label.bytes()) {
        *place = byte.to_ascii_uppercase();
    }
    bytes
}

/// What the first bytes of a partition that should be a FAT say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Health {
    /// A FAT that can be mounted, as far as its first sectors tell.
    Fat,
    /// No FAT: nothing but zeros.
    Zeroed,
    /// No FAT: something else, or a damaged one.
    Damaged(&'static str),
}

/// How many bytes [`health`] wants to see of the start.
pub const LOOK: u64 = 1 << 20;

/// Looks at the first bytes of a partition of `size` bytes.
#[must_use]
pub fn health(head: &[u8], size: u64) -> Health {
    if is_zero(head) {
        return Health::Zeroed;
    }
    fault(head, size).map_or(Health::Fat, Health::Damaged)
}

fn fault(head: &[u8], size: u64) -> Option<&'static str> {
    let word = |at| u16_at(head, at).map(u64::from).unwrap_or_default();
    let long = |at| u32_at(head, at).map(u64::from).unwrap_or_default();
    let byte = |at: usize| head.get(at).copied().unwrap_or_default();
    let (sector, reserved) = (word(11), word(14));
    let either = |short: u64, long: u64| if short == 0 { long } else { short };
    if slice(head, 510, 2) != Some(&[0x55, 0xaa]) || !matches!(byte(0), 0xeb | 0xe9) {
        return Some("its boot sector is not one");
    }
    if !matches!(sector, 512 | 1024 | 2048 | 4096) || !byte(13).is_power_of_two() || reserved == 0 {
        return Some("its boot sector says what cannot be");
    }
    if !matches!(byte(16), 1 | 2) || either(word(22), long(36)) == 0 {
        return Some("its boot sector tells of no FAT");
    }
    if either(word(19), long(32)).saturating_mul(sector) > size {
        return Some("its boot sector tells of more than there is");
    }
    // The first entry repeats the medium's byte, with all bits above it set: 12 bits wide at the least.
    let fat = index(reserved.saturating_mul(sector));
    let first = slice(head, fat, 2);
    if fat < index(length(head.len()))
        && first.is_none_or(|f| f.first() != Some(&byte(21)) || f.get(1).is_none_or(|b| b & 0xf != 0xf))
    {
        return Some("its FAT is not one");
    }
    None
}
