//! The image store as the running server sees it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use slipway_engine::catalog::Catalog;
use slipway_store::{StoreError, images, loaders};

use super::{Error, running, system};

/// What the store's records looked like: changes when an image or a loader is added or removed. Each image's record is a small file,
/// so the look costs a handful of `stat` calls and no reading.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Signature(Vec<(PathBuf, SystemTime, u64)>);

/// Looks at the store's records.
pub(super) fn signature(data: &Path) -> Signature {
    let mut seen = Vec::new();
    look(&data.join("loaders.json"), 0, &mut seen);
    look(&data.join("images"), 0, &mut seen);
    seen.sort();
    Signature(seen)
}

fn look(path: &Path, depth: u8, seen: &mut Vec<(PathBuf, SystemTime, u64)>) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    seen.push((path.to_owned(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len()));
    if metadata.is_dir() && depth < 2 {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            look(&entry.path(), depth + 1, seen);
        }
    }
}

/// Finds the boot loaders of the distribution's packages, takes new ones over into the store, and reads what there is to serve.
pub(super) async fn load(data: &Path) -> Result<Catalog, Error> {
    let folder = data.to_owned();
    let found = tokio::task::spawn_blocking(move || loaders::find_and_import(&folder));
    match found.await.map_err(system("look for boot loaders"))? {
        Ok(loaders) if loaders.is_empty() => {
            tracing::warn!(
                "no boot loader was found: `apt install ipxe`, then restart; until then only images that the firmware itself loads can boot"
            );
        }
        Ok(loaders) => {
            for loader in loaders {
                tracing::debug!(loader = loader.name, "boot loader");
            }
        }
        Err(error) => {
            tracing::error!("the boot loaders cannot be taken over into the store: {}", running::chain(&error))
        }
    }
    read(data).await.map_err(system("read the image store"))
}

/// Reads what there is to serve; records that cannot be read are told about and left out.
pub(super) async fn read(data: &Path) -> Result<Catalog, StoreError> {
    let folder = data.to_owned();
    let read = tokio::task::spawn_blocking(move || images::catalog(&folder));
    let (catalog, faults) = read.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    for fault in faults {
        tracing::error!("an image is left out: {}", running::chain(&fault));
    }
    Ok(catalog)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_record_changes_the_signature_and_a_look_does_not() {
        let data = tempfile::tempdir().unwrap();
        let empty = signature(data.path());
        assert_eq!(empty, Signature::default());
        std::fs::create_dir_all(data.path().join("images/debian")).unwrap();
        let folder = signature(data.path());
        std::fs::write(data.path().join("images/debian/1.json"), "{}").unwrap();
        let one = signature(data.path());
        assert!(empty != folder && folder != one);
        assert_eq!(one, signature(data.path()));
        std::fs::remove_file(data.path().join("images/debian/1.json")).unwrap();
        assert_ne!(one, signature(data.path()));
    }
}
