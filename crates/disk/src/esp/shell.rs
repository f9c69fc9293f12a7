//! The ESP mounted by the kernel, and files on it that are written so that they are either whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use sha2::{Digest as _, Sha256};
use slipway_image::Machine;

use super::error::{EspError, fault};
use super::incoming::{Incoming, hash};
use super::slots::{Book, Digest, Filed, Kind, LENGTH, Slot, StateFile, newest};
use crate::bytes::{index, length};
use crate::fat::{self, Health};

/// A mounted ESP. Dropped without [`unmount`](Self::unmount), it is unmounted as soon as nobody uses it.
#[derive(Debug)]
pub struct Esp {
    pub(super) root: PathBuf,
    mounted: bool,
}

/// What became of the copy at the firmware's fallback path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// It is the good image now, or was already.
    Ours,
    /// Somebody else's loader is there, and stays.
    Foreign,
}

/// What the start of a partition says of the FAT that should be on it.
///
/// # Errors
/// The device's.
pub fn look(partition: &File, size: u64) -> io::Result<(Health, Vec<u8>)> {
    let mut head = vec![0; index(size.min(fat::LOOK))];
    partition.read_exact_at(&mut head, 0)?;
    Ok((fat::health(&head, size), head))
}

impl Esp {
    /// Mounts a partition; the folder is made if it is not there.
    ///
    /// # Errors
    /// The kernel's refusal: no vfat module, no FAT.
    pub fn mount(partition: &Path, folder: &Path) -> Result<Self, EspError> {
        Self::mount_as(partition, folder, MountFlags::empty())
    }

    /// The same for reading alone: a mounting that may write leaves its mark on the file system, and this may be somebody else's.
    ///
    /// # Errors
    /// The kernel's refusal: no vfat module, no FAT.
    pub fn mount_to_read(partition: &Path, folder: &Path) -> Result<Self, EspError> {
        Self::mount_as(partition, folder, MountFlags::RDONLY)
    }

    fn mount_as(partition: &Path, folder: &Path, more: MountFlags) -> Result<Self, EspError> {
        let fault = |error: io::Error| EspError::Mount(partition.to_owned(), error);
        fs::create_dir_all(folder).map_err(fault)?;
        let flags = more | MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV | MountFlags::NOATIME;
        // Only root reads: without a TPM the machine's key is a file here. Errors are not the end of writing: a FAT after a power cut can have
        // some, they end when the file in question is removed, and all that counts is read back and hashed.
        mount(partition, folder, "vfat", flags, Some(c"umask=0077,errors=continue"))
            .map_err(|error| fault(error.into()))?;
        Ok(Self { root: folder.to_owned(), mounted: true })
    }

