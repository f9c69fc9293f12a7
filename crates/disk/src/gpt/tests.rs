use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::codec::{Copies, Table};
use super::*;
use crate::devices::Device;
use crate::power::Disk;
use crate::step::Step;

const MIB: u64 = 1 << 20;
const LINUX: Uuid = uuid::uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

fn device(mib: u64) -> Device {
    Device {
        name: "vda".to_owned(),
        path: Path::new("/dev/vda").to_owned(),
        id: "serial:ONE".into(),
        size: mib * MIB,
        sector: 512,
        model: String::new(),
        removable: false,
        read_only: false,
    }
}

fn wish() -> Layout {
    Layout {
        disk: "serial:ONE".into(),
        wipe: false,
        room_mib: 100,
        esp_mib: 256,
        data: Some(Data::Rest(64)),
        ids: Ids { disk: Uuid::from_u128(1), esp: Uuid::from_u128(2), data: Uuid::from_u128(3) },
    }
}

fn ends(disk: &Disk, device: &Device) -> Ends {
    Ends {
        head: disk.read(0, WINDOW),
        tail: disk.read(device.size - WINDOW, WINDOW),
        size: device.size,
        sector: device.sector,
    }
}

fn present(disk: &Disk, device: &Device) -> Present {
    ends(disk, device).present()
}

/// A disk of somebody else's: an ESP and two partitions, with a hole of 2 GiB between and as much behind.
fn somebodys(device: &Device) -> (Disk, Table) {
    let mut table = Table::empty(Uuid::from_u128(77), 512, device.size / 512).unwrap();
    table.add(ESP, Uuid::from_u128(10), 2048..=206_847, "EFI system partition").unwrap();
    table.add(LINUX, Uuid::from_u128(11), 206_848..=1_206_847, "root").unwrap();
    table.add(LINUX, Uuid::from_u128(12), 5_401_600..=6_401_599, "home, and more").unwrap();
    let disk = Disk::default().after(&super::plan::steps(&table, true, [].iter()));
    (disk, table)
}

fn gpt(present: Present) -> Table {
    let Present::Gpt(table) = present else { panic!("{present:?}") };
    table
}

#[test]
fn a_blank_disk_gets_an_esp_and_the_rest_as_data() {
    let device = device(4096);
    let changes = plan(&Present::Blank, &device, &[], &wish()).unwrap();
    assert!(changes.esp_is_new && changes.data_is_new);
    assert_eq!((changes.esp.sectors.clone(), changes.esp.name.as_str()), (2048..=526_335, ESP_NAME));
    let data = changes.data.clone().unwrap();
    assert_eq!((data.sectors.clone(), data.kind), (526_336..=8_386_559, DATA));
    let disk = Disk::default().after(&changes.steps);
    assert_eq!(present(&disk, &device), Present::Gpt(changes.table.clone()));
    let again = plan(&present(&disk, &device), &device, &[], &wish()).unwrap();
    assert!(!again.esp_is_new && !again.data_is_new, "what is there is used");
    assert_eq!((again.steps, again.esp, again.data), (Vec::new(), changes.esp, changes.data), "and nothing is written");
}

#[test]
fn foreign_partitions_stay_to_the_byte_wherever_there_is_room_for_ours() {
    let device = device(8192);
    let (disk, before) = somebodys(&device);
    let changes = plan(&present(&disk, &device), &device, &[], &wish()).unwrap();
    let after = gpt(present(&disk.after(&changes.steps), &device));
    assert_eq!(after.partitions().take(3).collect::<Vec<_>>(), before.partitions().collect::<Vec<_>>());
    assert_eq!(after.disk, before.disk);
    assert_eq!(changes.esp.sectors, 1_208_320..=1_732_607, "in the smaller hole");
    assert_eq!(changes.data.unwrap().sectors, 6_402_048..=16_775_167, "in the largest that is left");
    // Nothing is written inside of a partition that was there.
    for number in Disk::default().after(&changes.steps).sectors() {
        assert!(!before.partitions().any(|partition| partition.sectors.contains(&number)), "sector {number}");
    }
}

#[test]
fn a_foreign_esp_with_room_is_used_and_one_without_is_left_alone() {
    let device = device(8192);
    let (disk, _) = somebodys(&device);
    let rows = [(100, 1, false), (99, 4, true)];
    for (free_mib, number, new) in rows {
        let rooms = [EspRoom { number: 1, free: free_mib * MIB }];
        let changes = plan(&present(&disk, &device), &device, &rooms, &wish()).unwrap();
        assert_eq!((changes.esp.number, changes.esp_is_new), (number, new), "{free_mib} MiB are free");
    }
}

