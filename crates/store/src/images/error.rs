//! Why the image store cannot do what was asked.

use std::io;
use std::path::{Path, PathBuf};

/// Why the image store cannot do what was asked. Each message names the thing, the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refuses to give something.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file system refuses to take something.
    #[error("cannot write {}: check its permissions and the free space there", path.display())]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was to be stored cannot be read.
    #[error("cannot read what is to be stored")]
    Source(#[source] io::Error),
    /// A record of the store makes no sense.
    #[error("{} is damaged ({detail}): restore it from a backup, or delete it and add the image again", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A file that the record promises is not as promised.
    #[error("{image}: file {file} {damage} ({}): add the image again, which repairs it", path.display())]
    Damaged {
        /// `name@version`, or `loader`.
        image: String,
        /// The file's name in the image.
        file: String,
        /// Where it stands, or should.
        path: PathBuf,
        /// What is wrong with it.
        damage: crate::blobs::Damage,
    },
    /// A name that is not allowed.
    #[error("{what} {name:?} is not allowed: {rule}")]
    BadName {
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// No such image.
    #[error("there is no image {name:?}: `slipway image list` shows what there is")]
    NoImage {
        /// The name asked for.
        name: String,
    },
    /// No such version.
    #[error("image {name:?} has no version {version:?}: it has {}", there.join(", "))]
    NoVersion {
        /// The image.
        name: String,
        /// The version asked for.
        version: String,
        /// The versions there are.
        there: Vec<String>,
    },
    /// The version exists with other content.
    #[error(
        "image {name}@{version} is there already with other content: choose another version, or remove it first \
         (`slipway image remove {name}@{version}`)"
    )]
    Conflict {
        /// The image.
        name: String,
        /// The version.
        version: String,
    },
    /// Removing a name that stands for several versions.
    #[error(
        "image {name:?} has {} versions ({}): name one (`{name}@VERSION`), or give --all-versions",
        there.len(),
        there.join(", ")
    )]
    Several {
        /// The image.
        name: String,
        /// Its versions.
        there: Vec<String>,
    },
    /// Somebody else is changing the store.
    #[error("another process is adding images to {}: try again when it is done", path.display())]
    Busy {
        /// The data folder.
        path: PathBuf,
    },
    /// Something in a tree that cannot be served.
    #[error("{} {problem}", path.display())]
    Tree {
        /// Where.
        path: PathBuf,
        /// What is wrong, and the remedy.
        problem: &'static str,
    },
}

impl StoreError {
    /// Reading `path` failed.
    pub(crate) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    /// Writing `path` failed.
    pub(crate) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
