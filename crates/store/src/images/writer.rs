//! Adding: files first, their record last.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::SystemTime;

use slipway_engine::Timestamp;
use slipway_engine::catalog::{FileRef, Image, ImageKind};
use slipway_wire::Cpu;

use super::lock::Lock;
use super::manifest::{self, Built, check_file, check_name, check_version};
use super::{Images, StoreError, Stored};
use crate::blobs::{create_folder, sync_folder};

/// What is to be added. Its files are stored already, by the [`Writer`] that it is given to.
#[derive(Clone, Debug)]
pub struct NewImage {
    /// Its name.
    pub name: String,
    /// Its version; without one it gets the number after the highest.
    pub version: Option<String>,
    /// What it is.
    pub kind: ImageKind,
    /// The processor it runs on, where that is known.
    pub cpu: Option<Cpu>,
    /// The kernel's command line.
    pub cmdline: Option<String>,
    /// Where it came from, in words.
    pub source: Option<String>,
    /// What is known of it, if it was built here.
    pub built: Option<Built>,
    /// Its files by name.
    pub files: BTreeMap<String, FileRef>,
}

/// What adding did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Added {
    /// A new version is there.
    New(Stored),
    /// The same content was there already, under the version asked for, or as the newest where none was.
    Unchanged(Stored),
}

/// The store, open for adding.
#[derive(Debug)]
pub struct Writer<'a> {
    pub(super) images: &'a Images,
    pub(super) _lock: Lock,
}

impl Writer<'_> {
    /// Stores a file. `progress` is told the bytes of each step.
    ///
    /// # Errors
    /// The source or the store fails. Nothing half-written can be found under a digest.
    pub fn put(&self, source: impl Read, progress: &mut dyn FnMut(u64)) -> Result<FileRef, StoreError> {
        self.images.blobs.put(source, progress)
    }

    /// Adds an image whose files this writer has stored. When this returns, it is there for good.
    ///
    /// # Errors
    /// A name that is not allowed; [`StoreError::Conflict`] where the version is there with other content.
    pub fn add(&self, new: NewImage) -> Result<Added, StoreError> {
        check_name(&new.name)?;
        let versions = match self.images.versions(&new.name) {
            Err(StoreError::NoImage { .. }) => Vec::new(),
            found => found?,
        };
        let newest = versions.iter().map(|stored| stored.sequence).max().unwrap_or(0);
        let wanted = new.version.clone();
        if wanted.is_none()
            && let Some(last) = versions.last().filter(|last| same_content(&last.image, &new))
        {
            return Ok(Added::Unchanged(last.clone()));
        }
        let version = wanted.unwrap_or_else(|| next_number(&versions).to_string());
        check_version(&version)?;
        for file in new.files.keys() {
            check_file(&new.name, &version, file)?;
        }
        let NewImage { name, kind, cpu, cmdline, source, built, files, .. } = new;
        let image = Image { name, version, kind, cpu, cmdline, files };
        let stored = Stored { image, sequence: newest.saturating_add(1), added: now(), source, built };
        if self.publish(&stored)? {
            return Ok(Added::New(stored));
        }
        let Image { name, version, .. } = &stored.image;
        let there = self.images.find(name, Some(version))?;
        if same_image(&there.image, &stored.image) {
            Ok(Added::Unchanged(there))
        } else {
            Err(StoreError::Conflict { name: name.clone(), version: version.clone() })
        }
    }

    /// Gives a version its signed manifest, in place of the one that it has.
    ///
    /// # Errors
    /// There is no such version; the store cannot be written.
    pub fn put_manifest(&self, name: &str, version: &str, manifest: &[u8]) -> Result<(), StoreError> {
        self.images.find(name, Some(version))?;
        let path = self.images.manifest_path(name, version);
        let folder = self.images.records().join(name);
        let write = || {
            let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder)?;
            temporary.write_all(manifest)?;
            seal(temporary.as_file())?;
            temporary.persist(&path).map_err(|error| error.error)
        };
        write().map_err(StoreError::writing(&path))?;
        sync_folder(&folder)
    }

    /// Writes the record, unless there is one: whether it did.
    fn publish(&self, stored: &Stored) -> Result<bool, StoreError> {
        let path = self.images.record(&stored.image.name, &stored.image.version);
        let folder = self.images.records().join(&stored.image.name);
        create_folder(&folder)?;
        let written = write_once(&path, &folder, manifest::encode(stored).as_bytes());
        let written = written.map_err(StoreError::writing(&path))?;
        sync_folder(&folder)?;
        Ok(written)
    }
}

/// How the names of records begin that are not finished.
pub(super) const UNFINISHED: &str = ".new-";

/// Writes a file whole, or leaves the one that is there: whether it wrote.
fn write_once(path: &Path, folder: &Path, content: &[u8]) -> io::Result<bool> {
    let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    temporary.write_all(content)?;
    seal(temporary.as_file())?;
    match temporary.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// Makes a file readable by the server, whoever it runs as, and durable.
pub(crate) fn seal(file: &fs::File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.sync_all()
}

/// The current time, as records keep it.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since)
}

/// One more than the highest version that is a number.
fn next_number(versions: &[Stored]) -> u64 {
    let numbers = versions.iter().filter_map(|stored| stored.image.version.parse::<u64>().ok());
    numbers.max().unwrap_or(0).saturating_add(1)
}

fn same_content(image: &Image, new: &NewImage) -> bool {
    image.kind == new.kind && image.cpu == new.cpu && image.cmdline == new.cmdline && image.files == new.files
}

fn same_image(a: &Image, b: &Image) -> bool {
    a.kind == b.kind && a.cpu == b.cpu && a.cmdline == b.cmdline && a.files == b.files
}
