use std::fs;
use std::path::Path;

use slipway_image::kernel::{Kernel, KernelError, bzimage_release};
use slipway_image::modinfo;

use crate::stub::put;

/// A 64-bit ELF file with a `.modinfo` section and the section of names.
fn module(modinfo: &[u8]) -> Vec<u8> {
    let names = b"\0.modinfo\0.shstrtab\0";
    let (info_at, names_at) = (64, 64 + modinfo.len());
    let table = (names_at + names.len()).next_multiple_of(8);
    let mut elf = vec![0; table + 3 * 64];
    put(&mut elf, 0, b"\x7fELF\x02\x01\x01");
    put(&mut elf, 0x28, &(table as u64).to_le_bytes());
    put(&mut elf, 0x3a, &64_u16.to_le_bytes());
    put(&mut elf, 0x3c, &3_u16.to_le_bytes());
    put(&mut elf, 0x3e, &2_u16.to_le_bytes());
    put(&mut elf, info_at, modinfo);
    put(&mut elf, names_at, names);
    for (nth, name, at, size) in [(1, 1_u32, info_at, modinfo.len()), (2, 10, names_at, names.len())] {
        let header = table + nth * 64;
        put(&mut elf, header, &name.to_le_bytes());
        put(&mut elf, header + 0x18, &(at as u64).to_le_bytes());
        put(&mut elf, header + 0x20, &(size as u64).to_le_bytes());
    }
    elf
}

/// A root with a kernel whose modules are plain, compressed with zstd, and built in.
fn root() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let drivers = root.path().join("usr/lib/modules/6.1.0-10-test/kernel/drivers/net");
    fs::create_dir_all(&drivers).unwrap();
    fs::create_dir_all(root.path().join("boot")).unwrap();
    for release in ["5.10.0-old", "6.1.0-9", "6.1.0-10-test"] {
        fs::write(root.path().join(format!("boot/vmlinuz-{release}")), "kernel").unwrap();
    }
    fs::write(drivers.join("virtio_net.ko"), module(b"license=GPL\0depends=net-failover,virtio\0")).unwrap();
    let failover = zstd::encode_all(module(b"depends=\0").as_slice(), 1).unwrap();
    fs::write(drivers.join("net-failover.ko.zst"), failover).unwrap();
    let mut xz = Vec::new();
    lzma_rs::xz_compress(&mut module(b"depends=virtio_net\0").as_slice(), &mut xz).unwrap();
    fs::write(drivers.join("top.ko.xz"), xz).unwrap();
    fs::write(drivers.join("odd.ko.gz"), "x").unwrap();
    fs::write(drivers.join("broken.ko"), "no ELF file").unwrap();
    let builtin = root.path().join("usr/lib/modules/6.1.0-10-test/modules.builtin");
    fs::write(builtin, "kernel/drivers/virtio/virtio.ko\n").unwrap();
    root
}

#[test]
fn modules_come_with_what_they_need_before_them() {
    let root = root();
    let kernel = Kernel::find(root.path()).unwrap();
    assert_eq!(kernel.release, "6.1.0-10-test");
    assert_eq!(kernel.read().unwrap(), b"kernel");
    let modules = kernel.modules(&["top", "virtio-net"]).unwrap();
    let names: Vec<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["net_failover", "virtio_net", "top"]);
    assert!(modules.iter().all(|module| module.content.starts_with(b"\x7fELF")), "uncompressed");
}

#[test]
fn a_module_that_cannot_be_had_is_named() {
    let root = root();
    let kernel = Kernel::find(root.path()).unwrap();
    assert!(matches!(kernel.modules(&["e1000"]), Err(KernelError::NoModule { name, .. }) if name == "e1000"));
    for name in ["odd", "broken"] {
        assert!(
            matches!(kernel.modules(&[name]), Err(KernelError::NotAModule(path)) if path.to_string_lossy().contains(name))
        );
    }
    assert!(!kernel.has_module("e1000") && kernel.has_module("virtio") && kernel.has_module("net_failover"));
}

#[test]
fn a_root_without_kernel_or_modules_is_refused() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Kernel::find(empty.path()), Err(KernelError::Io { .. })));
    fs::create_dir(empty.path().join("boot")).unwrap();
    assert!(matches!(Kernel::find(empty.path()), Err(KernelError::NoKernel(_))));
    fs::write(empty.path().join("boot/vmlinuz-6.1"), "").unwrap();
    assert!(matches!(Kernel::find(empty.path()), Err(KernelError::NoModules { .. })));
    assert!(Kernel::find(Path::new("/nonexistent")).is_err());
}

#[test]
fn every_truncation_of_a_module_is_refused() {
    let module = module(b"depends=a,b\0alias=pci:v1\0");
    assert_eq!(modinfo::depends(&module).unwrap(), ["a", "b"]);
    assert!(modinfo::entries(&module).unwrap().contains(&("alias", "pci:v1")));
    for length in 0..module.len() - 64 {
        assert_eq!(modinfo::depends(&module[..length]), None, "cut at {length}");
    }
}

#[test]
fn a_bzimage_states_its_release() {
    let mut image = vec![0; 0x400];
    put(&mut image, 0x202, b"HdrS");
    put(&mut image, 0x20e, &0x100_u16.to_le_bytes());
    put(&mut image, 0x300, b"6.1.0-test (builder) #1\0");
    assert_eq!(bzimage_release(&image), Some("6.1.0-test"));
    for length in 0..0x300 {
        assert_eq!(bzimage_release(&image[..length]), None, "cut at {length:#x}");
    }
}