    /// A folder that is used like a mounted ESP: one that somebody else has mounted, or a test's.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { root: folder.to_owned(), mounted: false }
    }

    /// Writes all of it out and unmounts it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmount(mut self) -> Result<(), EspError> {
        self.settle("")?;
        if self.mounted {
            self.mounted = false;
            unmount(&self.root, UnmountFlags::empty())
                .map_err(|error| EspError::Mount(self.root.clone(), error.into()))?;
        }
        Ok(())
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// The file system's.
    pub fn free(&self) -> Result<u64, EspError> {
        let stat =
            rustix::fs::statvfs(&self.root).map_err(|error| fault("cannot count the room of", "/", error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Bytes that would be free without what Slipway keeps here.
    ///
    /// # Errors
    /// The file system's.
    pub fn free_beside_ours(&self) -> Result<u64, EspError> {
        Ok(self.free()?.saturating_add(self.kept()))
    }

    /// Bytes of all images that Slipway keeps here.
    pub(super) fn kept(&self) -> u64 {
        let kept = |kind: Kind| Slot::ALL.map(|slot| kind.file(slot)).into_iter().chain([kind.new_file()]);
        let ours = kept(Kind::Preboot).chain(kept(Kind::Generation));
        ours.filter_map(|file| fs::metadata(self.root.join(file)).ok()).map(|file| file.len()).sum()
    }

    /// The whole of a small file, if it is there.
    ///
    /// # Errors
    /// It is there, and cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, EspError> {
        match fs::read(self.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault("cannot read", path, error)),
        }
    }

    /// Writes a small file that is not there yet, such as a key, so that it is there whole or not at all.
    ///
    /// # Errors
    /// It is there with another content; or the file system's.
    pub fn write_once(&self, path: &str, content: &[u8]) -> Result<(), EspError> {
        match self.read(path)? {
            Some(there) if there == content => return Ok(()),
            Some(_) => return Err(EspError::Exists { path: path.to_owned() }),
            None => {}
        }
        let sha256 = Sha256::digest(content).into();
        let mut incoming = self.open_new(&format!("{path}.new"), length(content.len()), sha256)?;
        incoming.write(content)?;
        incoming.into_place(path)
    }

    /// What is known of a kind's slots.
    ///
    /// # Errors
    /// The file system's. Torn files are not errors: the other one counts.
    pub fn book(&self, kind: Kind) -> Result<Book, EspError> {
        let read = |which| self.read(&kind.state_file(which));
        let (one, two) = (read(StateFile::One)?, read(StateFile::Two)?);
        Ok(newest([one.as_deref(), two.as_deref()]))
    }

    /// Writes what is known of a kind's slots: into the older of the two files, in place.
    ///
    /// # Errors
    /// The file system's; then the book of before still counts.
    pub fn write_book(&self, kind: Kind, book: &Book) -> Result<(), EspError> {
        let path = kind.state_file(book.state_file());
        self.folders(&path)?;
        let named = |error| fault("cannot write", &path, error);
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).open(self.root.join(&path)).map_err(named)?;
        let bytes = book.encode();
        file.write_all_at(&bytes, 0)
            .and_then(|()| file.set_len(length(LENGTH)))
            .and_then(|()| file.sync_all())
            .map_err(named)?;
        self.settle(&path)?;
        crate::devices::drop_cache(&file).map_err(named)?;
        let mut back = vec![0; bytes.len()];
        file.read_exact_at(&mut back, 0).map_err(named)?;
        if back == bytes { Ok(()) } else { Err(EspError::ReadBack { path }) }
    }

    /// Opens the slot that may be written for an image that is promised to be so large and to have this digest. What the slot held is
    /// gone from here on: it was neither good nor, any more, on trial.
    ///
    /// # Errors
    /// Too little room; or the file system's.
    pub fn begin(&self, kind: Kind, version: u64, size: u64, sha256: Digest) -> Result<Incoming<'_>, EspError> {
        let book = self.book(kind)?.cleared();
        self.write_book(kind, &book)?;
        let filed = Filed { slot: book.target(), version, size, sha256 };
        self.remove(&kind.file(filed.slot))?;
        let incoming = self.open_new(&kind.new_file(), size, sha256)?;
        Ok(incoming.for_slot(kind, book, filed))
    }

    fn open_new(&self, path: &str, size: u64, sha256: Digest) -> Result<Incoming<'_>, EspError> {
        self.folders(path)?;
        self.remove(path)?;
        let free = self.free()?;
        // A folder may have to grow by a cluster, of at most 64 KiB.
        let need = size.saturating_add(1 << 16);
        if free < need {
            return Err(EspError::Full { path: path.to_owned(), need, free });
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(self.root.join(path));
        let file = file.map_err(|error| fault("cannot make", path, error))?;
        Ok(Incoming::new(self, path, file, size, sha256))
    }

    /// The bytes of an image in a slot, if they are what the book says.
    ///
    /// # Errors
    /// The file is gone, or holds something else.
    pub fn load(&self, kind: Kind, image: &Filed) -> Result<Vec<u8>, EspError> {
        let path = kind.file(image.slot);
        let file = File::open(self.root.join(&path)).map_err(|error| fault("cannot open", &path, error))?;
        let mut bytes = Vec::with_capacity(index(image.size.min(1 << 32)));
        file.take(image.size.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| fault("cannot read", &path, error))?;
        let got = length(bytes.len());
        if got != image.size {
            return Err(EspError::Size { path, wanted: image.size, got });
        }
        if Digest::from(Sha256::digest(&bytes)) != image.sha256 {
            return Err(EspError::Digest { path });
        }
        Ok(bytes)
    }

    /// Puts a copy of the good preboot where firmware looks that knows no boot entry, unless somebody else's loader is there.
    ///
    /// # Errors
    /// No good preboot, too little room, or the file system's.
    pub fn write_fallback(&self, machine: Machine) -> Result<Fallback, EspError> {
        let path = fallback_path(machine);
        let book = self.book(Kind::Preboot)?;
        let good =
            book.good.ok_or_else(|| fault("no good preboot to copy to", path, io::ErrorKind::NotFound.into()))?;
        if let Some(there) = self.digest(path)? {
            if there == good.sha256 {
                return Ok(Fallback::Ours);
            }
            if !book.fallback.iter().flatten().any(|ours| *ours == there) {
                return Ok(Fallback::Foreign);
            }
        }
        let image = self.load(Kind::Preboot, &good)?;
        // Recorded before it is there: what is found there after a power cut is known to be ours.
        self.write_book(Kind::Preboot, &book.with_fallback(good.sha256))?;
        let new = format!("{path}.new");
        if self.root.join(&new).exists() {
            // A power cut while the one was renamed to the other can leave both names for the same clusters: none of them is kept.
            self.remove(path)?;
        }
        let mut incoming = self.open_new(&new, good.size, good.sha256)?;
        incoming.write(&image)?;
        incoming.into_place(path)?;
        Ok(Fallback::Ours)
    }

    /// Removes the copy at the fallback path, if it is ours.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_fallback(&self, machine: Machine) -> Result<(), EspError> {
        let path = fallback_path(machine);
        let book = self.book(Kind::Preboot)?;
        match self.digest(path)? {
            Some(there) if book.fallback.iter().flatten().any(|ours| *ours == there) => {
                self.remove(path)?;
                self.settle(path)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn digest(&self, path: &str) -> Result<Option<Digest>, EspError> {
        match File::open(self.root.join(path)) {
            Ok(file) => hash(&file).map(|(_, digest)| Some(digest)).map_err(|error| fault("cannot read", path, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(fault("cannot open", path, error)),
        }
    }

    fn folders(&self, path: &str) -> Result<(), EspError> {
        let folder = self.root.join(path);
        let folder = folder.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).map_err(|error| fault("cannot make the folder of", path, error))
    }

    pub(super) fn remove(&self, path: &str) -> Result<(), EspError> {
        match fs::remove_file(self.root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fault("cannot remove", path, error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the folder of a path, and all that the file system holds back, durable.
    pub(super) fn settle(&self, path: &str) -> Result<(), EspError> {
        let place = self.root.join(path);
        let folder = if place.is_dir() { place.as_path() } else { place.parent().unwrap_or(&self.root) };
        // In this order: `syncfs` hands a renamed file's inode to the disk, but for vfat does not empty the disk's cache; `fsync` does.
        let synced = File::open(folder).and_then(|folder| {
            rustix::fs::syncfs(&folder)?;
            folder.sync_all()
        });
        synced.map_err(|error| fault("cannot write out the folder of", path, error))
    }
}

impl Drop for Esp {
    fn drop(&mut self) {
        if self.mounted {
            // Nobody is left to be told; what was promised durable is so already.
            let _ = unmount(&self.root, UnmountFlags::DETACH);
        }
    }
}

/// Where firmware looks on a disk that no boot entry names (UEFI specification §3.5.1.1).
fn fallback_path(machine: Machine) -> &'static str {
    match machine {
        Machine::ARM64 => "EFI/BOOT/BOOTAA64.EFI",
        _ => "EFI/BOOT/BOOTX64.EFI",
    }
}
