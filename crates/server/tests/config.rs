//! Configurations, right and wrong, against what is said about them: `fixtures/config`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

use slipway_server::config::parse;

fn fixtures(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/config").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the fixtures' folder")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> (String, String) {
    (fs::read_to_string(path).unwrap(), path.file_name().unwrap().to_string_lossy().into_owned())
}

/// The whole message is the contract: place, thing, reason, remedy. `SLIPWAY_BLESS=1` writes what is said now, to be reviewed as a diff.
#[test]
fn every_invalid_configuration_is_told_all_of_its_faults() {
    let files = fixtures("invalid");
    assert!(files.len() >= 20, "only {} invalid fixtures", files.len());
    for path in files {
        let (text, name) = read(&path);
        let said = match parse(&text, &name) {
            Err(faults) => format!("{faults}\n"),
            Ok(config) => panic!("{name} was taken: {config:#?}"),
        };
        assert_golden(&path, &said);
    }
}

#[test]
fn every_odd_configuration_is_taken_and_told_what_is_odd() {
    let files = fixtures("odd");
    assert!(!files.is_empty());
    for path in files {
        let (text, name) = read(&path);
        let config = parse(&text, &name).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(!config.warnings.is_empty(), "{name} is in order");
        assert_golden(&path, &format!("{}\n", config.faults(config.warnings.clone())));
    }
}

fn assert_golden(path: &Path, said: &str) {
    let golden = path.with_extension("txt");
    if std::env::var_os("SLIPWAY_BLESS").is_some() {
        fs::write(&golden, said).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    assert_eq!(said, expected, "\n{} says:\n{said}", path.display());
}

#[test]
fn every_valid_configuration_is_taken_without_a_warning() {
    let files = fixtures("valid");
    assert!(files.len() >= 4, "only {} valid fixtures", files.len());
    for path in files {
        let (text, name) = read(&path);
        let config = parse(&text, &name).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(config.warnings.is_empty(), "{}", config.faults(config.warnings.clone()));
    }
}

/// A file cut off anywhere (a full disk, an editor that saves as it writes) is taken or told about, never a panic.
#[test]
fn a_truncated_configuration_never_panics() {
    for path in fixtures("valid").into_iter().chain(fixtures("invalid")) {
        let (text, name) = read(&path);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            if let Err(faults) = parse(&text[..end], &name) {
                assert!(!faults.to_string().is_empty());
            }
        }
    }
}

#[test]
fn a_configuration_with_any_character_replaced_never_panics() {
    let path = fixtures("valid").into_iter().find(|path| path.ends_with("full.toml")).unwrap();
    let (text, name) = read(&path);
    for (at, replaced) in text.char_indices() {
        for with in ["", "\"", "[", "\n", "=", "9", "\u{e9}", "\0"] {
            let bent = format!("{}{with}{}", &text[..at], &text[at + replaced.len_utf8()..]);
            if let Err(faults) = parse(&bent, &name) {
                assert!(!faults.to_string().is_empty());
            }
        }
    }
}
