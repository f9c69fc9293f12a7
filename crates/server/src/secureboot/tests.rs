use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use super::*;

const NOW: i64 = 1_795_000_000;
const TIME: Time = Time { year: 2026, month: 11, day: 23, hour: 7, minute: 5, second: 59 };
const LATER: Time = Time { minute: 6, second: 0, ..TIME };

/// An EFI program without a signature.
fn program() -> Vec<u8> {
    fs::read("/usr/lib/systemd/boot/efi/linuxx64.efi.stub")
        .expect("the package systemd-boot-efi must be installed for this test")
}

fn keys() -> (tempfile::TempDir, Keys) {
    let data = tempfile::tempdir().unwrap();
    let keys = Keys::make(data.path(), NOW).unwrap();
    (data, keys)
}

#[test]
fn keys_are_made_once_and_their_private_halves_are_nobody_elses() {
    let (data, keys) = keys();
    let folder = data.path().join("secureboot");
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    for name in ["PK", "KEK", "db"] {
        assert_eq!(fs::metadata(folder.join(format!("{name}.key"))).unwrap().mode() & 0o777, 0o600);
    }
    let again = Keys::open(data.path()).unwrap();
    assert_eq!((keys.facts().unwrap(), keys.owner()), (again.facts().unwrap(), again.owner()));
    let error = Keys::make(data.path(), NOW).unwrap_err().to_string();
    assert!(error.contains("already") && error.contains("move the folder away"), "{error}");
    assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn what_are_no_keys_is_told_and_never_replaced() {
    let empty = tempfile::tempdir().unwrap();
    let error = Keys::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("`slipway secureboot init`"), "{error}");
    let (data, _) = keys();
    let path = data.path().join("secureboot/KEK.key");
    for (content, fault) in [
        (new_key().unwrap().private_key_to_pem_pkcs8().unwrap(), "KEK.key is not the key of KEK.pem"),
        (Vec::new(), "KEK.key cannot be understood"),
    ] {
        fs::write(&path, content).unwrap();
        let error = Keys::open(data.path()).unwrap_err().to_string();
        assert!(error.contains(fault) && error.contains("restore it"), "{error}");
    }
    fs::write(data.path().join("secureboot/owner"), "nobody").unwrap();
    assert!(Keys::open(data.path()).unwrap_err().to_string().contains("owner is no GUID"));
}

#[test]
fn a_signed_image_is_signed_by_us_and_by_nobody_once_it_is_changed() {
    let (_data, keys) = keys();
    let image = program();
    assert_eq!(signatures(&image).unwrap(), []);
    let signed = keys.sign(&image).unwrap();
    let found = signatures(&signed).unwrap();
    assert!(found[0].signer.starts_with("Slipway Secure Boot signing key "), "{found:?}");
    assert_eq!((found.len(), found[0].standing, &found[0].sha256), (1, Standing::Valid, &keys.fingerprint().unwrap()));
    assert_eq!(keys.sign(&signed).unwrap(), signed, "it is signed once");
    assert_eq!(keys.sign(&image).unwrap(), signed, "the same image and key make the same bytes");

    let mut changed = signed.clone();
    changed[0x500] ^= 1;
    assert_eq!(signatures(&changed).unwrap()[0].standing, Standing::Changed);
    let mut forged = signed.clone();
    // The last bytes of the RSA signature, before what fills up to a multiple of 8.
    let at = forged.len() - 16;
    forged[at] ^= 1;
    assert_eq!(signatures(&forged).unwrap()[0].standing, Standing::Forged);

    let (_other_data, other) = self::keys();
    let both = other.sign(&signed).unwrap();
    let standing: Vec<Standing> = signatures(&both).unwrap().iter().map(|found| found.standing).collect();
    assert_eq!(standing, [Standing::Valid, Standing::Valid], "two owners");
}

