//! `[[san]]`: network disks, and the rules' `san` that names one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use slipway_engine::rules;
use slipway_engine::san::{Disk, Initiator, Login, MAC, San, Secret, Target, Username};
use slipway_wire::RootPathError;

use super::Config;
use super::fault::At;
use super::reader::Section;
use super::values::{self, Reject, nearest, reject};

const KEYS: [&str; 8] = ["name", "target", "initiator", "keep", "ask", "username", "secret-file", "expose-secret"];
const EXAMPLE: &str = "write it as \"iscsi:10.77.0.5::::iqn.2026-01.example:disk1\" (RFC 4173: server, protocol, port, LUN, target) or \"aoe:e0.1\"";

/// Secrets by the files that they are in, or what is wrong with each.
pub type Secrets = BTreeMap<PathBuf, Result<Secret, String>>;

/// A disk of the file, with the place of its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Configured {
    disk: Disk,
    secret_at: Option<At<PathBuf>>,
}

/// The disks of the file.
#[derive(Debug, Default)]
pub(super) struct Disks(Vec<At<Configured>>);

/// What a rule's `san` gives.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) disk: Disk,
    pub(super) secret_at: Option<At<PathBuf>>,
}

/// Reads the disks, and warns of those that no rule names.
pub(super) fn read(top: &Section<'_>) -> Disks {
    let mut disks: Vec<At<Configured>> = Vec::new();
    for section in &top.tables("san", &KEYS) {
        let name = section.required("name", disk_name, "add `name = \"disk1\"`: rules name the disk by it");
        let target = section.required("target", target, EXAMPLE);
        let (initiator, keep) = (section.text("initiator", initiator), section.flag("keep"));
        let (login, secret_at) = read_login(section);
        let (Some(name), Some(target)) = (name, target) else { continue };
        if disks.iter().any(|other| other.value.disk.name == name.value) {
            let reason = format!("two disks are called {:?}", name.value);
            section.error(name.span.clone(), "name", reason, "rules name disks: give each its own name");
        }
        if !target.value.is_iscsi() {
            for key in ["initiator", "ask", "username", "secret-file"].into_iter().filter(|key| section.has(key)) {
                let remedy = "remove the key: AoE knows neither names nor secrets";
                section.error(section.span_of(key), key, "belongs to an iSCSI target", remedy);
            }
        }
        let keep = keep.is_some_and(|at| at.value);
        let initiator = initiator.map(|at| at.value);
        let disk = Disk { name: name.value, target: target.value, initiator, keep, login };
        disks.push(At { value: Configured { disk, secret_at }, span: name.span });
    }
    Disks(disks)
}

/// How the machine proves who it is. A secret that goes into a script is known to whoever asks for the script: it must be said that
/// this may be.
fn read_login(section: &Section<'_>) -> (Login, Option<At<PathBuf>>) {
    let username = section.text("username", username);
    let file = section.text("secret-file", values::absolute);
    let exposed = section.flag("expose-secret").is_some_and(|at| at.value);
    let ask = section.flag("ask").is_some_and(|at| at.value);
    if ask && (section.has("secret-file") || section.has("username")) {
        let remedy = "remove `username` and `secret-file`, or `ask`";
        section.error(section.span_of("ask"), "ask", "a person is asked for what the file gives already", remedy);
    }
    if section.has("username") != section.has("secret-file") {
        let (given, missing) =
            if section.has("username") { ("username", "secret-file") } else { ("secret-file", "username") };
        let remedy = format!("add `{missing}`, or remove `{given}`");
        section.error(section.span_of(given), given, format!("there is no `{missing}` with it"), remedy);
    }
    if section.has("expose-secret") && !section.has("secret-file") {
        section.error(section.span_of("expose-secret"), "expose-secret", "belongs to `secret-file`", "remove the key");
    }
    if section.has("secret-file") && !exposed {
        let reason = "iPXE gets the secret in its script, over plain HTTP, and so does anybody on the boot network who asks for it";
        let remedy = "add `expose-secret = true` if that network is yours alone; or remove `username` and `secret-file`, and have a \
                      person type them (`ask = true`)";
        section.error(section.span_of("secret-file"), "secret-file", reason, remedy);
    }
    match (username, file) {
        (Some(username), Some(file)) => {
            (Login::Told { username: username.value, secret: Secret::unread() }, Some(file))
        }
        _ if ask => (Login::Ask, None),
        _ => (Login::Own, None),
    }
}