#[test]
fn what_is_not_allowed_is_refused_in_words() {
    let big = device(8192);
    let (full, _) = somebodys(&device(3150));
    let (cut, full) = (present(&full, &device(3000)), present(&full, &device(3150)));
    let small_wish = Layout { esp_mib: 1000, ..wish() };
    let rows: [(Present, Device, Layout, &str); 7] = [
        (
            Present::Blank,
            Device { id: "serial:TWO".into(), ..big.clone() },
            Layout { wipe: true, ..wish() },
            "disk-other: the plan is for the disk serial:ONE, and this one is serial:TWO",
        ),
        (
            Present::Foreign(Foreign::Mbr),
            big.clone(),
            wish(),
            "disk-foreign: the disk holds an MBR partition table, and the plan does not allow to wipe it",
        ),
        (
            Present::Foreign(Foreign::Whole("an XFS file system")),
            big.clone(),
            wish(),
            "disk-foreign: the disk holds an XFS file system on the whole disk, and the plan does not allow to wipe it",
        ),
        (Present::Blank, Device { size: 8192, ..big.clone() }, wish(), "disk-small: the disk has 0 MiB: too small"),
        (
            full,
            device(3150),
            Layout { esp_mib: 3000, ..wish() },
            "disk-full: an ESP needs 3000 MiB, and the largest free piece of the disk has 2047 MiB",
        ),
        (
            Present::Blank,
            device(1100),
            Layout { data: Some(Data::Mib(200)), ..small_wish },
            "disk-full: a data partition needs 200 MiB, and the largest free piece of the disk has 98 MiB",
        ),
        (cut, device(3000), wish(), "disk-cut: the disk ends before its last partition does"),
    ];
    for (present, device, wish, words) in rows {
        let refusal = plan(&present, &device, &[], &wish).unwrap_err();
        assert_eq!(format!("{}: {refusal}", refusal.code()), words);
    }
}

#[test]
fn a_wipe_leaves_nothing_that_would_be_taken_for_what_was_there() {
    let device = device(4096);
    let mut disk = Disk::default();
    for mark in
        [(0x1_0040, "_BHRfS_M"), (0x438, "\x53\u{ef}"), (0x1000, "raid"), (4096 * MIB - 0x1_0000, "old"), (MIB, "fs")]
    {
        let mut sector = vec![0; 512];
        sector[..mark.1.len()].copy_from_slice(mark.1.as_bytes());
        disk = disk.after(&[Step::write(mark.0 / 512 * 512, sector)]);
    }
    assert!(matches!(present(&disk, &device), Present::Foreign(_)));
    let changes = plan(&present(&disk, &device), &device, &[], &Layout { wipe: true, ..wish() }).unwrap();
    let disk = disk.after(&changes.steps);
    let blank = Disk::default().after(&changes.steps);
    let differs = |number: &u64| disk.read(number * 512, 512) != blank.read(number * 512, 512);
    let kept: Vec<u64> = disk.sectors().filter(differs).collect();
    assert_eq!(kept, [0_u64; 0], "whatever was in the ends and the partitions' beginnings is gone");
}

#[test]
fn a_wipe_that_was_done_is_not_done_again() {
    let device = device(4096);
    let (disk, _) = somebodys(&super::tests::device(4096));
    let wipe = Layout { wipe: true, ..wish() };
    let first = plan(&present(&disk, &device), &device, &[], &wipe).unwrap();
    assert_eq!(first.table.partitions().count(), 2, "nothing of what was there");
    let disk = disk.after(&first.steps);
    let second = plan(&present(&disk, &device), &device, &[], &wipe).unwrap();
    assert_eq!((second.steps.len(), second.esp_is_new, second.data_is_new), (0, false, false));
}

#[test]
fn a_damaged_copy_is_mended_from_the_other_one() {
    let device = device(8192);
    let (disk, table) = somebodys(&device);
    let last = device.size - 512;
    let no_data = Layout { data: None, ..wish() };
    let rooms = [EspRoom { number: 1, free: 200 * MIB }];
    let rows =
        [(512, Copies::Backup), (1024, Copies::Backup), (last, Copies::Primary), (last - 512 * 32, Copies::Primary)];
    for (at, copies) in rows {
        let broken = disk.after(&[Step::write(at, vec![0xa5; 512])]);
        let read = gpt(present(&broken, &device));
        assert_eq!(read.copies, copies, "broken at {at}");
        assert!(read.partitions().eq(table.partitions()));
        let mend = plan(&Present::Gpt(read), &device, &rooms, &no_data).unwrap();
        assert_eq!(gpt(present(&broken.after(&mend.steps), &device)), table);
    }
    let both = disk.after(&[Step::write(512, vec![0xa5; 512]), Step::write(last, vec![0xa5; 512])]);
    assert_eq!(present(&both, &device), Present::Foreign(Foreign::BrokenGpt));
}

