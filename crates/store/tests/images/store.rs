use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use slipway_store::images::{Added, Images, Swept, catalog};
use slipway_store::{Damage, StoreError};

use crate::{add, added, blob, files_in};

#[test]
fn versions_are_numbered_and_the_newest_is_the_last_added() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    for (content, version, expected) in
        [("a", None, "1"), ("b", None, "2"), ("c", Some("10"), "10"), ("d", None, "11"), ("e", Some("0-old"), "0-old")]
    {
        assert_eq!(added(&images, "debian", version, content.as_bytes()).image.version, expected);
    }
    let (catalog, faults) = catalog(data.path()).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    let versions: Vec<&str> = catalog.images["debian"].iter().map(|image| image.version.as_str()).collect();
    assert_eq!(versions, ["1", "2", "10", "11", "0-old"]);
    assert_eq!(images.find("debian", None).unwrap().image.version, "0-old");
}

#[test]
fn adding_the_same_again_changes_nothing_and_other_content_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let first = added(&images, "debian", Some("12"), b"same");
    for version in [Some("12"), None] {
        assert_eq!(add(&images, "debian", version, b"same").unwrap(), Added::Unchanged(first.clone()));
    }
    let error = add(&images, "debian", Some("12"), b"other").unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("slipway image remove debian@12"), "{error}");
    assert_eq!(images.find("debian", Some("12")).unwrap(), first);
}

#[test]
fn the_same_content_is_stored_once_and_read_only() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let stored = added(&images, "a", None, b"same");
    added(&images, "b", None, b"same");
    assert_eq!(files_in(&data.path().join("blobs")), 1);
    assert_eq!(fs::metadata(blob(&images, &stored)).unwrap().permissions().mode() & 0o777, 0o444);
    images.remove("a", None, false).unwrap();
    assert_eq!(images.collect_garbage().unwrap(), Swept::default(), "b still needs it");
    images.remove("b", None, false).unwrap();
    assert_eq!(images.collect_garbage().unwrap(), Swept { files: 1, bytes: 4, leftovers: 0 });
    assert_eq!(files_in(&data.path().join("blobs")), 0);
}

#[test]
fn a_source_that_fails_leaves_nothing_behind() {
    struct Failing(usize);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("the stick was pulled out"))?;
            buffer.fill(7);
            Ok(buffer.len())
        }
    }
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let error = images.writer().unwrap().put(Failing(3), &mut |_| {}).unwrap_err();
    assert!(matches!(error, StoreError::Source(_)), "{error}");
    assert_eq!(files_in(&data.path().join("blobs")), 0);
}

#[test]
fn progress_tells_every_byte() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let mut told = 0;
    let content = vec![1; 3_000_000];
    images.writer().unwrap().put(content.as_slice(), &mut |bytes| told += bytes).unwrap();
    assert_eq!(told, 3_000_000);
}

#[test]
fn damage_is_found_named_and_repaired_by_adding_again() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let stored = added(&images, "debian", None, b"content");
    let whole = added(&images, "other", None, b"something else");
    let path = blob(&images, &stored);

    let bend = |content: &[u8]| {
        fs::remove_file(&path).unwrap();
        fs::write(&path, content).unwrap();
    };
    bend(b"cOntent");
    let verified = images.verify(&mut |_| {}).unwrap();
    assert_eq!((verified.files, verified.faults.len()), (2, 1));
    let text = verified.faults[0].to_string();
    assert!(text.starts_with("debian@1: file boot.efi has other content"), "{text}");
    assert!(text.contains(path.to_str().unwrap()), "{text}");

    bend(b"cont");
    let size = images.verify(&mut |_| {}).unwrap().faults.remove(0);
    assert!(matches!(size, StoreError::Damaged { damage: Damage::Size { expected: 7, actual: 4 }, .. }), "{size}");
    let (catalog, faults) = catalog(data.path()).unwrap();
    assert_eq!(catalog.images.keys().collect::<Vec<_>>(), [&whole.image.name], "a damaged image is not served");
    assert_eq!(faults.len(), 1);

    fs::remove_file(&path).unwrap();
    let missing = images.verify(&mut |_| {}).unwrap().faults.remove(0);
    assert!(matches!(missing, StoreError::Damaged { damage: Damage::Missing, .. }), "{missing}");

    add(&images, "debian", None, b"content").unwrap();
    assert!(images.verify(&mut |_| {}).unwrap().faults.is_empty());
    bend(b"cOntent");
    add(&images, "debian", None, b"content").unwrap();
    assert!(images.verify(&mut |_| {}).unwrap().faults.is_empty());
}

