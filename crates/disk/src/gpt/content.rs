//! What is on a disk now, from its two ends.

use super::codec::{self, Copies, Table};
use crate::bytes::{index, is_zero, length, slice, u32_at};

/// How many bytes of each end of a disk are looked at: the room before the first partition, as every tool of this age leaves it.
pub const WINDOW: u64 = 1 << 20;

/// The two ends of a disk.
#[derive(Clone, Debug)]
pub struct Ends {
    /// Its first bytes, [`WINDOW`] or as many as there are.
    pub head: Vec<u8>,
    /// Its last bytes, [`WINDOW`] or as many as there are.
    pub tail: Vec<u8>,
    /// Bytes on the disk.
    pub size: u64,
    /// Bytes in a sector.
    pub sector: u32,
}

/// What a disk holds that is not a partition table of ours to extend.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Foreign {
    /// An MBR with partitions, and no GPT behind it.
    #[error("an MBR partition table")]
    Mbr,
    /// A file system, or a part of a volume, without any partition table.
    #[error("{0} on the whole disk")]
    Whole(&'static str),
    /// A GPT of which neither copy can be read.
    #[error("a GPT of which neither copy is sound")]
    BrokenGpt,
    /// Something that nobody here knows.
    #[error("something unknown: its first MiB is not empty")]
    Unknown,
}

/// What is on a disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Present {
    /// Nothing.
    Blank,
    /// A GPT.
    Gpt(Table),
    /// Something else.
    Foreign(Foreign),
}

impl Ends {
    /// What is on the disk.
    #[must_use]
    pub fn present(&self) -> Present {
        let partitions = self.mbr();
        match (self.table(), partitions) {
            // An MBR of real partitions decides over a GPT: an old GPT stays behind when a tool writes an MBR.
            (_, Mbr::Partitions) => Present::Foreign(Foreign::Mbr),
            (Some(table), Mbr::Protective) => Present::Gpt(table),
            // Without a protective MBR a GPT counts only where nothing else is: it may be what an older use left at the end.
            (table, mbr) => match (self.signature(), table) {
                (Some(what), _) => Present::Foreign(Foreign::Whole(what)),
                (None, Some(table)) => Present::Gpt(table),
                (None, None) if mbr == Mbr::Protective => Present::Foreign(Foreign::BrokenGpt),
                (None, None) if !is_zero(&self.head) => Present::Foreign(Foreign::Unknown),
                (None, None) => Present::Blank,
            },
        }
    }

    fn table(&self) -> Option<Table> {
        let sectors = self.size / u64::from(self.sector.max(1));
        let last = sectors.checked_sub(1)?;
        let read = |here| codec::decode(|sector, len| self.at(sector, len), here, self.sector, sectors).ok();
        let (mut table, copies) = match (read(1), read(last)) {
            (Some(primary), Some(backup)) if primary.agrees(&backup) => (primary, Copies::Both),
            (Some(primary), _) => (primary, Copies::Primary),
            (None, Some(backup)) => (backup, Copies::Backup),
            (None, None) => return None,
        };
        table.copies = copies;
        Some(table)
    }

    /// Bytes from a sector on, wherever they are in the two windows.
    fn at(&self, sector: u64, len: u64) -> Option<&[u8]> {
        let offset = sector.checked_mul(u64::from(self.sector))?;
        let in_head = slice(&self.head, index(offset), index(len));
        let tail = self.size.checked_sub(length(self.tail.len()))?;
        in_head.or_else(|| slice(&self.tail, index(offset.checked_sub(tail)?), index(len)))
    }

    fn mbr(&self) -> Mbr {
        if slice(&self.head, 510, 2) != Some(&[0x55, 0xaa]) {
            return Mbr::None;
        }
        let kinds: Vec<u8> = (0..4).filter_map(|n| self.head.get(446 + 16 * n + 4).copied()).collect();
        let sane = (0..4).all(|n| self.head.get(446 + 16 * n).is_some_and(|flag| matches!(flag, 0 | 0x80)));
        match kinds.iter().any(|kind| *kind != 0) {
            _ if kinds.contains(&0xee) => Mbr::Protective,
            // A boot sector of a file system has code where an MBR has its table.
            true if sane && self.signature().is_none() => Mbr::Partitions,
            _ => Mbr::None,
        }
    }

    /// The name of what has its mark at one of the places where the common ones have theirs.
    fn signature(&self) -> Option<&'static str> {
        let marked = MARKS.iter().find(|mark| slice(&self.head, mark.at, mark.bytes.len()) == Some(mark.bytes));
        marked.map(|mark| mark.what).or_else(|| self.raid_at_the_end())
    }

    /// Linux RAID with its superblock at the end: formats 0.90 and 1.0.
    fn raid_at_the_end(&self) -> Option<&'static str> {
        let tail = self.size.checked_sub(length(self.tail.len()))?;
        let places =
            [(self.size & !0xffff).checked_sub(0x1_0000), (self.size / 512).checked_sub(16).map(|s| (s & !7) * 512)];
        let is_raid =
            |place: u64| place.checked_sub(tail).and_then(|at| u32_at(&self.tail, index(at))) == Some(0xa92b_4efc);
        places.into_iter().flatten().any(is_raid).then_some("a member of a Linux RAID")
    }
}

/// What the first sector says of partitions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mbr {
    None,
    Protective,
    Partitions,
}

/// What a format writes, and where.
pub(super) struct Mark {
    pub(super) at: usize,
    pub(super) bytes: &'static [u8],
    pub(super) what: &'static str,
}

const fn mark(at: usize, bytes: &'static [u8], what: &'static str) -> Mark {
    Mark { at, bytes, what }
}

/// Marks of file systems and volumes that a whole disk may hold. From each format's own documentation.
pub(super) const MARKS: &[Mark] = &[
    mark(0x438, b"\x53\xef", "an ext file system"),
    mark(0, b"XFSB", "an XFS file system"),
    mark(0x1_0040, b"_BHRfS_M", "a Btrfs file system"),
    mark(3, b"NTFS    ", "an NTFS file system"),
    mark(3, b"ReFS\0", "a ReFS file system"),
    mark(3, b"-FVE-FS-", "a BitLocker volume"),
    mark(3, b"EXFAT   ", "an exFAT file system"),
    mark(0x52, b"FAT32   ", "a FAT file system"),
    mark(0x36, b"FAT16   ", "a FAT file system"),
    mark(0x36, b"FAT12   ", "a FAT file system"),
    mark(0, b"LUKS\xba\xbe", "a LUKS volume"),
    mark(0x200, b"LABELONE", "an LVM physical volume"),
    mark(0, b"LABELONE", "an LVM physical volume"),
    mark(0x1000, b"\xfc\x4e\x2b\xa9", "a member of a Linux RAID"),
    mark(0, b"\xfc\x4e\x2b\xa9", "a member of a Linux RAID"),
    mark(0xff6, b"SWAPSPACE2", "swap space"),
    mark(0x8001, b"CD001", "an ISO 9660 file system"),
    mark(0x400, b"\x10\x20\xf5\xf2", "an F2FS file system"),
    mark(0x400, b"H+\0\x04", "an HFS+ file system"),
    mark(32, b"NXSB", "an APFS container"),
    mark(0, b"hsqs", "a SquashFS file system"),
    mark(0x1018, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "a bcache device"),
    mark(0, b"bluestore block device", "a Ceph OSD"),
    mark(0x400, b"\xe2\xe1\xf5\xe0", "an EROFS file system"),
    mark(0x4000, b"\x01\x01\0\0\0\0\0\0\0\0\0\x01", "a ZFS pool's device"),
];
