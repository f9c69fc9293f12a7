//! `slipway image media`: a bootstrap image on something to put into a machine, for where the network cannot bring it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::BinaryBytes;
use slipway_engine::catalog::Image;
use slipway_image::media::{self, File};
use slipway_image::{Machine, Pe};
use slipway_store::images::{Images, Stored};
use slipway_trust::invite::Token;
use zeroize::Zeroizing;

use super::output::{label, say};
use crate::org::place::{Org, replace};

/// `slipway image media`
#[derive(Args, Clone, Debug)]
pub(crate) struct Media {
    /// The image; may be repeated, one for each processor
    #[arg(long, value_name = "NAME[@VERSION]", default_value = "bootstrap")]
    bootstrap: Vec<String>,
    /// Where to write it
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// A disk for a USB stick (the default)
    #[arg(long, conflicts_with = "iso")]
    usb: bool,
    /// An ISO image for a disc, or for a server's management controller; it starts from a USB stick too
    #[arg(long)]
    iso: bool,
    /// A secret invite to put on it, as `slipway invite create` gives it: machines that are started from it need nobody's approval,
    /// if the invite says so
    #[arg(long, value_name = "FILE")]
    invite: Option<PathBuf>,
}

/// Where the agent looks for an invite, on whatever it was started from.
const INVITE: &str = "slipway/invite";

/// Writes it.
pub(super) fn run(images: &Images, data: &Path, words: &Media, json: bool) -> Result<()> {
    if fs::metadata(&words.output).is_ok_and(|there| !there.is_file()) {
        bail!("{} is no regular file: write into a file, and put that onto the stick with dd", words.output.display());
    }
    let invite = words.invite.as_deref().map(|path| Invite::read(path, data)).transpose()?;
    let programs = words.bootstrap.iter().map(|image| program(images, image)).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<File<'_>> = Vec::new();
    for Program { label, path, content, .. } in &programs {
        if files.iter().any(|(there, _)| there == path) {
            bail!("{label} is the second image for one processor: firmware starts only one");
        }
        files.push((path, content));
    }
    let beside = invite.as_ref().map(|invite| (INVITE, invite.text.as_bytes()));
    files.extend(beside);
    let made = if words.iso { media::iso(&files, beside) } else { media::disk(&files) };
    let made = Zeroizing::new(made.context("the medium cannot be made")?);
    let mode = if invite.is_some() { 0o600 } else { 0o644 };
    replace(&words.output, mode, &made)?;
    tell(words, &programs, invite.as_ref(), made.len(), json)
}

struct Program {
    label: String,
    machine: Machine,
    path: &'static str,
    content: Vec<u8>,
}

fn program(images: &Images, image: &str) -> Result<Program> {
    let (name, version) = super::split(image);
    let stored: Stored = images.find(name, version)?;
    let label = label(&stored);
    let Some(uki) = stored.image.files.get(Image::UKI) else {
        bail!("{label} is no UKI: `slipway image build bootstrap` makes one");
    };
    if stored.built.as_ref().is_some_and(|built| built.role != "bootstrap") {
        bail!("{label} is no bootstrap image: machines start from such a medium to enrol");
    }
    let path = images.blobs().path(&uki.digest);
    let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let machine = Pe::parse(&content).with_context(|| format!("{label} is damaged"))?.machine;
    let path =
        media::program(machine).with_context(|| format!("{label} is for {machine}, for which there are no media"))?;
    Ok(Program { label, machine, path, content })
}

/// A secret invite as the medium carries it.
struct Invite {
    id: String,
    text: Zeroizing<String>,
}

impl Invite {
    fn read(path: &Path, data: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = Zeroizing::new(text);
        let token: Token = text.trim().parse().with_context(|| format!("{} holds no invite", path.display()))?;
        if let Ok(org) = Org::open(data)
            && org.id() != token.org
        {
            bail!("{} is an invite of another org, not of {}", path.display(), org.manifest.name);
        }
        Ok(Self { id: token.invite.to_string(), text: Zeroizing::new(format!("{}\n", text.trim())) })
    }
}

fn tell(words: &Media, programs: &[Program], invite: Option<&Invite>, size: usize, json: bool) -> Result<()> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    let path = words.output.display().to_string();
    let labels: Vec<&str> = programs.iter().map(|program| program.label.as_str()).collect();
    let kind = if words.iso { "iso" } else { "usb" };
    let value = serde_json::json!({
        "file": path, "kind": kind, "size": size, "images": labels, "invite": invite.map(|invite| &invite.id),
    });
    say(json, &value, || {
        let what = if words.iso { "ISO image" } else { "disk for a USB stick" };
        let images = programs.iter().map(|program| format!("{} for {}", program.label, program.machine));
        let images = images.collect::<Vec<_>>().join(" and ");
        let mut lines = vec![format!("wrote {path}: {what} with {images}, {}", BinaryBytes(size))];
        if let Some(Invite { id, .. }) = invite {
            lines.push(format!(
                "warning: it carries the secret invite {id}. Whoever has a copy can bring in machines as if you had let them in: \
                 keep it as you keep a key. If it is lost: `slipway invite revoke {id}`"
            ));
        }
        lines.push(format!("next  dd if={path} of=/dev/sdX bs=4M conv=fsync    (the stick, not your disk)"));
        lines.join("\n")
    })
}
