use std::fs;

use data_encoding::HEXLOWER;
use proptest::prelude::*;
use uuid::{Uuid, uuid};

use super::*;

const ESP: Uuid = uuid!("12345678-9abc-def0-1122-334455667788");
const OTHER: Uuid = uuid!("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee");

fn entry(slot: char) -> Entry {
    let file = format!("EFI/slipway/preboot-{slot}.efi");
    let target = Target { number: 1, first: 2048, sectors: 204_800, partition: ESP, file };
    Entry { description: format!("Slipway ({slot})"), target }
}

/// Windows, the network and an entry that is not a file's, as firmware and others leave them.
fn somebodys() -> Variables {
    let windows = LoadOption {
        attributes: 1,
        description: "Windows Boot Manager".to_owned(),
        number: 2,
        first: 300_000,
        sectors: 1000,
        partition: OTHER,
        file: "\\EFI\\Microsoft\\Boot\\bootmgfw.efi".to_owned(),
        data: b"WINDOWS\0".to_vec(),
    };
    // "UEFI PXEv4": PciRoot, Pci, MAC, IPv4, end; as OVMF writes it, shortened to what counts.
    let network = "01000000160055004500460049000000030b25005254001234560000000000000000000000000000000000000000000000000000017fff0400";
    let network = HEXLOWER.decode(network.replacen("1600", "2900", 1).as_bytes()).unwrap();
    let mut variables = Variables::default();
    variables.0.insert("Boot0000".to_owned(), windows.encode());
    variables.0.insert("Boot0001".to_owned(), network);
    variables.0.insert("BootOrder".to_owned(), vec![1, 0, 0, 0, 7, 0]);
    variables.0.insert("BootCurrent".to_owned(), vec![1, 0]);
    variables
}

#[test]
fn an_entry_is_the_bytes_that_the_specification_asks_for() {
    let bytes = entry('a').target;
    let option = LoadOption {
        attributes: 1,
        description: "Ab".to_owned(),
        number: bytes.number,
        first: bytes.first,
        sectors: bytes.sectors,
        partition: ESP,
        file: "\\E.EFI".to_owned(),
        data: Vec::new(),
    };
    let wanted = concat!(
        "01000000",
        "4000",
        "410062000000", // active, length of the path, "Ab"
        "04012a00",
        "01000000",
        "0008000000000000",
        "0020030000000000", // hard disk, partition 1, start, size
        "78563412bc9af0de1122334455667788",
        "0202", // the GUID in its mixed order; GPT, GUID
        "04041200",
        "5c0045002e004500460049000000", // \E.EFI
        "7fff0400",
    );
    assert_eq!(HEXLOWER.encode(&option.encode()), wanted);
    assert_eq!(LoadOption::decode(&option.encode()), Ok(option));
}

#[test]
fn a_trial_changes_neither_the_order_nor_anything_foreign() {
    let before = somebodys();
    let changes = try_once(&before, &entry('a')).unwrap();
    let names: Vec<&str> = changes.iter().map(Change::name).collect();
    assert_eq!(names, ["Boot0002", "BootNext"]);
    let after = before.after(&changes);
    assert_eq!((after.next(), after.order()), (Some(2), vec![1, 0, 7]));
    assert_eq!(after.entry(&entry('a').target), Some(2));
    for name in ["Boot0000", "Boot0001", "BootOrder"] {
        assert_eq!(after.0.get(name), before.0.get(name), "{name}");
    }
    assert_eq!(try_once(&after, &entry('a')).unwrap(), [], "what is right already is not written again");
}

#[test]
fn a_first_trial_also_stands_behind_what_this_boot_came_by() {
    let before = somebodys();
    let changes = try_first(&before, &entry('a')).unwrap();
    let names: Vec<&str> = changes.iter().map(Change::name).collect();
    assert_eq!(names, ["Boot0002", "BootOrder", "BootNext"]);
    let after = before.after(&changes);
    assert_eq!(
        (after.next(), after.order()),
        (Some(2), vec![1, 2, 0, 7]),
        "by the network, then ours, then the others"
    );
    assert_eq!(try_first(&after, &entry('a')).unwrap(), [], "what is right already is not written again");
    let settled = after.after(&settle_order(&after, &[entry('a')]).unwrap());
    assert_eq!(settled.order(), [2, 1, 0, 7]);
    assert_eq!(try_first(&settled, &entry('a')).unwrap(), [], "a place that it has is kept");
    assert_eq!(after.after(&remove(&after, &[])), before);
}

#[test]
fn a_first_trial_comes_first_if_nothing_in_the_order_brought_the_machine_here() {
    for current in [None, Some(vec![9, 0])] {
        let mut before = somebodys();
        before.0.remove("BootCurrent");
        before.0.extend(current.map(|current| ("BootCurrent".to_owned(), current)));
        let after = before.after(&try_first(&before, &entry('a')).unwrap());
        assert_eq!(after.order(), [2, 1, 0, 7]);
    }
    let nothing = Variables::default();
    assert_eq!(nothing.after(&try_first(&nothing, &entry('a')).unwrap()).order(), [0]);
}

#[test]
fn a_promotion_puts_ours_first_and_keeps_the_others_order() {
    let tried = somebodys();
    let tried = tried.after(&try_once(&tried, &entry('b')).unwrap());
    let both = [entry('b'), entry('a')];
    let after = tried.after(&settle_order(&tried, &both).unwrap());
    assert_eq!(after.order(), [2, 3, 1, 0, 7], "an entry that only the order knows keeps its place too");
    assert_eq!(settle_order(&after, &both).unwrap(), []);
    let swapped = settle_order(&after, &[entry('a'), entry('b')]).unwrap();
    assert_eq!(swapped.len(), 1, "only the order is written: {swapped:?}");
    assert_eq!(after.after(&swapped).order(), [3, 2, 1, 0, 7]);
}

