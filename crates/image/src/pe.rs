//! PE images as UEFI firmware loads them (Microsoft "PE Format"; UEFI 2.10 §2.1.1).
//!
//! Only what decides whether and where a file can boot is read: the machine, the subsystem and the section table.

use core::fmt;
use core::ops::Range;

use crate::bytes::{index, slice, u16_at, u32_at};

/// The processor a PE image is built for: `Machine` of the COFF header. A value without a name here is kept.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Machine(pub u16);

impl Machine {
    /// 32-bit x86.
    pub const IA32: Self = Self(0x014c);
    /// 64-bit x86.
    pub const X64: Self = Self(0x8664);
    /// 32-bit ARM, Thumb.
    pub const ARM32: Self = Self(0x01c2);
    /// 64-bit ARM.
    pub const ARM64: Self = Self(0xaa64);
    /// 64-bit RISC-V.
    pub const RISCV64: Self = Self(0x5064);
    /// 64-bit LoongArch.
    pub const LOONGARCH64: Self = Self(0x6264);

    /// The name that configuration and reports use, where there is one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::IA32 => "ia32",
            Self::X64 => "x64",
            Self::ARM32 => "arm32",
            Self::ARM64 => "arm64",
            Self::RISCV64 => "riscv64",
            Self::LOONGARCH64 => "loongarch64",
            _ => return None,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "PE machine {:#06x}", self.0),
        }
    }
}

/// Why bytes are not a PE image, and where.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{field} at offset {at:#x} {fault}")]
pub struct PeError {
    /// The field that is wrong.
    pub field: &'static str,
    /// Its offset in the file, in bytes.
    pub at: usize,
    /// What is wrong with it.
    pub fault: PeFault,
}

/// What can be wrong with a field of a PE image.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PeFault {
    /// The file ends before the field does.
    #[error("lies beyond the end of the file")]
    Truncated,
    /// The magic number is another.
    #[error("is not the magic number of a PE image")]
    NotPe,
    /// Its data is not where the field says.
    #[error("points beyond the end of the file")]
    OutOfFile,
}

/// A section: a range of the file that is mapped at an address of the image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Section {
    /// Its name, NUL padded. Longer names do not occur in images that firmware loads.
    pub name: [u8; 8],
    /// Its size in memory, in bytes: the true length of a UKI's parts.
    pub virtual_size: u32,
    /// Its address in memory, relative to the image.
    pub virtual_address: u32,
    /// Its size in the file, padded to the file alignment.
    pub raw_size: u32,
    /// Its offset in the file.
    pub raw_offset: u32,
}

impl Section {
    /// Whether it has this name.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        crate::bytes::until_nul(&self.name) == name.as_bytes()
    }

    /// The part of the file that holds its data without padding, if all of it is in the file.
    #[must_use]
    pub fn data(&self) -> Option<Range<usize>> {
        let start = index(self.raw_offset);
        (self.virtual_size <= self.raw_size).then(|| start..start.saturating_add(index(self.virtual_size)))
    }
}

/// A PE image's headers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pe {
    /// The processor it is built for.
    pub machine: Machine,
    /// What runs it: 10, 11 and 12 are UEFI's (application, boot service driver, runtime driver).
    pub subsystem: u16,
    /// Its sections in the order of the table.
    pub sections: Vec<Section>,
    pub(crate) layout: Layout,
}

/// Where the headers are, for those who write them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Layout {
    /// Offset of the COFF header.
    pub(crate) coff: usize,
    /// Offset of the optional header.
    pub(crate) optional: usize,
    /// Offset of the first data directory, and how many there are.
    pub(crate) directories: (usize, u32),
    /// Offset of the section table.
    pub(crate) table: usize,
}

/// Size of a section table entry.
pub(crate) const SECTION_ENTRY: usize = 40;
const COFF_HEADER: usize = 20;
const PE32: u16 = 0x10b;
const PE32_PLUS: u16 = 0x20b;

