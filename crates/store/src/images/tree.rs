//! A tree of files as an image: what is in it, by the names it will be served under.

use std::fs;
use std::path::{Path, PathBuf};

use super::StoreError;

/// Files in one tree, at most: an installation medium has a few thousand.
const MOST_FILES: usize = 100_000;

/// The files of a folder and its folders: the name each is served under, and where it is.
///
/// Symbolic links are followed as long as they stay in the tree: distributions' netboot trees are made of them.
///
/// # Errors
/// A link that leads out of the tree or nowhere, a name that is not UTF-8, a file of a special kind, too many files.
pub fn walk(root: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let root = root.canonicalize().map_err(StoreError::reading(root))?;
    let mut files = Vec::new();
    walk_folder(&root, "", &mut vec![root.clone()], &mut files)?;
    Ok(files)
}

/// `above` holds the real paths of the tree's root, then of every folder on the way here, this one included.
fn walk_folder(
    folder: &Path,
    prefix: &str,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<(String, PathBuf)>,
) -> Result<(), StoreError> {
    for path in crate::blobs::list(folder)? {
        let bad = |problem| StoreError::Tree { path: path.clone(), problem };
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        let name = name.ok_or_else(|| bad("has a name that is not UTF-8: rename it"))?;
        let name = format!("{prefix}{name}");
        let real = path.canonicalize().map_err(|_| bad("is a link that leads nowhere: remove it"))?;
        let inside = above.first().is_some_and(|root| real.starts_with(root));
        if !inside {
            return Err(bad("is a link that leads out of the tree: put a copy in its place"));
        }
        let kind = fs::metadata(&real).map_err(StoreError::reading(&real))?.file_type();
        if kind.is_dir() {
            // A link to a folder that it is in would go round for ever.
            if !above.contains(&real) {
                above.push(real.clone());
                walk_folder(&real, &format!("{name}/"), above, files)?;
                above.pop();
            }
        } else if !kind.is_file() {
            return Err(bad("is neither a file nor a folder: remove it"));
        } else if files.len() >= MOST_FILES {
            return Err(bad("is one file too many: a tree has at most 100 000"));
        } else {
            files.push((name, real));
        }
    }
    Ok(())
}
