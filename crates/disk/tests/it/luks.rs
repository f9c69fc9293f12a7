use std::fs;
use std::os::unix::fs::FileExt as _;

use slipway_disk::luks::{self, Header, New, OpenError, Token, TokenKind, VolumeKey};
use uuid::Uuid;

use crate::{Image, ask, dice, judge, path};

const KEY: [u8; 32] = [0x11; 32];
const OTHER: [u8; 32] = [0x22; 32];

/// A volume of ours on a file of 32 MiB.
fn volume() -> (Image, Header, VolumeKey) {
    let image = Image::new(32);
    let new = New { uuid: Uuid::from_u128(0xabc), label: "slipway-data".to_owned() };
    let (header, key, steps) = luks::create(&new, &KEY, &mut dice(1)).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    (image, header, key)
}

fn opens(image: &Image, key: &[u8]) -> bool {
    let file = image.beside("key");
    fs::write(&file, key).unwrap();
    ask("cryptsetup", &["open", "--test-passphrase", "--key-file", path(&file), image.text()]).0
}

fn token() -> Token {
    Token {
        kind: TokenKind("tpm".to_owned()),
        keyslots: vec![0],
        facts: [("epoch".to_owned(), 3.into())].into_iter().collect(),
        blob: (0..=255).cycle().take(700).collect(),
    }
}

