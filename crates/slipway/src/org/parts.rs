//! `slipway org key split`: a private key in parts for several persons, of whom some must come together; and the key from their parts.

use core::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use slipway_trust::escrow::split::{Part, join, split};
use slipway_trust::id::bytes_of_hex;
use slipway_trust::keyfile::{Kind, PrivateKey};
use slipway_trust::{OrgId, PublicKey};
use zeroize::Zeroizing;

use super::place::{Org, create, make_folder, private_key, random};
use crate::cli::Global;
use crate::machines::print_json;

/// `slipway org key split`
#[derive(Args, Clone, Debug)]
pub(crate) struct Split {
    /// The private escrow key
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many parts to make
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(2..=64))]
    parts: u8,
    /// How many of them give the key; fewer tell nothing of it
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(2..=64))]
    needed: u8,
    /// The folder for the parts
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
}

const HEAD: &str = "slipway-key-part 1";

/// A part, with what it is a part of.
struct File {
    org: Option<OrgId>,
    public: PublicKey,
    needed: u8,
    part: Part,
}

pub(crate) fn run(global: &Global, words: &Split) -> Result<ExitCode> {
    let Split { file, parts, needed, output } = words;
    if needed > parts {
        bail!("{needed} parts would be needed, and there would be {parts}: nobody could open anything");
    }
    let key = super::place::read_key(file, Kind::Escrow)?;
    let Some(private) = &key.private else { bail!("{} has no private key in it", file.display()) };
    let rows = (1..*needed).map(|_| random::<32>().map(Zeroizing::new)).collect::<Result<Vec<_>>>()?;
    make_folder(output)?;
    let mut written = Vec::new();
    for part in split(&private.seed(), *parts, &rows) {
        let path = output.join(format!("escrow-part-{}.key", part.number));
        let whole = File { org: key.org, public: key.public, needed: *needed, part };
        create(&path, 0o600, whole.render().as_bytes())?;
        written.push(path.display().to_string());
    }
    if global.json {
        return print_json(&json!({ "parts": written, "needed": needed, "public": key.public.to_string() }));
    }
    written.iter().for_each(|path| println!("{path}"));
    println!("any {needed} of them give the key: bring each to its person, then destroy {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// The escrow key of these files: its own, or as many parts as are needed.
pub(crate) fn escrow_key(files: &[PathBuf], org: &Org) -> Result<PrivateKey> {
    if let [file] = files
        && File::read(file).is_err()
    {
        return private_key(Some(file), Kind::Escrow, org);
    }
    let files: Vec<File> = files.iter().map(|file| File::read(file)).collect::<Result<_>>()?;
    let Some(first) = files.first() else { bail!("say where the escrow key is, or its parts: `--escrow FILE`") };
    if files.iter().any(|file| file.public != first.public || file.org.is_some_and(|other| other != org.id())) {
        bail!("these are parts of several keys, or of another org's");
    }
    if files.len() < usize::from(first.needed) {
        bail!("{} of {} needed parts are there: name more with `--escrow`", files.len(), first.needed);
    }
    let parts: Vec<Part> = files.iter().map(|file| file.part.clone()).collect();
    let seed = join(&parts).context("two of these parts are the same one")?;
    let key = PrivateKey::from_seed(Kind::Escrow, &seed).filter(|key| key.public() == first.public);
    key.context("the parts do not give the key: one of them is damaged")
}

impl File {
    fn render(&self) -> Zeroizing<String> {
        let Self { org, public, needed, part } = self;
        let mut text = Zeroizing::new(format!(
            "# Part {} of a private escrow key. {needed} parts give the key, and what is on the org's disks with it.\n{HEAD}\n",
            part.number
        ));
        if let Some(org) = org {
            let _ = writeln!(text, "org: {org}");
        }
        let _ = write!(text, "public: {public}\nneeded: {needed}\npart: {}\nbytes: ", part.number);
        for byte in part.bytes.iter() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = Zeroizing::new(text);
        Self::parse(&text).with_context(|| format!("{} is no part of an escrow key", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        (lines.next()? == HEAD).then_some(())?;
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim());
        let org = match field("org") {
            Some(org) => Some(org.parse().ok()?),
            None => None,
        };
        let bytes = Zeroizing::new(bytes_of_hex::<32>(field("bytes")?)?);
        let part = Part { number: field("part")?.parse().ok()?, bytes };
        Some(Self { org, public: field("public")?.parse().ok()?, needed: field("needed")?.parse().ok()?, part })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_survives_its_file() {
        let key = PrivateKey::from_seed(Kind::Escrow, &[3; 32]).unwrap();
        let part = Part { number: 200, bytes: Zeroizing::new([0xab; 32]) };
        let file = File { org: Some(OrgId([7; 16])), public: key.public(), needed: 3, part: part.clone() };
        let text = file.render();
        let read = File::parse(&text).unwrap();
        assert_eq!((read.org, read.public, read.needed), (file.org, file.public, 3));
        assert!(read.part == part);
        for (from, to) in [(HEAD, "slipway-key 1"), ("part: 200", "part: 300"), ("bytes: ab", "bytes: a")] {
            assert!(File::parse(&text.replace(from, to)).is_none(), "{to}");
        }
    }
}
