//! Content-addressed files: `blobs/sha256/ab/<64 hex digits>`, read-only once they stand there.
//!
//! A blob appears whole or not at all: it is written under `blobs/tmp`, flushed, and renamed. What a crash leaves in `tmp` is
//! swept by the next garbage collection.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use slipway_engine::catalog::{Digest, FileRef};

use crate::images::StoreError;

/// The folder of blobs.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
    tmp: PathBuf,
}

/// How a blob differs from what its name promises.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is not there.
    #[error("is missing")]
    Missing,
    /// It has another length.
    #[error("has {actual} bytes instead of {expected}")]
    Size {
        /// Bytes recorded.
        expected: u64,
        /// Bytes found.
        actual: u64,
    },
    /// It has other content.
    #[error("has other content: its SHA-256 is {actual}")]
    Content {
        /// The digest of what is there.
        actual: Digest,
    },
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

/// Bytes read at a time: large enough that the disk is the limit.
const CHUNK: usize = 1 << 20;

impl Blobs {
    /// The blobs under this data folder. Nothing is created until something is stored.
    #[must_use]
    pub fn under(data: &Path) -> Self {
        let blobs = data.join("blobs");
        Self { root: blobs.join("sha256"), tmp: blobs.join("tmp") }
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

    /// Reads a stored file again and compares it with its digest. `progress` is told the bytes of each step.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn verify(&self, file: &FileRef, progress: &mut dyn FnMut(u64)) -> Result<(), Damage> {
        self.present(file)?;
        let source = self.open(&file.digest).map_err(Damage::Unreadable)?;
        let actual = copy(source, &mut io::sink(), progress).map_err(|(_, error)| Damage::Unreadable(error))?;
        if actual.digest == file.digest { Ok(()) } else { Err(Damage::Content { actual: actual.digest }) }
    }

    /// Whether a stored file is there in its right length, without reading it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn present(&self, file: &FileRef) -> Result<(), Damage> {
        let actual = match fs::metadata(self.path(&file.digest)) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Damage::Missing),
            Err(error) => return Err(Damage::Unreadable(error)),
        };
        if actual == file.size { Ok(()) } else { Err(Damage::Size { expected: file.size, actual }) }
    }

    /// Stores what `source` gives. When this returns, the blob is there for good, power cut or not.
    ///
    /// A blob of the same content is replaced: had it been damaged, it is whole again.
    pub(crate) fn put(&self, source: impl Read, progress: &mut dyn FnMut(u64)) -> Result<FileRef, StoreError> {
        create_folder(&self.tmp)?;
        let mut temporary = tempfile::NamedTempFile::new_in(&self.tmp).map_err(StoreError::writing(&self.tmp))?;
        let file = copy(source, temporary.as_file_mut(), progress).map_err(|(side, error)| match side {
            Side::Source => StoreError::Source(error),
            Side::Target => StoreError::writing(&self.tmp)(error),
        })?;
        let path = self.path(&file.digest);
        let seal = |temporary: &File| {
            temporary.set_permissions(Permissions::from_mode(0o444))?;
            temporary.sync_all()
        };
        seal(temporary.as_file()).map_err(StoreError::writing(temporary.path()))?;
        let folder = path.parent().unwrap_or(&self.root);
        create_folder(folder)?;
        temporary.persist(&path).map_err(|error| StoreError::writing(&path)(error.error))?;
        sync_folder(folder)?;
        Ok(file)
    }

    /// Every blob that is stored.
    pub(crate) fn all(&self) -> Result<Vec<FileRef>, StoreError> {
        let mut all = Vec::new();
        for folder in list(&self.root)? {
            for blob in list(&folder)? {
                let name = blob.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
                let Some(digest) = parse_digest(name) else { continue };
                let size = fs::metadata(&blob).map_err(StoreError::reading(&blob))?.len();
                all.push(FileRef { digest, size });
            }
        }
        Ok(all)
    }

    /// Deletes a blob. Those who have it open keep it until they close it.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        fs::remove_file(&path).map_err(StoreError::writing(&path))
    }

    /// Deletes what crashes left half written: how many files. Only for who is alone in the store.
    pub(crate) fn sweep_temporary(&self) -> Result<u64, StoreError> {
        let mut swept = 0_u64;
        for path in list(&self.tmp)? {
            fs::remove_file(&path).map_err(StoreError::writing(&path))?;
            swept = swept.saturating_add(1);
        }
        Ok(swept)
    }
}

/// Which side of a copy failed.
enum Side {
    Source,
    Target,
}

fn copy(
    mut source: impl Read,
    target: &mut impl Write,
    progress: &mut dyn FnMut(u64),
) -> Result<FileRef, (Side, io::Error)> {
    let mut hash = Sha256::new();
    let mut size = 0_u64;
    let mut buffer = vec![0_u8; CHUNK];
    loop {
        let length = match source.read(&mut buffer) {
            Ok(0) => return Ok(FileRef { digest: Digest(hash.finalize().into()), size }),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err((Side::Source, error)),
        };
        let bytes = buffer.get(..length).unwrap_or_default();
        hash.update(bytes);
        target.write_all(bytes).map_err(|error| (Side::Target, error))?;
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        size = size.saturating_add(length);
        progress(length);
    }
}

/// Reads 64 lower-case hexadecimal digits.
pub(crate) fn parse_digest(text: &str) -> Option<Digest> {
    if text.len() != 64 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (nth, byte) in digest.iter_mut().enumerate() {
        let at = nth.checked_mul(2)?;
        *byte = u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok()?;
    }
    Some(Digest(digest))
}

/// The entries of a folder in order of name; none if it does not exist.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::reading(folder)(error)),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>();
    let mut paths = paths.map_err(StoreError::reading(folder))?;
    paths.sort();
    Ok(paths)
}

/// Creates a folder and its parents, so that they survive a power cut.
pub(crate) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    // The parent of a relative path of one part is empty: the folder we are in.
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folder(parent)?;
    }
    match fs::DirBuilder::new().mode(0o755).create(folder) {
        Ok(()) => {}
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::writing(folder)(error)),
    }
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes renames and removals in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    // A relative path of one part has an empty parent.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(StoreError::writing(folder))
}
