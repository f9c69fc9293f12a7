//! The EFI system partition, and what Slipway keeps on it:
//!
//! ```text
//! /EFI/slipway/preboot-a.efi  preboot-b.efi    the two slots of the preboot
//! /EFI/slipway/preboot.st1    preboot.st2      which of them is good, which is on trial
//! /EFI/slipway/gen-a.efi      gen-b.efi        generations, kept so that a boot need not fetch them
//! /EFI/slipway/gen.st1        gen.st2          the same of them
//! /EFI/slipway/*.new                           what is being written, and counts for nothing
//! /EFI/BOOT/BOOTX64.EFI                        a copy of the good preboot, if nobody else has a loader there
//! ```
//!
//! FAT has no journal, and a rename over a file that is there is two writes. So nothing that is good is ever written over. A new
//! image goes into the slot that is *not* good, by way of `*.new`, hashed as it comes and once more as the medium gives it back; and
//! the two state files are written in turn, in place, in one sector each, so that one of them is whole at every moment.

mod error;
mod incoming;
mod repair;
mod shell;
mod slots;
#[cfg(test)]
mod tests;

pub use error::EspError;
pub use incoming::Incoming;
pub use repair::{RepairRefusal, repair};
pub use shell::{Esp, Fallback, look};
pub use slots::{Book, Digest, Filed, Kind, Slot, StateFile, newest};
