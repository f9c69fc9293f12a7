//! `slipway image`: what there is to boot.

mod build;
mod import;
mod manifest;
mod media;
mod org;
mod output;
mod progress;
mod signatures;
mod signing;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args, Subcommand};
use slipway_server::secureboot::Keys;
use slipway_store::images::{Added, Images, Swept, Verified};
use slipway_store::loaders;

use crate::org::place::Org;
use import::Content;
use manifest::Standing;
use output::{Shown, say};
use progress::Progress;

/// `slipway image …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Add an image, or a new version of one
    Add(Box<Add>),
    /// Build what machines boot on their way into the org: from a kernel's package and our agent to one EFI program
    ///
    /// The same kernel, agent, org, version and time make the same bytes. It is signed for Secure Boot where there are keys (`slipway
    /// secureboot init`), and is served at once.
    Build(Box<build::Build>),
    /// Write a bootstrap image onto something to put into a machine: a disk for a USB stick, or an ISO image
    ///
    /// Machines that cannot boot over the network start from it, and enrol as all others do.
    Media(media::Media),
    /// List images and boot loaders
    List,
    /// Show an image: what it is, where it came from, its files
    Show {
        /// The image: NAME (its newest version) or NAME@VERSION
        #[arg(value_name = "NAME[@VERSION]")]
        image: String,
    },
    /// Sign an image with our Secure Boot key; the signed one becomes its newest version. Or, with --with, its manifest
    ///
    /// What is signed is the program that firmware starts: the UKI, the EFI program, or the kernel. The keys are made by `slipway
    /// secureboot init`.
    ///
    /// With --with the image stays as it is, and its manifest (of images that `slipway image build` has made) gets a signature by an
    /// image key of the org, beside those that it has: machines take an image that as many keys have signed as the org asks for.
    Sign {
        /// The image: NAME (its newest version) or NAME@VERSION
        #[arg(value_name = "NAME[@VERSION]")]
        image: String,
        /// The signed image's version [default: the next number]
        #[arg(long)]
        version: Option<String>,
        /// Sign the manifest instead, with this image key
        #[arg(long, value_name = "FILE", conflicts_with = "version")]
        with: Option<PathBuf>,
    },
    /// Read every stored file again and compare it with its digest, and signed programs with their signatures
    Verify,
    /// Remove a version of an image; its files stay on disk until `slipway image gc`
    Remove {
        /// The image: NAME@VERSION, or NAME if it has only one version
        #[arg(value_name = "NAME[@VERSION]")]
        image: String,
        /// Remove all versions
        #[arg(long)]
        all_versions: bool,
    },
    /// Delete the files that no image refers to any more
    Gc,
}

/// `slipway image add`
#[derive(Args, Clone, Debug)]
#[command(group = ArgGroup::new("content").required(true).args(["uki", "kernel", "efi", "ipxe", "iso", "rpi", "tree"]))]
pub(crate) struct Add {
    /// Its name: a-z, 0-9, '.', '_', '-'; with @VERSION, the version as well
    #[arg(value_name = "NAME[@VERSION]")]
    name: String,
    /// A unified kernel image: kernel, initrd and command line in one EFI program
    #[arg(long, value_name = "FILE")]
    uki: Option<PathBuf>,
    /// A Linux kernel
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// An initrd for the kernel; several are loaded in the order given
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Vec<PathBuf>,
    /// The kernel's command line
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    cmdline: Option<String>,
    /// A device tree for the kernel, where U-Boot starts it
    #[arg(long, value_name = "FILE", requires = "kernel", conflicts_with = "dtbs")]
    dtb: Option<PathBuf>,
    /// A folder of device trees for the kernel: U-Boot takes its board's
    #[arg(long, value_name = "FOLDER", requires = "kernel")]
    dtbs: Option<PathBuf>,
    /// Any other EFI program
    #[arg(long, value_name = "FILE")]
    efi: Option<PathBuf>,
    /// An iPXE script
    #[arg(long, value_name = "FILE")]
    ipxe: Option<PathBuf>,
    /// An ISO image that boots, such as a distribution's installer
    #[arg(long, value_name = "FILE")]
    iso: Option<PathBuf>,
    /// The boot partition of a Raspberry Pi, as a folder
    #[arg(long, value_name = "FOLDER")]
    rpi: Option<PathBuf>,
    /// A folder, served as it is
    #[arg(long, value_name = "FOLDER")]
    tree: Option<PathBuf>,
    /// A detached signature (CMS in DER), called like its file with .sig behind it; one for each file, for builds of iPXE that verify
    #[arg(long, value_name = "FILE", conflicts_with_all = ["ipxe", "iso", "tree", "sign"])]
    signature: Vec<PathBuf>,
    /// Its version [default: the next number]
    #[arg(long)]
    version: Option<String>,
    /// Sign it with our Secure Boot key (`slipway secureboot init`)
    #[arg(long, conflicts_with_all = ["ipxe", "tree"])]
    sign: bool,
}

impl ImageCommand {
    /// Whether a server that runs on the same data serves something else after this.
    pub(crate) const fn changes_what_is_served(&self) -> bool {
        matches!(self, Self::Add(_) | Self::Build(_) | Self::Sign { .. } | Self::Remove { .. })
    }
}

