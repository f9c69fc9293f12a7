use std::path::Path;

use proptest::prelude::*;
use slipway_image::pe::{Machine, Pe, PeFault};
use slipway_image::uki::{BuildError, Parts, Uki, UkiError, build};

use crate::stub::{TRAILER, put, stub, x64_stub};

const PARTS: Parts<'static> = Parts {
    linux: b"a kernel of odd length",
    initrd: b"an initrd",
    cmdline: "console=ttyS0 quiet",
    osrel: "ID=test\n",
    uname: "6.1.0-test",
};

/// Name, address, true size, file offset and padded size of every section.
fn sections(bytes: &[u8]) -> Vec<(String, u32, u32, u32, u32)> {
    let name = |name: &[u8; 8]| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    let pe = Pe::parse(bytes).unwrap();
    pe.sections.iter().map(|s| (name(&s.name), s.virtual_address, s.virtual_size, s.raw_offset, s.raw_size)).collect()
}

#[test]
fn what_goes_in_comes_out_without_its_padding() {
    let image = build(&x64_stub(), &PARTS).unwrap();
    let uki = Uki::parse(&image).unwrap();
    assert_eq!(uki.machine, Machine::X64);
    assert_eq!(&image[uki.linux], PARTS.linux);
    assert_eq!(&image[uki.initrd.unwrap()], PARTS.initrd);
    assert_eq!(uki.cmdline.as_deref(), Some(PARTS.cmdline));
    assert_eq!(uki.osrel.as_deref(), Some("ID=test"));
    assert_eq!(uki.uname.as_deref(), Some(PARTS.uname));
}

