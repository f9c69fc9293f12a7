use std::os::unix::fs::FileExt as _;

use slipway_disk::gpt::{Data, Foreign, Ids, Layout, Present, plan, read, write};
use uuid::Uuid;

use crate::{Image, judge};

fn wish() -> Layout {
    Layout {
        disk: "serial:ONE".into(),
        wipe: false,
        room_mib: 100,
        esp_mib: 300,
        data: Some(Data::Rest(64)),
        ids: Ids { disk: Uuid::from_u128(1), esp: Uuid::from_u128(2), data: Uuid::from_u128(3) },
    }
}

#[test]
fn sgdisk_finds_no_fault_with_a_table_of_ours() {
    let image = Image::new(1024);
    let (disk, device) = (image.open(), image.device(512));
    let changes = plan(&read(&disk, &device).unwrap(), &device, &[], &wish()).unwrap();
    write(&disk, &device, &changes).unwrap();
    let said = judge("sgdisk", &["-v", "-p", image.text()]);
    assert!(said.contains("No problems found"), "{said}");
    assert!(said.contains("EF00  slipway-esp") && said.contains("slipway-data"), "{said}");
    assert!(!said.contains("Caution"), "{said}");
}

#[test]
fn a_disk_with_sectors_of_4_kib_reads_back_as_planned() {
    let image = Image::new(1024);
    let (disk, device) = (image.open(), image.device(4096));
    let changes = plan(&read(&disk, &device).unwrap(), &device, &[], &wish()).unwrap();
    write(&disk, &device, &changes).unwrap();
    assert_eq!(changes.esp.sectors, 256..=256 + 300 * 256 - 1);
    let again = plan(&read(&disk, &device).unwrap(), &device, &[], &wish()).unwrap();
    assert!(again.steps.is_empty());
}

#[test]
fn what_sgdisk_made_stays_to_the_byte_beside_ours() {
    let image = Image::new(2048);
    let file = image.text();
    judge(
        "sgdisk",
        &[
            "-n",
            "1:2048:+100M",
            "-t",
            "1:EF00",
            "-c",
            "1:EFI",
            "-n",
            "3:300M:+500M",
            "-t",
            "3:8300",
            "-c",
            "3:root ü",
            file,
        ],
    );
    judge("sgdisk", &["-n", "2:1G:+200M", "-t", "2:0700", "-A", "2:set:60", file]);
    let before: Vec<String> = (1..=3).map(|n| judge("sgdisk", &["-i", &n.to_string(), file])).collect();
    let mut foreign = vec![0x5a; 300 << 20];
    foreign[7] = 1;
    image.open().write_all_at(&foreign, 300 << 20).unwrap();

    let (disk, device) = (image.open(), image.device(512));
    let changes = plan(&read(&disk, &device).unwrap(), &device, &[], &wish()).unwrap();
    write(&disk, &device, &changes).unwrap();
    let after: Vec<String> = (1..=3).map(|n| judge("sgdisk", &["-i", &n.to_string(), file])).collect();
    assert_eq!(before, after);
    let said = judge("sgdisk", &["-v", "-p", file]);
    assert!(said.contains("No problems found") && said.contains("slipway-esp"), "{said}");
    let mut back = vec![0; foreign.len()];
    disk.read_exact_at(&mut back, 300 << 20).unwrap();
    assert!(back == foreign, "inside of a foreign partition nothing changed");
}

#[test]
fn what_other_tools_left_on_a_disk_is_named_and_refused() {
    let key = Image::new(1);
    let rows: [(&str, &[&str], Foreign); 5] = [
        ("mkfs.fat", &["-F", "32"], Foreign::Whole("a FAT file system")),
        ("mkfs.fat", &["-F", "16"], Foreign::Whole("a FAT file system")),
        ("mkfs.ext4", &["-q"], Foreign::Whole("an ext file system")),
        ("mkswap", &[], Foreign::Whole("swap space")),
        (
            "cryptsetup",
            &["luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key.text()],
            Foreign::Whole("a LUKS volume"),
        ),
    ];
    for (program, arguments, what) in rows {
        let image = Image::new(128);
        judge(program, &[arguments, &[image.text()]].concat());
        let device = image.device(512);
        let present = read(&image.open(), &device).unwrap();
        assert_eq!(present, Present::Foreign(what), "{program}");
        let refusal = plan(&present, &device, &[], &wish()).unwrap_err();
        assert_eq!(refusal.code(), "disk-foreign");
    }
    // sgdisk can turn its table into an MBR.
    let image = Image::new(128);
    judge("sgdisk", &["-n", "1:2048:+10M", image.text()]);
    judge("sgdisk", &["-m", "1", image.text()]);
    let present = read(&image.open(), &image.device(512)).unwrap();
    assert_eq!(present, Present::Foreign(Foreign::Mbr));
}

#[test]
fn after_a_wipe_sgdisk_sees_our_table_alone() {
    let image = Image::new(1024);
    judge("mkfs.ext4", &["-q", image.text()]);
    let (disk, device) = (image.open(), image.device(512));
    let changes = plan(&read(&disk, &device).unwrap(), &device, &[], &Layout { wipe: true, ..wish() }).unwrap();
    write(&disk, &device, &changes).unwrap();
    let said = judge("sgdisk", &["-v", "-p", image.text()]);
    assert!(said.contains("No problems found") && !said.contains("MBR: MBR only"), "{said}");
    let said = judge("blkid", &["-p", image.text()]);
    assert!(said.contains("PTTYPE=\"gpt\"") && !said.contains("ext4"), "{said}");
}
