//! A GUID partition table, read: UEFI 2.10 §5.3, sectors of 512 bytes.

use anyhow::{Context, Result, bail};

/// The type of a UEFI system partition.
pub const ESP: &str = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b";
/// The type of a partition with a Linux file system.
pub const DATA: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";

/// Bytes at a disk's beginning that hold its table: the protective MBR, the header, 128 entries.
pub(super) const HEAD: u64 = 34 * SECTOR;
const SECTOR: u64 = 512;

/// A partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: usize,
    /// The GUID of its type, in lower case.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its first byte on the disk.
    pub start: u64,
    /// Its length in bytes.
    pub len: u64,
}

pub(super) fn read(head: &[u8]) -> Result<Vec<Partition>> {
    let header = head.get(512..1024).context("the disk is too small")?;
    if !header.starts_with(b"EFI PART") {
        bail!("nothing says that there is one");
    }
    let count = usize::try_from(number(header, 80, 4)?)?.min(128);
    let size = usize::try_from(number(header, 84, 4)?)?;
    let entries = head.get(1024..).unwrap_or_default().chunks_exact(size.max(128)).take(count).enumerate();
    entries
        .filter(|(_, entry)| entry.iter().take(16).any(|byte| *byte != 0))
        .map(|(n, entry)| read_one(n, entry))
        .collect()
}

fn read_one(n: usize, entry: &[u8]) -> Result<Partition> {
    let (first, last) = (number(entry, 32, 8)?, number(entry, 40, 8)?);
    let name = entry.get(56..128).context("an entry is cut short")?.chunks_exact(2);
    let name: Vec<u16> = name.filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?))).collect();
    let name = String::from_utf16_lossy(&name).trim_end_matches('\0').to_owned();
    let len = last.checked_sub(first).context("a partition ends before it begins")? + 1;
    Ok(Partition { number: n + 1, kind: guid(entry)?, name, start: first * SECTOR, len: len * SECTOR })
}

/// A GUID as text: its first three parts are kept with the lowest byte first.
fn guid(bytes: &[u8]) -> Result<String> {
    let rest = bytes.get(8..16).context("a GUID is cut short")?;
    let [high, low] = [rest.get(..2), rest.get(2..)]
        .map(|part| part.unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    Ok(format!("{:08x}-{:04x}-{:04x}-{high}-{low}", number(bytes, 0, 4)?, number(bytes, 4, 2)?, number(bytes, 6, 2)?))
}

/// A number of `len` bytes, the lowest first.
fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64> {
    let field = bytes.get(at..at + len).context("the table is cut short")?;
    Ok(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<u8> {
        let mut head = vec![0; 34 * 512];
        head[512..520].copy_from_slice(b"EFI PART");
        head[592..596].copy_from_slice(&128_u32.to_le_bytes());
        head[596..600].copy_from_slice(&128_u32.to_le_bytes());
        // The second entry: a system partition from sector 2048 to 4095.
        let entry = &mut head[1024 + 128..1024 + 256];
        entry[..16].copy_from_slice(&[
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
        ]);
        entry[32..40].copy_from_slice(&2048_u64.to_le_bytes());
        entry[40..48].copy_from_slice(&4095_u64.to_le_bytes());
        for (place, unit) in "EFI system".encode_utf16().enumerate() {
            entry[56 + 2 * place..58 + 2 * place].copy_from_slice(&unit.to_le_bytes());
        }
        head
    }

    #[test]
    fn partitions_are_read_with_their_numbers_and_places() {
        let wanted = Partition { number: 2, kind: ESP.into(), name: "EFI system".into(), start: 1 << 20, len: 1 << 20 };
        assert_eq!(read(&table()).unwrap(), [wanted]);
    }

    #[test]
    fn what_is_no_table_is_no_table() {
        for bytes in [vec![], vec![0; 34 * 512]] {
            assert!(read(&bytes).is_err());
        }
        let mut backwards = table();
        backwards[1024 + 128 + 40] = 0;
        backwards[1024 + 128 + 41] = 0;
        assert!(read(&backwards).unwrap_err().to_string().contains("before it begins"));
    }
}
