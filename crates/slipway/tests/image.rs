//! `slipway image …` as a person and a program use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "test code"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use slipway_image::uki::{self, Parts};
use tempfile::TempDir;

/// systemd's stub: the gate installs it, and nothing of this is tested without.
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn uki(&self, cmdline: &str) -> PathBuf {
        let stub = fs::read(STUB).expect("the package systemd-boot-efi must be installed for these tests");
        let parts = Parts { linux: b"kernel", initrd: b"initrd", cmdline, osrel: "ID=x\n", uname: "6.1" };
        self.file("uki.efi", uki::build(&stub, &parts).unwrap())
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.arg("--data").arg(self.data()).arg("image").args(arguments);
        command.env_remove("RUST_BACKTRACE").output().unwrap()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its standard output, when it succeeds.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Its complaint, when it fails.
    fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_uki_is_added_with_its_parts_and_its_own_command_line() {
    let desk = Desk::new();
    let uki = desk.uki("console=ttyS0 quiet");
    let added = desk.json(&["add", "debian", "--uki", text(&uki)]);
    assert_eq!(added["outcome"], "added");
    let shown = desk.json(&["show", "debian"]);
    assert_eq!(shown["version"], "1");
    assert_eq!((&shown["kind"], &shown["cpu"]), (&Value::from("uki"), &Value::from("x64")));
    assert_eq!(shown["cmdline"], "console=ttyS0 quiet");
    let files: Vec<(&str, u64)> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["name"].as_str().unwrap(), file["size"].as_u64().unwrap()))
        .collect();
    assert_eq!(files, [("initrd", 6), ("linux", 6), ("uki.efi", fs::metadata(&uki).unwrap().len())]);
    let again = desk.says(&["add", "debian", "--uki", text(&uki)]);
    assert_eq!(again, "debian@1 is there already with this content: nothing changed\n");
}

#[test]
fn a_kernel_keeps_its_initrds_in_order_and_its_command_line() {
    let desk = Desk::new();
    let kernel = desk.file("vmlinuz", "not even a kernel");
    let initrds: Vec<PathBuf> =
        (0..11).map(|nth| desk.file(&format!("initrd{nth}"), format!("initrd {nth}"))).collect();
    let mut arguments = vec!["add", "linux@6.1", "--kernel", text(&kernel), "--cmdline", "a=b \"c d\""];
    arguments.extend(initrds.iter().flat_map(|initrd| ["--initrd", text(initrd)]));
    let added = desk.json(&arguments);
    assert_eq!(added["image"]["cmdline"], "a=b \"c d\"");
    let names: Vec<&str> =
        added["image"]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["initrd", "initrd.02", "initrd.03"]);
    assert_eq!(names[9..], ["initrd.10", "initrd.11", "linux"]);
}

#[test]
fn signatures_are_for_all_files_or_none() {
    let desk = Desk::new();
    let (kernel, initrd) = (desk.file("vmlinuz", "a kernel"), desk.file("initrd.img", "an initrd"));
    let der = [0x30, 0x82, 1, 0, 6, 9];
    let (one, two) = (desk.file("vmlinuz.sig", der), desk.file("initrd.img.sig", der));
    let image = ["add", "debian", "--kernel", text(&kernel), "--initrd", text(&initrd)];
    let signed = |signatures: &[&Path]| -> Vec<String> {
        let signatures = signatures.iter().flat_map(|path| ["--signature", text(path)]);
        image.into_iter().chain(signatures).map(str::to_owned).collect()
    };
    fn words(all: &[String]) -> Vec<&str> {
        all.iter().map(String::as_str).collect()
    }
    let pem = desk.file("x/vmlinuz.sig", "-----BEGIN CMS-----");
    let other = desk.file("other.sig", der);
    for (signatures, says) in [
        (vec![&*one], "no signature for"),
        (vec![&*one, &*two, &*other], "other.sig is for no file of this image"),
        (vec![&*pem, &*two], "is not a CMS signature in DER: make it with `openssl cms"),
    ] {
        let said = desk.refuses(&words(&signed(&signatures)));
        assert!(said.contains(says), "{said}");
    }
    let added = desk.json(&words(&signed(&[&two, &one])));
    let names: Vec<&str> =
        added["image"]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["initrd", "initrd.sig", "linux", "linux.sig"]);
}