#[test]
fn a_disk_that_has_grown_uses_its_new_end() {
    let (disk, _) = somebodys(&device(4096));
    let device = device(8192);
    let changes = plan(&present(&disk, &device), &device, &[], &wish()).unwrap();
    assert_eq!(changes.data.unwrap().sectors, 6_402_048..=16_775_167);
    assert_eq!(gpt(present(&disk.after(&changes.steps), &device)).copies, Copies::Both);
}

#[test]
fn a_power_cut_leaves_the_old_table_or_the_new_one() {
    let device = device(8192);
    let (somebodys, _) = somebodys(&device);
    let mut mbr = vec![0; 512];
    mbr[446 + 4] = 0x83;
    mbr[510..].copy_from_slice(&[0x55, 0xaa]);
    let mbr = Disk::default().after(&[Step::write(0, mbr)]);
    let mut boot = vec![0; 512];
    boot[..4].copy_from_slice(b"XFSB");
    let xfs = Disk::default().after(&[Step::write(0, boot)]);
    let wipe = Layout { wipe: true, ..wish() };
    let rows = [
        ("blank", Disk::default(), wish()),
        ("somebody's", somebodys.clone(), wish()),
        ("somebody's, wiped", somebodys, wipe.clone()),
        ("MBR, wiped", mbr, wipe.clone()),
        ("file system, wiped", xfs, wipe),
    ];
    for (what, disk, wish) in rows {
        let old = present(&disk, &device);
        let changes = plan(&old, &device, &[], &wish).unwrap();
        let mut seen = [0, 0];
        for cut in disk.cuts(&changes.steps, 4) {
            let found = present(&cut, &device);
            let is = |wanted: &Present| match (&found, wanted) {
                (Present::Gpt(a), Present::Gpt(b)) => a.agrees(b),
                (a, b) => a == b,
            };
            let new = is(&Present::Gpt(changes.table.clone()));
            assert!(new || is(&old), "{what}: neither old nor new, but {found:?}");
            seen[usize::from(new)] += 1;
            // And from there the same plan leads to the same end.
            let again = plan(&found, &device, &[], &wish).unwrap();
            let end = gpt(present(&cut.after(&again.steps), &device));
            assert!(end.agrees(&changes.table) && end.copies == Copies::Both, "{what}");
        }
        assert!(seen[0] > 20 && seen[1] > 20, "{what}: {seen:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_the_reader_panic(
        at in 0_usize..40_000,
        noise in proptest::collection::vec(any::<u8>(), 1..64),
        tail in any::<bool>(),
    ) {
        let device = device(4096);
        let (disk, _) = somebodys(&device);
        let mut ends = ends(&disk, &device);
        let half = if tail { &mut ends.tail } else { &mut ends.head };
        let at = if tail { half.len() - 40_064 + at } else { at };
        half[at..at + noise.len()].copy_from_slice(&noise);
        let _ = plan(&ends.present(), &device, &[], &wish());
    }
}

#[test]
fn every_mark_is_recognised_and_unknown_bytes_are_not_called_blank() {
    let device = device(64);
    for mark in super::content::MARKS {
        let mut ends = ends(&Disk::default(), &device);
        ends.head[mark.at..mark.at + mark.bytes.len()].copy_from_slice(mark.bytes);
        assert_eq!(ends.present(), Present::Foreign(Foreign::Whole(mark.what)), "{}", mark.what);
    }
    let mut unknown = ends(&Disk::default(), &device);
    unknown.head[700_000] = 1;
    assert_eq!(unknown.present(), Present::Foreign(Foreign::Unknown));
    for at in [device.size - 0x1_0000, device.size - 8192] {
        let mut raid = ends(&Disk::default(), &device);
        let place = usize::try_from(at - (device.size - WINDOW)).unwrap();
        raid.tail[place..place + 4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
        assert_eq!(raid.present(), Present::Foreign(Foreign::Whole("a member of a Linux RAID")), "at {at}");
    }
}
