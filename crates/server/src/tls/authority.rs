//! The boot CA: made once, kept in the data folder, enrolled by the operator in each machine's firmware.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName, SubjectKeyIdentifier,
};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef, X509Ref};
use slipway_wire::esl;

use super::credentials::Names;
use crate::privileges::keep_owner;

/// The folder in the data folder.
const FOLDER: &str = "tls";
const KEY: &str = "boot-ca.key";
const CERTIFICATE: &str = "boot-ca.pem";

/// Bits of every key: RSA-2048 is what all firmware knows.
const KEY_BITS: u32 = 2048;
/// 2000-01-01: every certificate of ours is valid from here on, because a machine with an empty battery lives in the past.
pub(crate) const LONG_AGO: i64 = 946_684_800;
/// How long the CA is valid: longer than the machines in whose firmware it is enrolled by hand.
const CA_SECONDS: i64 = 25 * 365 * 86_400;

/// Who says so in a signature list. Firmware shows it and gives it no meaning.
const OWNER: uuid::Uuid = uuid::uuid!("51709a7e-3b3c-4f0e-9a4e-6d2f8c1b7e55");

/// Why there is no CA.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("cannot {doing} {path}", path = .path.display())]
    File {
        /// `read`, `write` or the like.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The files are not a CA of ours.
    #[error(
        "{folder} holds no usable CA: {fault}; restore it, or move the folder away for a new CA (which every machine's firmware must then learn)",
        folder = .folder.display()
    )]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// OpenSSL failed.
    #[error("OpenSSL cannot make a certificate")]
    OpenSsl(#[from] ErrorStack),
}

/// The boot CA with its key.
#[derive(Clone, Debug)]
pub struct Authority {
    file: PathBuf,
    certificate: X509,
    key: PKey<Private>,
}

/// What an operator may want to know of the CA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Its name.
    pub subject: String,
    /// SHA-256 of its DER form, in pairs of digits with colons, as firmware's setup shows it.
    pub sha256: String,
    /// The first day of its validity, as OpenSSL says it.
    pub from: String,
    /// The last.
    pub until: String,
    /// Where its certificate is.
    pub file: PathBuf,
}

