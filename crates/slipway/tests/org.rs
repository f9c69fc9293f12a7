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

impl Desk {
    /// A change of the manifest, by the root's key.
    fn edits(&self, arguments: &[&str]) -> String {
        self.says(&[arguments, &["--root-key", self.path("keys/root.key").to_str().unwrap()]].concat())
    }

    fn refuses_to_edit(&self, arguments: &[&str]) -> String {
        self.refuses(&[arguments, &["--root-key", self.path("keys/root.key").to_str().unwrap()]].concat())
    }

    /// A key of somebody's own: the paths of its halves.
    fn new_key(&self, kind: &str, name: &str) -> (String, String) {
        let file = self.path(name).to_str().unwrap().to_owned();
        self.says(&["org", "key", "new", kind, "--output", &file]);
        (file.clone(), format!("{file}.pub"))
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_org_is_made_with_secrets_that_are_nobody_elses() {
    let desk = Desk::new();
    for name in ["root.key", "admin.key", "image.key", "pcr-policy.key", "escrow.key"] {
        assert_eq!(mode(&desk.path("keys").join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&desk.path("keys")), 0o700);
    assert_eq!((mode(&desk.path("data/org/enroller.key")), mode(&desk.path("data/org/ca.key"))), (0o600, 0o600));
    assert_eq!(fs::read_dir(desk.path("data")).unwrap().count(), 1, "nothing is left beside it");
    let public = ["manifest", "root.pub", "ca.pem"].map(|name| fs::read(desk.path("data/org").join(name)).unwrap());
    for name in ["root", "admin", "image", "pcr-policy", "escrow"] {
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
    assert_eq!(manifest.escrow, Some(key("keys/escrow.key").public));
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

#[test]
fn every_change_is_a_new_manifest_of_the_next_epoch() {
    let desk = Desk::new();
    let said = desk.edits(&["org", "gateway", "add", "10.0.0.2:9000", "fd00::1"]);
    assert!(said.contains("epoch 2") && said.contains("no server runs"), "{said}");
    desk.edits(&["org", "gateway", "remove", "10.0.0.1"]);
    desk.edits(&["org", "floor", "preboot", "x64", "7"]);
    desk.edits(&["org", "floor", "preboot", "x64", "9"]);
    desk.edits(&["org", "policy", "--min-assurance", "tpm", "--recovery", "manual", "--offline-days", "3"]);
    let manifest = desk.manifest();
    assert_eq!((manifest.epoch, manifest.floors.len()), (6, 1));
    assert_eq!(manifest.gateways, ["10.0.0.2:9000", "[fd00::1]:8444"]);
    assert_eq!(manifest.floor(slipway_trust::Role::Preboot, slipway_trust::Arch::X64), 9);
    let shown = desk.json(&["org", "show"]);
    let policy = serde_json::json!({ "min_assurance": "tpm", "recovery": "manual", "offline_days": 3 });
    assert_eq!(shown["policy"], policy);
    assert_eq!(mode(&desk.path("data/org/manifest")), 0o644);
}

#[test]
fn the_escrow_key_is_split_into_parts_that_are_nobody_elses() {
    let desk = Desk::new();
    let (whole, parts) = (desk.path("keys/escrow.key"), desk.path("parts"));
    let [whole, parts_folder] = [&whole, &parts].map(|path| path.to_str().unwrap());
    let split = ["org", "key", "split", whole, "--output", parts_folder, "--parts", "3", "--needed"];
    let told = desk.json(&[&split[..], &["2"]].concat());
    assert_eq!((told["needed"].as_u64(), told["parts"].as_array().unwrap().len()), (Some(2), 3));
    let secret = fs::read_to_string(whole).unwrap();
    let secret = secret.lines().find_map(|line| line.strip_prefix("private: ")).unwrap().to_owned();
    for number in 1..=3 {
        let part = parts.join(format!("escrow-part-{number}.key"));
        assert_eq!(mode(&part), 0o600);
        assert!(!fs::read_to_string(part).unwrap().contains(&secret));
    }
    assert!(desk.refuses(&[&split[..], &["4"]].concat()).contains("nobody could open anything"));
    let admin = desk.path("keys/admin.key");
    let words = ["org", "key", "split", admin.to_str().unwrap(), "--output", parts_folder, "--parts", "3", "--needed"];
    assert!(desk.refuses(&[&words[..], &["2"]].concat()).contains("the escrow key is needed"));
}

#[test]
fn a_change_that_makes_no_sense_is_refused_with_its_reason() {
    let desk = Desk::new();
    desk.edits(&["org", "floor", "preboot", "x64", "9"]);
    let rows: [(&[&str], &str); 7] = [
        (&["org", "policy", "--escrow-key", &format!("ed25519:{}", "11".repeat(32))], "P-256"),
        (&["org", "floor", "preboot", "x64", "8"], "a floor never falls"),
        (&["org", "gateway", "add", "10.0.0.1"], "how it is already"),
        (&["org", "gateway", "remove", "10.0.0.9"], "no gateway of the org; there are 10.0.0.1:8444"),
        (&["org", "admin", "threshold", "2"], "nobody could sign any more"),
        (&["org", "admin", "remove", "ffff"], "no admin key of the org"),
        (&["org", "policy", "--pcr-policy-key", &format!("ed25519:{}", "11".repeat(32))], "p256:"),
    ];
    for (words, reason) in rows {
        let error = desk.refuses_to_edit(words);
        assert!(error.contains(reason) || error.contains("P-256"), "{words:?}: {error}");
    }
    assert_eq!(desk.manifest().epoch, 2);
    let error = desk.refuses(&["org", "gateway", "add", "10.0.0.2"]);
    assert!(error.contains("the root key is needed") && error.contains(".config/slipway/org/acme/root.key"), "{error}");
    let admin = desk.path("keys/admin.key");
    let error = desk.refuses(&["org", "gateway", "add", "10.0.0.2", "--root-key", admin.to_str().unwrap()]);
    assert!(error.contains("is the admin key, the root key is needed here"), "{error}");
}

#[test]
fn admins_join_and_leave_and_sign_together() {
    let desk = Desk::new();
    let (private, public) = desk.new_key("admin", "alice.key");
    assert_eq!((mode(Path::new(&private)), mode(Path::new(&public))), (0o600, 0o644));
    desk.edits(&["org", "admin", "add", &public]);
    desk.edits(&["org", "admin", "threshold", "2"]);
    let manifest = desk.manifest();
    assert_eq!((manifest.admins.keys.len(), manifest.admins.threshold), (2, 2));
    let kid = manifest.admins.keys[1].kid().to_string();
    assert!(desk.refuses_to_edit(&["org", "admin", "remove", &kid]).contains("nobody could sign any more"));
    // One of two cannot open a window; with a sheet the other signs, too.
    let admin = desk.path("keys/admin.key").to_str().unwrap().to_owned();
    let error = desk.refuses(&["window", "open", "--key", &admin]);
    assert!(error.contains("2 admins must sign this") && error.contains("--sheet FILE"), "{error}");
    let sheet = desk.path("window.sheet").to_str().unwrap().to_owned();
    desk.says(&["window", "open", "--for", "1h", "--key", &admin, "--sheet", &sheet]);
    let said = desk.says(&["org", "cosign", &sheet, "--key", &private, "--yes"]);
    assert!(said.contains("open the enrolment window") && said.contains("it has 2 signatures now"), "{said}");
    let error = desk.refuses(&["org", "submit", &sheet]);
    assert!(error.contains("no server answers on"), "{error}");
    desk.edits(&["org", "admin", "threshold", "1"]);
    desk.edits(&["org", "admin", "remove", &kid[..6]]);
    assert_eq!(desk.manifest().admins.keys.len(), 1);
}

#[test]
fn a_root_that_is_offline_signs_a_sheet() {
    let desk = Desk::new();
    let sheet = desk.path("manifest.sheet").to_str().unwrap().to_owned();
    desk.says(&["org", "gateway", "add", "10.0.0.2", "--sheet", &sheet, "--unsigned"]);
    assert_eq!(desk.manifest().epoch, 1);
    assert!(desk.refuses(&["org", "submit", &sheet]).contains("0 of 1 needed signatures are valid"));
    // On the machine that has the root's key, and nothing else of the org.
    let root = desk.path("keys/root.key").to_str().unwrap().to_owned();
    fs::rename(desk.path("data"), desk.path("aside")).unwrap();
    let said = desk.says(&["org", "cosign", &sheet, "--key", &root, "--yes"]);
    assert!(said.contains("gateways: 10.0.0.1:8444, 10.0.0.2:8444"), "{said}");
    fs::rename(desk.path("aside"), desk.path("data")).unwrap();
    desk.says(&["org", "submit", &sheet]);
    assert_eq!(desk.manifest().epoch, 2);
    assert!(desk.refuses(&["org", "cosign", &sheet, "--key", &root]).contains("Nobody is there to ask"));
}

#[test]
fn a_hardware_token_signs_bytes_and_its_signature_is_attached() {
    use slipway_trust::keyfile::PrivateKey;
    let desk = Desk::new();
    let sheet = desk.path("manifest.sheet").to_str().unwrap().to_owned();
    desk.says(&["org", "floor", "bootstrap", "x64", "5", "--sheet", &sheet, "--unsigned"]);
    let file = desk.path("bytes");
    desk.says(&["org", "bytes", &sheet, "--output", file.to_str().unwrap()]);
    let message = fs::read(&file).unwrap();
    assert!(message.starts_with(b"slipway/org-manifest/v1\0"));
    let key: KeyFile = fs::read_to_string(desk.path("keys/root.key")).unwrap().parse().unwrap();
    let Some(PrivateKey::Ed25519(token)) = key.private else { panic!("the root's key is Ed25519") };
    let hex: String = token.sign(&message).iter().map(|byte| format!("{byte:02x}")).collect();
    let public = key.public.to_string();
    let attach = |signature: &str| desk.run(&["org", "attach", &sheet, "--public", &public, "--signature", signature]);
    assert!(!attach(&format!("00{}", &hex[2..])).status.success(), "a wrong signature is not put in");
    assert!(attach(&hex).status.success());
    desk.says(&["org", "submit", &sheet]);
    assert_eq!(desk.manifest().epoch, 2);
}

#[test]
fn what_stands_beside_a_record_for_people_counts_for_nothing() {
    let desk = Desk::new();
    let sheet = desk.path("manifest.sheet").to_str().unwrap().to_owned();
    desk.says(&["org", "gateway", "add", "10.66.6.6", "--sheet", &sheet, "--unsigned"]);
    let text = fs::read_to_string(&sheet).unwrap();
    fs::write(&sheet, text.replace("10.66.6.6", "10.0.0.2")).unwrap();
    let root = desk.path("keys/root.key").to_str().unwrap().to_owned();
    let said = desk.says(&["org", "cosign", &sheet, "--key", &root, "--yes"]);
    assert!(said.contains("10.66.6.6:8444"), "{said}");
    fs::write(&sheet, text.replace("kind: manifest", "kind: window")).unwrap();
    let said = desk.says(&["org", "bytes", &sheet]);
    assert!(said.starts_with(&"slipway/window/v1".bytes().map(|byte| format!("{byte:02x}")).collect::<String>()));
    fs::write(&sheet, text.replace("record: 8", "record: 9")).unwrap();
    assert!(desk.refuses(&["org", "cosign", &sheet, "--key", &root, "--yes"]).contains("damaged"));
}

#[test]
fn acts_that_need_the_server_say_how_to_start_it() {
    let desk = Desk::new();
    let admin = desk.path("keys/admin.key").to_str().unwrap().to_owned();
    let rows: [&[&str]; 7] = [
        &["window", "open", "--key", &admin],
        &["window", "show"],
        &["invite", "list"],
        &["requests"],
        &["approve", "00aa11bb", "--key", &admin],
        &["machine", "revoke", "web-1", "--reason", "stolen", "--key", &admin],
        &["ek-list", "show"],
    ];
    for words in rows {
        let error = desk.refuses(words);
        assert!(error.contains("no server answers on") && error.contains("slipway serve"), "{words:?}: {error}");
    }
    let token = desk.path("token").to_str().unwrap().to_owned();
    desk.refuses(&["invite", "create", "--key", &admin, "--out", &token]);
    assert!(!Path::new(&token).exists(), "a token of an invite that nobody knows is not left behind");
}

#[test]
fn an_audit_log_without_entries_is_whole() {
    let desk = Desk::new();
    let shown = desk.json(&["audit", "verify"]);
    assert_eq!((&shown["whole"], &shown["entries"]), (&Value::Bool(true), &Value::from(0)));
    assert_eq!(desk.says(&["audit", "show"]), "");
    assert!(!desk.path("data/org.redb").exists(), "to look changes nothing");
}

#[test]
fn an_invite_that_is_put_aside_keeps_its_token_out_of_the_sheet() {
    let desk = Desk::new();
    let admin = desk.path("keys/admin.key").to_str().unwrap().to_owned();
    let (sheet, token) = (desk.path("invite.sheet"), desk.path("token"));
    let words = ["invite", "create", "--label", "rack 7", "--key", &admin, "--sheet", sheet.to_str().unwrap()];
    assert!(desk.refuses(&words).contains("--out FILE"));
    let said = desk.says(&[words.as_slice(), &["--out", token.to_str().unwrap()]].concat());
    assert!(said.contains("the secret invite") && said.contains("`rack 7` for 1d"), "{said}");
    let text = fs::read_to_string(&token).unwrap();
    assert!(text.starts_with("inv1-") && mode(&token) == 0o600);
    let read: slipway_trust::invite::Token = text.parse().unwrap();
    let key = read.key().public().to_string();
    let sheet = fs::read_to_string(sheet).unwrap();
    assert!(sheet.contains(key.strip_prefix("ed25519:").unwrap()) && !sheet.contains(text.trim()));
}

#[test]
fn an_invite_that_cannot_be_is_refused_before_it_is_signed() {
    let desk = Desk::new();
    let rows: [(&[&str], &str); 5] = [
        (&["--kind", "open", "--approval", "auto"], "an open invite lets nobody in by itself"),
        (&["--uses", "0"], "1 to 1000 machines"),
        (&["--for", "31d"], "at most 30 days"),
        (&["--kind", "cloud", "--for", "25h"], "at most 24 hours"),
        (&["--kind", "cloud", "--uses", "2"], "for one machine"),
    ];
    let admin = desk.path("keys/admin.key").to_str().unwrap().to_owned();
    for (words, reason) in rows {
        let error = desk.refuses(&[&["invite", "create", "--key", &admin], words].concat());
        assert!(error.contains(reason), "{words:?}: {error}");
    }
    let error = desk.refuses(&["window", "open", "--for", "9h", "--key", &admin]);
    assert!(error.contains("at most 8 hours"), "{error}");
}
