//! The store's lock: `<data>/images/.lock`, an advisory lock that the kernel drops with the process that held it.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::StoreError;
use crate::blobs::create_folder;

/// How long to wait for others to finish.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// Held until dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Beside others that hold it shared; waits for one that holds it alone, which is never long.
    pub(super) fn shared(data: &Path) -> Result<Self, StoreError> {
        Self::take(data, FlockOperation::LockShared)
    }

    /// Alone. Somebody who adds a large image can take minutes, so this does not wait for long.
    pub(super) fn exclusive(data: &Path) -> Result<Self, StoreError> {
        let start = Instant::now();
        loop {
            match Self::take(data, FlockOperation::NonBlockingLockExclusive) {
                Err(StoreError::Busy { .. }) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                taken => return taken,
            }
        }
    }

    fn take(data: &Path, operation: FlockOperation) -> Result<Self, StoreError> {
        let folder = data.join("images");
        create_folder(&folder)?;
        let path = folder.join(".lock");
        let options = &mut File::options();
        // Not for writing: `verify` by a user who may only read locks as well, once the file is there.
        let file = File::open(&path).or_else(|_| options.create(true).append(true).open(&path));
        let file = file.map_err(StoreError::writing(&path))?;
        match retry_on_intr(|| flock(&file, operation)) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(StoreError::Busy { path: data.to_owned() }),
            Err(error) => Err(StoreError::writing(&path)(error.into())),
        }
    }
}