#[test]
fn a_damaged_record_hides_one_image_only_and_keeps_garbage_from_being_collected() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    added(&images, "good", None, b"1");
    added(&images, "bad", None, b"2");
    fs::write(data.path().join("images/bad/1.json"), "{").unwrap();
    let (catalog, faults) = catalog(data.path()).unwrap();
    assert_eq!(catalog.images.keys().collect::<Vec<_>>(), ["good"]);
    assert!(matches!(&faults[..], [StoreError::Corrupt { .. }]), "{faults:?}");
    assert!(matches!(images.collect_garbage(), Err(StoreError::Corrupt { .. })));
    assert!(matches!(images.find("bad", None), Err(StoreError::Corrupt { .. })));
    assert!(matches!(images.find("bad", Some("1")), Err(StoreError::Corrupt { .. })));
    assert_eq!(files_in(&data.path().join("blobs")), 2, "what the record may refer to is kept");
}

#[test]
fn removing_says_what_it_needs_to_know() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    added(&images, "debian", None, b"1");
    added(&images, "debian", None, b"2");
    let several = images.remove("debian", None, false).unwrap_err().to_string();
    assert!(several.contains("has 2 versions (1, 2)"), "{several}");
    let version = images.remove("debian", Some("3"), false).unwrap_err().to_string();
    assert_eq!(version, "image \"debian\" has no version \"3\": it has 1, 2");
    assert!(matches!(images.remove("ubuntu", None, false), Err(StoreError::NoImage { .. })));
    assert_eq!(images.remove("debian", Some("1"), false).unwrap().len(), 1);
    assert_eq!(images.remove("debian", None, false).unwrap().len(), 1);
    assert!(!data.path().join("images/debian").exists());
}

#[test]
fn names_never_become_paths_out_of_the_store() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(&data.path().join("store"));
    fs::write(data.path().join("1.json"), "x").unwrap();
    for name in ["..", "../store", ".lock", "", "a/b", "A"] {
        assert!(matches!(add(&images, name, None, b"x"), Err(StoreError::BadName { .. })), "{name:?}");
        assert!(matches!(images.remove(name, Some("1"), true), Err(StoreError::BadName { .. })), "{name:?}");
    }
    for version in ["..", "../1", "", "a/b", "@"] {
        assert!(matches!(add(&images, "a", Some(version), b"x"), Err(StoreError::BadName { .. })), "{version:?}");
        assert!(matches!(images.find("a", Some(version)), Err(StoreError::BadName { .. })), "{version:?}");
    }
    assert!(data.path().join("1.json").exists());
}

#[test]
fn nothing_is_collected_while_somebody_adds() {
    let data = tempfile::tempdir().unwrap();
    let images = Images::under(data.path());
    let writer = images.writer().unwrap();
    let file = writer.put(&b"not recorded yet"[..], &mut |_| {}).unwrap();
    assert!(matches!(images.collect_garbage(), Err(StoreError::Busy { .. })));
    assert!(images.writer().is_ok(), "two may add at once");
    drop(writer);
    images.collect_garbage().unwrap();
    assert!(matches!(images.blobs().present(&file), Err(Damage::Missing)));
}

#[test]
fn an_empty_store_is_not_an_error() {
    let data = tempfile::tempdir().unwrap();
    let nowhere = data.path().join("not/created");
    let (catalog, faults) = catalog(&nowhere).unwrap();
    assert!(catalog.images.is_empty() && faults.is_empty());
    assert!(!nowhere.exists(), "reading creates nothing");
}
