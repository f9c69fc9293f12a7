//! Configurations, right and wrong, against what is said about them: `fixtures/config`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};
use slipway_engine::catalog::{Catalog, Image, ImageKind};
use slipway_engine::san::Secret;
use slipway_server::config::{CertificateFiles, Config, parse};
use slipway_server::interfaces::Found;
use slipway_server::site::{Exported, Facts, Interface, Ipv6, Mode, check};
use slipway_server::tls::{Own, seconds};
use slipway_store::Blobs;
use slipway_wire::Cpu;

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
    for path in files {
        let (text, name) = read(&path);
        let said = match parse(&text, &name) {
            Err(faults) => format!("{faults}\n"),
            Ok(config) => panic!("{name} was taken: {config:#?}"),
        };
        assert_golden(&path, &said);
    }
}

/// Each of them is right by itself, and wrong on the machine of [`machine`]: what `slipway check` says there.
#[test]
fn every_configuration_that_does_not_fit_the_machine_is_refused_with_place_and_remedy() {
    for path in fixtures("invalid/machine") {
        let (text, name) = read(&path);
        let config = parse(&text, &name).unwrap_or_else(|faults| panic!("{faults}"));
        let faults = config.faults(check(&config, &machine(&config)).unwrap());
        assert!(faults.fatal(), "{name} was taken: {faults}");
        assert_golden(&path, &format!("{faults}\n"));
    }
}

#[test]
fn at_least_forty_wrong_configurations_are_refused_and_each_fault_has_a_place_and_a_remedy() {
    let mut refused = 0;
    for (kind, on_a_machine) in [("invalid", false), ("invalid/machine", true)] {
        for path in fixtures(kind) {
            let (text, name) = read(&path);
            let faults = match parse(&text, &name) {
                Err(faults) => faults,
                Ok(config) if on_a_machine => config.faults(check(&config, &machine(&config)).unwrap()),
                Ok(config) => panic!("{name} was taken: {config:#?}"),
            };
            refused += usize::from(faults.fatal());
            for fault in &faults.list {
                let (line, column) = faults.place(&fault.span);
                assert!(line <= text.lines().count() && column > 0 && !fault.thing.is_empty(), "{name}: {fault:?}");
                assert!(!fault.reason.is_empty() && fault.remedy.len() > 3, "{name}: {fault:?}");
                assert!(faults.to_string().contains(&format!("{name}:{line}:{column}: ")), "{faults}");
            }
        }
    }
    assert!(refused >= 40, "only {refused} wrong configurations are kept");
}

/// A machine with three interfaces, one image, and a certificate for a name alone.
fn machine(config: &Config) -> Facts {
    let found = |index: u32, v4: &[[u8; 4]], v6: &[&str]| Found {
        interface: Interface {
            name: format!("eth{index}"),
            index: index + 2,
            mac: [2, 0, 0, 0, 0, 1],
            v4: v4.iter().map(|ip| (Ipv4Addr::from(*ip), 24)).collect(),
            v6: v6.iter().map(|ip| (ip.parse().unwrap(), 64)).collect(),
            mtu: 1500,
            mode: Mode::Off,
            ipv6: Ipv6::default(),
        },
        up: true,
        loopback: false,
        ethernet: true,
    };
    let image = Image {
        name: "debian".to_owned(),
        version: "12".to_owned(),
        kind: ImageKind::Uki,
        cpu: Some(Cpu::X64),
        cmdline: None,
        files: [].into(),
    };
    Facts {
        interfaces: vec![
            found(0, &[[192, 168, 1, 2]], &[]),
            found(1, &[[10, 77, 0, 1]], &["fe80::1"]),
            found(2, &[], &["fe80::2"]),
        ],
        default_route: Some("eth0".to_owned()),
        chosen: Vec::new(),
        catalog: Catalog { images: [("debian".to_owned(), vec![image])].into(), ..Catalog::default() },
        blobs: Blobs::under(Path::new("/var/lib/slipway")),
        data: PathBuf::from("/var/lib/slipway"),
        certificate: config.https.as_ref().and_then(|https| https.files.as_ref()).map(|_| Ok(certificate())),
        exported: config.export.as_ref().map(|at| match at.value.to_str().unwrap() {
            "/tmp" => Exported::Open,
            "/nonexistent/tftp" => Exported::Missing,
            _ => Exported::Folder,
        }),
        secrets: config.secrets().into_keys().map(|path| (path, Ok(Secret::new("correct horse").unwrap()))).collect(),
    }
}

/// A certificate for `boot.example` alone, by its own key, for a day.
fn certificate() -> Own {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut names = X509Name::builder().unwrap();
    names.append_entry_by_text("CN", "boot.example").unwrap();
    let name = names.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    let alternative =
        SubjectAlternativeName::new().dns("boot.example").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(alternative).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = CertificateFiles { certificate: folder.path().join("own.pem"), key: folder.path().join("own.key") };
    fs::write(&files.certificate, builder.build().to_pem().unwrap()).unwrap();
    fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    Own::read(&files, seconds()).unwrap()
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
