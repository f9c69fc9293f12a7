//! An ISO 9660 image (ECMA-119) that UEFI starts ("El Torito" Bootable CD-ROM Format 1.0; UEFI 2.10 §13.3.2.1).

use super::{File, put};

const SECTOR: usize = 2048;
const PRIMARY: usize = 16;
const BOOT: usize = 17;
const END: usize = 18;
/// The path tables, little-endian and big-endian.
const PATHS: [usize; 2] = [19, 20];
const CATALOG: usize = 21;
const ROOT: usize = 22;
const FOLDER: usize = 23;
const FIRST_FILE: usize = 24;

/// The image, and where in it the boot image begins, in bytes. The first 32 KiB are free.
pub(super) fn image(boot: &[u8], beside: Option<File<'_>>) -> (Vec<u8>, usize) {
    let (folder, name, content) = match beside {
        Some((path, content)) => match path.split_once('/') {
            Some((folder, name)) => (folder.to_ascii_uppercase(), format!("{}.;1", name.to_ascii_uppercase()), content),
            None => (String::new(), format!("{}.;1", path.to_ascii_uppercase()), content),
        },
        None => (String::new(), String::new(), &[][..]),
    };
    // The small file first; the boot image at a multiple of 1 MiB, as partitions are.
    let boot_at = (FIRST_FILE * SECTOR).saturating_add(content.len()).next_multiple_of(1 << 20);
    let mut bytes = vec![0; boot_at];
    bytes.extend_from_slice(boot);
    bytes.resize(bytes.len().next_multiple_of(SECTOR), 0);

    let mut root = [record(b"\0", ROOT, SECTOR, true), record(b"\x01", ROOT, SECTOR, true)].concat();
    root.extend(record(b"EFI.IMG;1", boot_at / SECTOR, boot.len(), false));
    let file = record(name.as_bytes(), FIRST_FILE, content.len(), false);
    if folder.is_empty() {
        root.extend(if name.is_empty() { Vec::new() } else { file });
    } else {
        root.extend(record(folder.as_bytes(), FOLDER, SECTOR, true));
        let mut inside = [record(b"\0", FOLDER, SECTOR, true), record(b"\x01", ROOT, SECTOR, true)].concat();
        inside.extend(file);
        put(&mut bytes, FOLDER * SECTOR, &inside);
    }
    put(&mut bytes, ROOT * SECTOR, &root);
    put(&mut bytes, FIRST_FILE * SECTOR, content);

    let mut length = 0;
    for (at, big_endian) in PATHS.into_iter().zip([false, true]) {
        let paths = paths(&folder, big_endian);
        length = paths.len();
        put(&mut bytes, at * SECTOR, &paths);
    }
    let sectors = bytes.len() / SECTOR;
    put(&mut bytes, PRIMARY * SECTOR, &primary(sectors, length));
    put(&mut bytes, BOOT * SECTOR, b"\0CD001\x01EL TORITO SPECIFICATION");
    put(&mut bytes, BOOT * SECTOR + 71, &both(CATALOG).0);
    put(&mut bytes, END * SECTOR, b"\xffCD001\x01");
    put(&mut bytes, CATALOG * SECTOR, &catalog(boot_at / SECTOR, boot.len()));
    (bytes, boot_at)
}

/// The boot catalog: its validation entry, and the one entry, for UEFI and without emulation.
fn catalog(sector: usize, length: usize) -> [u8; 64] {
    const EFI: u8 = 0xef;
    let mut catalog = [0; 64];
    put(&mut catalog, 0, &[1, EFI]);
    put(&mut catalog, 4, b"slipway");
    put(&mut catalog, 30, &[0x55, 0xaa]);
    let words = catalog.chunks_exact(2).take(16).map(|pair| match pair {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let sum = words.fold(0_u16, u16::wrapping_add).wrapping_neg();
    put(&mut catalog, 28, &sum.to_le_bytes());
    // In sectors of 512 bytes. One that is too long for the field reaches, by the UEFI specification, to the end of the disc.
    let sectors = u16::try_from(length.div_ceil(512)).unwrap_or(0);
    put(&mut catalog, 32, &[0x88, 0, 0, 0, 0, 0]);
    put(&mut catalog, 38, &sectors.to_le_bytes());
    put(&mut catalog, 40, &both(sector).0);
    catalog
}

/// The primary volume descriptor.
fn primary(sectors: usize, paths: usize) -> [u8; SECTOR] {
    let mut volume = [0; SECTOR];
    put(&mut volume, 0, b"\x01CD001\x01");
    put(&mut volume, 8, &[b' '; 32]);
    put(&mut volume, 40, b"SLIPWAY                         ");
    for (at, value) in [(80, sectors), (132, paths)] {
        put(&mut volume, at, &twice(value));
    }
    for (at, value) in [(120, 1_u16), (124, 1), (128, 2048)] {
        put(&mut volume, at, &value.to_le_bytes());
        put(&mut volume, at + 2, &value.to_be_bytes());
    }
    let [little, big] = PATHS;
    put(&mut volume, 140, &both(little).0);
    put(&mut volume, 148, &both(big).1);
    put(&mut volume, 156, &record(b"\0", ROOT, SECTOR, true));
    // Names of the set, publisher, preparer, application and three files: none.
    put(&mut volume, 190, &[b' '; 623]);
    for at in [813, 830, 847, 864] {
        // No time is told: sixteen zeros in digits.
        put(&mut volume, at, &[b'0'; 16]);
    }
    put(&mut volume, 881, &[1]);
    volume
}

/// A folder's record of a file or folder.
fn record(name: &[u8], sector: usize, length: usize, folder: bool) -> Vec<u8> {
    let size = (33_usize.saturating_add(name.len())).next_multiple_of(2);
    let mut record = vec![0; size];
    put(&mut record, 0, &[u8::try_from(size).unwrap_or(0)]);
    put(&mut record, 2, &twice(sector));
    put(&mut record, 10, &twice(length));
    // 1 January 1970, and a folder's mark.
    put(&mut record, 18, &[70, 1, 1, 0, 0, 0, 0, if folder { 2 } else { 0 }]);
    put(&mut record, 28, &[1, 0, 0, 1]);
    put(&mut record, 32, &[u8::try_from(name.len()).unwrap_or(0)]);
    put(&mut record, 33, name);
    record
}

/// The path table: the root, and the folder if there is one.
fn paths(folder: &str, big_endian: bool) -> Vec<u8> {
    let mut table = Vec::new();
    for (name, sector) in [(&b"\0"[..], ROOT), (folder.as_bytes(), FOLDER)] {
        if name.is_empty() {
            continue;
        }
        let (little, big) = both(sector);
        table.extend([u8::try_from(name.len()).unwrap_or(0), 0]);
        table.extend(if big_endian { big } else { little });
        table.extend(if big_endian { [0, 1] } else { [1, 0] });
        table.extend(name);
        table.resize(table.len().next_multiple_of(2), 0);
    }
    table
}

/// A number in both orders of bytes.
fn both(value: usize) -> ([u8; 4], [u8; 4]) {
    let value = u32::try_from(value).unwrap_or(0);
    (value.to_le_bytes(), value.to_be_bytes())
}

fn twice(value: usize) -> [u8; 8] {
    let (little, big) = both(value);
    let mut bytes = [0; 8];
    put(&mut bytes, 0, &little);
    put(&mut bytes, 4, &big);
    bytes
}
