//! The table's bytes. Entries are kept as they were read: what is not ours is written back byte for byte.

use core::ops::RangeInclusive;

use uuid::Uuid;

use crate::bytes::{index, length, put, slice, u32_at, u64_at};

/// "EFI PART".
const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Revision 1.0, the only one there is.
const REVISION: u32 = 0x0001_0000;
/// Length of a header of that revision.
const HEADER: usize = 92;
/// The length of an entry that we write; larger ones are read and kept.
const ENTRY: u32 = 128;
/// The number of entries in tables that we make, and the least that the specification allows (16 KiB).
const ENTRIES: u32 = 128;
/// More entries than any tool makes: a header that says so is damaged.
const MOST_ENTRIES: u32 = 1024;

/// A partition, as the table tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    /// Its place in the table, from 1: the number in `/dev/sda1`.
    pub number: u32,
    /// What it is for.
    pub kind: Uuid,
    /// Which one it is.
    pub id: Uuid,
    /// First and last sector.
    pub sectors: RangeInclusive<u64>,
    /// Its name.
    pub name: String,
}

impl Partition {
    /// How many sectors it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sectors.end().saturating_sub(*self.sectors.start()).saturating_add(1)
    }

    /// Whether it has none, which no table of ours says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sectors.is_empty()
    }
}

/// Which of the table's two copies are sound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Copies {
    /// Both, and they say the same.
    Both,
    /// The one at the start of the disk; the other one is damaged, elsewhere or says something else.
    Primary,
    /// Only the one at the end of the disk.
    Backup,
}

/// A partition table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// Bytes in a sector.
    pub sector: u32,
    /// Sectors on the disk.
    pub sectors: u64,
    /// Which disk it is, by its table.
    pub disk: Uuid,
    /// The sectors that partitions may have.
    pub usable: RangeInclusive<u64>,
    /// Which copies were sound when it was read.
    pub copies: Copies,
    entry_size: u32,
    entries: Vec<u8>,
}

/// Why bytes are not a copy of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TableError {
    /// No header there.
    #[error("no GPT header")]
    Missing,
    /// A header whose checksum is wrong.
    #[error("the header's checksum is wrong")]
    Checksum,
    /// A header for another place than where it stands.
    #[error("the header says that it stands elsewhere")]
    Misplaced,
    /// Sizes, counts or places that cannot be.
    #[error("the header says what cannot be")]
    Impossible,
    /// Entries whose checksum is wrong.
    #[error("the checksum of the entries is wrong")]
    Entries,
}

impl Table {
    /// An empty table for a disk, or none if the disk is too small for one.
    #[must_use]
    pub fn empty(disk: Uuid, sector: u32, sectors: u64) -> Option<Self> {
        let entries = vec![0; index(u64::from(ENTRIES) * u64::from(ENTRY))];
        let blocks = length(entries.len()).div_ceil(u64::from(sector.max(1)));
        let first = blocks.checked_add(2)?;
        let last = sectors.checked_sub(blocks)?.checked_sub(2)?;
        (first <= last).then_some(Self {
            sector,
            sectors,
            disk,
            usable: first..=last,
            copies: Copies::Both,
            entry_size: ENTRY,
            entries,
        })
    }

