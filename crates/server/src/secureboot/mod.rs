//! An owner's own keys of Secure Boot: made once, kept in the data folder, exported in the forms that firmware and its tools take, and
//! used to sign what machines boot.

mod sign;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::X509;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use slipway_image::authenticode::{AuthenticodeError, signed_bytes};
use slipway_wire::efi::{GLOBAL, IMAGE_SECURITY, Time, encode_update, update_to_sign};
use slipway_wire::esl;
use uuid::Uuid;

use crate::privileges::keep_owner;
use crate::tls::{LONG_AGO, begin, common_name, fingerprint, name, new_key, write};

pub use sign::{Signature, Standing, signatures};

/// The folder in the data folder.
const FOLDER: &str = "secureboot";
/// Whose keys they are, as firmware shows it: a GUID.
const OWNER: &str = "owner";
/// How long the certificates are valid. Firmware does not look; tools do.
const SECONDS: i64 = 25 * 365 * 86_400;

/// Why the keys cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are none yet.
    #[error("there are no keys in {}: `slipway secureboot init` makes them", .0.display())]
    NoKeys(PathBuf),
    /// There are keys already.
    #[error(
        "there are keys in {} already, and machines may have been given them: move the folder away if you really want others",
        .0.display()
    )]
    There(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", .path.display())]
    File {
        /// `read`, `write` or the like.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The files are no keys of ours.
    #[error("{} holds no usable keys: {fault}; restore it from a backup", .folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// What is to be signed cannot be.
    #[error(transparent)]
    Image(#[from] AuthenticodeError),
    /// OpenSSL failed.
    #[error("OpenSSL cannot make a key or a signature")]
    OpenSsl(#[from] ErrorStack),
}

/// The three keys of Secure Boot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The platform key: who holds it owns the machine.
    Pk,
    /// The key exchange key: who holds it may change `db`.
    Kek,
    /// The key in `db`: what it signs is started.
    Db,
}

impl Role {
    /// All of them, from the highest.
    pub const ALL: [Self; 3] = [Self::Pk, Self::Kek, Self::Db];

    /// The variable's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pk => "PK",
            Self::Kek => "KEK",
            Self::Db => "db",
        }
    }

    /// The key that signs an update of this one's variable.
    const fn signer(self) -> Self {
        match self {
            Self::Pk | Self::Kek => Self::Pk,
            Self::Db => Self::Kek,
        }
    }

    const fn vendor(self) -> Uuid {
        match self {
            Self::Pk | Self::Kek => GLOBAL,
            Self::Db => IMAGE_SECURITY,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Pk => "platform key",
            Self::Kek => "key exchange key",
            Self::Db => "signing key",
        }
    }
}

/// One key with its certificate.
#[derive(Clone, Debug)]
struct Pair {
    role: Role,
    key: PKey<Private>,
    certificate: X509,
}

/// An owner's keys.
#[derive(Clone, Debug)]
pub struct Keys {
    folder: PathBuf,
    owner: Uuid,
    pairs: Vec<Pair>,
}

/// What an operator may want to know of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Which it is.
    pub role: Role,
    /// Its name.
    pub subject: String,
    /// SHA-256 of its certificate in DER, in pairs of digits with colons, as firmware's setup shows it.
    pub sha256: String,
    /// The last day of its validity, as OpenSSL says it.
    pub until: String,
}

