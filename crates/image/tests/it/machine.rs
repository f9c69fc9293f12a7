//! Kernels in the forms that distributions give them, by the first bytes of each.

use slipway_image::Machine;
use slipway_image::kernel::machine;

/// A file of 1 KiB that is all zeros but for these bytes.
fn file(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; 1024];
    for (at, part) in parts {
        bytes[*at..at + part.len()].copy_from_slice(part);
    }
    bytes
}

#[test]
fn a_kernel_says_by_its_form_which_processor_it_is_for() {
    let elf = |number: u16| file(&[(0, b"\x7fELF\x02\x01"), (18, &number.to_le_bytes())]);
    let uimage = |arch: u8| file(&[(0, &[0x27, 0x05, 0x19, 0x56]), (29, &[arch])]);
    for (what, bytes, wanted) in [
        ("bzImage with a 64-bit entry", file(&[(0x202, b"HdrS"), (0x236, &[0x3f])]), Some(Machine::X64)),
        ("bzImage without", file(&[(0x202, b"HdrS")]), Some(Machine::IA32)),
        ("arm64 Image", file(&[(0x38, b"ARM\x64")]), Some(Machine::ARM64)),
        ("riscv Image", file(&[(0x30, b"RISCV\0\0\0"), (0x38, b"RSC\x05")]), Some(Machine::RISCV64)),
        ("arm zImage", file(&[(0x24, &0x016f_2818_u32.to_le_bytes())]), Some(Machine::ARM32)),
        ("uImage for arm", uimage(2), Some(Machine::ARM32)),
        ("uImage for arm64", uimage(22), Some(Machine::ARM64)),
        ("uImage for mips", uimage(5), None),
        ("x86-64 vmlinux", elf(62), Some(Machine::X64)),
        ("aarch64 vmlinux", elf(183), Some(Machine::ARM64)),
        ("riscv vmlinux", elf(243), Some(Machine::RISCV64)),
        ("s390 vmlinux", elf(22), None),
        ("gzip", file(&[(0, &[0x1f, 0x8b, 8])]), None),
        ("nothing", Vec::new(), None),
    ] {
        assert_eq!(machine(&bytes), wanted, "{what}");
        for length in 0..bytes.len() {
            // No truncation panics.
            let _ = machine(&bytes[..length]);
        }
    }
}

#[test]
fn a_kernel_with_an_efi_stub_says_it_as_a_pe_image() {
    for (wanted, number) in [(Machine::X64, 0x8664_u16), (Machine::ARM64, 0xaa64), (Machine::RISCV64, 0x5064)] {
        assert_eq!(machine(&crate::stub::stub(number, 10, 0)), Some(wanted));
    }
}