    /// Its partitions, in the order of their numbers.
    pub fn partitions(&self) -> impl Iterator<Item = Partition> + '_ {
        let entries = self.entries.chunks_exact(index(u64::from(self.entry_size.max(1))));
        (1_u32..).zip(entries).filter_map(|(number, entry)| partition(number, entry))
    }

    /// The partition of this number.
    #[must_use]
    pub fn partition(&self, number: u32) -> Option<Partition> {
        self.partitions().find(|partition| partition.number == number)
    }

    /// Adds a partition at the first free number, and says which. `None`: every entry is taken.
    pub fn add(&mut self, kind: Uuid, id: Uuid, sectors: RangeInclusive<u64>, name: &str) -> Option<Partition> {
        let size = index(u64::from(self.entry_size.max(1)));
        let entries = self.entries.chunks_exact_mut(size);
        let (number, entry) = (1_u32..).zip(entries).find(|(_, entry)| is_free(entry))?;
        entry.fill(0);
        put(entry, 0, &kind.to_bytes_le());
        put(entry, 16, &id.to_bytes_le());
        put(entry, 32, &sectors.start().to_le_bytes());
        put(entry, 40, &sectors.end().to_le_bytes());
        for (place, unit) in (56..128).step_by(2).zip(name.encode_utf16()) {
            put(entry, place, &unit.to_le_bytes());
        }
        partition(number, entry)
    }

    /// How many sectors one copy of the entries takes.
    fn blocks(&self) -> u64 {
        length(self.entries.len()).div_ceil(u64::from(self.sector.max(1)))
    }

    /// The entries, filled up to whole sectors.
    pub(super) fn entry_bytes(&self) -> Vec<u8> {
        let mut bytes = self.entries.clone();
        bytes.resize(index(self.blocks() * u64::from(self.sector)), 0);
        bytes
    }

    /// The sector at which the backup's entries begin: right before its header, which is the disk's last sector.
    pub(super) fn backup_entries(&self) -> u64 {
        self.sectors.saturating_sub(1).saturating_sub(self.blocks())
    }

    /// One copy's header, filled up to a whole sector.
    pub(super) fn header(&self, primary: bool) -> Vec<u8> {
        let last = self.sectors.saturating_sub(1);
        let (here, there, entries) = if primary { (1, last, 2) } else { (last, 1, self.backup_entries()) };
        let mut header = vec![0; index(u64::from(self.sector))];
        put(&mut header, 0, SIGNATURE);
        put(&mut header, 8, &REVISION.to_le_bytes());
        put(&mut header, 12, &92_u32.to_le_bytes());
        put(&mut header, 24, &here.to_le_bytes());
        put(&mut header, 32, &there.to_le_bytes());
        put(&mut header, 40, &self.usable.start().to_le_bytes());
        put(&mut header, 48, &self.usable.end().to_le_bytes());
        put(&mut header, 56, &self.disk.to_bytes_le());
        put(&mut header, 72, &entries.to_le_bytes());
        let count = length(self.entries.len()) / u64::from(self.entry_size.max(1));
        put(&mut header, 80, &u32::try_from(count).unwrap_or(0).to_le_bytes());
        put(&mut header, 84, &self.entry_size.to_le_bytes());
        put(&mut header, 88, &crc32fast::hash(&self.entries).to_le_bytes());
        let sum = crc32fast::hash(header.get(..HEADER).unwrap_or_default());
        put(&mut header, 16, &sum.to_le_bytes());
        header
    }

    /// Whether two copies say the same.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        self.disk == other.disk && self.usable == other.usable && self.entries == other.entries
    }

    /// The table with its backup where the disk ends now: a disk can have grown since. `None`: it has shrunk below what it holds.
    pub(super) fn fitted(mut self) -> Option<Self> {
        let end = self.backup_entries().checked_sub(1)?;
        let used = self.partitions().map(|partition| *partition.sectors.end()).max().unwrap_or(0);
        self.usable = *self.usable.start()..=end;
        (used <= end && self.usable.start() <= &end).then_some(self)
    }
}

fn is_free(entry: &[u8]) -> bool {
    entry.iter().take(16).all(|byte| *byte == 0)
}

fn partition(number: u32, entry: &[u8]) -> Option<Partition> {
    if is_free(entry) {
        return None;
    }
    let id = |at| slice(entry, at, 16).and_then(|bytes| Uuid::from_slice_le(bytes).ok());
    let units =
        slice(entry, 56, 72)?.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let name: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    Some(Partition {
        number,
        kind: id(0)?,
        id: id(16)?,
        sectors: u64_at(entry, 32)?..=u64_at(entry, 40)?,
        name: String::from_utf16_lossy(&name),
    })
}

/// Reads one copy. `at` reads bytes of the disk by sector and length; `here` is the header's sector.
pub(super) fn decode<'a>(
    at: impl Fn(u64, u64) -> Option<&'a [u8]>,
    here: u64,
    sector: u32,
    sectors: u64,
) -> Result<Table, TableError> {
    let header = at(here, u64::from(sector)).ok_or(TableError::Missing)?;
    let word = |place| u32_at(header, place).ok_or(TableError::Missing);
    let long = |place| u64_at(header, place).ok_or(TableError::Missing);
    if !header.starts_with(SIGNATURE) {
        return Err(TableError::Missing);
    }
    let size = index(u64::from(word(12)?));
    let mut summed = slice(header, 0, size).ok_or(TableError::Impossible)?.to_vec();
    put(&mut summed, 16, &[0; 4]);
    if size < HEADER || crc32fast::hash(&summed) != word(16)? {
        return Err(TableError::Checksum);
    }
    if long(24)? != here {
        return Err(TableError::Misplaced);
    }
    let (count, entry_size) = (word(80)?, word(84)?);
    if entry_size < ENTRY || !entry_size.is_power_of_two() || entry_size > 4096 || count == 0 || count > MOST_ENTRIES {
        return Err(TableError::Impossible);
    }
    let (first, last) = (long(40)?, long(48)?);
    // The end is not held against the disk's: a disk can have been cut, and then the plan says so.
    if first > last {
        return Err(TableError::Impossible);
    }
    let entries = at(long(72)?, u64::from(count) * u64::from(entry_size)).ok_or(TableError::Impossible)?;
    if crc32fast::hash(entries) != word(88)? {
        return Err(TableError::Entries);
    }
    Ok(Table {
        sector,
        sectors,
        disk: slice(header, 56, 16).and_then(|id| Uuid::from_slice_le(id).ok()).ok_or(TableError::Missing)?,
        usable: first..=last,
        copies: Copies::Both,
        entry_size,
        entries: entries.to_vec(),
    })
}