impl Keys {
    /// Makes keys in this data folder.
    ///
    /// # Errors
    /// There are some, or they cannot be made.
    pub fn make(data: &Path, now: i64) -> Result<Self, Error> {
        let folder = data.join(FOLDER);
        if folder.exists() {
            return Err(Error::There(folder));
        }
        let beside = data.join(format!("{FOLDER}.{}.new", std::process::id()));
        let at = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { doing, path, source }
        };
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(at("remove", &beside))?;
        }
        DirBuilder::new().mode(0o700).create(&beside).map_err(at("make", &beside))?;
        let mut files = vec![(OWNER.to_owned(), 0o644, format!("{}\n", new_owner()?).into_bytes())];
        for role in Role::ALL {
            let key = new_key()?;
            let certificate = new_certificate(role, &key, now)?;
            files.push((format!("{}.key", role.name()), 0o600, key.private_key_to_pem_pkcs8()?));
            files.push((format!("{}.pem", role.name()), 0o644, certificate.to_pem()?));
        }
        for (file, mode, content) in files {
            let path = beside.join(file);
            write(&path, mode, &content).map_err(at("write", &path))?;
        }
        keep_owner(data, &beside).map_err(at("give to the server's user", &beside))?;
        File::open(&beside).and_then(|folder| folder.sync_all()).map_err(at("write", &beside))?;
        match fs::rename(&beside, &folder) {
            Ok(()) => {}
            Err(_) if folder.exists() => {
                fs::remove_dir_all(&beside).map_err(at("remove", &beside))?;
                return Err(Error::There(folder));
            }
            Err(source) => return Err(Error::File { doing: "make", path: folder, source }),
        }
        File::open(data).and_then(|data| data.sync_all()).map_err(at("write", data))?;
        Self::open(data)
    }

    /// Reads the keys of this data folder.
    ///
    /// # Errors
    /// There are none, or they cannot be used.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let folder = data.join(FOLDER);
        if !folder.exists() {
            return Err(Error::NoKeys(folder));
        }
        let file = |name: String| {
            let path = folder.join(name);
            fs::read(&path).map_err(|source| Error::File { doing: "read", path, source })
        };
        let damaged = |fault: String| Error::Damaged { folder: folder.clone(), fault };
        let owner = String::from_utf8(file(OWNER.to_owned())?).ok().and_then(|text| text.trim().parse().ok());
        let owner = owner.ok_or_else(|| damaged(format!("{OWNER} is no GUID")))?;
        let mut pairs = Vec::new();
        for role in Role::ALL {
            let (key_file, certificate_file) = (format!("{}.key", role.name()), format!("{}.pem", role.name()));
            let key = PKey::private_key_from_pem(&file(key_file.clone())?)
                .map_err(|error| damaged(format!("{key_file} cannot be understood ({error})")))?;
            let certificate = X509::from_pem(&file(certificate_file.clone())?)
                .map_err(|error| damaged(format!("{certificate_file} cannot be understood ({error})")))?;
            if !certificate.public_key()?.public_eq(&key) {
                return Err(damaged(format!("{key_file} is not the key of {certificate_file}")));
            }
            pairs.push(Pair { role, key, certificate });
        }
        Ok(Self { folder, owner, pairs })
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The GUID under which firmware keeps them.
    #[must_use]
    pub const fn owner(&self) -> Uuid {
        self.owner
    }

    /// What they are.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn facts(&self) -> Result<Vec<Facts>, Error> {
        let facts = |pair: &Pair| {
            Ok(Facts {
                role: pair.role,
                subject: common_name(pair.certificate.subject_name()),
                sha256: fingerprint(&pair.certificate)?,
                until: pair.certificate.not_after().to_string(),
            })
        };
        self.pairs.iter().map(facts).collect()
    }

    /// The public halves, in every form that firmware and its tools take, by file name: for each key a certificate in DER (`.der`) and
    /// PEM (`.pem`), an EFI signature list (`.esl`), and an update of the variable signed by the key above it (`.auth`). `noPK.auth`
    /// takes the platform key out again, which gives the machine back. Firmware takes no update that is not newer than the last: those
    /// that enrol are of the first time, the one that takes out is of the second.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn export(&self, [time, later]: [Time; 2]) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let mut files = Vec::new();
        for pair in &self.pairs {
            let name = pair.role.name();
            let list = self.list(pair.role)?;
            files.push((format!("{name}.der"), pair.certificate.to_der()?));
            files.push((format!("{name}.pem"), pair.certificate.to_pem()?));
            files.push((format!("{name}.auth"), self.update(pair.role, time, &list)?));
            files.push((format!("{name}.esl"), list));
        }
        files.push(("noPK.auth".to_owned(), self.update(Role::Pk, later, &[])?));
        Ok(files)
    }

    /// A key's certificate as an EFI signature list: what its variable holds.
    fn list(&self, role: Role) -> Result<Vec<u8>, Error> {
        // A certificate of 4 GiB does not come out of `make`.
        Ok(esl::encode_x509(self.owner, &self.pair(role)?.certificate.to_der()?).unwrap_or_default())
    }

    fn update(&self, role: Role, time: Time, content: &[u8]) -> Result<Vec<u8>, Error> {
        let signer = self.pair(role.signer())?;
        let bytes = update_to_sign(role.name(), role.vendor(), time, content);
        let signed = signed_bytes::<Error>(&bytes, &signer.certificate.to_der()?, |bytes| signer.sign(bytes))?;
        Ok(encode_update(time, &signed, content).unwrap_or_default())
    }

    fn pair(&self, role: Role) -> Result<&Pair, Error> {
        let missing = || Error::Damaged { folder: self.folder.clone(), fault: format!("{} is missing", role.name()) };
        self.pairs.iter().find(|pair| pair.role == role).ok_or_else(missing)
    }
}

impl Pair {
    /// RSA with PKCS#1 v1.5 over SHA-256: what every firmware knows.
    fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(Signer::new(MessageDigest::sha256(), &self.key)?.sign_oneshot_to_vec(bytes)?)
    }
}

/// A random GUID (version 4).
fn new_owner() -> Result<Uuid, ErrorStack> {
    let mut bytes = [0; 16];
    openssl::rand::rand_bytes(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// A self-signed certificate. Part of its key's digest is in its name: firmware may hold those of several owners.
fn new_certificate(role: Role, key: &PKey<Private>, now: i64) -> Result<X509, ErrorStack> {
    let digest = openssl::sha::sha256(&key.public_key_to_der()?);
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let subject = name(&format!("Slipway Secure Boot {} {mark}", role.title()))?;
    let mut builder = begin(key, LONG_AGO, now.saturating_add(SECONDS))?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    let owner = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(owner)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

#[cfg(test)]
mod tests;
