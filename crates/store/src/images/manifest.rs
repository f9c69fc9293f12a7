//! The record of one version of an image: `images/<name>/<version>.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use slipway_engine::Timestamp;
use slipway_engine::catalog::{Digest, FileRef, Image, ImageKind, Media};
use slipway_engine::namespace::normalise;
use slipway_wire::Cpu;

use super::StoreError;
use crate::blobs::parse_digest;

/// One version of an image, with what the store knows beside it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stored {
    /// The image.
    pub image: Image,
    /// Its place in the order of versions: the highest of a name is the newest.
    pub sequence: u64,
    /// When it was added.
    pub added: Timestamp,
    /// Where it came from, in words: a path.
    pub source: Option<String>,
    /// What is known of it beside that, if it was built here.
    pub built: Option<Built>,
}

/// What is known of an image that was built here (`slipway image build`), of its UKI.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Built {
    /// What it is for: `bootstrap`, `preboot` or `generation`.
    pub role: String,
    /// Its version as a number: a later one is greater.
    pub version: u64,
    /// Who runs it takes nothing below this version from then on.
    pub floor: u64,
    /// Its Authenticode digest (SHA-256): what firmware measures into PCR 4.
    pub authenticode: Digest,
    /// That of the kernel inside, which firmware measures too.
    pub kernel_authenticode: Option<Digest>,
    /// PCR 11 of the SHA-256 bank after systemd's stub has measured the sections.
    pub pcr11: Option<Digest>,
    /// The stub, as it calls itself.
    pub stub: Option<String>,
    /// Digest over everything that it was made of but its version and time: one that is made of the same need not be made again.
    pub inputs: Digest,
}

/// The format of records written here. A record of another one is refused, not guessed at.
const FORMAT: u32 = 1;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: u32,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpu: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cmdline: Option<String>,
    sequence: u64,
    /// Milliseconds since the Unix epoch.
    added: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    built: Option<BuiltRecord>,
    files: BTreeMap<String, FileRecord>,
}

/// [`Built`] in a record: digests in hexadecimal digits.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct BuiltRecord {
    role: String,
    version: u64,
    floor: u64,
    authenticode: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kernel_authenticode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pcr11: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stub: Option<String>,
    inputs: String,
}

impl From<&Built> for BuiltRecord {
    fn from(built: &Built) -> Self {
        let text = |digest: &Digest| digest.to_string();
        Self {
            role: built.role.clone(),
            version: built.version,
            floor: built.floor,
            authenticode: text(&built.authenticode),
            kernel_authenticode: built.kernel_authenticode.as_ref().map(text),
            pcr11: built.pcr11.as_ref().map(text),
            stub: built.stub.clone(),
            inputs: text(&built.inputs),
        }
    }
}

impl BuiltRecord {
    fn built(self) -> Result<Built, String> {
        let digest = |text: &String| {
            parse_digest(text).ok_or_else(|| format!("the digest {text:?} is not 64 lower-case hexadecimal digits"))
        };
        Ok(Built {
            authenticode: digest(&self.authenticode)?,
            kernel_authenticode: self.kernel_authenticode.as_ref().map(digest).transpose()?,
            pcr11: self.pcr11.as_ref().map(digest).transpose()?,
            inputs: digest(&self.inputs)?,
            role: self.role,
            version: self.version,
            floor: self.floor,
            stub: self.stub,
        })
    }
}

/// A stored file in a record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileRecord {
    sha256: String,
    size: u64,
}

impl From<FileRef> for FileRecord {
    fn from(file: FileRef) -> Self {
        Self { sha256: file.digest.to_string(), size: file.size }
    }
}

impl FileRecord {
    pub(crate) fn file(&self) -> Option<FileRef> {
        let digest: Digest = parse_digest(&self.sha256)?;
        Some(FileRef { digest, size: self.size })
    }
}

const KINDS: [ImageKind; 9] = [
    ImageKind::Uki,
    ImageKind::Linux,
    ImageKind::Efi,
    ImageKind::IpxeScript,
    ImageKind::RaspberryPi,
    ImageKind::Tree,
    ImageKind::Iso(Media::Both),
    ImageKind::Iso(Media::Bios),
    ImageKind::Iso(Media::Uefi),
];
const CPUS: [Cpu; 6] = [Cpu::Ia32, Cpu::X64, Cpu::Arm32, Cpu::Arm64, Cpu::RiscV64, Cpu::LoongArch64];

/// The record's text.
pub(super) fn encode(stored: &Stored) -> String {
    let image = &stored.image;
    let record = Record {
        format: FORMAT,
        kind: image.kind.name().to_owned(),
        cpu: image.cpu.map(|cpu| cpu.name().to_owned()),
        cmdline: image.cmdline.clone(),
        sequence: stored.sequence,
        added: stored.added.0,
        source: stored.source.clone(),
        built: stored.built.as_ref().map(BuiltRecord::from),
        files: image.files.iter().map(|(name, file)| (name.clone(), (*file).into())).collect(),
    };
    // A struct of strings and numbers always has a text.
    let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
    text.push('\n');
    text
}

/// Reads the record at a path whose last two parts are the image's name and version.
pub(super) fn read(path: &Path, name: &str, version: &str) -> Result<Stored, StoreError> {
    let text = fs::read_to_string(path).map_err(StoreError::reading(path))?;
    decode(&text, name, version).map_err(|detail| StoreError::Corrupt { path: path.to_owned(), detail })
}

