use std::fs;

use slipway_disk::carry_out;
use slipway_disk::esp::look;
use slipway_disk::fat::{Format, Health, format, least_mib};

use crate::{Image, ask, judge, path};

fn wish(mib: u64, sector: u32) -> Format {
    Format { size: mib << 20, sector, hidden: 2048, serial: 0x1234_abcd, label: "slipway" }
}

#[test]
fn fsck_finds_no_fault_with_file_systems_of_all_sizes() {
    let rows = [
        (64, 512),
        (100, 512),
        (260, 512),
        (261, 512),
        (300, 512),
        (1024, 512),
        (9000, 512),
        (272, 4096),
        (1024, 4096),
    ];
    for (mib, sector) in rows {
        let image = Image::new(mib);
        carry_out(&image.open(), &format(&wish(mib, sector)).unwrap()).unwrap();
        let said = judge("fsck.fat", &["-n", "-v", image.text()]);
        assert!(
            said.contains("32 bits per FAT")
                || said.contains("FAT32")
                || said.contains("4 bytes per FAT entry")
                || said.contains("32 bit entries"),
            "{mib} MiB of {sector}: {said}"
        );
        assert_eq!(look(&image.open(), mib << 20).unwrap().0, Health::Fat, "{mib} MiB of {sector}");
    }
}

#[test]
fn mtools_writes_into_a_file_system_of_ours_and_reads_it_back() {
    let image = Image::new(128);
    carry_out(&image.open(), &format(&wish(128, 512)).unwrap()).unwrap();
    let (from, to) = (image.beside("from"), image.beside("to"));
    fs::write(&from, vec![0x42; 3_000_000]).unwrap();
    judge("mmd", &["-i", image.text(), "::EFI", "::EFI/slipway"]);
    judge("mcopy", &["-i", image.text(), path(&from), "::EFI/slipway/preboot-a.efi"]);
    judge("mcopy", &["-i", image.text(), "::EFI/slipway/preboot-a.efi", path(&to)]);
    assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    judge("fsck.fat", &["-n", image.text()]);
    assert!(judge("mdir", &["-i", image.text(), "::"]).contains("SLIPWAY"));
}

#[test]
fn what_is_too_small_for_fat32_is_not_made_into_something_else() {
    assert_eq!(format(&wish(16, 512)), None);
    assert_eq!(format(&wish(128, 4096)), None);
    for sector in [512, 4096] {
        assert!(format(&wish(least_mib(sector), sector)).is_some());
    }
}

#[test]
fn file_systems_of_mkfs_are_healthy_and_destroyed_ones_are_not() {
    for kind in ["12", "16", "32"] {
        let mib = if kind == "12" { 2 } else { 64 };
        let image = Image::new(mib);
        judge("mkfs.fat", &["-F", kind, image.text()]);
        assert_eq!(look(&image.open(), mib << 20).unwrap().0, Health::Fat, "FAT{kind}");
    }
    let image = Image::new(64);
    assert_eq!(look(&image.open(), 64 << 20).unwrap().0, Health::Zeroed);
    carry_out(&image.open(), &format(&wish(64, 512)).unwrap()).unwrap();
    use std::os::unix::fs::FileExt as _;
    image.open().write_all_at(&[0; 512], 0).unwrap();
    assert_eq!(look(&image.open(), 64 << 20).unwrap().0, Health::Damaged("its boot sector is not one"));
    assert!(!ask("fsck.fat", &["-n", image.text()]).0, "so fsck says too");
    carry_out(&image.open(), &format(&wish(64, 512)).unwrap()).unwrap();
    image.open().write_all_at(&[0; 512], 32 * 512).unwrap();
    assert_eq!(look(&image.open(), 64 << 20).unwrap().0, Health::Damaged("its FAT is not one"));
    carry_out(&image.open(), &format(&wish(64, 512)).unwrap()).unwrap();
    assert_eq!(
        look(&image.open(), 63 << 20).unwrap().0,
        Health::Damaged("its boot sector tells of more than there is")
    );
}