impl Disks {
    /// The disk that a rule names: by its name, or by a root path of its own.
    pub(super) fn of_rule(&self, rule: &Section<'_>) -> Option<Given> {
        let said = rule.text("san", values::text)?;
        if said.value.contains(':') {
            let target = rule.text("san", target)?;
            let disk = Disk { name: said.value, target: target.value, initiator: None, keep: false, login: Login::Own };
            return Some(Given { disk, secret_at: None });
        }
        if let Some(At { value: Configured { disk, secret_at }, .. }) =
            self.0.iter().find(|at| at.value.disk.name == said.value)
        {
            return Some(Given { disk: disk.clone(), secret_at: secret_at.clone() });
        }
        let names: Vec<&str> = self.0.iter().map(|at| at.value.disk.name.as_str()).collect();
        let remedy = match nearest(&said.value, &names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("add a `[[san]]` with this name, or {EXAMPLE}"),
        };
        rule.error(said.span, "san", format!("there is no disk {:?}", said.value), remedy);
        None
    }

    /// Warns of the disks that no rule names.
    pub(super) fn warn_of_unused(&self, top: &Section<'_>, used: &[&str]) {
        for at in self.0.iter().filter(|at| !used.contains(&at.value.disk.name.as_str())) {
            let reason = format!("no rule gives the disk {:?} to anybody", at.value.disk.name);
            top.warning(at.span.clone(), "san", reason, "name it in a rule (`san = \"NAME\"`), or remove it");
        }
    }
}

/// What a rule with a disk gives.
pub(super) fn given(section: &Section<'_>, given: Given, boot: Option<rules::Boot>, path: rules::Path) -> San {
    let direct = path == rules::Path::Direct;
    if direct && boot.is_some() {
        let remedy = "remove `path`: iPXE attaches the disk and loads the image";
        section.error(section.span_of("path"), "path", "firmware attaches no disk beside an image", remedy);
    }
    if direct && given.disk.login != Login::Own {
        let reason = format!("the disk {:?} wants a secret, which never goes into DHCP", given.disk.name);
        let remedy = "remove `path`: iPXE attaches the disk; or give the secret to the firmware itself, and none here";
        section.error(section.span_of("path"), "path", reason, remedy);
    }
    // With a disk beside it, an image is always iPXE's to load.
    let boot = boot.map(|boot| rules::Boot { path: rules::Path::Ipxe, ..boot });
    San { disk: given.disk, path, boot }
}

fn disk_name(raw: &str) -> Result<String, Reject> {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if raw.is_empty() || raw.len() > 64 || !raw.chars().all(letter) {
        return reject(format!("{raw:?} cannot be a disk's name"), "use 1 to 64 letters, digits, '.', '_' and '-'");
    }
    Ok(raw.to_owned())
}

fn target(raw: &str) -> Result<Target, Reject> {
    Target::new(raw).or_else(|error| {
        let remedy = match error {
            RootPathError::Target => {
                format!("a target is \"iqn.2026-01.example:disk1\", with `{MAC}` for the machine's MAC address")
            }
            _ => EXAMPLE.to_owned(),
        };
        reject(format!("{raw:?} {error}"), remedy)
    })
}

fn initiator(raw: &str) -> Result<Initiator, Reject> {
    let remedy = format!("write it as \"iqn.2026-01.example:node-{MAC}\"; `{MAC}` is the machine's MAC address");
    Initiator::new(raw).map_or_else(|| reject(format!("{raw:?} is no iSCSI name"), remedy), Ok)
}

fn username(raw: &str) -> Result<Username, Reject> {
    let remedy = "use 1 to 64 letters, digits, '.', '_', ':', '@' and '-'";
    Username::new(raw).map_or_else(|| reject(format!("{raw:?} cannot be a CHAP name"), remedy), Ok)
}

impl Config {
    /// Reads the secrets that it names.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let files = self.rules.iter().filter_map(|configured| configured.secret_at.as_ref());
        files.map(|at| (at.value.clone(), read_secret(&at.value))).collect()
    }
}

/// Reads a secret from a file that not everybody can read.
fn read_secret(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let facts = fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if facts.mode() & 0o027 != 0 {
        return Err(format!("{shown} is open to others (mode {:04o})", facts.mode() & 0o7777));
    }
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    Secret::new(&text).ok_or_else(|| format!("{shown} does not hold one line of 1 to 255 printable characters"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_read_only_from_a_file_that_not_everybody_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "correct horse battery\n").unwrap();
        for (mode, good) in
            [(0o600, true), (0o640, true), (0o400, true), (0o644, false), (0o660, false), (0o604, false)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = read_secret(&path);
            assert_eq!(read.is_ok(), good, "{mode:o}: {read:?}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "two\nlines\n").unwrap();
        let fault = read_secret(&path).unwrap_err();
        assert!(fault.ends_with("does not hold one line of 1 to 255 printable characters"), "{fault}");
        assert!(!fault.contains("two"), "a fault shows no secret: {fault}");
        assert!(read_secret(&folder.path().join("absent")).unwrap_err().contains("No such file"));
    }
}
