//! The image store from outside: what is added is there whole, whatever happens in between.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, clippy::panic, reason = "test code")]

mod kill;
mod model;
mod store;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use slipway_engine::catalog::ImageKind;
use slipway_store::images::{Added, Images, NewImage, Stored};
use slipway_store::{StoreError, loaders};

/// Adds an image of one file.
fn add(images: &Images, name: &str, version: Option<&str>, content: &[u8]) -> Result<Added, StoreError> {
    let writer = images.writer()?;
    let file = writer.put(content, &mut |_| {})?;
    writer.add(NewImage {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        kind: ImageKind::Efi,
        cpu: None,
        cmdline: None,
        source: None,
        built: None,
        files: BTreeMap::from([("boot.efi".to_owned(), file)]),
    })
}

fn added(images: &Images, name: &str, version: Option<&str>, content: &[u8]) -> Stored {
    match add(images, name, version, content).unwrap() {
        Added::New(stored) => stored,
        Added::Unchanged(stored) => panic!("unchanged: {stored:?}"),
    }
}

/// The path of an image's only file.
fn blob(images: &Images, stored: &Stored) -> std::path::PathBuf {
    images.blobs().path(&stored.image.files["boot.efi"].digest)
}

/// Files under a folder, folders not counted.
fn files_in(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files_in(&path) } else { 1 }).sum()
}

/// The loaders' record keeps its blobs as images do.
#[test]
fn loaders_of_the_operators_own_are_imported_and_kept() {
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("loaders")).unwrap();
    std::fs::write(data.path().join("loaders/snponly-arm64.efi"), "arm").unwrap();
    let found = loaders::find_and_import(data.path()).unwrap();
    let ours = found.iter().find(|loader| loader.name == "snponly-arm64.efi").unwrap();
    assert_eq!(ours.path, data.path().join("loaders/snponly-arm64.efi"));
    assert_eq!(loaders::list(data.path()).unwrap(), found);
    assert_eq!(loaders::find_and_import(data.path()).unwrap(), found, "the second time changes nothing");

    let images = Images::under(data.path());
    assert_eq!(images.collect_garbage().unwrap().files, 0);
    let (catalog, faults) = slipway_store::images::catalog(data.path()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(catalog.loaders["snponly-arm64.efi"], ours.file);

    // What the operator takes away from there stays served until it is replaced.
    std::fs::remove_file(data.path().join("loaders/snponly-arm64.efi")).unwrap();
    assert_eq!(loaders::find_and_import(data.path()).unwrap(), found);
}
