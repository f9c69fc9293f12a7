//! The disk's ends read, the steps carried out, the kernel told.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::content::{Ends, Present, WINDOW};
use super::plan::Changes;
use crate::bytes::index;
use crate::devices::Device;
use crate::step::carry_out;

/// Reads what is on a disk, or in a file that is like one.
///
/// # Errors
/// The disk's.
pub fn read(disk: &File, device: &Device) -> io::Result<Present> {
    let mut head = vec![0; index(WINDOW.min(device.size))];
    let mut tail = head.clone();
    disk.read_exact_at(&mut head, 0)?;
    disk.read_exact_at(&mut tail, device.size.saturating_sub(WINDOW))?;
    Ok(Ends { head, tail, size: device.size, sector: device.sector }.present())
}

/// Writes what was planned, reads it back past the page cache, and makes the kernel see the partitions. `disk` is open for writing.
///
/// # Errors
/// The disk's; or that what was read back is not what was written.
pub fn write(disk: &File, device: &Device, changes: &Changes) -> io::Result<()> {
    if !changes.steps.is_empty() {
        carry_out(disk, &changes.steps)?;
        crate::devices::drop_cache(disk)?;
        let expected = &changes.table;
        match read(disk, device)? {
            Present::Gpt(table) if table == *expected => {}
            other => {
                return Err(io::Error::other(format!("the disk does not keep what is written: it reads as {other:?}")));
            }
        }
    }
    crate::devices::reread_partitions(disk, device, &changes.table, !changes.steps.is_empty())
}
