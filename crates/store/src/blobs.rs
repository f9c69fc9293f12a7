//! Content-addressed files: `blobs/sha256/ab/<64 hex digits>`, read-only once they stand there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use slipway_engine::catalog::Digest;

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
}

impl Blobs {
    /// The blobs under this data folder. Nothing is created until something is stored.
    #[must_use]
    pub fn under(data: &Path) -> Self {
        Self { root: data.join("blobs").join("sha256") }
    }

    /// Where a blob stands, if it is stored.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        let (folder, _) = hex.split_at(2);
        self.root.join(folder).join(&hex)
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// The file system's, `NotFound` where it is not stored.
    pub fn open(&self, digest: &Digest) -> io::Result<File> {
        File::open(self.path(digest))
    }
}
