//! `slipway org …` as an operator uses it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "test code"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use slipway_trust::keyfile::KeyFile;
use slipway_trust::{OrgFacts, OrgManifest, Signed};
use tempfile::TempDir;

struct Desk {
    folder: TempDir,
}

impl Desk {
    /// A data folder with an org in it.
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.says(&["org", "init", "acme", "--keys", desk.path("keys").to_str().unwrap(), "--gateway", "10.0.0.1"]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.arg("--data").arg(self.path("data")).args(arguments);
        command.env_remove("RUST_BACKTRACE").env("HOME", self.folder.path()).env_remove("XDG_CONFIG_HOME");
        command.env_remove("SLIPWAY_CONTROL").output().unwrap()
    }

    /// Its standard output, when it succeeds.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
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

    fn manifest(&self) -> OrgManifest {
        let root: KeyFile = fs::read_to_string(self.path("data/org/root.pub")).unwrap().parse().unwrap();
        let signed: Signed = slipway_trust::decode(&fs::read(self.path("data/org/manifest")).unwrap()).unwrap();
        OrgManifest::open(&signed, &root.public, 0).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_org_is_made_with_secrets_that_are_nobody_elses() {
    let desk = Desk::new();
    for name in ["root.key", "admin.key", "image.key", "pcr-policy.key"] {
        assert_eq!(mode(&desk.path("keys").join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&desk.path("keys")), 0o700);
    assert_eq!((mode(&desk.path("data/org/enroller.key")), mode(&desk.path("data/org/ca.key"))), (0o600, 0o600));
    assert_eq!(fs::read_dir(desk.path("data")).unwrap().count(), 1, "nothing is left beside it");
    let public = ["manifest", "root.pub", "ca.pem"].map(|name| fs::read(desk.path("data/org").join(name)).unwrap());
    for name in ["root", "admin", "image", "pcr-policy"] {
        let text = fs::read_to_string(desk.path(&format!("keys/{name}.key"))).unwrap();
        assert!(text.starts_with(&format!("# The private {name} key of the org acme. ")), "{text}");
        let secret = text.lines().find_map(|line| line.strip_prefix("private: ")).unwrap();
        assert!(public.iter().all(|file| !String::from_utf8_lossy(file).contains(secret)), "{name}");
    }
}

#[test]
fn the_manifest_names_every_key_that_was_made() {
    let desk = Desk::new();
    let manifest = desk.manifest();
    let key = |path: &str| fs::read_to_string(desk.path(path)).unwrap().parse::<KeyFile>().unwrap();
    assert_eq!(manifest.admins.keys, [key("keys/admin.key").public]);
    assert_eq!(manifest.images.keys, [key("keys/image.key").public]);
    assert_eq!(manifest.enrollers, [key("data/org/enroller.key").public]);
    assert_eq!(manifest.pcr_policy, Some(key("keys/pcr-policy.key").public));
    assert_eq!((manifest.epoch, manifest.gateways.as_slice()), (1, ["10.0.0.1:8444".to_owned()].as_slice()));
    assert_eq!(key("keys/root.key").org, Some(manifest.org));
    let shown = desk.json(&["org", "show"]);
    assert_eq!(shown["id"], manifest.org.to_string());
    assert_eq!(shown["admins"]["threshold"], 1);
}

#[test]
fn an_org_is_never_made_over_another() {
    let desk = Desk::new();
    let before = fs::read(desk.path("data/org/manifest")).unwrap();
    let error = desk.refuses(&["org", "init", "other"]);
    assert!(error.contains("belongs to an org already") && error.contains("--data DIR"), "{error}");
    let keys = desk.path("keys");
    let data = desk.path("elsewhere");
    let error =
        desk.refuses(&["org", "init", "other", "--keys", keys.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert!(error.contains("keys") || error.contains("cannot be used multiple times"), "{error}");
    assert_eq!(fs::read(desk.path("data/org/manifest")).unwrap(), before);
}

#[test]
fn facts_are_what_an_image_must_believe() {
    let desk = Desk::new();
    let file = desk.path("facts");
    desk.says(&["org", "facts", "--output", file.to_str().unwrap(), "--version", "7"]);
    let facts: OrgFacts = slipway_trust::decode(&fs::read(&file).unwrap()).unwrap();
    let manifest = desk.manifest();
    assert_eq!(slipway_trust::OrgId::of(&facts.root), manifest.org);
    assert_eq!((facts.version, facts.ca_spki, facts.gateways), (7, Some(manifest.ca_spki), manifest.gateways));
}

#[test]
fn where_there_is_no_org_the_remedy_is_told() {
    let desk = Desk { folder: tempfile::tempdir().unwrap() };
    let error = desk.refuses(&["org", "show"]);
    assert!(error.contains("there is no org in") && error.contains("slipway org init"), "{error}");
}

#[test]
fn a_manifest_that_its_root_has_not_signed_is_not_believed() {
    let desk = Desk::new();
    let file = desk.path("data/org/manifest");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = desk.refuses(&["org", "show"]);
    assert!(error.contains("0 of 1 needed signatures are valid") && error.contains("restore"), "{error}");
}
