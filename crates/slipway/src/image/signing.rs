//! `--sign`, `slipway image sign`, and who signed what there is.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use slipway_engine::catalog::{FileRef, Image};
use slipway_server::secureboot::{Keys, Standing, signatures};
use slipway_store::Blobs;
use slipway_store::images::{Added, Images, NewImage, Stored};

/// The files of an image that firmware, shim or a kernel may want signed: all of them are PE images.
const PROGRAMS: [&str; 3] = [Image::UKI, Image::EFI, Image::LINUX];

/// A signature of a file of an image.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Shown {
    file: &'static str,
    signer: String,
    sha256: String,
    standing: &'static str,
    /// Whether it is by our own key.
    ours: bool,
}

impl Shown {
    /// What is wrong with it, if something is.
    pub(super) fn fault(&self) -> Option<String> {
        let fault = match self.standing {
            "changed" => "is not about this file: it was changed after it was signed",
            "forged" => "is not by the key of its certificate",
            _ => return None,
        };
        Some(format!("{}: the signature by {} {fault}", self.file, self.signer))
    }

    /// Whether it is of this file.
    pub(super) fn is_of(&self, file: &str) -> bool {
        self.file == file
    }

    /// In a line.
    pub(super) fn line(&self) -> String {
        let whose = if self.ours { " (our key)" } else { "" };
        match self.fault() {
            Some(fault) => fault,
            None if self.standing == Standing::Unchecked.word() => {
                format!("{} signed by {}, not checked (not by SHA-256)", self.file, self.signer)
            }
            None => format!("{} signed by {}{whose}", self.file, self.signer),
        }
    }
}

/// By whom the programs of an image are signed. What cannot be read has no signatures: `slipway image verify` tells of it.
pub(super) fn signed(stored: &Stored, blobs: &Blobs, data: &Path) -> Vec<Shown> {
    let ours = Keys::open(data).and_then(|keys| keys.fingerprint()).ok();
    let mut shown = Vec::new();
    for file in PROGRAMS {
        let Some(content) = stored.image.files.get(file).and_then(|content| read(blobs, content).ok()) else {
            continue;
        };
        shown.extend(signatures(&content).unwrap_or_default().into_iter().map(|signature| Shown {
            file,
            ours: ours.as_ref() == Some(&signature.sha256),
            signer: signature.signer,
            sha256: signature.sha256,
            standing: signature.standing.word(),
        }));
    }
    shown
}

/// What is wrong with the signatures of all images.
pub(super) fn faults(images: &[Stored], blobs: &Blobs, data: &Path) -> Vec<String> {
    let of = |stored: &Stored| {
        let label = super::output::label(stored);
        signed(stored, blobs, data)
            .iter()
            .filter_map(Shown::fault)
            .map(|fault| format!("{label}: {fault}: sign the original anew, or add the image again"))
            .collect::<Vec<_>>()
    };
    images.iter().flat_map(of).collect()
}

/// Signs a version of an image: the signed one is a version of its own, the newest, because a version never changes.
pub(super) fn sign(
    images: &Images,
    data: &Path,
    name: &str,
    version: Option<&str>,
    new: Option<String>,
) -> Result<Added> {
    let keys = Keys::open(data)?;
    let stored = images.find(name, version)?;
    let writer = images.writer()?;
    let mut files: BTreeMap<String, FileRef> = stored.image.files.clone();
    let program = PROGRAMS.iter().find(|file| files.contains_key(**file));
    let program =
        program.with_context(|| format!("{} has nothing in it that can be signed", super::output::label(&stored)))?;
    let content = files.get(*program).context("it was there just now")?;
    let bytes = read(images.blobs(), content).with_context(|| format!("cannot read {program} of {name}"))?;
    let signed = keys.sign(&bytes).with_context(|| format!("cannot sign {program} of {name}"))?;
    files.insert((*program).to_owned(), writer.put(signed.as_slice(), &mut |_| {})?);
    if files == stored.image.files {
        return Ok(Added::Unchanged(stored));
    }
    // Detached signatures are for the program as it was.
    files.retain(|name, _| !name.ends_with(Image::SIGNATURE));
    let image = stored.image;
    let new = NewImage {
        name: image.name,
        version: new,
        kind: image.kind,
        cpu: image.cpu,
        cmdline: image.cmdline,
        source: stored.source,
        built: stored.built,
        files,
    };
    Ok(writer.add(new)?)
}

fn read(blobs: &Blobs, file: &FileRef) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    blobs.open(&file.digest)?.read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).ok() != Some(file.size) {
        bail!("its length is not that of the record");
    }
    Ok(bytes)
}
