//! Named, versioned images over the content-addressed files.
//!
//! Adding writes the files first and the record last, in one rename: an image is there whole or not at all. Adding holds a shared
//! lock; removing and collecting garbage hold it alone, so that no file is collected before its record is written. Readers take no
//! lock: they see records that are whole.

mod error;
mod lock;
mod manifest;
mod tree;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

use slipway_engine::catalog::{Catalog, FileRef, Image};

use crate::blobs::{Blobs, list, sync_folder};
use crate::loaders;
use lock::Lock;
use manifest::{check_name, check_version};
use writer::UNFINISHED;

pub use error::StoreError;
pub(crate) use manifest::FileRecord;
pub use manifest::{Built, Stored};
pub use tree::walk;
pub(crate) use writer::seal;
pub use writer::{Added, NewImage, Writer};

/// What there is to serve. An image that cannot be served is left out, with the reason: one damaged image must not keep all other
/// machines from booting.
///
/// # Errors
/// The store cannot be read at all.
pub fn catalog(data: &Path) -> Result<(Catalog, Vec<StoreError>), StoreError> {
    let images = Images::under(data);
    let Listing { images: stored, mut faults } = images.list()?;
    let mut catalog = Catalog::default();
    for stored in stored {
        let found = images.missing(&stored.image);
        if found.is_empty() {
            catalog.images.entry(stored.image.name.clone()).or_default().push(stored.image);
        }
        faults.extend(found);
    }
    match loaders::list(data) {
        Ok(found) => {
            let over_http = found.iter().filter(|loader| loader.over_http);
            catalog.over_http = over_http.map(|loader| loader.name.clone()).collect();
            catalog.loaders = found.into_iter().map(|loader| (loader.name, loader.file)).collect();
        }
        Err(error) => faults.push(error),
    }
    Ok((catalog, faults))
}

/// The images of a data folder.
#[derive(Clone, Debug)]
pub struct Images {
    data: PathBuf,
    blobs: Blobs,
}

/// Every image that can be read, and why others cannot.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name, each name's versions oldest first.
    pub images: Vec<Stored>,
    /// Records that cannot be read.
    pub faults: Vec<StoreError>,
}

/// What verifying found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Files checked: a file that several images share counts once.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong.
    pub faults: Vec<StoreError>,
}

/// What garbage collection freed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Files that no image and no loader refers to.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Half-written files that a crash had left.
    pub leftovers: u64,
}

impl Images {
    /// The images under this data folder. Nothing is created until something is stored.
    #[must_use]
    pub fn under(data: &Path) -> Self {
        Self { data: data.to_owned(), blobs: Blobs::under(data) }
    }

