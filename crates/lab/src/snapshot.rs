//! A moment of a scenario that is gone back to, again and again: copies of files and folders.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::run;

/// Copies of files and folders as they were at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    folder: PathBuf,
    places: Vec<PathBuf>,
}

impl Snapshot {
    /// Copies these into a folder that is not there yet; what is not there is remembered as missing. Nothing writes to them meanwhile.
    ///
    /// # Errors
    /// They can't be read, or the folder can't be made.
    pub(crate) fn take(folder: &Path, places: &[PathBuf]) -> Result<Self> {
        std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let snapshot = Self { folder: folder.to_owned(), places: places.to_vec() };
        for (number, place) in places.iter().enumerate() {
            if place.exists() {
                copy(place, &snapshot.copy_of(number))?;
            }
        }
        Ok(snapshot)
    }

    /// Puts everything back as it was. Nobody uses it meanwhile.
    ///
    /// # Errors
    /// A file can't be removed or written.
    pub(crate) fn restore(&self) -> Result<()> {
        self.places.iter().enumerate().try_for_each(|(number, place)| self.put_back(number, place))
    }

    fn put_back(&self, number: usize, place: &Path) -> Result<()> {
        let kept = self.copy_of(number);
        if kept.exists() { replace(&kept, place) } else { remove(place) }
    }

    /// Puts one of them back as it was.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), or there is no copy of it.
    pub(crate) fn restore_one(&self, place: &Path) -> Result<()> {
        let number = self.places.iter().position(|one| one == place);
        let number = number.with_context(|| format!("there is no copy of {}", place.display()))?;
        self.put_back(number, place)
    }

    /// Removes the copies.
    ///
    /// # Errors
    /// They can't be removed.
    pub(crate) fn discard(self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))
    }

    fn copy_of(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }
}

/// Copies a file or a folder into the place of what is there, if anything is.
///
/// # Errors
/// What is there can't be removed, or the copy not be made.
pub(crate) fn replace(from: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    copy(from, to)
}

fn remove(place: &Path) -> Result<()> {
    let gone = match place.metadata() {
        Ok(facts) if facts.is_dir() => std::fs::remove_dir_all(place),
        Ok(_) => std::fs::remove_file(place),
        Err(_) => return Ok(()),
    };
    gone.with_context(|| format!("cannot remove {}", place.display()))
}

/// Holes stay holes: a disk takes room only for what was written to it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let how = ["-a", "--sparse=always", "--reflink=auto", "--no-target-directory"];
    run(Command::new("cp").args(how).arg(from).arg(to)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_made_or_removed_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("state")).unwrap();
        std::fs::write(at("state/one"), "1").unwrap();
        std::fs::write(at("disk"), "blank").unwrap();
        let snapshot = Snapshot::take(&at("before"), &[at("state"), at("disk"), at("later")]).unwrap();
        for round in 0..2 {
            std::fs::remove_file(at("state/one")).unwrap();
            std::fs::write(at("state/two"), "2").unwrap();
            std::fs::write(at("later"), "made later").unwrap();
            std::fs::write(at("disk"), format!("written in round {round}")).unwrap();
            snapshot.restore().unwrap();
            assert_eq!(std::fs::read(at("state/one")).unwrap(), b"1");
            assert!(!at("state/two").exists() && !at("later").exists());
            assert_eq!(std::fs::read(at("disk")).unwrap(), b"blank");
        }
        std::fs::write(at("later"), "made later").unwrap();
        std::fs::write(at("disk"), "written").unwrap();
        snapshot.restore_one(&at("disk")).unwrap();
        assert!(std::fs::read(at("disk")).unwrap() == b"blank" && at("later").exists());
        snapshot.discard().unwrap();
        assert!(!at("before").exists());
    }
}