impl Authority {
    /// Reads the CA of this data folder, or makes it there at the first use.
    ///
    /// # Errors
    /// It is there and cannot be used, or it cannot be made.
    pub fn open(data: &Path, now: i64) -> Result<Self, Error> {
        let folder = data.join(FOLDER);
        if !folder.exists() {
            make(data, &folder, now)?;
        }
        let file = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| Error::File { doing: "read", path, source })
        };
        let damaged = |fault: String| Error::Damaged { folder: folder.clone(), fault };
        let unreadable = |name: &str, error: ErrorStack| damaged(format!("{name} cannot be understood ({error})"));
        let key = PKey::private_key_from_pem(&file(KEY)?).map_err(|error| unreadable(KEY, error))?;
        let certificate = X509::from_pem(&file(CERTIFICATE)?).map_err(|error| unreadable(CERTIFICATE, error))?;
        if !certificate.public_key()?.public_eq(&key) {
            return Err(damaged(format!("{KEY} is not the key of {CERTIFICATE}")));
        }
        if certificate.not_after() <= Asn1Time::from_unix(now)?.as_ref() {
            return Err(damaged(format!("it was valid until {}", certificate.not_after())));
        }
        Ok(Self { file: folder.join(CERTIFICATE), certificate, key })
    }

    /// What it is.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn facts(&self) -> Result<Facts, Error> {
        Ok(Facts {
            subject: common_name(self.certificate.subject_name()),
            sha256: fingerprint(&self.certificate)?,
            from: self.certificate.not_before().to_string(),
            until: self.certificate.not_after().to_string(),
            file: self.file.clone(),
        })
    }

    /// Its certificate in DER.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn der(&self) -> Result<Vec<u8>, Error> {
        Ok(self.certificate.to_der()?)
    }

    /// Its certificate in PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn pem(&self) -> Result<Vec<u8>, Error> {
        Ok(self.certificate.to_pem()?)
    }

    /// Its certificate as an EFI signature list: what `TlsCaCertificate` holds, and QEMU's `etc/edk2/https/cacerts`.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn esl(&self) -> Result<Vec<u8>, Error> {
        // A certificate of 4 GiB does not come out of `make`.
        Ok(esl::encode_x509(OWNER, &self.der()?).unwrap_or_default())
    }

    /// A server certificate for these names, valid until then.
    pub(super) fn issue(&self, key: &PKey<Private>, names: &Names, until: i64) -> Result<X509, ErrorStack> {
        let mut leaf = begin(key, LONG_AGO, until)?;
        leaf.set_subject_name(name("Slipway boot server")?.as_ref())?;
        leaf.set_issuer_name(self.certificate.subject_name())?;
        leaf.append_extension(BasicConstraints::new().critical().build()?)?;
        // RSA key exchange enciphers with it, every other signs.
        leaf.append_extension(KeyUsage::new().critical().digital_signature().key_encipherment().build()?)?;
        leaf.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        let mut alternatives = SubjectAlternativeName::new();
        names.ips.iter().for_each(|ip| _ = alternatives.ip(&ip.to_string()));
        names.dns.iter().for_each(|dns| _ = alternatives.dns(dns));
        let context = leaf.x509v3_context(Some(&self.certificate), None);
        let (owner, issuer) =
            (SubjectKeyIdentifier::new().build(&context)?, AuthorityKeyIdentifier::new().keyid(true).build(&context)?);
        let alternatives = if names.is_empty() { None } else { Some(alternatives.build(&context)?) };
        for extension in [owner, issuer].into_iter().chain(alternatives) {
            leaf.append_extension(extension)?;
        }
        leaf.sign(&self.key, MessageDigest::sha256())?;
        Ok(leaf.build())
    }
}

/// A new key of the kind that firmware knows.
pub(crate) fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(KEY_BITS)?)
}

pub(crate) fn name(common: &str) -> Result<X509Name, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", common)?;
    Ok(name.build())
}

/// SHA-256 of a certificate's DER form, in pairs of digits with colons.
pub(crate) fn fingerprint(certificate: &X509Ref) -> Result<String, ErrorStack> {
    let digest = certificate.digest(MessageDigest::sha256())?;
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    Ok(pairs.join(":"))
}

pub(crate) fn common_name(name: &X509NameRef) -> String {
    let entries = name.entries().filter_map(|entry| entry.data().to_string().ok());
    entries.collect::<Vec<_>>().join(", ")
}

pub(crate) fn begin(key: &PKey<Private>, from: i64, until: i64) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(Asn1Integer::from_bn(&serial)?.as_ref())?;
    builder.set_not_before(Asn1Time::from_unix(from)?.as_ref())?;
    builder.set_not_after(Asn1Time::from_unix(until)?.as_ref())?;
    builder.set_pubkey(key)?;
    Ok(builder)
}

/// A self-signed CA. Part of its key's digest is in its name: a firmware's list of CAs may hold those of several servers.
fn new_certificate(key: &PKey<Private>, now: i64) -> Result<X509, ErrorStack> {
    let public = PKey::<Public>::public_key_from_der(&key.public_key_to_der()?)?.public_key_to_der()?;
    let digest = openssl::sha::sha256(&public);
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let subject = name(&format!("Slipway boot CA {mark}"))?;
    let mut ca = begin(key, LONG_AGO, now.saturating_add(CA_SECONDS))?;
    ca.set_subject_name(&subject)?;
    ca.set_issuer_name(&subject)?;
    ca.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    ca.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let owner = SubjectKeyIdentifier::new().build(&ca.x509v3_context(None, None))?;
    ca.append_extension(owner)?;
    ca.sign(key, MessageDigest::sha256())?;
    Ok(ca.build())
}

