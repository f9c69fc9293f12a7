//! A GUID partition table with one EFI system partition (UEFI 2.10 §5).

use super::put;

const SECTOR: usize = 512;
/// Where the first partition of a disk begins: at 1 MiB, as everywhere.
const FIRST: usize = 2048;
const ENTRIES: usize = 128;
const ENTRY: usize = 128;
/// Sectors of all entries.
const TABLE: usize = ENTRIES * ENTRY / SECTOR;
/// c12a7328-f81f-11d2-ba4b-00a0c93ec93b as it stands on disk: three numbers little-endian, the rest as it is written.
const ESP: [u8; 16] = [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];

/// A disk with this partition and nothing else.
pub(super) fn around(partition: &[u8], seed: &[u8; 32]) -> Vec<u8> {
    let mut disk = vec![0; FIRST * SECTOR];
    disk.extend_from_slice(partition);
    into(&mut disk, FIRST * SECTOR, partition.len(), seed);
    disk
}

/// Puts tables around what is there: the first into the first 17 KiB, which must be free, the second behind the end.
pub(super) fn into(disk: &mut Vec<u8>, start: usize, length: usize, seed: &[u8; 32]) {
    // To a multiple of 1 MiB, with room for the second table.
    let whole = disk.len().saturating_add((TABLE + 1) * SECTOR).next_multiple_of(1 << 20);
    disk.resize(whole, 0);
    let last = (whole / SECTOR).saturating_sub(1);
    let mut entries = vec![0; ENTRIES * ENTRY];
    put(&mut entries, 0, &ESP);
    put(&mut entries, 16, &guid(seed, 1));
    put(&mut entries, 32, &number(start / SECTOR));
    put(&mut entries, 40, &number(start.saturating_add(length).div_ceil(SECTOR).saturating_sub(1)));
    let name: Vec<u8> = "slipway".encode_utf16().flat_map(u16::to_le_bytes).collect();
    put(&mut entries, 56, &name);

    let second = last.saturating_sub(TABLE);
    let header = |own: usize, other: usize, table: usize| {
        let mut header = [0; 92];
        put(&mut header, 0, b"EFI PART\0\0\x01\0\x5c\0\0\0");
        put(&mut header, 24, &number(own));
        put(&mut header, 32, &number(other));
        put(&mut header, 40, &number(TABLE + 2));
        put(&mut header, 48, &number(second.saturating_sub(1)));
        put(&mut header, 56, &guid(seed, 0));
        put(&mut header, 72, &number(table));
        put(&mut header, 80, &[128, 0, 0, 0, 128, 0, 0, 0]);
        put(&mut header, 88, &crc32fast::hash(&entries).to_le_bytes());
        let sum = crc32fast::hash(&header).to_le_bytes();
        put(&mut header, 16, &sum);
        header
    };
    let headers = [header(1, last, 2), header(last, 1, second)];
    put(disk, 0, &protective(last));
    for (header, (at, table)) in headers.into_iter().zip([(1, 2), (last, second)]) {
        put(disk, at.saturating_mul(SECTOR), &header);
        put(disk, table.saturating_mul(SECTOR), &entries);
    }
}

/// The MBR that tells old programs that the disk is taken.
fn protective(last: usize) -> [u8; SECTOR] {
    let mut mbr = [0; SECTOR];
    put(&mut mbr, 446, &[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0]);
    put(&mut mbr, 458, &u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes());
    put(&mut mbr, 510, &[0x55, 0xaa]);
    mbr
}

fn number(value: usize) -> [u8; 8] {
    u64::try_from(value).unwrap_or(0).to_le_bytes()
}

/// A GUID of the maker's own kind (RFC 9562, version 8) out of the content's digest.
fn guid(seed: &[u8; 32], nth: usize) -> [u8; 16] {
    let mut guid: [u8; 16] =
        seed.get(nth.saturating_mul(16)..).and_then(|half| half.first_chunk()).copied().unwrap_or_default();
    // On disk the third number is little-endian: its high half, with the version, comes last.
    let [_, _, _, _, _, _, _, version, variant, ..] = &mut guid;
    *version = (*version & 0x0f) | 0x80;
    *variant = (*variant & 0x3f) | 0x80;
    guid
}
