//! ISO 9660 images that boot, as their El Torito catalog says ("El Torito" Bootable CD-ROM Format 1.0; UEFI 2.10 §13.3.2.1).

use std::io::{self, Read, Seek, SeekFrom};

use crate::bytes::{index, slice, u16_at, u32_at};
use crate::pe::Machine;

const SECTOR: usize = 2048;
/// Where the volume descriptors begin; the boot record is the second.
const DESCRIPTORS: u64 = 16 * 2048;
const BOOTABLE: u8 = 0x88;
const X86: u8 = 0;
const EFI: u8 = 0xef;
/// How much of an EFI boot image is searched for the names of its programs: folders are written first.
const SEARCHED: u64 = 4 * 1024 * 1024;

/// What an ISO image can be booted by.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Iso {
    /// It has a boot image for a BIOS.
    pub bios: bool,
    /// It has a boot image for UEFI.
    pub uefi: bool,
    /// The processors of the EFI programs (`BOOTX64.EFI` …) that were found in that image; not all need be found.
    pub machines: Vec<Machine>,
}

/// Why a file is no ISO image that boots.
#[derive(Debug, thiserror::Error)]
pub enum IsoError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It has no ISO 9660 descriptor.
    #[error("it is no ISO 9660 image")]
    NoIso,
    /// It has no boot catalog, or one that names nothing.
    #[error("it is an ISO 9660 image that does not boot: it has no El Torito boot image")]
    NoBoot,
}

impl Iso {
    /// Reads what an image can be booted by.
    ///
    /// # Errors
    /// It cannot be read, is no ISO image, or does not boot.
    pub fn read(file: &mut (impl Read + Seek)) -> Result<Self, IsoError> {
        let descriptors = at(file, DESCRIPTORS, 2 * SECTOR)?;
        if slice(&descriptors, 1, 5) != Some(b"CD001") {
            return Err(IsoError::NoIso);
        }
        let record = slice(&descriptors, SECTOR, SECTOR).unwrap_or_default();
        if slice(record, 1, 5) != Some(b"CD001") || slice(record, 7, 23) != Some(b"EL TORITO SPECIFICATION") {
            return Err(IsoError::NoBoot);
        }
        let catalog = u32_at(record, 0x47).ok_or(IsoError::NoBoot)?;
        let catalog = at(file, u64::from(catalog) * 2048, SECTOR)?;
        let mut iso = Self::default();
        for (platform, sector) in entries(&catalog) {
            match platform {
                X86 => iso.bios = true,
                EFI => {
                    iso.uefi = true;
                    iso.machines.extend(programs(file, u64::from(sector) * 2048)?);
                }
                _ => {}
            }
        }
        iso.machines.sort_unstable();
        iso.machines.dedup();
        if iso.bios || iso.uefi { Ok(iso) } else { Err(IsoError::NoBoot) }
    }
}