/// Makes key and certificate in a folder beside, and puts it in place by one rename: whoever comes second finds a whole CA.
fn make(data: &Path, folder: &Path, now: i64) -> Result<(), Error> {
    let beside = data.join(format!("{FOLDER}.{}.new", std::process::id()));
    let at = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { doing, path, source }
    };
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(at("remove", &beside))?;
    }
    DirBuilder::new().mode(0o750).create(&beside).map_err(at("make", &beside))?;
    let key = new_key()?;
    let certificate = new_certificate(&key, now)?;
    for (name, mode, text) in
        [(KEY, 0o600, key.private_key_to_pem_pkcs8()?), (CERTIFICATE, 0o644, certificate.to_pem()?)]
    {
        let path = beside.join(name);
        write(&path, mode, &text).map_err(at("write", &path))?;
    }
    keep_owner(data, &beside).map_err(at("give to the server's user", &beside))?;
    File::open(&beside).and_then(|folder| folder.sync_all()).map_err(at("write", &beside))?;
    match fs::rename(&beside, folder) {
        Ok(()) => {
            tracing::info!(folder = %folder.display(), "a boot CA was made: `slipway ca export` for the machines' firmware");
            File::open(data).and_then(|data| data.sync_all()).map_err(at("write", data))
        }
        Err(_) if folder.exists() => fs::remove_dir_all(&beside).map_err(at("remove", &beside)),
        Err(source) => Err(Error::File { doing: "make", path: folder.to_owned(), source }),
    }
}

pub(crate) fn write(path: &Path, mode: u32, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const NOW: i64 = 1_795_000_000;

    #[test]
    fn the_ca_is_made_once_and_its_key_is_nobody_elses() {
        let data = tempfile::tempdir().unwrap();
        let first = Authority::open(data.path(), NOW).unwrap();
        let mode = fs::metadata(data.path().join("tls/boot-ca.key")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = Authority::open(data.path(), NOW + 1).unwrap();
        assert_eq!(first.facts().unwrap(), second.facts().unwrap());
        assert!(first.facts().unwrap().subject.starts_with("Slipway boot CA "), "{:?}", first.facts());
        assert_eq!(fs::read_dir(data.path()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(first.esl().unwrap().len(), 44 + first.der().unwrap().len());
        assert!(X509::from_pem(&first.pem().unwrap()).unwrap().verify(&first.key).unwrap());
    }

    #[test]
    fn what_is_no_ca_is_told_and_never_replaced() {
        let data = tempfile::tempdir().unwrap();
        Authority::open(data.path(), NOW).unwrap();
        let key = data.path().join("tls/boot-ca.key");
        let other = new_key().unwrap().private_key_to_pem_pkcs8().unwrap();
        for (content, fault) in
            [(other.as_slice(), "is not the key of boot-ca.pem"), (b"".as_slice(), "boot-ca.key cannot be understood")]
        {
            fs::write(&key, content).unwrap();
            let error = Authority::open(data.path(), NOW).unwrap_err().to_string();
            assert!(error.contains(fault) && error.contains("restore it"), "{error}");
            assert_eq!(fs::read(&key).unwrap(), content);
        }
        fs::remove_file(&key).unwrap();
        assert!(Authority::open(data.path(), NOW).unwrap_err().to_string().contains("cannot read"));
    }

    #[test]
    fn a_ca_whose_time_is_over_is_not_used() {
        let data = tempfile::tempdir().unwrap();
        Authority::open(data.path(), NOW).unwrap();
        assert!(Authority::open(data.path(), NOW + CA_SECONDS - 1).is_ok());
        let error = Authority::open(data.path(), NOW + CA_SECONDS).unwrap_err().to_string();
        assert!(error.contains("it was valid until"), "{error}");
    }
}
