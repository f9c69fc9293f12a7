//! `EFI_LOAD_OPTION` (UEFI specification §3.1.3) with a device path of a file on a partition (§10.3.5.1, §10.3.5.4).

use uuid::Uuid;

use crate::bytes::{array, put, slice, u16_at, u32_at, u64_at};

/// The entry takes part in the boot order.
pub(super) const ACTIVE: u32 = 1;

/// A boot entry for a file on a partition of a GPT.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoadOption {
    /// Bits; 1 is "active".
    pub attributes: u32,
    /// What a menu shows.
    pub description: String,
    /// The partition's number.
    pub number: u32,
    /// Its first sector.
    pub first: u64,
    /// Its sectors.
    pub sectors: u64,
    /// Its unique GUID.
    pub partition: Uuid,
    /// The file, with backslashes, from the root.
    pub file: String,
    /// What the loader is given.
    pub data: Vec<u8>,
}

/// Why bytes are not such an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// It ends before its parts do.
    #[error("the entry is cut short")]
    Short,
    /// An entry, but not for a file on a partition of a GPT: the network, a device, a program of the firmware.
    #[error("the entry is not for a file on a partition")]
    OtherPath,
}

impl LoadOption {
    /// Its bytes, as a variable's value holds them behind the attributes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut disk = [0; 42];
        put(&mut disk, 0, &[0x04, 0x01, 42, 0]);
        put(&mut disk, 4, &self.number.to_le_bytes());
        put(&mut disk, 8, &self.first.to_le_bytes());
        put(&mut disk, 16, &self.sectors.to_le_bytes());
        put(&mut disk, 24, &self.partition.to_bytes_le());
        put(&mut disk, 40, &[2, 2]);
        let file = text(&self.file);
        let length = u16::try_from(file.len().saturating_add(4)).unwrap_or(u16::MAX);
        let path = [&disk, [0x04, 0x04].as_slice(), &length.to_le_bytes(), &file, &[0x7f, 0xff, 4, 0]].concat();
        let path_length = u16::try_from(path.len()).unwrap_or(u16::MAX);
        let head =
            [self.attributes.to_le_bytes().as_slice(), &path_length.to_le_bytes(), &text(&self.description)].concat();
        [head, path, self.data.clone()].concat()
    }

    /// Reads one. Nodes before the partition's, which say where the disk is plugged in, are passed over: firmware adds them.
    ///
    /// # Errors
    /// It is cut short, or is for something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, OptionError> {
        let attributes = u32_at(bytes, 0).ok_or(OptionError::Short)?;
        let path_length = usize::from(u16_at(bytes, 4).ok_or(OptionError::Short)?);
        let (description, used) = until_nul(bytes.get(6..).unwrap_or_default()).ok_or(OptionError::Short)?;
        let start = used.saturating_add(6);
        let path = slice(bytes, start, path_length).ok_or(OptionError::Short)?;
        let data = bytes.get(start.saturating_add(path_length)..).unwrap_or_default().to_vec();
        let mut found = None;
        let mut rest = path;
        while let (Some([kind, sub]), Some(length)) = (array::<2>(rest, 0), u16_at(rest, 2)) {
            let node = rest.get(4..usize::from(length)).ok_or(OptionError::Short)?;
            match (kind, sub) {
                (0x04, 0x01) if node.get(36..38) == Some(&[2, 2]) => found = Some((node, None)),
                (0x04, 0x04) => {
                    let file = until_nul(node).ok_or(OptionError::Short)?.0;
                    found = found.map(|(disk, _)| (disk, Some(file)));
                }
                (0x7f, _) => break,
                _ => found = None,
            }
            rest = rest.get(usize::from(length)..).unwrap_or_default();
        }
        let Some((disk, Some(file))) = found else { return Err(OptionError::OtherPath) };
        Ok(Self {
            attributes,
            description,
            number: u32_at(disk, 0).ok_or(OptionError::Short)?,
            first: u64_at(disk, 4).ok_or(OptionError::Short)?,
            sectors: u64_at(disk, 12).ok_or(OptionError::Short)?,
            partition: slice(disk, 20, 16).and_then(|id| Uuid::from_slice_le(id).ok()).ok_or(OptionError::Short)?,
            file,
            data,
        })
    }
}

/// The MAC address in an active entry's device path (§10.3.4.5), behind which the way over the network follows.
pub(super) fn card(bytes: &[u8]) -> Option<[u8; 6]> {
    let active = u32_at(bytes, 0)? & ACTIVE != 0;
    let length = usize::from(u16_at(bytes, 4)?);
    let (_, used) = until_nul(bytes.get(6..)?)?;
    let mut rest = slice(bytes, used.checked_add(6)?, length).filter(|_| active)?;
    while let (Some(kind), Some(length)) = (array::<2>(rest, 0), u16_at(rest, 2)) {
        let node = rest.get(4..usize::from(length))?;
        if kind == [0x03, 0x0b] {
            return array(node, 0);
        }
        rest = rest.get(usize::from(length)..)?;
    }
    None
}

/// UTF-16 with a NUL behind it.
fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

/// The text before the first NUL, and how many bytes it took with that.
fn until_nul(bytes: &[u8]) -> Option<(String, usize)> {
    let units = bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    let used = units.len().checked_add(1)?.checked_mul(2)?;
    (used <= bytes.len()).then(|| (String::from_utf16_lossy(&units), used))
}