/// Does it, on the store in this data folder. With `json`, what is printed is one JSON value.
pub(crate) fn run(command: ImageCommand, data: &Path, json: bool) -> Result<()> {
    let images = Images::under(data);
    match command {
        ImageCommand::Add(add) => run_add(&images, data, *add, json),
        ImageCommand::Build(build) => build::run(&images, data, &build, json),
        ImageCommand::Media(words) => media::run(&images, data, &words, json),
        ImageCommand::List => list(&images, data, json),
        ImageCommand::Show { image } => {
            let (name, version) = split(&image);
            let stored = images.find(name, version)?;
            let versions = images.versions(name)?;
            let newest = versions.last().is_some_and(|last| last.image.version == stored.image.version);
            let signed = signing::signed(&stored, images.blobs(), data);
            let org = org::find(data).ok().flatten();
            let standing = org.and_then(|org| Standing::of(&images, &stored, &org).transpose()).transpose()?;
            let manifest = standing.as_ref().map(Standing::value);
            let value = output::Detailed { image: Shown::new(&stored, newest), signatures: &signed, manifest };
            say(json, &value, || output::details(&stored, images.blobs(), &signed, standing.as_ref()))
        }
        ImageCommand::Sign { image, version, with: None } => {
            let (name, of) = split(&image);
            told(signing::sign(&images, data, name, of, version)?, json)
        }
        ImageCommand::Sign { image, with: Some(key), .. } => {
            let (name, version) = split(&image);
            let (stored, org) = (images.find(name, version)?, Org::open(data)?);
            let standing = manifest::add_signature(&images, &stored, &org, &manifest::key(&key, &org)?)?;
            let value = serde_json::json!({ "image": output::label(&stored), "manifest": standing.value() });
            say(json, &value, || format!("{}: {}", output::label(&stored), standing.line()))
        }
        ImageCommand::Verify => verify(&images, data, json),
        ImageCommand::Remove { image, all_versions } => {
            let (name, version) = split(&image);
            let removed = images.remove(name, version, all_versions)?;
            let removed: Vec<String> = removed.iter().map(output::label).collect();
            say(json, &serde_json::json!({ "removed": removed }), || {
                format!("removed {}; `slipway image gc` frees what it alone used on disk", removed.join(", "))
            })
        }
        ImageCommand::Gc => {
            let Swept { files, bytes, leftovers } = images.collect_garbage()?;
            let value = serde_json::json!({ "files": files, "bytes": bytes, "leftovers": leftovers });
            say(json, &value, || output::swept(files, bytes, leftovers))
        }
    }
}

/// `NAME@VERSION` or `NAME`.
fn split(image: &str) -> (&str, Option<&str>) {
    image.split_once('@').map_or((image, None), |(name, version)| (name, Some(version)))
}

fn run_add(images: &Images, data: &Path, add: Add, json: bool) -> Result<()> {
    let (name, at_version) = split(&add.name);
    let version = match (at_version, add.version.as_deref()) {
        (Some(at), Some(option)) if at != option => bail!("two versions given: {at:?} with the name and {option:?}"),
        (at, option) => at.or(option),
    };
    let content = Content::from_arguments(&add)?;
    let keys = add.sign.then(|| Keys::open(data)).transpose()?;
    let progress = Progress::new(content.size()?, json);
    let added = import::add(images, name, version, &content, &add.signature, keys.as_ref(), &progress);
    progress.finish();
    told(added?, json)
}

/// Says what adding did.
fn told(added: Added, json: bool) -> Result<()> {
    let (outcome, stored) = match added {
        Added::New(stored) => ("added", stored),
        Added::Unchanged(stored) => ("unchanged", stored),
    };
    let value = serde_json::json!({ "outcome": outcome, "image": Shown::new(&stored, true) });
    say(json, &value, || match outcome {
        "added" => format!("added {}", output::summary(&stored)),
        _ => format!("{} is there already with this content: nothing changed", output::label(&stored)),
    })
}

fn list(images: &Images, data: &Path, json: bool) -> Result<()> {
    let mut listing = images.list()?;
    let loaders = loaders::list(data).unwrap_or_else(|fault| {
        listing.faults.push(fault);
        Vec::new()
    });
    for fault in &listing.faults {
        eprintln!("slipway: {}", output::chain(fault));
    }
    let value = output::Listed::new(&listing, &loaders);
    say(json, &value, || output::tables(&listing, &loaders))
}

fn verify(images: &Images, data: &Path, json: bool) -> Result<()> {
    let known = images.list()?;
    let total = known.images.iter().flat_map(|stored| stored.image.files.values()).map(|file| file.size).sum();
    let progress = Progress::new(total, json);
    let verified = images.verify(&mut |bytes| progress.advance(bytes));
    progress.finish();
    let Verified { files, bytes, faults } = verified.context("nothing was verified")?;
    let mut texts: Vec<String> = faults.iter().map(|fault| output::chain(fault)).collect();
    texts.extend(signing::faults(&known.images, images.blobs(), data));
    let value = serde_json::json!({ "files": files, "bytes": bytes, "faults": texts });
    say(json, &value, || output::verified(files, bytes, &texts))?;
    match texts.len() {
        0 => Ok(()),
        1 => bail!("1 fault found"),
        faults => bail!("{faults} faults found"),
    }
}
