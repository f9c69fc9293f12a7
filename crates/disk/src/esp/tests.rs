use std::fs;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use slipway_image::Machine;
use uuid::Uuid;

use super::*;
use crate::fat;
use crate::gpt::{self, Table};
use crate::power::Disk;
use crate::step::Step;

fn sha(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

fn folder() -> (tempfile::TempDir, Esp) {
    let folder = tempfile::tempdir().unwrap();
    let esp = Esp::at(folder.path());
    (folder, esp)
}

/// Installs an image and leaves it on trial.
fn install(esp: &Esp, kind: Kind, version: u64, image: &[u8]) -> Filed {
    let mut incoming = esp.begin(kind, version, u64::try_from(image.len()).unwrap(), sha(image)).unwrap();
    for piece in image.chunks(7) {
        incoming.write(piece).unwrap();
    }
    incoming.finish().unwrap()
}

fn promote(esp: &Esp, kind: Kind) {
    let book = esp.book(kind).unwrap();
    let running = book.trial.unwrap().slot;
    esp.write_book(kind, &book.promoted(running)).unwrap();
}

fn filed(slot: Slot, version: u64) -> Filed {
    Filed { slot, version, size: 1 << 40, sha256: [version.to_le_bytes()[0]; 32] }
}

#[test]
fn images_go_into_the_slot_that_is_not_good() {
    let (folder, esp) = folder();
    assert_eq!(install(&esp, Kind::Preboot, 1, b"one").slot, Slot::A);
    promote(&esp, Kind::Preboot);
    assert_eq!(install(&esp, Kind::Preboot, 2, b"two").slot, Slot::B);
    assert_eq!(install(&esp, Kind::Preboot, 3, b"three").slot, Slot::B, "what was on trial makes room");
    let book = esp.book(Kind::Preboot).unwrap();
    assert_eq!((book.good.unwrap().version, book.trial.unwrap().version), (1, 3));
    promote(&esp, Kind::Preboot);
    assert_eq!(install(&esp, Kind::Preboot, 4, b"four").slot, Slot::A);
    assert_eq!(fs::read(folder.path().join("EFI/slipway/preboot-b.efi")).unwrap(), b"three");
    assert_eq!(esp.load(Kind::Preboot, &esp.book(Kind::Preboot).unwrap().good.unwrap()).unwrap(), b"three");
    assert!(!folder.path().join("EFI/slipway/preboot.new").exists());
    assert_eq!(esp.book(Kind::Generation).unwrap(), Book::default(), "generations have slots of their own");
}

#[test]
fn what_is_not_as_promised_is_refused_and_leaves_the_good_one_alone() {
    let (folder, esp) = folder();
    install(&esp, Kind::Preboot, 1, b"good");
    promote(&esp, Kind::Preboot);
    let rows: [(&[u8], u64, &str); 3] = [
        (b"abc", 4, "EFI/slipway/preboot.new: 3 bytes came, and 4 were promised"),
        (b"abcde", 4, "EFI/slipway/preboot.new: 5 bytes came, and 4 were promised"),
        (b"abcd", 4, "EFI/slipway/preboot.new: what came is not what was promised: its SHA-256 differs"),
    ];
    for (sent, size, words) in rows {
        let mut incoming = esp.begin(Kind::Preboot, 2, size, sha(b"abcX")).unwrap();
        let refused = incoming.write(sent).and_then(|()| incoming.finish().map(drop)).unwrap_err();
        assert_eq!(refused.to_string(), words);
        let book = esp.book(Kind::Preboot).unwrap();
        assert_eq!((book.good.unwrap().version, book.trial), (1, None));
        assert!(!folder.path().join("EFI/slipway/preboot-b.efi").exists());
        assert_eq!(esp.load(Kind::Preboot, &book.good.unwrap()).unwrap(), b"good");
    }
    let huge = esp.begin(Kind::Generation, 1, 1 << 60, [0; 32]).unwrap_err();
    assert!(matches!(huge, EspError::Full { need, .. } if need > 1 << 60), "{huge}");
}

#[test]
fn an_image_that_changed_on_the_disk_is_not_loaded() {
    let (folder, esp) = folder();
    let image = install(&esp, Kind::Generation, 1, b"a generation");
    let file = folder.path().join("EFI/slipway/gen-a.efi");
    for (content, words) in [
        (b"a generatiom".as_slice(), "its SHA-256 differs"),
        (b"a generation!", "13 bytes came, and 12 were promised"),
        (b"a gener", "7 bytes came"),
    ] {
        fs::write(&file, content).unwrap();
        let refused = esp.load(Kind::Generation, &image).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
    fs::remove_file(&file).unwrap();
    assert!(matches!(esp.load(Kind::Generation, &image), Err(EspError::File { .. })));
}

#[test]
fn a_state_is_a_text_in_one_sector() {
    let book = Book {
        sequence: u64::MAX,
        good: Some(Filed { version: u64::MAX, size: u64::MAX, ..filed(Slot::A, 255) }),
        trial: Some(Filed { version: u64::MAX, size: u64::MAX, ..filed(Slot::B, 255) }),
        fallback: [Some([0xff; 32]), Some([0xee; 32])],
    };
    assert_eq!(book.encode().len(), 512, "the largest one fits");
    assert_eq!(Book::decode(&book.encode()), Some(book));
    let small = Book::default().tried(filed(Slot::A, 7));
    let bytes = small.encode();
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let image = format!("trial a 7 {} {}", 1_u64 << 40, "07".repeat(32));
    assert_eq!(lines[..3], ["slipway slots 1", "sequence 1", image.as_str()]);
}

#[test]
fn a_power_cut_while_a_state_is_written_leaves_the_old_one_or_the_new_one() {
    // The two files as two sectors of a disk; and, because nobody promises more, as files that are torn at any byte.
    let mut book = Book::default();
    let mut files: [Option<Vec<u8>>; 2] = [None, None];
    for version in 1..20 {
        let next =
            if version % 3 == 0 { book.promoted(book.target()) } else { book.tried(filed(book.target(), version)) };
        let which = usize::from(next.state_file() == StateFile::Two);
        let new = next.encode();
        let old = files[which].clone().unwrap_or_default();
        for torn_at in 0..=new.len() {
            let mut torn = old.clone();
            torn.truncate(torn.len().max(torn_at));
            torn.resize(torn.len().max(torn_at), 0);
            torn[..torn_at].copy_from_slice(&new[..torn_at]);
            let mut cut = files.clone();
            cut[which] = Some(torn);
            let found = newest(cut.each_ref().map(Option::as_deref));
            assert!(found == book || found == next, "version {version}, torn at {torn_at}: {found:?}");
            assert!(torn_at < new.len() || found == next);
        }
        files[which] = Some(new);
        book = next;
    }
}

#[test]
fn a_trial_that_did_not_come_up_is_not_called_good_by_the_one_that_did() {
    let (_folder, esp) = folder();
    install(&esp, Kind::Preboot, 1, b"works");
    promote(&esp, Kind::Preboot);
    install(&esp, Kind::Preboot, 2, b"does not");
    let book = esp.book(Kind::Preboot).unwrap();
    assert_eq!(book.promoted(Slot::A), book);
    assert_eq!(book.promoted(Slot::A).target(), Slot::B, "the next image does not go over what works");
}

#[test]
fn a_slot_is_known_by_the_path_that_firmware_tells() {
    let rows = [
        ("\\EFI\\slipway\\preboot-a.efi", Some(Slot::A)),
        ("\\EFI\\SLIPWAY\\PREBOOT-B.EFI", Some(Slot::B)),
        ("EFI/slipway/preboot-b.efi", Some(Slot::B)),
        ("\\EFI\\BOOT\\BOOTX64.EFI", None),
        ("", None),
    ];
    for (path, slot) in rows {
        assert_eq!(Kind::Preboot.slot_of(path), slot, "{path}");
    }
}

#[test]
fn the_fallback_path_is_taken_only_if_it_is_free_or_ours() {
    let (folder, esp) = folder();
    let path = folder.path().join("EFI/BOOT/BOOTX64.EFI");
    assert!(esp.write_fallback(Machine::X64).is_err(), "nothing good to copy yet");
    for version in 1..4_u8 {
        install(&esp, Kind::Preboot, u64::from(version), &[version; 100]);
        promote(&esp, Kind::Preboot);
        assert_eq!(esp.write_fallback(Machine::X64).unwrap(), Fallback::Ours);
        assert_eq!(fs::read(&path).unwrap(), [version; 100]);
    }
    fs::write(path.with_extension("EFI.new"), b"what a power cut left").unwrap();
    install(&esp, Kind::Preboot, 4, &[4; 100]);
    promote(&esp, Kind::Preboot);
    assert_eq!(esp.write_fallback(Machine::X64).unwrap(), Fallback::Ours);
    assert_eq!(fs::read(&path).unwrap(), [4; 100]);
    fs::write(&path, b"another system's loader").unwrap();
    assert_eq!(esp.write_fallback(Machine::X64).unwrap(), Fallback::Foreign);
    esp.remove_fallback(Machine::X64).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"another system's loader");
    assert_eq!(esp.write_fallback(Machine::ARM64).unwrap(), Fallback::Ours);
    esp.remove_fallback(Machine::ARM64).unwrap();
    assert!(!folder.path().join("EFI/BOOT/BOOTAA64.EFI").exists());
}

#[test]
fn a_small_file_is_written_once_and_never_over_another() {
    let (folder, esp) = folder();
    esp.write_once("EFI/slipway/identity.key", b"key").unwrap();
    esp.write_once("EFI/slipway/identity.key", b"key").unwrap();
    let refused = esp.write_once("EFI/slipway/identity.key", b"another").unwrap_err();
    assert!(matches!(refused, EspError::Exists { .. }), "{refused}");
    assert_eq!(esp.read("EFI/slipway/identity.key").unwrap().unwrap(), b"key");
    assert_eq!(fs::read_dir(folder.path().join("EFI/slipway")).unwrap().count(), 1);
}

#[test]
fn what_is_ours_counts_as_room() {
    let (_folder, esp) = folder();
    install(&esp, Kind::Preboot, 1, &[1; 5000]);
    install(&esp, Kind::Generation, 1, &[1; 300]);
    assert_eq!(esp.kept(), 5300);
    assert!(esp.free_beside_ours().unwrap() > 5300);
}

/// A disk with an ESP of ours, one of somebody else's, and data behind.
fn table() -> Table {
    let mut table = Table::empty(Uuid::from_u128(1), 512, 1 << 21).unwrap();
    table.add(gpt::ESP, Uuid::from_u128(2), 2048..=206_847, gpt::ESP_NAME).unwrap();
    table.add(gpt::ESP, Uuid::from_u128(3), 206_848..=411_647, "EFI system partition").unwrap();
    table.add(gpt::DATA, Uuid::from_u128(4), 411_648..=1_411_647, gpt::DATA_NAME).unwrap();
    table
}

#[test]
fn only_a_destroyed_esp_of_ours_is_formatted() {
    let table = table();
    let part = |number| table.partition(number).unwrap();
    let zeros = vec![0; 1 << 20];
    let foreign = Uuid::from_u128(3);
    let healthy = repair(&table, &part(1), &[], &zeros, 1).unwrap();
    let healthy = Disk::default().after(&healthy).read(0, fat::LOOK);
    type Row<'a> = (u32, &'a [Uuid], &'a [u8], Result<(), RepairRefusal>);
    let rows: [Row<'_>; 6] = [
        (1, &[], &zeros, Ok(())),
        (1, &[], b"noise", Ok(())),
        (1, &[], &healthy, Err(RepairRefusal::Healthy(1))),
        (2, &[], &zeros, Err(RepairRefusal::NotOurs(2))),
        (2, &[foreign], &zeros, Ok(())),
        (3, &[Uuid::from_u128(4)], &zeros, Err(RepairRefusal::NotEsp(3))),
    ];
    for (number, known, head, wanted) in rows {
        assert_eq!(repair(&table, &part(number), known, head, 1).map(drop), wanted, "partition {number}");
    }
}

#[test]
fn a_repair_touches_the_esp_alone() {
    let table = table();
    let esp = table.partition(1).unwrap();
    let end = 204_800 * 512;
    for step in repair(&table, &esp, &[], &[0; 512], 1).unwrap() {
        match step {
            Step::Write { at, data } => assert!(at + u64::try_from(data.len()).unwrap() <= end),
            Step::Zero { at, len } => assert!(at + len <= end),
            Step::Flush => {}
        }
    }
}

#[test]
fn a_power_cut_while_formatting_leaves_what_is_repaired_again() {
    let table = table();
    let esp = table.partition(1).unwrap();
    let steps = repair(&table, &esp, &[], &[0; 512], 1).unwrap();
    let whole = Disk::default().after(&steps);
    let mut whole_ones = 0;
    for cut in Disk::default().cuts(&steps, 3) {
        let head = cut.read(0, fat::LOOK);
        match repair(&table, &esp, &[], &head, 1) {
            Err(refused) => {
                assert_eq!(refused, RepairRefusal::Healthy(1));
                assert_eq!(cut.read(0, 4 << 20), whole.read(0, 4 << 20), "what counts as healthy is whole");
                whole_ones += 1;
            }
            Ok(again) => assert_eq!(cut.after(&again).read(0, 4 << 20), whole.read(0, 4 << 20)),
        }
    }
    assert!(whole_ones > 0);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_states_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = Book::decode(&bytes);
    }

    #[test]
    fn a_bent_state_is_refused(at in 0_usize..512, bit in 0_u8..8) {
        let mut bytes = Book::default().tried(filed(Slot::B, 9)).encode();
        bytes[at] ^= 1 << bit;
        prop_assert_eq!(Book::decode(&bytes), None);
    }

    #[test]
    fn no_order_of_installing_and_promoting_touches_what_is_good(steps in proptest::collection::vec(0_u8..4, 0..40)) {
        let mut book = Book::default();
        for (version, step) in (1..).zip(steps) {
            let good = book.good;
            match step {
                0 => {
                    let image = filed(book.target(), version);
                    prop_assert!(good.is_none_or(|good| good.slot != image.slot));
                    book = book.cleared().tried(image);
                    prop_assert_eq!(book.good, good);
                }
                1 => {
                    let trial = book.trial;
                    book = book.promoted(book.target());
                    prop_assert_eq!(book.good, trial.or(good));
                }
                2 => {
                    // The trial did not come up, and the good one runs: that is no word for the trial.
                    let running = good.map_or(Slot::B, |good| good.slot);
                    prop_assert_eq!(book.promoted(running), book.clone());
                }
                _ => {
                    book = book.cleared();
                    prop_assert_eq!(book.good, good);
                }
            }
        }
    }
}
