//! What is printed: tables and sentences for people, JSON for programs.

use std::error::Error;

use super::manifest::Standing;
use super::signing::Shown as Signed;
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use indicatif::BinaryBytes;
use serde::Serialize;
use slipway_engine::catalog::{ImageKind, Media};
use slipway_store::Blobs;
use slipway_store::images::{Listing, Stored};
use slipway_store::loaders::Loader;

/// Prints the value as JSON, or the text.
pub(super) fn say(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(value)?);
    } else {
        println!("{}", text());
    }
    Ok(())
}

/// An image in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Shown<'a> {
    name: &'a str,
    version: &'a str,
    /// Whether it is what the name alone means.
    newest: bool,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<&'a str>,
    added: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    built: Option<serde_json::Value>,
    files: Vec<ShownFile<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownFile<'a> {
    name: &'a str,
    sha256: String,
    size: u64,
}

impl<'a> Shown<'a> {
    pub(super) fn new(stored: &'a Stored, newest: bool) -> Self {
        let image = &stored.image;
        let file = |(name, file): (&'a String, &slipway_engine::catalog::FileRef)| ShownFile {
            name,
            sha256: file.digest.to_string(),
            size: file.size,
        };
        Self {
            name: &image.name,
            version: &image.version,
            newest,
            kind: image.kind.name(),
            cpu: image.cpu.map(slipway_wire::Cpu::name),
            cmdline: image.cmdline.as_deref(),
            added: time(stored).map(|time| time.to_string()).unwrap_or_default(),
            source: stored.source.as_deref(),
            size: size(stored),
            built: stored.built.as_ref().map(super::build::value),
            files: image.files.iter().map(file).collect(),
        }
    }
}

/// An image in JSON, with who signed it.
#[derive(Debug, Serialize)]
pub(super) struct Detailed<'a> {
    #[serde(flatten)]
    pub(super) image: Shown<'a>,
    pub(super) signatures: &'a [Signed],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) manifest: Option<serde_json::Value>,
}

/// All images and loaders in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Listed<'a> {
    images: Vec<Shown<'a>>,
    loaders: Vec<ShownLoader<'a>>,
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ShownLoader<'a> {
    name: &'a str,
    sha256: String,
    size: u64,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a str>,
}

impl<'a> Listed<'a> {
    pub(super) fn new(listing: &'a Listing, loaders: &'a [Loader]) -> Self {
        let loader = |loader: &'a Loader| ShownLoader {
            name: &loader.name,
            sha256: loader.file.digest.to_string(),
            size: loader.file.size,
            path: loader.path.display().to_string(),
            package: loader.package.as_deref(),
        };
        Self {
            images: with_newest(listing).map(|(stored, newest)| Shown::new(stored, newest)).collect(),
            loaders: loaders.iter().map(loader).collect(),
            faults: listing.faults.iter().map(|fault| chain(fault)).collect(),
        }
    }
}

/// Each version, and whether it is its name's newest: the last of its name in the listing.
fn with_newest(listing: &Listing) -> impl Iterator<Item = (&Stored, bool)> {
    let next = listing.images.iter().skip(1).map(Some).chain([None]);
    listing.images.iter().zip(next).map(|(stored, next)| {
        let newest = next.is_none_or(|next| next.image.name != stored.image.name);
        (stored, newest)
    })
}

/// `name@version`.
pub(super) fn label(stored: &Stored) -> String {
    format!("{}@{}", stored.image.name, stored.image.version)
}

/// An image in a line or two.
pub(super) fn summary(stored: &Stored) -> String {
    let cpu = stored.image.cpu.map(|cpu| format!(" for {cpu}")).unwrap_or_default();
    let what = format!("{}: {}{cpu}, {}", label(stored), kind(stored.image.kind), BinaryBytes(size(stored)));
    match &stored.image.cmdline {
        Some(cmdline) => format!("{what}\ncommand line: {cmdline}"),
        None => what,
    }
}

const fn kind(kind: ImageKind) -> &'static str {
    match kind {
        ImageKind::Uki => "unified kernel image",
        ImageKind::Linux => "kernel",
        ImageKind::Efi => "EFI program",
        ImageKind::IpxeScript => "iPXE script",
        ImageKind::RaspberryPi => "boot partition of a Raspberry Pi",
        ImageKind::Tree => "tree of files",
        ImageKind::Iso(Media::Both) => "ISO that boots on BIOS and UEFI",
        ImageKind::Iso(Media::Bios) => "ISO that boots on BIOS",
        ImageKind::Iso(Media::Uefi) => "ISO that boots on UEFI",
    }
}

