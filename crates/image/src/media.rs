//! Media that firmware starts a machine from: a disk for a USB stick, and an ISO image, each with an EFI system partition of its own.
//!
//! They are written once, whole and in order, so nothing here changes a file system: the files stand one behind the other. The same
//! files give the same bytes, identifiers included, which follow from the content.

pub mod fat;
mod gpt;
mod iso9660;

use sha2::{Digest as _, Sha256};

use crate::pe::Machine;
use fat::{Fat, FatError};

/// A file on a medium: its path (`EFI/BOOT/BOOTX64.EFI`), and what is in it.
pub type File<'a> = (&'a str, &'a [u8]);

/// The path of the program that firmware starts from a removable medium (UEFI 2.10 §3.5.1.1), for the processors that we build for.
#[must_use]
pub const fn program(machine: Machine) -> Option<&'static str> {
    Some(match machine {
        Machine::X64 => "EFI/BOOT/BOOTX64.EFI",
        Machine::ARM64 => "EFI/BOOT/BOOTAA64.EFI",
        _ => return None,
    })
}

/// The least size of the partition on a USB stick, in bytes: a FAT32 needs so many clusters.
const STICK: u64 = 64 << 20;

/// A disk: a GUID partition table with one EFI system partition, which is a FAT32 with these files.
///
/// # Errors
/// A name that a FAT has no room for, or too much content.
pub fn disk(files: &[File<'_>]) -> Result<Vec<u8>, FatError> {
    let esp = fat::image(Fat::Fat32, STICK, serial(files), files)?;
    Ok(gpt::around(&esp, &seed(files)))
}

/// An ISO 9660 image that UEFI starts as its El Torito catalog says, from a FAT with these files; and, written onto a USB stick as it
/// is, as a disk with a GUID partition table. What is in `beside` is in the ISO's own file system too, where a system that was started
/// from a disc finds it.
///
/// # Errors
/// A name that a FAT has no room for, or too much content.
pub fn iso(files: &[File<'_>], beside: Option<File<'_>>) -> Result<Vec<u8>, FatError> {
    let boot = fat::image(Fat::Fat16, 0, serial(files), files)?;
    let (mut image, start) = iso9660::image(&boot, beside);
    gpt::into(&mut image, start, boot.len(), &seed(files));
    Ok(image)
}

fn seed(files: &[File<'_>]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (path, content) in files {
        hash.update(Sha256::digest(path.as_bytes()));
        hash.update(Sha256::digest(content));
    }
    hash.finalize().into()
}

fn serial(files: &[File<'_>]) -> u32 {
    let [a, b, c, d, ..] = seed(files);
    u32::from_le_bytes([a, b, c, d])
}

/// Overwrites bytes at a place that is inside; what would stick out is left off.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(target) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..value.len())) {
        target.copy_from_slice(value);
    }
}