fn decode(text: &str, name: &str, version: &str) -> Result<Stored, String> {
    check_name(name).and_then(|()| check_version(version)).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if record.format != FORMAT {
        return Err(format!(
            "format {}, this program knows {FORMAT}: it was written by another version",
            record.format
        ));
    }
    let kind = KINDS.into_iter().find(|kind| kind.name() == record.kind);
    let cpu = |name: &String| CPUS.into_iter().find(|cpu| cpu.name() == name).ok_or(format!("unknown cpu {name:?}"));
    let mut files = BTreeMap::new();
    for (file, entry) in &record.files {
        check_file(name, version, file).map_err(|error| error.to_string())?;
        let entry =
            entry.file().ok_or_else(|| format!("the digest of {file:?} is not 64 lower-case hexadecimal digits"))?;
        files.insert(file.clone(), entry);
    }
    let image = Image {
        name: name.to_owned(),
        version: version.to_owned(),
        kind: kind.ok_or(format!("unknown kind {:?}", record.kind))?,
        cpu: record.cpu.as_ref().map(cpu).transpose()?,
        cmdline: record.cmdline,
        files,
    };
    let built = record.built.map(BuiltRecord::built).transpose()?;
    Ok(Stored { image, sequence: record.sequence, added: Timestamp(record.added), source: record.source, built })
}

/// Checks an image's name.
pub(super) fn check_name(name: &str) -> Result<(), StoreError> {
    let rule = "1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or digit";
    let ok = well_formed(name, |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'));
    if ok { Ok(()) } else { Err(StoreError::BadName { what: "image name", name: name.to_owned(), rule }) }
}

/// Checks a version.
pub(super) fn check_version(version: &str) -> Result<(), StoreError> {
    let rule = "1 to 63 of A-Z, a-z, 0-9, '.', '_' and '-', the first a letter or digit";
    let ok = well_formed(version, |byte| byte.is_ascii_alphanumeric());
    if ok { Ok(()) } else { Err(StoreError::BadName { what: "version", name: version.to_owned(), rule }) }
}

fn well_formed(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    let first = text.bytes().next().is_some_and(&letter);
    first && text.len() <= 63 && text.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

/// Checks a file's name in an image: it must be one that a machine can ask for.
pub(super) fn check_file(name: &str, version: &str, file: &str) -> Result<(), StoreError> {
    let whole = format!("image/{name}@{version}/{file}");
    if normalise(whole.as_bytes()).is_ok_and(|normal| normal == whole) {
        return Ok(());
    }
    let rule = "a machine could not ask for it (no control characters, no '\\', no empty or dotted part, no blank at the \
                end, at most 255 bytes with image and version)";
    Err(StoreError::BadName { what: "file name", name: file.to_owned(), rule })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        let file = FileRef { digest: Digest([0xab; 32]), size: 7 };
        Stored {
            image: Image {
                name: "debian".into(),
                version: "1".into(),
                kind: ImageKind::Uki,
                cpu: Some(Cpu::Arm64),
                cmdline: Some("quiet \"x\"".into()),
                files: [("uki.efi".to_owned(), file)].into(),
            },
            sequence: 3,
            added: Timestamp(1_700_000_000_000),
            source: None,
            built: None,
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let built = Built {
            role: "preboot".into(),
            version: 7,
            floor: 3,
            authenticode: Digest([1; 32]),
            kernel_authenticode: Some(Digest([2; 32])),
            pcr11: None,
            stub: Some("systemd-stub 252".into()),
            inputs: Digest([3; 32]),
        };
        for stored in [stored(), Stored { built: Some(built), ..stored() }] {
            assert_eq!(decode(&encode(&stored), "debian", "1"), Ok(stored));
        }
    }

    #[test]
    fn every_truncation_of_a_record_is_refused() {
        let text = encode(&stored());
        for length in 0..text.trim_end().len() {
            assert!(decode(&text[..length], "debian", "1").is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_record_that_was_bent_says_where() {
        let text = encode(&stored());
        for (from, to, says) in [
            ("\"kind\": \"uki\"", "\"kind\": \"disk\"", "unknown kind \"disk\""),
            ("arm64", "z80", "unknown cpu \"z80\""),
            ("\"format\": 1", "\"format\": 2", "format 2"),
            ("\"sequence\"", "\"sequense\"", "unknown field `sequense`"),
            ("abab", "ABAB", "hexadecimal"),
            ("uki.efi", "../uki.efi", "file name \"../uki.efi\" is not allowed"),
        ] {
            let error = decode(&text.replacen(from, to, 1), "debian", "1").unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn names_are_what_the_namespace_can_hold() {
        for name in ["debian", "a", "0-9._-", &"x".repeat(63)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "Debian", ".hidden", "-x", "a b", "a/b", "a@1", "..", "é", &"x".repeat(64)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_version("1.0-RC1").is_ok());
        for file in ["uki.efi", "dists/stable/Release", ".treeinfo", "a b"] {
            assert!(check_file("x", "1", file).is_ok(), "{file}");
        }
        for file in ["", "/x", "a//b", "a/./b", "../x", "a\\b", "a\nb", "end ", &"x/".repeat(200)] {
            assert!(check_file("x", "1", file).is_err(), "{file}");
        }
    }
}