    /// The stored files.
    #[must_use]
    pub const fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// Opens the store for adding. Several may add at once; who removes or collects garbage waits until all are done.
    ///
    /// # Errors
    /// The data folder cannot be written.
    pub fn writer(&self) -> Result<Writer<'_>, StoreError> {
        Ok(Writer { images: self, _lock: Lock::shared(&self.data)? })
    }

    /// Every version of every image.
    ///
    /// # Errors
    /// The folder of records cannot be read. Records that cannot are among the listing's faults.
    pub fn list(&self) -> Result<Listing, StoreError> {
        let mut listing = Listing::default();
        for folder in list(&self.records())? {
            let name = folder.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            if !name.is_empty() && !name.starts_with('.') && folder.is_dir() {
                self.list_one(name, &mut listing)?;
            }
        }
        Ok(listing)
    }

    /// The versions of one image, oldest first: at least one.
    ///
    /// # Errors
    /// [`StoreError::NoImage`]; or a record of it cannot be read.
    pub fn versions(&self, name: &str) -> Result<Vec<Stored>, StoreError> {
        // Before it becomes part of a path.
        check_name(name)?;
        let mut listing = Listing::default();
        self.list_one(name, &mut listing)?;
        match listing.faults.pop() {
            Some(fault) if listing.images.is_empty() => Err(fault),
            None if listing.images.is_empty() => Err(StoreError::NoImage { name: name.to_owned() }),
            _ => Ok(listing.images),
        }
    }

    fn list_one(&self, name: &str, listing: &mut Listing) -> Result<(), StoreError> {
        let mut versions = Vec::new();
        for path in list(&self.records().join(name))? {
            let file = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
            let Some(version) = file.strip_suffix(".json").filter(|version| !version.starts_with('.')) else {
                continue;
            };
            match manifest::read(&path, name, version) {
                Ok(stored) => versions.push(stored),
                // Removed between the listing and the reading.
                Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => listing.faults.push(error),
            }
        }
        versions.sort_by(|a, b| (a.sequence, &a.image.version).cmp(&(b.sequence, &b.image.version)));
        listing.images.append(&mut versions);
        Ok(())
    }

    /// One version of an image, the newest if none is named.
    ///
    /// # Errors
    /// [`StoreError::NoImage`], [`StoreError::NoVersion`].
    pub fn find(&self, name: &str, version: Option<&str>) -> Result<Stored, StoreError> {
        // Before it becomes part of a path.
        check_name(name)?;
        version.map_or(Ok(()), check_version)?;
        let Some(version) = version else {
            return self.versions(name)?.pop().ok_or_else(|| StoreError::NoImage { name: name.to_owned() });
        };
        match manifest::read(&self.record(name, version), name, version) {
            Err(StoreError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let there = names_of(&self.versions(name)?);
                Err(StoreError::NoVersion { name: name.to_owned(), version: version.to_owned(), there })
            }
            found => found,
        }
    }

    /// The signed manifest of a version, if it has one: `trust::Signed` as CBOR. It stands beside the record, because signatures are
    /// added to it while the version stays what it is.
    ///
    /// # Errors
    /// It cannot be read; the names are not allowed.
    pub fn manifest(&self, name: &str, version: &str) -> Result<Option<Vec<u8>>, StoreError> {
        check_name(name).and_then(|()| check_version(version))?;
        let path = self.manifest_path(name, version);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::reading(&path)(error)),
        }
    }

    fn manifest_path(&self, name: &str, version: &str) -> PathBuf {
        self.records().join(name).join(format!("{version}.manifest"))
    }

    /// Reads every stored file again and compares it with its digest. `progress` is told the bytes of each step.
    ///
    /// # Errors
    /// The store cannot be read at all; what is damaged is among the faults.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Verified, StoreError> {
        let _lock = Lock::shared(&self.data)?;
        let Listing { images, faults } = self.list()?;
        let mut verified = Verified { faults, ..Verified::default() };
        let mut seen = BTreeMap::new();
        let of_images = images.iter().flat_map(|stored| {
            let label = label(&stored.image);
            stored.image.files.iter().map(move |(file, content)| (label.clone(), file.clone(), *content))
        });
        let loaders = loaders::list(&self.data).unwrap_or_else(|fault| {
            verified.faults.push(fault);
            Vec::new()
        });
        let of_loaders = loaders.into_iter().map(|loader| ("loader".to_owned(), loader.name, loader.file));
        for (image, file, content) in of_images.chain(of_loaders) {
            let whole = *seen.entry(content.digest).or_insert_with(|| {
                verified.files = verified.files.saturating_add(1);
                verified.bytes = verified.bytes.saturating_add(content.size);
                self.blobs.verify(&content, progress).is_ok()
            });
            if !whole && let Err(damage) = self.blobs.verify(&content, &mut |_| {}) {
                let path = self.blobs.path(&content.digest);
                verified.faults.push(StoreError::Damaged { image, file, path, damage });
            }
        }
        Ok(verified)
    }

    /// Removes a version, or the only version of a name, or all with `all_versions`. Its files stay until garbage is collected.
    ///
    /// # Errors
    /// [`StoreError::Several`] where the name alone does not say which version; no such image or version; somebody is adding.
    pub fn remove(&self, name: &str, version: Option<&str>, all_versions: bool) -> Result<Vec<Stored>, StoreError> {
        let _lock = Lock::exclusive(&self.data)?;
        let versions = match version {
            Some(version) => vec![self.find(name, Some(version))?],
            None => self.versions(name)?,
        };
        if versions.len() > 1 && !all_versions {
            return Err(StoreError::Several { name: name.to_owned(), there: names_of(&versions) });
        }
        let folder = self.records().join(name);
        for stored in &versions {
            let path = self.record(&stored.image.name, &stored.image.version);
            fs::remove_file(&path).map_err(StoreError::writing(&path))?;
            // Most have none.
            let _ = fs::remove_file(self.manifest_path(&stored.image.name, &stored.image.version));
        }
        sync_folder(&folder)?;
        // Fails while it holds other versions, which is right.
        let _ = fs::remove_dir(&folder);
        Ok(versions)
    }

    /// Deletes the files that no image and no loader refers to, and what crashes left half written.
    ///
    /// # Errors
    /// A record cannot be read: what it refers to is unknown, so nothing is deleted. Somebody is adding.
    pub fn collect_garbage(&self) -> Result<Swept, StoreError> {
        let _lock = Lock::exclusive(&self.data)?;
        let Listing { images, faults } = self.list()?;
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault);
        }
        let files = images.iter().flat_map(|stored| stored.image.files.values().copied());
        let loaders = loaders::list(&self.data)?;
        let files = files.chain(loaders.iter().map(|loader| loader.file));
        let referred: BTreeSet<_> = files.map(|file| file.digest).collect();
        let leftovers = self.blobs.sweep_temporary()?.saturating_add(self.sweep_records()?);
        let mut swept = Swept { leftovers, ..Swept::default() };
        for blob in self.blobs.all()? {
            if !referred.contains(&blob.digest) {
                self.blobs.remove(&blob.digest)?;
                swept.files = swept.files.saturating_add(1);
                swept.bytes = swept.bytes.saturating_add(blob.size);
            }
        }
        Ok(swept)
    }

    /// Deletes records that crashes left half written: how many.
    fn sweep_records(&self) -> Result<u64, StoreError> {
        let mut swept = 0_u64;
        for folder in list(&self.records())?.into_iter().filter(|path| path.is_dir()) {
            for path in list(&folder)? {
                let name = path.file_name().and_then(std::ffi::OsStr::to_str).unwrap_or_default();
                if name.starts_with(UNFINISHED) {
                    fs::remove_file(&path).map_err(StoreError::writing(&path))?;
                    swept = swept.saturating_add(1);
                }
            }
        }
        Ok(swept)
    }

    /// What of an image is not there in its right length.
    fn missing(&self, image: &Image) -> Vec<StoreError> {
        let damage = |(file, content): (&String, &FileRef)| {
            let damage = self.blobs.present(content).err()?;
            let path = self.blobs.path(&content.digest);
            Some(StoreError::Damaged { image: label(image), file: file.clone(), path, damage })
        };
        image.files.iter().filter_map(damage).collect()
    }

    fn records(&self) -> PathBuf {
        self.data.join("images")
    }

    fn record(&self, name: &str, version: &str) -> PathBuf {
        self.records().join(name).join(format!("{version}.json"))
    }
}

fn names_of(versions: &[Stored]) -> Vec<String> {
    versions.iter().map(|stored| stored.image.version.clone()).collect()
}

fn label(image: &Image) -> String {
    format!("{}@{}", image.name, image.version)
}
