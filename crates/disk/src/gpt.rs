//! GUID partition tables (UEFI specification, chapter 5): read from both copies, planned as a value, written so that a power cut leaves
//! the old table or the new one.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (device, wish): (slipway_disk::Device, slipway_disk::gpt::Layout) = todo!();
//! let disk = std::fs::File::options().read(true).write(true).open(&device.path)?;
//! let present = slipway_disk::gpt::read(&disk, &device)?;
//! let changes = slipway_disk::gpt::plan(&present, &device, &[], &wish)?;
//! slipway_disk::gpt::write(&disk, &device, &changes)?;
//! let esp = device.partition(changes.esp.number);
//! # Ok(()) }
//! ```

mod codec;
mod content;
mod plan;
mod shell;
#[cfg(test)]
mod tests;

pub use codec::{Copies, Partition, Table, TableError};
pub use content::{Ends, Foreign, Present, WINDOW};
pub use plan::{Changes, Data, EspRoom, Ids, Layout, Refusal, plan};
pub use shell::{read, write};

use uuid::{Uuid, uuid};

/// Type of an EFI system partition.
pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

/// Type of a Slipway data partition: LUKS2, opened with a key that the org's share is part of. Drawn at random for this purpose, never
/// to change: other systems see a type that they do not know, and keep their hands off.
pub const DATA: Uuid = uuid!("8f2a6c1e-47d3-4b59-9e0d-5c6b7a41f3d2");

/// The name in the table of an ESP that Slipway made. Only such a one is ever formatted anew.
pub const ESP_NAME: &str = "slipway-esp";

/// The name in the table of a data partition that Slipway made.
pub const DATA_NAME: &str = "slipway-data";

/// Partitions begin at multiples of this many bytes.
pub const ALIGNMENT: u64 = 1 << 20;