#[test]
fn cryptsetup_reads_our_header_and_opens_it_with_our_key() {
    let (image, _, _) = volume();
    let said = judge("cryptsetup", &["luksDump", image.text()]);
    for line in [
        "Version:       \t2",
        "Label:         \tslipway-data",
        "Subsystem:     \tslipway",
        "cipher: aes-xts-plain64",
        "Iterations: 1000",
        "AF stripes: 4000",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(opens(&image, &KEY));
    assert!(!opens(&image, &OTHER));
    let shown = judge("cryptsetup", &["--debug", "luksDump", image.text()]);
    assert!(!shown.to_lowercase().contains("recover") && !shown.contains("Invalid"), "{shown}");
}

#[test]
fn cryptsetup_decrypts_to_the_volume_key_that_we_keep() {
    let (image, _, volume) = volume();
    let (key, out) = (image.beside("key"), image.beside("volume"));
    fs::write(&key, KEY).unwrap();
    judge(
        "cryptsetup",
        &[
            "luksDump",
            "-q",
            "--dump-volume-key",
            "--volume-key-file",
            path(&out),
            "--key-file",
            path(&key),
            image.text(),
        ],
    );
    assert_eq!(fs::read(&out).unwrap(), volume.bytes());
}

#[test]
fn keys_are_added_and_killed_with_cryptsetup_as_witness() {
    let (image, header, volume) = volume();
    let (header, number, steps) = luks::add_key(&header, &volume, &OTHER, &mut dice(2)).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    assert_eq!(number, 1);
    assert!(opens(&image, &KEY) && opens(&image, &OTHER), "both open");
    let (header, steps) = luks::kill_key(&header, 0, &mut dice(3)).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    assert!(!opens(&image, &KEY) && opens(&image, &OTHER), "the old epoch's key does not open any more");
    assert_eq!(luks::kill_key(&header, 1, &mut dice(3)).unwrap_err(), OpenError::Last(1));
    let (header, number, steps) = luks::add_key(&header, &volume, &KEY, &mut dice(4)).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    assert_eq!(number, 0, "its place is taken again");
    assert!(opens(&image, &KEY) && opens(&image, &OTHER));
}

#[test]
fn a_token_of_ours_survives_what_an_administrator_does_with_cryptsetup() {
    let (image, header, _) = volume();
    let (header, steps) = luks::set_token(&header, &token()).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    let said = judge("cryptsetup", &["luksDump", image.text()]);
    assert!(said.contains("0: slipway"), "{said}");
    let (key, passphrase) = (image.beside("key"), image.beside("passphrase"));
    fs::write(&key, KEY).unwrap();
    fs::write(&passphrase, "correct horse").unwrap();
    let argon =
        ["--pbkdf", "argon2id", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "64", "--pbkdf-parallel", "1"];
    judge(
        "cryptsetup",
        &[&["luksAddKey", "-q", "--key-file", path(&key)], &argon[..], &[image.text(), path(&passphrase)]].concat(),
    );
    let head = luks::read_head(&image.open()).unwrap();
    let header = Header::decode(&head).unwrap();
    assert_eq!(header.token(&TokenKind("tpm".to_owned())), Some(token()));
    assert_eq!(header.keyslots().iter().map(|slot| slot.kdf.as_str()).collect::<Vec<_>>(), ["pbkdf2", "argon2id"]);
    assert_eq!(luks::open(&header, &head, &KEY).unwrap().1, 0);
    assert_eq!(luks::open(&header, &head, b"correct horse").err(), Some(OpenError::NoSlot(1)), "Argon2 is a person's");
    // And ours is replaced, not added to.
    let newer = Token { blob: vec![1, 2, 3], ..token() };
    let (header, steps) = luks::set_token(&header, &newer).unwrap();
    luks::apply(&image.open(), &header, &steps).unwrap();
    assert!(opens(&image, b"correct horse") && opens(&image, &KEY));
    assert_eq!(header.token(&newer.kind), Some(newer));
    assert!(!judge("cryptsetup", &["luksDump", image.text()]).contains("1: slipway"));
}

#[test]
fn a_header_of_cryptsetup_is_read_and_opened() {
    for sector in ["512", "4096"] {
        let image = Image::new(32);
        let key = image.beside("key");
        fs::write(&key, KEY).unwrap();
        judge(
            "cryptsetup",
            &[
                "luksFormat",
                "-q",
                "--type",
                "luks2",
                "--pbkdf",
                "pbkdf2",
                "--pbkdf-force-iterations",
                "1000",
                "--key-size",
                "512",
                "--sector-size",
                sector,
                "--label",
                "theirs",
                "--key-file",
                path(&key),
                image.text(),
            ],
        );
        let head = luks::read_head(&image.open()).unwrap();
        let header = Header::decode(&head).unwrap();
        assert_eq!((header.label.as_str(), header.keyslots().len()), ("theirs", 1));
        let (ours, _) = luks::open(&header, &head, &KEY).unwrap();
        let out = image.beside("volume");
        judge(
            "cryptsetup",
            &[
                "luksDump",
                "-q",
                "--dump-volume-key",
                "--volume-key-file",
                path(&out),
                "--key-file",
                path(&key),
                image.text(),
            ],
        );
        assert_eq!(fs::read(&out).unwrap(), ours.bytes());
        let crypt = header.crypt((32 << 20) / 512).unwrap();
        assert_eq!(
            (crypt.sectors, crypt.offset, crypt.tweak, crypt.sector.to_string()),
            (32_768, 32_768, 0, sector.to_owned())
        );
        assert_eq!(luks::open(&header, &head, &OTHER).err(), Some(OpenError::NoSlot(1)));
        // A slot of ours beside theirs.
        let (header, _, steps) = luks::add_key(&header, &ours, &OTHER, &mut dice(5)).unwrap();
        luks::apply(&image.open(), &header, &steps).unwrap();
        assert!(opens(&image, &OTHER) && opens(&image, &KEY));
    }
}

#[test]
fn a_destroyed_first_copy_is_made_up_for_by_the_second_for_cryptsetup_too() {
    let (image, header, _) = volume();
    image.open().write_all_at(&[0xff; 4096], 0).unwrap();
    let head = luks::read_head(&image.open()).unwrap();
    let back = Header::decode(&head).unwrap();
    assert_eq!(back.json, header.json);
    assert!(luks::open(&back, &head, &KEY).is_ok());
    // Writing it mends the first copy.
    luks::apply(&image.open(), &back, &back.steps().unwrap()).unwrap();
    assert!(opens(&image, &KEY));
}