#[test]
fn an_entry_is_corrected_in_place_when_its_partition_moved() {
    let before = somebodys();
    let before = before.after(&try_once(&before, &entry('a')).unwrap());
    let mut moved = entry('a');
    moved.target.first = 4096;
    let changes = try_once(&before, &moved).unwrap();
    assert_eq!(changes.iter().map(Change::name).collect::<Vec<_>>(), ["Boot0002"]);
}

#[test]
fn what_firmware_writes_before_the_partition_is_no_difference() {
    let before = somebodys();
    let mut before = before.after(&try_once(&before, &entry('a')).unwrap());
    let short = before.0.get("Boot0002").unwrap().clone();
    let start = 6 + 2 * ("Slipway (a)".len() + 1);
    let length = u16::from_le_bytes([short[4], short[5]]) + 4 + 6;
    // PciRoot(0)/…: a vendor's node and a PCI node, in front.
    let prefix = [0x02, 0x01, 4, 0, 0x01, 0x01, 6, 0, 0, 4];
    let long = [&short[..4], &length.to_le_bytes(), &short[6..start], &prefix, &short[start..]].concat();
    before.0.insert("Boot0002".to_owned(), long);
    assert_eq!(try_once(&before, &entry('a')).unwrap(), []);
}

#[test]
fn removing_ours_leaves_the_rest_as_it_was() {
    let before = somebodys();
    let ours = before.after(&settle_order(&before, &[entry('a'), entry('b')]).unwrap());
    let ours = ours.after(&try_once(&ours, &entry('b')).unwrap());
    assert_eq!(ours.our_partitions().collect::<Vec<_>>(), [ESP, ESP]);
    assert_eq!(ours.after(&remove(&ours, &[])), before);
    assert_eq!(shadow(&ours, &[ESP, OTHER]), [], "what is there is no shadow");
    assert_eq!(ours.after(&shadow(&ours, &[OTHER])), before);
}

#[test]
fn numbers_that_are_taken_are_not_taken_again() {
    let mut variables = Variables::default();
    for number in 0..=u16::MAX {
        variables.0.insert(format!("Boot{number:04X}"), Vec::new());
    }
    assert_eq!(try_once(&variables, &entry('a')), Err(Refusal::NoNumber));
    variables.0.remove("Boot0ABC");
    assert_eq!(try_once(&variables, &entry('a')).unwrap()[0].name(), "Boot0ABC");
}

#[test]
fn variables_are_files_written_whole_with_their_attributes() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read(folder.path()), Err(EfiError::None(_))), "an empty folder is no efivarfs");
    for (name, value) in somebodys().0 {
        fs::write(folder.path().join(format!("{name}-{GLOBAL}")), [&[7, 0, 0, 0], value.as_slice()].concat()).unwrap();
    }
    fs::write(folder.path().join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"), [6, 0, 0, 0, 1]).unwrap();
    let before = read(folder.path()).unwrap();
    assert_eq!(before, somebodys());
    let changes = settle_order(&before, &[entry('a')]).unwrap();
    apply(folder.path(), &changes).unwrap();
    assert_eq!(read(folder.path()).unwrap(), before.after(&changes));
    let raw = fs::read(folder.path().join(format!("BootOrder-{GLOBAL}"))).unwrap();
    assert_eq!(raw, [7, 0, 0, 0, 2, 0, 1, 0, 0, 0, 7, 0]);
    apply(folder.path(), &[Change::Delete { name: "Boot0002".to_owned() }]).unwrap();
    assert_eq!(read(folder.path()).unwrap().0.get("Boot0002"), None);
}

#[test]
fn the_stub_says_which_partition_and_file_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(loader_partition(folder.path()), None);
    let text: Vec<u8> = "12345678-9ABC-DEF0-1122-334455667788\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = folder.path().join("LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    fs::write(file, [&[6, 0, 0, 0], text.as_slice()].concat()).unwrap();
    assert_eq!(loader_partition(folder.path()), Some(ESP));
    assert_eq!(loader_file(folder.path()), None);
    let text: Vec<u8> = "\\EFI\\x.efi\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let file = folder.path().join("LoaderImageIdentifier-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f");
    fs::write(file, [&[6, 0, 0, 0], text.as_slice()].concat()).unwrap();
    assert_eq!(loader_file(folder.path()).as_deref(), Some("\\EFI\\x.efi"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_entries_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = LoadOption::decode(&bytes);
    }

    #[test]
    fn an_entry_cut_anywhere_or_bent_is_read_or_refused(cut in 0_usize..200, at in 0_usize..200, byte in any::<u8>()) {
        let mut bytes = somebodys().0.remove("Boot0000").unwrap();
        let length = bytes.len();
        bytes[at % length] = byte;
        bytes.truncate(cut);
        let _ = LoadOption::decode(&bytes);
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written(
        description in "[ -~äöü]{0,40}", file in "\\\\[A-Za-z0-9\\\\.]{1,40}", number in any::<u32>(), first in any::<u64>(),
        sectors in any::<u64>(), id in any::<u128>(), data in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let option = LoadOption { attributes: 1, description, number, first, sectors, partition: Uuid::from_u128(id), file, data };
        prop_assert_eq!(LoadOption::decode(&option.encode()), Ok(option));
    }
}
