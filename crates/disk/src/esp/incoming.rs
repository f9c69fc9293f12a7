//! A file on its way to the ESP: hashed as it comes, read back from the medium, put into place only then.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::error::{EspError, fault};
use super::shell::Esp;
use super::slots::{Book, Digest, Filed, Kind};
use crate::bytes::length;

/// A file that is being written, and counts for nothing until it is whole.
#[derive(Debug)]
pub struct Incoming<'a> {
    esp: &'a Esp,
    path: String,
    file: File,
    hash: Sha256,
    done: u64,
    size: u64,
    sha256: Digest,
    slot: Option<(Kind, Book, Filed)>,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(esp: &'a Esp, path: &str, file: File, size: u64, sha256: Digest) -> Self {
        Self { esp, path: path.to_owned(), file, hash: Sha256::new(), done: 0, size, sha256, slot: None }
    }

    pub(super) fn for_slot(self, kind: Kind, book: Book, filed: Filed) -> Self {
        Self { slot: Some((kind, book, filed)), ..self }
    }

    /// Writes the next piece, hashing it on the way.
    ///
    /// # Errors
    /// More comes than was promised; or the file system's.
    pub fn write(&mut self, piece: &[u8]) -> Result<(), EspError> {
        self.done = self.done.saturating_add(length(piece.len()));
        if self.done > self.size {
            return Err(EspError::Size {
                path: self.path.clone(),
                wanted: self.size,
                got: self.size.saturating_add(1),
            });
        }
        self.hash.update(piece);
        self.file.write_all(piece).map_err(|error| fault("cannot write", &self.path, error))
    }

    /// Checks size and digest, makes it durable, reads it back from the medium, puts it into its slot, and writes down that it is on
    /// trial. What is refused is removed; the good slot and its state stay as they are in any case.
    ///
    /// # Errors
    /// Size, digest, read-back; or the file system's.
    pub fn finish(mut self) -> Result<Filed, EspError> {
        let Some((kind, book, filed)) = self.slot.take() else {
            return Err(fault("no slot for", &self.path, io::ErrorKind::InvalidInput.into()));
        };
        let esp = self.esp;
        self.into_place(&kind.file(filed.slot))?;
        esp.write_book(kind, &book.tried(filed))?;
        Ok(filed)
    }

    pub(super) fn into_place(self, path: &str) -> Result<(), EspError> {
        let esp = self.esp;
        let new = self.path.clone();
        if let Err(refused) = self.check() {
            // The refusal is what matters; what is left over is removed before the next writing too.
            let _ = esp.remove(&new);
            return Err(refused);
        }
        // A file that is replaced stays open until the folder is durable: its clusters are freed only then. Freed before, the power could
        // go while the folder still names it.
        let replaced = File::open(esp.root.join(path)).ok();
        fs::rename(esp.root.join(&new), esp.root.join(path))
            .map_err(|error| fault("cannot put into place", path, error))?;
        esp.settle(path)?;
        drop(replaced);
        Ok(())
    }

    fn check(self) -> Result<(), EspError> {
        let path = || self.path.clone();
        if self.done != self.size {
            return Err(EspError::Size { path: path(), wanted: self.size, got: self.done });
        }
        if Digest::from(self.hash.finalize()) != self.sha256 {
            return Err(EspError::Digest { path: self.path });
        }
        let named = |error| fault("cannot write out", &self.path, error);
        crate::devices::drop_cache(&self.file).map_err(named)?;
        self.esp.settle(&self.path)?;
        let back = from_medium(&self.esp.root.join(&self.path)).and_then(|file| hash(&file)).map_err(named)?;
        if back == (self.size, self.sha256) { Ok(()) } else { Err(EspError::ReadBack { path: self.path }) }
    }
}

/// Opens a file so that reading asks the medium. Where that is not possible (a test's folder in memory), the page cache was dropped.
fn from_medium(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
    OpenOptions::new().read(true).custom_flags(flags).open(path).or_else(|_| File::open(path))
}

/// Where pages begin: more than any sector needs.
const PAGE: usize = 4096;
/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Size and digest of a file. Its buffer begins at a page and is read in whole pages: direct reading wants that.
pub(super) fn hash(file: &File) -> io::Result<(u64, Digest)> {
    let mut buffer = vec![0_u8; PIECE + PAGE];
    let start = buffer.as_ptr().align_offset(PAGE);
    let buffer = buffer.get_mut(start..start.saturating_add(PIECE)).ok_or(io::ErrorKind::OutOfMemory)?;
    let mut digest = Sha256::new();
    let mut done = 0_u64;
    loop {
        let got = file.read_at(buffer, done)?;
        if got == 0 {
            return Ok((done, digest.finalize().into()));
        }
        digest.update(buffer.get(..got).unwrap_or_default());
        done = done.saturating_add(length(got));
    }
}
