//! Writing to a block device, as a value: what is written where, and what must be durable before what.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::bytes::{index, length};

/// One step of writing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// These bytes go to this offset, in bytes from the start of the device.
    Write {
        /// Offset in bytes.
        at: u64,
        /// What is written there.
        data: Vec<u8>,
    },
    /// This many zero bytes go to this offset.
    Zero {
        /// Offset in bytes.
        at: u64,
        /// How many bytes.
        len: u64,
    },
    /// All before this is durable before anything after it is written.
    Flush,
}

impl Step {
    /// A write.
    #[must_use]
    pub fn write(at: u64, data: impl Into<Vec<u8>>) -> Self {
        Self::Write { at, data: data.into() }
    }

    /// The same step on a device on which this one's place begins at `offset`: a partition's steps as its disk's.
    #[must_use]
    pub fn moved(self, offset: u64) -> Self {
        match self {
            Self::Write { at, data } => Self::Write { at: at.saturating_add(offset), data },
            Self::Zero { at, len } => Self::Zero { at: at.saturating_add(offset), len },
            Self::Flush => Self::Flush,
        }
    }
}

/// How much is zeroed with one write.
const CHUNK: u64 = 1 << 20;

/// Carries the steps out. Stops at the first that fails: whatever the steps promise of a power cut holds for that too.
///
/// # Errors
/// The device's.
pub fn carry_out(device: &File, steps: &[Step]) -> io::Result<()> {
    for step in steps {
        match step {
            Step::Write { at, data } => device.write_all_at(data, *at)?,
            Step::Zero { at, len } => zero(device, *at, *len)?,
            Step::Flush => device.sync_all()?,
        }
    }
    Ok(())
}

fn zero(device: &File, at: u64, len: u64) -> io::Result<()> {
    let nothing = vec![0; index(len.min(CHUNK))];
    let mut done = 0;
    while done < len {
        let part = nothing.get(..index(len.saturating_sub(done))).unwrap_or(&nothing);
        device.write_all_at(part, at.saturating_add(done))?;
        done = done.saturating_add(length(part.len()));
    }
    Ok(())
}
