//! Detached signatures: which file each is for, and whether it can be one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use slipway_engine::catalog::Image;

/// The signatures of an image's files, by the names that they are stored under. `files` are the image's files by theirs, each with where
/// it came from; `given` is what the operator gave: `vmlinuz.sig` is for `vmlinuz`. All files are signed or none is, because a
/// machine that verifies only some of what it starts verifies nothing.
pub(super) fn of(files: &[(String, &Path)], given: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let mut left: Vec<&PathBuf> = given.iter().collect();
    let mut found = Vec::new();
    for (stored, source) in files {
        let mut wanted = source.file_name().unwrap_or_default().to_owned();
        wanted.push(Image::SIGNATURE);
        let Some(place) = left.iter().position(|path| path.file_name() == Some(&wanted)) else {
            bail!("no signature for {}: give --signature {}", source.display(), Path::new(&wanted).display());
        };
        let path = left.swap_remove(place);
        check(path)?;
        found.push((Image::signature_of(stored), path.clone()));
    }
    match left.first() {
        Some(path) => bail!(
            "{} is for no file of this image: a signature is called like its file, with .sig behind it",
            path.display()
        ),
        None => Ok(found),
    }
}

/// iPXE takes a CMS signature in DER, which is a SEQUENCE; what else people have by that name (PEM, OpenPGP) is none.
fn check(path: &Path) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !matches!(bytes.as_slice(), [0x30, length, ..] if *length >= 0x80) {
        bail!(
            "{} is not a CMS signature in DER: make it with `openssl cms -sign -binary -noattr -in FILE -signer CERT -inkey KEY \
             -outform DER -out FILE.sig`",
            path.display()
        );
    }
    Ok(())
}