/// Everything about one image.
pub(super) fn details(stored: &Stored, blobs: &Blobs, signed: &[Signed], manifest: Option<&Standing>) -> String {
    let mut lines = vec![summary(stored), format!("added {}", minute(stored))];
    if let Some(source) = &stored.source {
        lines.push(format!("from {source}"));
    }
    lines.extend(stored.built.as_ref().map(super::build::facts).unwrap_or_default());
    lines.extend(signed.iter().map(Signed::line));
    lines.extend(manifest.map(Standing::line));
    let mut table = table(&["FILE", "SIZE", "SHA-256"]);
    right(&mut table, 1);
    for (name, file) in &stored.image.files {
        let there = if blobs.present(file).is_ok() { "" } else { " (damaged: see `slipway image verify`)" };
        table.add_row([name.clone(), BinaryBytes(file.size).to_string(), format!("{}{there}", file.digest)]);
    }
    lines.push(format!("\n{table}"));
    lines.join("\n")
}

/// All images, then all loaders.
pub(super) fn tables(listing: &Listing, loaders: &[Loader]) -> String {
    let mut images = table(&["IMAGE", "VERSION", "KIND", "CPU", "SIZE", "ADDED"]);
    right(&mut images, 4);
    for (stored, newest) in with_newest(listing) {
        let image = &stored.image;
        let version = if newest { format!("{} (newest)", image.version) } else { image.version.clone() };
        let cpu = image.cpu.map_or("any", slipway_wire::Cpu::name);
        let size = BinaryBytes(size(stored)).to_string();
        images.add_row([&image.name, &version, image.kind.name(), cpu, &size, &minute(stored)]);
    }
    let images = if listing.images.is_empty() {
        "no images: `slipway image add NAME --uki FILE` adds one".to_owned()
    } else {
        images.to_string()
    };
    if loaders.is_empty() {
        return format!(
            "{images}\n\nno boot loaders: `slipway serve` imports those of the package `ipxe`, and your own from\nthe folder `loaders` in the data folder, when it starts"
        );
    }
    let mut table = table(&["LOADER", "SIZE", "FROM", "PACKAGE", "SHA-256"]);
    right(&mut table, 1);
    for loader in loaders {
        table.add_row([
            loader.name.clone(),
            BinaryBytes(loader.file.size).to_string(),
            loader.path.display().to_string(),
            loader.package.clone().unwrap_or_else(|| "-".to_owned()),
            loader.file.digest.to_string().chars().take(12).collect(),
        ]);
    }
    format!("{images}\n\n{table}")
}

/// What verifying found.
pub(super) fn verified(files: u64, bytes: u64, faults: &[String]) -> String {
    let checked = format!("{}, {}", counted(files, "file"), BinaryBytes(bytes));
    match faults {
        [] => format!("{checked}: all whole"),
        faults => format!("{checked} checked:\n{}", faults.join("\n")),
    }
}

/// What garbage collection freed.
pub(super) fn swept(files: u64, bytes: u64, leftovers: u64) -> String {
    let half = match leftovers {
        0 => String::new(),
        leftovers => format!(", and {} that a crash left half written", counted(leftovers, "file")),
    };
    match files {
        0 if leftovers == 0 => "nothing to delete".to_owned(),
        files => format!("deleted {}, {}{half}", counted(files, "file"), BinaryBytes(bytes)),
    }
}

fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// An error with its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

fn right(table: &mut Table, column: usize) {
    if let Some(column) = table.column_mut(column) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Bytes of all files. A UKI's parts are in it already.
fn size(stored: &Stored) -> u64 {
    let uki = stored.image.files.get(slipway_engine::catalog::Image::UKI);
    match (stored.image.kind, uki) {
        (ImageKind::Uki, Some(whole)) => whole.size,
        _ => stored.image.files.values().map(|file| file.size).sum(),
    }
}

fn time(stored: &Stored) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(stored.added.0).ok()?).ok()
}

fn minute(stored: &Stored) -> String {
    time(stored).map(|time| time.strftime("%Y-%m-%d %H:%M UTC").to_string()).unwrap_or_default()
}
