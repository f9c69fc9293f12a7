//! The header's part of a device read, and steps carried out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::Random;
use super::header::{Header, HeaderError};
use crate::bytes::{index, length};
use crate::step::{Step, carry_out};

/// How much of a volume's start can be header and key slots, in bytes.
pub const HEAD: u64 = 16 << 20;

/// A volume's first bytes: header and key slots.
///
/// # Errors
/// The device's.
pub fn read_head(partition: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; index(HEAD)];
    let mut done = 0;
    while let Some(rest) = head.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match partition.read_at(rest, length(done))? {
            0 => break,
            got => done = done.saturating_add(got),
        }
    }
    head.truncate(done);
    Ok(head)
}

/// Reads a volume's header. Inside: there is none, or it is damaged.
///
/// # Errors
/// The device's.
pub fn read(partition: &File) -> io::Result<Result<Header, HeaderError>> {
    Ok(Header::decode(&read_head(partition)?))
}

/// Carries a change of a header out, and sees that the medium gives it back.
///
/// # Errors
/// The device's, or that the header that it gives back is another one.
pub fn apply(partition: &File, header: &Header, steps: &[Step]) -> io::Result<()> {
    carry_out(partition, steps)?;
    crate::devices::drop_cache(partition)?;
    match read(partition)? {
        Ok(back) if back.sequence == header.sequence && back.json == header.json => Ok(()),
        Ok(_) | Err(_) => Err(io::Error::other("the disk gives back another LUKS header than was written to it")),
    }
}

/// Does something that needs randomness with the kernel's. Nothing that came without it gets out.
///
/// # Errors
/// The kernel had none to give.
pub fn with_random<T>(work: impl FnOnce(Random<'_>) -> T) -> io::Result<T> {
    let mut fault = None;
    let mut random = |bytes: &mut [u8]| fault = fill(bytes).err().or(fault.take());
    let done = work(&mut random);
    fault.map_or(Ok(done), Err)
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        done = done.saturating_add(rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?);
    }
    Ok(())
}