#[test]
fn what_is_something_else_than_it_was_called_is_refused_with_the_right_way_to_add_it() {
    let desk = Desk::new();
    let mut bzimage = vec![0; 0x400];
    bzimage[0x202..0x206].copy_from_slice(b"HdrS");
    bzimage[0x20f] = 1;
    bzimage[0x300..0x304].copy_from_slice(b"6.1\0");
    let bzimage = desk.file("vmlinuz", bzimage);
    let script = desk.file("boot.ipxe", "#!ipxe\nshell\n");
    let bent = desk.file("bent.ipxe", "#!ipxe\necho {{ machine.mac }}\necho {{ mistake }}\n");
    let page = desk.file("page.html", "<html>404</html>");
    let uki = desk.uki("x");
    let empty = desk.file("empty", "");
    for (arguments, remedy) in [
        (["--uki", STUB], "not a UKI (it has no .linux section): add it with --efi"),
        (
            ["--uki", text(&bzimage)],
            "a Linux kernel without an initrd, not a UKI: add it with --kernel FILE --initrd FILE",
        ),
        (["--uki", text(&script)], "an iPXE script, not a UKI: add it with --ipxe"),
        (["--uki", text(&page)], "page.html is not a UKI: not a PE image: DOS magic at offset 0x0"),
        (["--uki", text(&empty)], "empty is empty"),
        (["--efi", text(&page)], "is not an EFI program: DOS magic"),
        (["--kernel", text(&uki)], "is a UKI, which has its initrd and command line in it: add it with --uki"),
        (["--ipxe", text(&page)], "the script does not start with the line `#!ipxe`"),
        (["--ipxe", text(&bent)], "line 3 of the script's template: undefined value"),
        (["--uki", "/nonexistent"], "cannot read /nonexistent: No such file"),
    ] {
        let error = desk.refuses(&[&["add", "x"], &arguments[..]].concat());
        assert!(error.contains(remedy), "{arguments:?}: {error}");
    }
    assert_eq!(desk.json(&["list"])["images"], Value::Array(vec![]));
    assert!(desk.refuses(&["add", "x"]).contains("--uki <FILE>|--kernel <FILE>"));
    assert!(desk.refuses(&["add", "x@1", "--version", "2", "--efi", STUB]).contains("two versions given"));
    let broken_line = ["add", "x", "--kernel", text(&bzimage), "--cmdline", "a || b"];
    assert!(desk.refuses(&broken_line).contains("iPXE would interpret"));
}