#[test]
fn the_file_is_sections_without_gaps_and_nothing_else() {
    let image = build(&x64_stub(), &PARTS).unwrap();
    assert!(!image.windows(TRAILER.len()).any(|window| window == TRAILER));
    let sections = sections(&image);
    let names: Vec<&str> = sections.iter().map(|section| section.0.as_str()).collect();
    assert_eq!(names, [".text", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"]);
    for pair in sections.windows(2) {
        let ((.., address, size, offset, raw), (.., next_address, _, next_offset, _)) = (&pair[0], &pair[1]);
        assert_eq!(offset + raw, *next_offset, "{pair:?}");
        assert!(address + size <= *next_address && next_address % 0x1000 == 0, "{pair:?}");
    }
    let (.., address, size, offset, raw) = sections.last().unwrap();
    assert_eq!(image.len(), (offset + raw) as usize);
    let u32_at = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().unwrap());
    assert_eq!(u32_at(0x58 + 56), (address + size).next_multiple_of(0x1000), "SizeOfImage");
    assert_eq!((u32_at(0x4c), u32_at(0x50)), (0, 0), "symbol table");
    assert_eq!(u32_at(0x58 + 112 + 32), 0, "the stub's signature");
}

#[test]
fn the_same_parts_give_the_same_bytes() {
    assert_eq!(build(&x64_stub(), &PARTS).unwrap(), build(&x64_stub(), &PARTS).unwrap());
}

#[test]
fn stubs_that_cannot_carry_a_uki_are_refused() {
    assert_eq!(build(&stub(0x8664, 10, 4), &PARTS), Err(BuildError::NoRoom { room: 4, needed: 5 }));
    assert_eq!(build(&stub(0x8664, 3, 7), &PARTS), Err(BuildError::NotEfi(3)));
    let uki = build(&stub(0x8664, 10, 12), &PARTS).unwrap();
    assert_eq!(build(&uki, &PARTS), Err(BuildError::Occupied(".osrel")));
    let mut bent = x64_stub();
    put(&mut bent, 0x58 + 36, &3_u32.to_le_bytes());
    assert_eq!(build(&bent, &PARTS), Err(BuildError::BadAlignment));
}

#[test]
fn what_is_no_uki_says_what_it_is() {
    assert_eq!(Uki::parse(&x64_stub()), Err(UkiError::NoKernel));
    assert_eq!(Uki::parse(&stub(0x8664, 2, 0)), Err(UkiError::NotEfi(2)));
    let not_pe = |bytes: &[u8]| match Uki::parse(bytes) {
        Err(UkiError::Pe(error)) => (error.field, error.fault),
        other => panic!("{other:?}"),
    };
    assert_eq!(not_pe(b"#!ipxe\n"), ("DOS magic", PeFault::NotPe));
    assert_eq!(not_pe(b""), ("DOS magic", PeFault::Truncated));
    let mut bent = x64_stub();
    put(&mut bent, 0x3c, &u32::MAX.to_le_bytes());
    assert_eq!(not_pe(&bent), ("PE signature", PeFault::Truncated));
}

#[test]
fn every_truncation_is_refused() {
    let image = build(&x64_stub(), &PARTS).unwrap();
    for length in 0..image.len() {
        assert!(Uki::parse(&image[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn a_section_longer_than_its_data_is_not_read_beyond_it() {
    let mut image = build(&x64_stub(), &PARTS).unwrap();
    let entry = image.windows(8).position(|name| name == b".cmdline").unwrap();
    put(&mut image, entry + 8, &0x1000_u32.to_le_bytes());
    assert_eq!(Uki::parse(&image), Err(UkiError::Short(".cmdline")));
}

#[test]
fn of_several_profiles_the_first_is_what_boots() {
    // .text .osrel .cmdline .uname .initrd .linux, made into: base, profile 0 with a command line, profile 1 with another.
    let mut image = build(&stub(0x8664, 10, 12), &Parts { osrel: "base", ..PARTS }).unwrap();
    let table = image.windows(8).position(|name| name == b".text\0\0\0").unwrap();
    let entries: Vec<Vec<u8>> = image[table..table + 6 * 40].chunks(40).map(<[u8]>::to_vec).collect();
    let renamed = |nth: usize, name: &[u8; 8]| [&name[..], &entries[nth][8..]].concat();
    let profile = b".profile";
    let order = [
        entries[5].clone(),
        entries[1].clone(),
        renamed(3, b".cmdline"),
        renamed(0, profile),
        entries[2].clone(),
        renamed(0, profile),
        renamed(1, b".cmdline"),
    ];
    put(&mut image, table, &order.concat());
    put(&mut image, 0x46, &7_u16.to_le_bytes());
    let uki = Uki::parse(&image).unwrap();
    assert_eq!(uki.cmdline.as_deref(), Some(PARTS.cmdline));
    assert_eq!(uki.osrel.as_deref(), Some("base"));
}

/// On systemd's own stub, where it is installed: the gate installs `systemd-boot-efi`, and says so where it is missing.
#[test]
fn systemds_stub_carries_a_uki() {
    let path = Path::new("/usr/lib/systemd/boot/efi/linuxx64.efi.stub");
    assert!(
        path.exists() || !cfg!(target_arch = "x86_64"),
        "{} is missing: install the package systemd-boot-efi",
        path.display()
    );
    let stub = std::fs::read(path).unwrap();
    let linux = vec![0x5a; 3_000_001];
    let image = build(&stub, &Parts { linux: &linux, ..PARTS }).unwrap();
    let uki = Uki::parse(&image).unwrap();
    assert_eq!(uki.machine, Machine::X64);
    assert!(image[uki.linux] == linux);
    let sections = sections(&image);
    assert_eq!(image.len(), sections.last().map(|(.., offset, raw)| (offset + raw) as usize).unwrap());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = Uki::parse(&bytes);
        let _ = build(&bytes, &PARTS);
    }

    #[test]
    fn a_bent_image_is_read_or_refused_without_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut image = build(&x64_stub(), &PARTS).unwrap();
        for (at, value) in changes {
            let at = at.index(image.len().min(0x300));
            image[at] = value;
        }
        if let Ok(uki) = Uki::parse(&image) {
            prop_assert!(uki.linux.end <= image.len());
            prop_assert!(uki.initrd.is_none_or(|initrd| initrd.end <= image.len()));
        }
        let _ = build(&image, &PARTS);
    }
}
