//! Media, judged by the tools that everybody uses: fsck.fat, mtools, sgdisk; and by our own reader of ISO images.

use std::path::Path;
use std::process::Command;

use slipway_image::media::{self, fat::FatError};
use slipway_image::{Iso, Machine};

const PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";
const INVITE: (&str, &[u8]) = ("slipway/invite", b"inv1-secret\n");

/// What it says, when it is content.
fn tool(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// The file system in the only partition of what is there.
fn partition(disk: &[u8]) -> &[u8] {
    let number = |at: usize| usize::try_from(u64::from_le_bytes(disk[at..at + 8].try_into().unwrap())).unwrap() * 512;
    &disk[number(1024 + 32)..number(1024 + 40) + 512]
}

fn check(medium: &[u8], program: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let (whole, esp) = (folder.path().join("whole"), folder.path().join("esp"));
    std::fs::write(&whole, medium).unwrap();
    std::fs::write(&esp, partition(medium)).unwrap();
    let said = tool("sgdisk", &["-v"], &whole);
    assert!(said.contains("No problems found"), "{said}");
    let said = tool("fsck.fat", &["-n", "-v"], &esp);
    assert!(!said.contains("differ") && !said.contains("Dirty"), "{said}");
    for ((path, content), shown) in [((PROGRAM, program), "BOOTX64.EFI"), (INVITE, "invite")] {
        let output = Command::new("mtype").arg("-i").arg(&esp).arg(format!("::/{path}")).output().unwrap();
        assert!(output.stdout == content, "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let said = Command::new("mdir").args(["-b", "-i"]).arg(&esp).args(["-/", "::/"]).output().unwrap();
        assert!(String::from_utf8_lossy(&said.stdout).contains(shown), "{said:?}");
    }
}

#[test]
fn a_stick_is_what_everybody_takes_for_one() {
    for length in [0, 1, 511, 512, 513, 3_000_000, 40_000_000] {
        let program = vec![0x5a; length];
        check(&media::disk(&[(PROGRAM, &program), INVITE]).unwrap(), &program);
    }
}

#[test]
fn an_iso_starts_by_uefi_and_is_a_disk_too() {
    for length in [1, 3_000_000, 20_000_000, 40_000_000] {
        let program = vec![0xa5; length];
        let image = media::iso(&[(PROGRAM, &program), INVITE], Some(INVITE)).unwrap();
        check(&image, &program);
        let read = Iso::read(&mut std::io::Cursor::new(&image)).unwrap();
        assert_eq!(read, Iso { bios: false, uefi: true, machines: vec![Machine::X64] });
        let at = 24 * 2048;
        assert_eq!(&image[at..at + INVITE.1.len()], INVITE.1);
    }
}

#[test]
fn the_same_files_make_the_same_medium_and_others_another() {
    let disk = |content: &[u8]| media::disk(&[(PROGRAM, content)]).unwrap();
    assert!(disk(b"one") == disk(b"one"));
    let (one, two) = (disk(b"one"), disk(b"two"));
    assert_ne!(one[512 + 56..512 + 72], two[512 + 56..512 + 72], "the disks have different identifiers");
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    for name in ["EFI/BOOT/BOOTRISCV64.EFI", "Mixed", "a b", "", "a/", "a.b.c", "ä", ".efi"] {
        assert_eq!(
            media::disk(&[(name, b"")]).unwrap_err(),
            FatError::Name(name.rsplit('/').next().unwrap().to_owned()),
            "{name}"
        );
    }
}
