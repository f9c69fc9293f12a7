//! `slipway image build`, `sign --with` and `media` as a person and a program use them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "test code"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use slipway_trust::image::{Rejected, Wanted, admit};
use slipway_trust::keyfile::{KeyFile, Kind, PrivateKey, place};
use slipway_trust::org::{Policy, Signers};
use slipway_trust::seal::{Bound, Unproven};
use slipway_trust::{Arch, Digest, Domain, InviteId, OrgId, OrgManifest, Role, Signed, Time, invite};
use tempfile::TempDir;

/// systemd's stub: the gate installs it, and nothing of this is tested without. It is the kernel here too: an EFI program is enough.
const STUB: &str = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub";

struct Desk {
    folder: TempDir,
}

fn key(kind: Kind, seed: u8) -> PrivateKey {
    PrivateKey::from_seed(kind, &[seed; 32]).unwrap()
}

impl Desk {
    /// One with an org whose images so many of two keys must sign.
    fn new(threshold: u8) -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        let root = key(Kind::Root, 1);
        let org = OrgId::of(&root.public());
        let manifest = OrgManifest {
            org,
            epoch: 1,
            name: "acme".into(),
            admins: Signers::default(),
            images: Signers { threshold, keys: vec![key(Kind::Image, 2).public(), key(Kind::Image, 3).public()] },
            enrollers: Vec::new(),
            ca_certificate: Vec::new(),
            ca_spki: Digest([9; 32]),
            pcr_policy: Some(key(Kind::PcrPolicy, 5).public()),
            gateways: vec!["10.0.0.1:8444".into()],
            floors: Vec::new(),
            policy: Policy::default(),
            created: Time(1),
            escrow: None,
        };
        let mut signed = Signed::unsigned(slipway_trust::encode(&manifest));
        let bytes = slipway_trust::seal::signed_bytes(Domain::OrgManifest, Bound::Org(&org), &signed.payload);
        signed.attach(root.public().kid(), root.sign(&bytes));
        desk.file("data/org/manifest", slipway_trust::encode(&signed));
        let root = KeyFile::new(Kind::Root, Some(org), root).public_half();
        desk.file(&format!("data/org/{}", place::ROOT), root.render("acme").as_bytes());
        for seed in [2, 3, 4] {
            let text = KeyFile::new(Kind::Image, Some(org), key(Kind::Image, seed)).render("acme");
            desk.secret(&format!("image{seed}.key"), &text);
        }
        for (name, seed) in [("policy.key", 5), ("strange.key", 6)] {
            let text = KeyFile::new(Kind::PcrPolicy, Some(org), key(Kind::PcrPolicy, seed)).render("acme");
            desk.secret(name, &text);
        }
        desk.file("agent", agent());
        desk.package();
        desk
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A file that its owner alone reads.
    fn secret(&self, name: &str, content: &str) {
        let path = self.file(name, content);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A distribution's kernel, as far as it is looked at.
    fn package(&self) {
        let mut stub = fs::read(STUB).expect("the package systemd-boot-efi must be installed for these tests");
        // As kernels are: signatures begin at a multiple of 8, and what fills up to it would count.
        stub.resize(stub.len().next_multiple_of(8), 0);
        self.file("deb/boot/vmlinuz-6.1.0-9-amd64", stub);
        self.file("deb/lib/modules/6.1.0-9-amd64/kernel/README", "");
        self.file(
            "deb/DEBIAN/control",
            "Package: kernel\nVersion: 1\nArchitecture: amd64\nMaintainer: x\nDescription: x\n",
        );
        let mut command = Command::new("dpkg-deb");
        let built = command.args(["-b", "-Znone"]).arg(self.path("deb")).arg(self.path("kernel.deb")).output();
        assert!(built.expect("dpkg-deb is needed for these tests").status.success());
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.args(["--data", "data", "--json", "image"]).args(arguments).current_dir(self.folder.path());
        command.env("HOME", self.folder.path()).env_remove("XDG_CONFIG_HOME").env_remove("SOURCE_DATE_EPOCH");
        command.env_remove("RUST_BACKTRACE").output().unwrap()
    }

    fn says(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{arguments:?}: {error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn complains(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn build(&self, role: &str, more: &[&str]) -> Value {
        let words = ["build", role, "--agent", "agent", "--kernel-package", "kernel.deb", "--arch", "x64"];
        self.says(&[&words[..], more].concat())
    }

    /// Whether a machine of the org takes the image.
    fn admitted(&self, version: &str) -> Result<slipway_trust::ImageManifest, Rejected> {
        let org: Signed = slipway_trust::decode(&fs::read(self.path("data/org/manifest")).unwrap()).unwrap();
        let org = OrgManifest::open(&org, &key(Kind::Root, 1).public(), 0).unwrap();
        let signed = fs::read(self.path(&format!("data/images/bootstrap/{version}.manifest"))).unwrap();
        let wanted = Wanted { role: Role::Bootstrap, arch: Arch::X64, floor: 0, now: Time(8) };
        admit(&slipway_trust::decode(&signed).unwrap(), &org, &wanted)
    }
}

/// The least that is a static program for x64: an ELF header, and one segment that is to be loaded.
fn agent() -> Vec<u8> {
    let mut elf = vec![0; 64 + 56];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[18] = 62;
    elf[32] = 64;
    elf[54] = 56;
    elf[56] = 1;
    elf[64] = 1;
    elf
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn the_same_input_makes_the_same_image_wherever_and_whenever_it_is_built() {
    let (one, two) = (Desk::new(1), Desk::new(1));
    let [first, second] = [&one, &two].map(|desk| desk.build("bootstrap", &["--time", "7"]));
    assert_eq!(first["sha256"], second["sha256"]);
    assert_eq!((text(&first["outcome"]), &first["image"]["version"]), ("built", &Value::from("7")));
    // A later time is another image, unless nothing else is: then there is nothing to build.
    let later = one.build("bootstrap", &["--time", "9"]);
    assert_eq!((text(&later["outcome"]), &later["sha256"]), ("unchanged", &first["sha256"]));
    let other = one.build("bootstrap", &["--version", "9", "--time", "9"]);
    assert_ne!(other["sha256"], first["sha256"]);
    let other = one.build("bootstrap", &["--time", "10", "--cmdline", "quiet"]);
    assert_ne!(other["image"]["built"]["pcr11"], first["image"]["built"]["pcr11"]);
}

#[test]
fn an_image_is_taken_once_enough_keys_have_signed_it() {
    let desk = Desk::new(2);
    let built = desk.build("bootstrap", &["--time", "7", "--floor", "5", "--sign-with", "image2.key"]);
    assert_eq!((&built["manifest"]["needed"], &built["manifest"]["enough"]), (&2.into(), &false.into()));
    assert_eq!(desk.admitted("7"), Err(Rejected::Unproven(Unproven::TooFew { valid: 1, needed: 2 })));
    let stranger = desk.complains(&["sign", "bootstrap", "--with", "image4.key"]);
    assert!(stranger.contains("is none of the image keys of acme"), "{stranger}");
    // The same key twice is one key.
    desk.says(&["sign", "bootstrap", "--with", "image2.key"]);
    assert!(desk.admitted("7").is_err());
    let signed = desk.says(&["sign", "bootstrap@7", "--with", "image3.key"]);
    assert_eq!(signed["manifest"]["enough"], true, "{signed}");
    let manifest = desk.admitted("7").unwrap();
    assert_eq!(manifest.sha256.to_string(), text(&built["sha256"]));
    assert_eq!((manifest.version, manifest.floor, manifest.created), (7, 5, Time(7)));
    assert_eq!(manifest.pcr11.unwrap().to_string(), text(&built["image"]["built"]["pcr11"]));
    let shown = desk.says(&["show", "bootstrap"]);
    assert_eq!(shown["manifest"]["signers"].as_array().unwrap().len(), 2, "{shown}");
    desk.says(&["remove", "bootstrap"]);
    assert!(!desk.path("data/images/bootstrap").exists(), "the manifest went with the image");
}

#[test]
fn a_preboot_is_approved_for_tpms_by_the_orgs_policy_key_alone() {
    let desk = Desk::new(1);
    let bare = desk.build("preboot", &["--time", "7", "--sign-with", "image2.key"]);
    assert_eq!(bare["manifest"]["pcr_policy"], false, "the key is not in its usual place");
    let built = desk.build("preboot", &["--pcr-policy-key", "policy.key", "--sign-with", "image2.key"]);
    let said = (text(&built["outcome"]), &built["manifest"]["pcr_policy"], &built["manifest"]["enough"]);
    assert_eq!(said, ("unchanged", &true.into(), &true.into()));
    let signed: Signed =
        slipway_trust::decode(&fs::read(desk.path("data/images/preboot/7.manifest")).unwrap()).unwrap();
    let manifest: slipway_trust::ImageManifest = signed.peek().unwrap();
    let (pcr11, signature) = (manifest.pcr11.unwrap(), manifest.pcr_policy.unwrap());
    let policy = slipway_tpm::policy::approved_policy(&pcr11.0);
    assert!(key(Kind::PcrPolicy, 5).public().verifies(&policy, &signature));
    let words =
        ["build", "preboot", "--agent", "agent", "--kernel-package", "kernel.deb", "--time", "9", "--cmdline", "y"];
    let error = desk.complains(&[&words[..], &["--pcr-policy-key", "strange.key"]].concat());
    assert!(error.contains("is not the PCR policy key of acme"), "{error}");
    let bootstrap = desk.build("bootstrap", &["--time", "7", "--pcr-policy-key", "policy.key"]);
    assert_eq!(bootstrap["manifest"]["pcr_policy"], false, "it unseals nothing");
}

#[test]
fn nobody_signs_for_a_file_that_is_not_the_one_in_the_store() {
    let desk = Desk::new(1);
    desk.build("bootstrap", &["--time", "7", "--sign-with", "image2.key"]);
    desk.build("bootstrap", &["--time", "8", "--cmdline", "x"]);
    fs::copy(desk.path("data/images/bootstrap/7.manifest"), desk.path("data/images/bootstrap/8.manifest")).unwrap();
    let error = desk.complains(&["sign", "bootstrap@8", "--with", "image3.key"]);
    assert!(error.contains("is not about the file that is stored"), "{error}");
}

#[test]
fn what_is_missing_for_a_build_is_named_with_its_remedy() {
    let desk = Desk::new(1);
    let with =
        |role: &str, agent: &str| desk.complains(&["build", role, "--agent", agent, "--kernel-package", "kernel.deb"]);
    assert!(with("preboot", "nowhere").contains("build it with `RUSTFLAGS="));
    desk.file("dynamic", fs::read("/bin/true").unwrap());
    assert!(with("preboot", "dynamic").contains("the agent is not a static program"));
    fs::remove_dir_all(desk.path("data/org")).unwrap();
    assert!(with("bootstrap", "agent").contains("`slipway org init NAME` makes it"));
    let error = desk.complains(&["build", "generation", "--agent", "agent", "--kernel-package", "agent"]);
    assert!(error.contains("cannot unpack the kernel's package"), "{error}");
}

#[test]
fn an_image_that_is_signed_for_secure_boot_has_a_kernel_that_kexec_takes() {
    let desk = Desk::new(1);
    let mut secureboot = Command::new(env!("CARGO_BIN_EXE_slipway"));
    secureboot.arg("--data").arg(desk.path("data")).args(["secureboot", "init"]);
    assert!(secureboot.output().unwrap().status.success());
    let bare = desk.build("generation", &["--time", "7", "--no-secure-boot"]);
    let signed = desk.build("generation", &["--time", "8"]);
    assert_eq!(bare["signatures"], Value::Array(Vec::new()));
    let of: Vec<&str> = signed["signatures"].as_array().unwrap().iter().map(|one| text(&one["file"])).collect();
    assert_eq!(of, ["uki.efi", "linux"]);
    let kernel = |built: &Value| built["image"]["built"]["kernel_authenticode"].clone();
    assert_eq!(kernel(&bare), kernel(&signed), "a signature does not change what is measured");
    assert_eq!((&bare["manifest"]["secure_boot"], &signed["manifest"]["secure_boot"]), (&false.into(), &true.into()));
}

#[test]
fn a_medium_with_a_secret_invite_is_readable_by_nobody_else() {
    let desk = Desk::new(1);
    desk.build("bootstrap", &["--time", "7"]);
    desk.build("preboot", &["--time", "7"]);
    let token = |root: u8| {
        let org = OrgId::of(&key(Kind::Root, root).public());
        invite::Token::new(org, InviteId([5; 8]), [6; 32], Digest([9; 32])).reveal()
    };
    desk.file("invite", token(1));
    desk.file("strange", token(8));
    let mode = |name: &str| fs::metadata(desk.path(name)).unwrap().permissions().mode() & 0o777;
    for (kind, file) in [("--usb", "stick.img"), ("--iso", "disc.iso")] {
        let made = desk.says(&["media", kind, "--output", file, "--invite", "invite"]);
        assert_eq!((text(&made["invite"]), mode(file)), ("0505050505050505", 0o600), "{made}");
        let bytes = fs::read(desk.path(file)).unwrap();
        let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(has(token(1).as_bytes()) && has(b"BOOTX64 EFI"), "{file}");
        desk.says(&["media", kind, "--output", file]);
        assert_eq!(mode(file), 0o644);
    }
    let rows = [
        (&["--invite", "strange"][..], "an invite of another org"),
        (&["--invite", "nowhere"], "cannot read nowhere"),
        (&["--invite", "image2.key"], "holds no invite"),
        (&["--bootstrap", "preboot"], "is no bootstrap image"),
        (&["--bootstrap", "bootstrap", "--bootstrap", "bootstrap@7"], "the second image for one processor"),
        (&["--output", "."], "is no regular file"),
    ];
    for (words, says) in rows {
        let output = if words.contains(&"--output") { vec![] } else { vec!["--output", "x"] };
        let error = desk.complains(&[&["media"][..], words, &output].concat());
        assert!(error.contains(says), "{words:?}: {error}");
    }
    assert!(!Path::new(&desk.path("x")).exists());
}