impl Pe {
    /// Reads the headers of a PE32 or PE32+ image and checks that every section's data lies in the file.
    ///
    /// # Errors
    /// The first field that is missing or wrong.
    pub fn parse(data: &[u8]) -> Result<Self, PeError> {
        let need = |field, at| PeError { field, at, fault: PeFault::Truncated };
        let not_pe = |field, at| PeError { field, at, fault: PeFault::NotPe };
        if slice(data, 0, 2).ok_or(need("DOS magic", 0))? != b"MZ" {
            return Err(not_pe("DOS magic", 0));
        }
        let pe_offset = index(u32_at(data, 0x3c).ok_or(need("PE header offset", 0x3c))?);
        if slice(data, pe_offset, 4).ok_or(need("PE signature", pe_offset))? != b"PE\0\0" {
            return Err(not_pe("PE signature", pe_offset));
        }
        let coff = pe_offset.saturating_add(4);
        let header = slice(data, coff, COFF_HEADER).ok_or(need("COFF header", coff))?;
        let machine = u16_at(header, 0).ok_or(need("machine", coff))?;
        let count = u16_at(header, 2).ok_or(need("section count", coff))?;
        let optional_size = usize::from(u16_at(header, 16).ok_or(need("optional header size", coff))?);

        let optional = coff.saturating_add(COFF_HEADER);
        let header = slice(data, optional, optional_size).ok_or(need("optional header", optional))?;
        let directories = match u16_at(header, 0) {
            Some(PE32) => 92,
            Some(PE32_PLUS) => 108,
            _ => return Err(not_pe("optional header magic", optional)),
        };
        let subsystem = u16_at(header, 68).ok_or(need("subsystem", optional))?;
        let directory_count = u32_at(header, directories).ok_or(need("data directory count", optional))?;

        let table = optional.saturating_add(optional_size);
        let length = usize::from(count).saturating_mul(SECTION_ENTRY);
        let entries = slice(data, table, length).ok_or(need("section table", table))?;
        let sections = entries
            .chunks_exact(SECTION_ENTRY)
            .enumerate()
            .map(|(nth, entry)| section(data, entry, table.saturating_add(nth.saturating_mul(SECTION_ENTRY))))
            .collect::<Result<_, _>>()?;
        let directories = (optional.saturating_add(directories).saturating_add(4), directory_count);
        Ok(Self {
            machine: Machine(machine),
            subsystem,
            sections,
            layout: Layout { coff, optional, directories, table },
        })
    }

    /// Whether firmware starts it: a UEFI application or driver.
    #[must_use]
    pub const fn is_efi_program(&self) -> bool {
        matches!(self.subsystem, 10..=12)
    }
}

fn section(data: &[u8], entry: &[u8], at: usize) -> Result<Section, PeError> {
    let fault = |fault| PeError { field: "section", at, fault };
    let field = |offset| u32_at(entry, offset).ok_or(fault(PeFault::Truncated));
    let name = slice(entry, 0, 8).and_then(|name| name.try_into().ok()).ok_or(fault(PeFault::Truncated))?;
    let section = Section {
        name,
        virtual_size: field(8)?,
        virtual_address: field(12)?,
        raw_size: field(16)?,
        raw_offset: field(20)?,
    };
    // A section without data (.bss) may have any offset.
    if section.raw_size > 0 && slice(data, index(section.raw_offset), index(section.raw_size)).is_none() {
        return Err(fault(PeFault::OutOfFile));
    }
    Ok(section)
}

/// The checksum of the optional header: 16-bit ones' complement sum of the file without the field itself, plus its length.
pub(crate) fn checksum(data: &[u8], field: usize) -> u32 {
    let mut sum = 0_u64;
    for (nth, pair) in data.chunks(2).enumerate() {
        let at = nth.saturating_mul(2);
        if at >= field && at < field.saturating_add(4) {
            continue;
        }
        let word = match pair {
            [low, high] => u16::from_le_bytes([*low, *high]),
            [low] => u16::from(*low),
            _ => 0,
        };
        sum = sum.saturating_add(u64::from(word));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    u32::try_from(sum).unwrap_or(0).wrapping_add(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// binutils wrote the stub's checksum: ours is the same for the same bytes.
    #[test]
    fn the_checksum_is_the_standard_one() {
        let path = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";
        let stub = std::fs::read(path).expect("the package systemd-boot-efi must be installed for this test");
        let field = Pe::parse(&stub).unwrap().layout.optional + 64;
        assert_eq!(u32_at(&stub, field), Some(checksum(&stub, field)));
    }
}