/// As much as there is from this place, at most so much.
fn at(file: &mut (impl Read + Seek), place: u64, most: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    file.take(u64::try_from(most).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Platform and first sector of each bootable entry.
fn entries(catalog: &[u8]) -> Vec<(u8, u32)> {
    let entry = |n: usize| slice(catalog, n.saturating_mul(32), 32).unwrap_or_default();
    let sector = |entry: &[u8]| u32_at(entry, 8).filter(|_| entry.first() == Some(&BOOTABLE));
    let mut found = Vec::new();
    let [1, platform, ..] = *entry(0) else { return found };
    found.extend(sector(entry(1)).map(|sector| (platform, sector)));
    let mut n = 2;
    while let header @ [0x90 | 0x91, platform, ..] = entry(n) {
        let count = usize::from(u16_at(header, 2).unwrap_or(0));
        for _ in 0..count {
            n += 1;
            found.extend(sector(entry(n)).map(|sector| (*platform, sector)));
            // Extensions of an entry belong to it.
            while entry(n + 1).first() == Some(&0x44) {
                n += 1;
            }
            if entry(n).is_empty() {
                return found;
            }
        }
        if header.first() == Some(&0x91) {
            break;
        }
        n += 1;
    }
    found
}

/// The processors of the programs in a FAT image, by the short names in its folders. A folder's entries are 32 bytes long.
fn programs(file: &mut (impl Read + Seek), place: u64) -> io::Result<Vec<Machine>> {
    const NAMES: [(&[u8; 11], Machine); 4] = [
        (b"BOOTX64 EFI", Machine::X64),
        (b"BOOTIA32EFI", Machine::IA32),
        (b"BOOTAA64EFI", Machine::ARM64),
        (b"BOOTARM EFI", Machine::ARM32),
    ];
    let image = at(file, place, index(u32::try_from(SEARCHED).unwrap_or(u32::MAX)))?;
    let names = image.chunks_exact(32).filter_map(|entry| slice(entry, 0, 11));
    Ok(names.filter_map(|name| NAMES.iter().find(|(known, _)| name == *known).map(|(_, machine)| *machine)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// An image with these boot images: platform, and what is in it. The first is the default entry.
    fn image(boots: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0_u8; 24 * SECTOR];
        let mut put = |place: usize, what: &[u8]| bytes[place..place + what.len()].copy_from_slice(what);
        put(16 * SECTOR, b"\x01CD001\x01");
        put(17 * SECTOR, b"\0CD001\x01EL TORITO SPECIFICATION");
        put(17 * SECTOR + 0x47, &[19, 0, 0, 0]);
        let catalog = 19 * SECTOR;
        for (n, (platform, content)) in boots.iter().enumerate() {
            let (header, entry) = (catalog + n * 64, catalog + n * 64 + 32);
            let kind = if n == 0 {
                1
            } else if n + 1 == boots.len() {
                0x91
            } else {
                0x90
            };
            put(header, &[kind, *platform, 1, 0]);
            let sector = u8::try_from(20 + n).unwrap();
            put(entry, &[BOOTABLE, 0, 0, 0, 0, 0, 4, 0, sector]);
            put((20 + n) * SECTOR, content);
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Iso, IsoError> {
        Iso::read(&mut Cursor::new(bytes))
    }

    const X64: &[u8] = b"BOOT       \x10                    BOOTX64 EFI";

    #[test]
    fn an_image_says_by_what_it_boots() {
        let both = read(&image(&[(X86, b""), (EFI, X64)])).unwrap();
        assert_eq!(both, Iso { bios: true, uefi: true, machines: vec![Machine::X64] });
        let bios = read(&image(&[(X86, b"")])).unwrap();
        assert_eq!(bios, Iso { bios: true, uefi: false, machines: vec![] });
        let several = read(&image(&[(EFI, X64), (EFI, b"BOOTAA64EFI"), (EFI, X64)])).unwrap();
        assert_eq!(several, Iso { bios: false, uefi: true, machines: vec![Machine::X64, Machine::ARM64] });
    }

    #[test]
    fn what_does_not_boot_is_told_from_what_is_no_iso_at_all() {
        assert!(matches!(read(b"MZ"), Err(IsoError::NoIso)));
        let mut data = image(&[]);
        assert!(matches!(read(&data), Err(IsoError::NoBoot)), "an empty catalog");
        data[17 * SECTOR + 7] = b'X';
        assert!(matches!(read(&data), Err(IsoError::NoBoot)), "no boot record");
        assert!(matches!(read(&image(&[(1, b"")])), Err(IsoError::NoBoot)), "a PowerPC's");
    }

    #[test]
    fn no_truncation_and_no_bent_byte_of_the_catalog_is_too_much() {
        let whole = image(&[(X86, b""), (EFI, X64)]);
        for end in (0..whole.len()).step_by(97) {
            let _ = read(&whole[..end]);
        }
        for at in 17 * SECTOR..20 * SECTOR {
            let mut bent = whole.clone();
            bent[at] = 0xff;
            let _ = read(&bent);
        }
    }
}
