use std::io::Read;

use cpio::NewcReader;
use slipway_image::Initramfs;
use slipway_image::kernel::Module;

/// Path, mode with file type, and content of every entry, read back by the `cpio` crate.
fn entries(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut rest = archive;
    let mut entries = Vec::new();
    loop {
        let mut reader = NewcReader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return entries;
        }
        assert_eq!((reader.entry().mtime(), reader.entry().uid(), reader.entry().gid()), (0, 0, 0));
        let mut content = Vec::new();
        let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
        reader.read_to_end(&mut content).unwrap();
        rest = reader.finish().unwrap();
        entries.push((name, mode, content));
    }
}

fn agent() -> Initramfs {
    let module = |name: &str| Module { name: name.to_owned(), content: name.as_bytes().to_vec(), depends: Vec::new() };
    Initramfs::with_agent(b"agent", &[module("virtio"), module("a_later_one")])
}

#[test]
fn folders_stand_before_what_is_in_them() {
    let mut fs = agent();
    fs.file("/very/deep/down/file", 0o644, b"x");
    let entries = entries(&fs.archive().unwrap());
    for (nth, (path, ..)) in entries.iter().enumerate() {
        if let Some((parent, _)) = path.rsplit_once('/') {
            let at = entries.iter().position(|(other, mode, _)| other == parent && *mode & 0o170_000 == 0o040_000);
            assert!(at.is_some_and(|at| at < nth), "{path} before its folder");
        }
    }
}

#[test]
fn the_agents_file_system_has_what_pid_1_needs() {
    let entries = entries(&agent().archive().unwrap());
    let find = |path: &str| entries.iter().find(|(found, ..)| found == path).unwrap_or_else(|| panic!("no {path}"));
    assert_eq!(find("init"), &("init".to_owned(), 0o100_755, b"agent".to_vec()));
    assert_eq!(find("dev/console").1, 0o020_600);
    assert_eq!(find("etc/slipway/modules").2, b"/lib/modules/virtio.ko\n/lib/modules/a_later_one.ko\n");
    assert_eq!(find("lib/modules/virtio.ko").2, b"virtio");
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    assert_eq!(agent().compressed().unwrap(), agent().compressed().unwrap());
    let unpacked = zstd::decode_all(agent().compressed().unwrap().as_slice()).unwrap();
    assert_eq!(unpacked, agent().archive().unwrap());
}
