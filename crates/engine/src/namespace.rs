//! The virtual namespace that TFTP and HTTP serve alike: names to content, never a path of the real file system.

use crate::Why;
use crate::catalog::{Catalog, FileRef};

/// What a name leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// A stored file.
    Blob(FileRef),
    /// A text rendered for the occasion.
    Text(String),
}

/// Brings a name as firmware sends it into the namespace's form: no leading `/`, `/` between folders, nothing to resolve.
///
/// # Errors
/// [`Why::BadPath`].
pub fn normalise(_raw: &[u8]) -> Result<String, Why> {
    Err(Why::BadPath)
}

/// What a normalised name leads to.
///
/// # Errors
/// [`Why::NotFound`].
pub fn resolve(_path: &str, _catalog: &Catalog) -> Result<Content, Why> {
    Err(Why::NotFound)
}