#[test]
fn a_tree_is_served_by_its_names_and_a_link_out_of_it_is_refused() {
    let desk = Desk::new();
    desk.file("tree/install/linux", "kernel");
    desk.file("tree/.treeinfo", "info");
    let tree = desk.folder.path().join("tree");
    let added = desk.json(&["add", "fedora", "--tree", text(&tree)]);
    let names: Vec<&str> =
        added["image"]["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, [".treeinfo", "install/linux"]);
    std::os::unix::fs::symlink("/etc/shadow", tree.join("leak")).unwrap();
    let error = desk.refuses(&["add", "fedora", "--tree", text(&tree)]);
    assert!(error.contains("leak is a link that leads out of the tree"), "{error}");
}

#[test]
fn the_newest_version_is_marked_and_a_removed_one_frees_its_space() {
    let desk = Desk::new();
    for content in ["#!ipxe\nexit 1\n", "#!ipxe\nexit 2\n"] {
        let script = desk.file("boot.ipxe", content);
        desk.says(&["add", "script", "--ipxe", text(&script)]);
    }
    let list = desk.says(&["list"]);
    assert!(list.contains("2 (newest)") && !list.contains("1 (newest)"), "{list}");
    assert!(desk.refuses(&["remove", "script"]).contains("has 2 versions (1, 2)"));
    let removed = desk.says(&["remove", "script@2"]);
    assert_eq!(removed, "removed script@2; `slipway image gc` frees what it alone used on disk\n");
    assert_eq!(desk.says(&["gc"]), "deleted 1 file, 14 B\n");
    assert_eq!(desk.says(&["gc"]), "nothing to delete\n");
    assert_eq!(desk.says(&["verify"]), "1 file, 14 B: all whole\n");
    assert_eq!(desk.json(&["list"])["images"][0]["version"], "1");
}

#[test]
fn damage_is_named_with_its_place_and_remedy_and_fails_the_command() {
    let desk = Desk::new();
    let script = desk.file("boot.ipxe", "#!ipxe\nexit 1\n");
    let added = desk.json(&["add", "script", "--ipxe", text(&script)]);
    let digest = added["image"]["files"][0]["sha256"].as_str().unwrap().to_owned();
    let blob = desk.data().join("blobs/sha256").join(&digest[..2]).join(&digest);
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "#!ipxe\nexit 7\n").unwrap();
    let output = desk.run(&["verify"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    for part in ["script@1: file script.ipxe has other content", text(&blob), "add the image again, which repairs it"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    desk.says(&["add", "script", "--ipxe", text(&script)]);
    desk.says(&["verify"]);
}

#[test]
fn a_data_folder_of_one_word_that_is_not_there_yet_is_made_where_the_command_was_given() {
    let desk = Desk::new();
    let script = desk.file("boot.ipxe", "#!ipxe\nexit 1\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
    command.current_dir(desk.folder.path()).args(["--data", "data", "image", "add", "script", "--ipxe", text(&script)]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(desk.data().join("images/script/1.json").is_file());
}

#[test]
fn an_iso_that_boots_is_added_and_one_that_does_not_is_refused() {
    const SECTOR: usize = 2048;
    let mut iso = vec![0_u8; 24 * SECTOR];
    iso[16 * SECTOR..16 * SECTOR + 7].copy_from_slice(b"\x01CD001\x01");
    let desk = Desk::new();
    let data = desk.file("data.iso", &iso);
    let said = desk.refuses(&["add", "data", "--iso", text(&data)]);
    assert!(said.contains("data.iso") && said.contains("does not boot: it has no El Torito boot image"), "{said}");
    let none = desk.file("none.iso", "not an ISO");
    assert!(desk.refuses(&["add", "none", "--iso", text(&none)]).contains("it is no ISO 9660 image"));

    // A boot record, a catalog with one entry for EFI, and the name of an x64 program in a FAT folder.
    iso[17 * SECTOR..17 * SECTOR + 30].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION");
    iso[17 * SECTOR + 0x47] = 19;
    iso[19 * SECTOR..19 * SECTOR + 2].copy_from_slice(&[1, 0xef]);
    iso[19 * SECTOR + 32] = 0x88;
    iso[19 * SECTOR + 40] = 20;
    iso[20 * SECTOR..20 * SECTOR + 11].copy_from_slice(b"BOOTX64 EFI");
    let boots = desk.file("live.iso", &iso);
    let added = desk.json(&["add", "live", "--iso", text(&boots)]);
    let image = &added["image"];
    assert_eq!((&image["kind"], &image["cpu"]), (&Value::from("iso-uefi"), &Value::from("x64")));
    assert_eq!(image["files"][0]["name"], "boot.iso");
    assert!(desk.says(&["show", "live"]).starts_with("live@1: ISO that boots on UEFI for x64, "));
}

#[test]
fn an_image_is_signed_by_our_key_as_it_is_added_or_later_as_a_new_version() {
    let desk = Desk::new();
    let uki = desk.uki("quiet");
    let refusal = desk.refuses(&["add", "debian", "--uki", text(&uki), "--sign"]);
    assert!(refusal.contains("`slipway secureboot init` makes them"), "{refusal}");
    let mut init = Command::new(env!("CARGO_BIN_EXE_slipway"));
    fs::create_dir_all(desk.data()).unwrap();
    assert!(init.arg("--data").arg(desk.data()).args(["secureboot", "init"]).output().unwrap().status.success());

    desk.says(&["add", "debian", "--uki", text(&uki)]);
    assert_eq!(desk.json(&["show", "debian"])["signatures"], serde_json::json!([]));
    assert!(desk.says(&["sign", "debian"]).starts_with("added debian@2: "), "a version never changes");
    assert!(desk.says(&["sign", "debian"]).contains("debian@2 is there already"));
    let shown = desk.says(&["show", "debian"]);
    assert!(
        shown.contains("\nuki.efi signed by Slipway Secure Boot signing key ") && shown.contains("(our key)"),
        "{shown}"
    );
    let signature = desk.json(&["show", "debian"])["signatures"][0].clone();
    assert_eq!((signature["standing"].as_str(), signature["ours"].as_bool()), (Some("valid"), Some(true)));

    let again = desk.says(&["add", "other", "--uki", text(&uki), "--sign"]);
    assert!(again.starts_with("added other@1: "), "{again}");
    let file = |name: &str| desk.json(&["show", name])["files"].as_array().unwrap().last().unwrap()["sha256"].clone();
    assert_eq!(file("debian"), file("other"), "the same image and key make the same bytes");
    desk.says(&["verify"]);
    desk.says(&["add", "files", "--tree", text(desk.file("tree/a", "x").parent().unwrap())]);
    assert!(desk.refuses(&["sign", "files"]).contains("nothing in it that can be signed"));
}

#[test]
fn an_image_that_was_changed_after_it_was_signed_is_found() {
    let desk = Desk::new();
    fs::create_dir_all(desk.data()).unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_slipway"));
    assert!(init.arg("--data").arg(desk.data()).args(["secureboot", "init"]).output().unwrap().status.success());
    desk.says(&["add", "debian", "--uki", text(&desk.uki("quiet")), "--sign"]);
    let digest = desk.json(&["show", "debian"])["files"].as_array().unwrap().last().unwrap()["sha256"].clone();
    let digest = digest.as_str().unwrap();
    let mut bytes = fs::read(desk.data().join("blobs/sha256").join(&digest[..2]).join(digest)).unwrap();
    let at = bytes.windows(5).position(|window| window == b"quiet").unwrap();
    bytes[at] = b'Q';
    let changed = desk.file("changed.efi", bytes);
    desk.says(&["add", "changed", "--uki", text(&changed)]);
    assert!(desk.says(&["show", "changed"]).contains("it was changed after it was signed"));
    let refusal = desk.refuses(&["verify"]);
    assert!(refusal.contains("1 fault found"), "{refusal}");
}