#[test]
fn sbverify_and_openssl_agree_with_us() {
    let (data, keys) = keys();
    let path = |name: &str| data.path().join(name);
    fs::write(path("signed.efi"), keys.sign(&program()).unwrap()).unwrap();
    let verify = |certificate: &str, image: &str| {
        let mut command = Command::new("sbverify");
        let output = command.arg("--cert").arg(path(certificate)).arg(path(image)).output();
        output.expect("the package sbsigntool must be installed for this test")
    };
    let output = verify("secureboot/db.pem", "signed.efi");
    assert!(output.status.success(), "{output:?}");
    assert!(!verify("secureboot/PK.pem", "signed.efi").status.success(), "another certificate");

    // And the other way round: what sbsign signs, we read.
    fs::write(path("plain.efi"), program()).unwrap();
    let mut sbsign = Command::new("sbsign");
    sbsign.arg("--key").arg(path("secureboot/db.key")).arg("--cert").arg(path("secureboot/db.pem"));
    let output = sbsign.arg("--output").arg(path("theirs.efi")).arg(path("plain.efi")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found = signatures(&fs::read(path("theirs.efi")).unwrap()).unwrap();
    assert_eq!((found[0].standing, &found[0].sha256), (Standing::Valid, &keys.fingerprint().unwrap()));
}

#[test]
fn an_update_is_signed_by_the_key_above() {
    let (data, keys) = keys();
    let files = keys.export([TIME, LATER]).unwrap();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let file = |name: &str| files.iter().find(|(known, _)| known == name).map(|(_, content)| content.clone()).unwrap();
    assert_eq!(
        names,
        [
            "PK.der",
            "PK.pem",
            "PK.auth",
            "PK.esl",
            "KEK.der",
            "KEK.pem",
            "KEK.auth",
            "KEK.esl",
            "db.der",
            "db.pem",
            "db.auth",
            "db.esl",
            "noPK.auth"
        ]
    );
    for (name, vendor, signer) in
        [("PK", GLOBAL, "PK"), ("KEK", GLOBAL, "PK"), ("db", IMAGE_SECURITY, "KEK"), ("noPK", GLOBAL, "PK")]
    {
        let auth = file(&format!("{name}.auth"));
        let length = usize::from(u16::from_le_bytes([auth[16], auth[17]]));
        let (signed_data, content) = (&auth[40..16 + length], &auth[16 + length..]);
        let list = if name == "noPK" { Vec::new() } else { file(&format!("{name}.esl")) };
        assert_eq!(content, list, "{name}");
        // OpenSSL wants the structure with its type around it.
        let mut wrapped = vec![0x30, 0x82, 0, 0, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2, 0xa0, 0x82, 0, 0];
        wrapped.extend(signed_data);
        for at in [2, 17] {
            let length = u16::try_from(wrapped.len() - at - 2).unwrap();
            wrapped[at..at + 2].copy_from_slice(&length.to_be_bytes());
        }
        let path = |name: &str| data.path().join(name);
        fs::write(path("p7"), wrapped).unwrap();
        let variable = if name == "noPK" { "PK" } else { name };
        let time = if name == "noPK" { LATER } else { TIME };
        assert_eq!(auth[5..7], [time.minute, time.second], "{name}");
        fs::write(path("content"), update_to_sign(variable, vendor, time, content)).unwrap();
        let mut command = Command::new("openssl");
        command.args(["smime", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-out", "/dev/null", "-in"]);
        command.arg(path("p7")).arg("-content").arg(path("content"));
        let output = command.arg("-CAfile").arg(path(&format!("secureboot/{signer}.pem"))).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn signed_kernels_and_loaders_of_the_distribution_are_read() {
    let shim =
        fs::read("/usr/lib/shim/shimx64.efi.signed").expect("the package shim-signed must be installed for this test");
    let found = signatures(&shim).unwrap();
    assert!(!found.is_empty() && found.iter().all(|found| found.signer.contains("Microsoft")), "{found:?}");
    assert!(found.iter().all(|found| found.standing == Standing::Valid), "{found:?}");
}
