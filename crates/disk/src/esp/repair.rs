//! A destroyed ESP is made anew, and nothing else is.

use uuid::Uuid;

use crate::fat::{self, Format, Health};
use crate::gpt::{ESP, ESP_NAME, Partition, Table};
use crate::step::Step;

/// Why an ESP is not formatted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RepairRefusal {
    /// The partition is not an ESP by its type.
    #[error("partition {0} is not an EFI system partition")]
    NotEsp(u32),
    /// It is somebody else's.
    #[error(
        "partition {0} is an EFI system partition, but not one that Slipway made or has used: it may hold another system's loader"
    )]
    NotOurs(u32),
    /// It holds a file system that can be read.
    #[error("partition {0} holds a FAT file system that can be read")]
    Healthy(u32),
    /// FAT32 does not fit into it.
    #[error("partition {0} is too small for FAT32")]
    TooSmall(u32),
}

/// Decides how an ESP is formatted: a new one, or a destroyed one. The steps are for the *partition's* device, so that they cannot
/// touch anything else; their offsets begin with it.
///
/// It must be an ESP by its type, and ours: by its name, or because its unique GUID is among `known`, the ones that a boot entry of
/// ours or the data partition's token names. And it must hold no file system: `head` is its first [`fat::LOOK`] bytes.
///
/// # Errors
/// Why it is left alone.
pub fn repair(
    table: &Table,
    esp: &Partition,
    known: &[Uuid],
    head: &[u8],
    serial: u32,
) -> Result<Vec<Step>, RepairRefusal> {
    if esp.kind != ESP {
        return Err(RepairRefusal::NotEsp(esp.number));
    }
    if esp.name != ESP_NAME && !known.contains(&esp.id) {
        return Err(RepairRefusal::NotOurs(esp.number));
    }
    let size = esp.len().saturating_mul(u64::from(table.sector));
    if fat::health(head, size) == Health::Fat {
        return Err(RepairRefusal::Healthy(esp.number));
    }
    let wish = Format { size, sector: table.sector, hidden: *esp.sectors.start(), serial, label: "SLIPWAY" };
    fat::format(&wish).ok_or(RepairRefusal::TooSmall(esp.number))
}
