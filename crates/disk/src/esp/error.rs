//! What can go wrong, in words.

use std::io;
use std::path::PathBuf;

/// What can go wrong on an ESP.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// The kernel does not mount it.
    #[error("cannot mount {0} as a FAT file system: {1}")]
    Mount(PathBuf, io::Error),
    /// A file or folder on it.
    #[error("{what} {path}: {error}")]
    File {
        /// What was tried.
        what: &'static str,
        /// Where on the ESP.
        path: String,
        /// Why it did not work.
        error: io::Error,
    },
    /// Not enough room.
    #[error("{path} needs {need} bytes, and {free} are free on the ESP")]
    Full {
        /// The file.
        path: String,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        free: u64,
    },
    /// The bytes that came are not the ones that were promised.
    #[error("{path}: {got} bytes came, and {wanted} were promised")]
    Size {
        /// The file.
        path: String,
        /// Bytes promised.
        wanted: u64,
        /// Bytes that came; one more than promised if there were more.
        got: u64,
    },
    /// The bytes that came have another digest than promised.
    #[error("{path}: what came is not what was promised: its SHA-256 differs")]
    Digest {
        /// The file.
        path: String,
    },
    /// The medium gives back something else than was written.
    #[error("{path}: the disk gives back something else than was written to it")]
    ReadBack {
        /// The file.
        path: String,
    },
    /// A file that may not be replaced is there with another content.
    #[error("{path} is there already, with another content")]
    Exists {
        /// The file.
        path: String,
    },
}

pub(super) fn fault(what: &'static str, path: &str, error: io::Error) -> EspError {
    EspError::File { what, path: path.to_owned(), error }
}
