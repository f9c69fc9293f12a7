//! The org's files under the data folder: its keys, read once while we may, and what changes, read again when asked.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use slipway_trust::keyfile::{KeyFile, Kind, PrivateKey, place};
use slipway_trust::{PublicKey, Signed, SigningKey};
use zeroize::Zeroizing;

/// The folder of TPM makers' root certificates, in the org's.
const TPM_ROOTS: &str = "tpm-roots";
/// The largest manifest that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// What is wrong with the org's folder.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A file cannot be read.
    #[error("cannot read {path}: restore it from a backup, or make it readable for the server's user", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} cannot be used: {fault}; restore it from a backup", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

/// What this server holds of its org, and may not be able to read a second time.
pub struct Keys {
    /// The org's root key, its public half.
    pub root: PublicKey,
    /// What grants are signed with, where this server is an enroller.
    pub enroller: Option<SigningKey>,
    /// The machine CA's key, in PEM.
    pub(super) ca: Zeroizing<String>,
}

impl core::fmt::Debug for Keys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Keys(of the org with root {})", self.root)
    }
}

/// The org's folder in this data folder.
#[must_use]
pub fn folder(data: &Path) -> PathBuf {
    data.join(place::FOLDER)
}

/// The keys of the org of this data folder; none where there is no org.
///
/// # Errors
/// There is one, and something of it is missing or damaged.
pub fn keys(data: &Path) -> Result<Option<Keys>, Unusable> {
    let folder = folder(data);
    if !folder.join(place::MANIFEST).exists() {
        return Ok(None);
    }
    let root = key_file(&folder.join(place::ROOT), Kind::Root)?.public;
    let path = folder.join(place::ENROLLER);
    let enroller = if path.exists() { Some(enroller(&path)?) } else { None };
    let ca = text(&folder.join(place::CA_KEY))?;
    for name in [place::ENROLLER, place::CA_KEY] {
        let path = folder.join(name);
        let open = fs::metadata(&path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
        if open {
            tracing::warn!("others than the server's user may read {path}: `chmod 600 {path}`", path = path.display());
        }
    }
    Ok(Some(Keys { root, enroller, ca }))
}

fn enroller(path: &Path) -> Result<SigningKey, Unusable> {
    match key_file(path, Kind::Enroller)?.private {
        Some(PrivateKey::Ed25519(key)) => Ok(key),
        _ => Err(damaged(path, "it holds no private key")),
    }
}

fn key_file(path: &Path, kind: Kind) -> Result<KeyFile, Unusable> {
    let file: KeyFile =
        text(path)?.parse().map_err(|error: slipway_trust::keyfile::BadKeyFile| damaged(path, error))?;
    if file.kind == kind { Ok(file) } else { Err(damaged(path, format!("it is a key of kind {}", file.kind))) }
}

/// The org's manifest, as it was signed. Whether it is to be believed is another question.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn manifest(data: &Path) -> Result<Signed, Unusable> {
    let path = folder(data).join(place::MANIFEST);
    let bytes = bytes(&path)?;
    slipway_trust::decode(&bytes).map_err(|error| damaged(&path, error))
}

/// Puts a manifest into the org's folder, by one rename: what reads the folder without asking this server finds the one in force.
pub(super) fn keep_manifest(data: &Path, signed: &Signed) -> io::Result<()> {
    use io::Write as _;
    let path = folder(data).join(place::MANIFEST);
    let beside = path.with_extension("new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&slipway_trust::encode(signed))?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    fs::File::open(folder(data))?.sync_all()
}

/// Root certificates of TPMs' makers, DER, and what is wrong with files that hold none.
pub(super) fn tpm_roots(data: &Path) -> (Vec<Vec<u8>>, Vec<Unusable>) {
    let (mut roots, mut faults) = (Vec::new(), Vec::new());
    let entries = fs::read_dir(folder(data).join(TPM_ROOTS)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let read = match path.extension().and_then(|end| end.to_str()) {
            Some("der" | "pem" | "crt" | "cer") => certificates(&path),
            _ => continue,
        };
        match read {
            Ok(found) => roots.extend(found),
            Err(fault) => faults.push(fault),
        }
    }
    (roots, faults)
}

/// The certificates in a file: one in DER, or some in PEM. Its ending does not tell: `.crt` and `.cer` are either.
fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Unusable> {
    let bytes = bytes(path)?;
    if bytes.starts_with(&[0x30, 0x82]) {
        return Ok(vec![bytes]);
    }
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match certificates {
        Ok(found) if !found.is_empty() => Ok(found.iter().map(|one| one.as_ref().to_vec()).collect()),
        Ok(_) => Err(damaged(path, "it holds no certificate")),
        Err(error) => Err(damaged(path, format!("{error:?}"))),
    }
}

fn text(path: &Path) -> Result<Zeroizing<String>, Unusable> {
    let bytes = Zeroizing::new(bytes(path)?);
    let text = core::str::from_utf8(&bytes).map_err(|_| damaged(path, "it is no text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, Unusable> {
    let unreadable = |source| Unusable::File { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > LARGEST {
        return Err(damaged(path, "it is too large"));
    }
    fs::read(path).map_err(unreadable)
}

fn damaged(path: &Path, fault: impl ToString) -> Unusable {
    Unusable::Damaged { path: path.to_owned(), fault: fault.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_certificates_are_read_in_either_form_whatever_their_files_are_called() {
        let data = tempfile::tempdir().unwrap();
        let place = folder(data.path()).join(TPM_ROOTS);
        fs::create_dir_all(&place).unwrap();
        let certificate = || {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::default().self_signed(&key).unwrap()
        };
        let [one, two, three] = [certificate(), certificate(), certificate()];
        fs::write(place.join("a.crt"), one.der()).unwrap();
        fs::write(place.join("b.cer"), [two.pem(), three.pem()].concat()).unwrap();
        fs::write(place.join("c.der"), "not one").unwrap();
        fs::write(place.join("notes.txt"), "passed over").unwrap();
        let (roots, faults) = tpm_roots(data.path());
        assert_eq!(roots, [one, two, three].map(|one| one.der().to_vec()));
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert!(
            matches!(told.as_slice(), [one] if one.contains("c.der") && one.contains("no certificate")),
            "{told:?}"
        );
    }
}
