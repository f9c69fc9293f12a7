//! Key files: one key as text that says what it is, whose it is, and how careful to be with it.
//!
//! ```text
//! # The private root key of the org acme. Keep it offline: it signs the org's manifest, and nothing else.
//! slipway-key 1
//! kind: root
//! org: 00112233445566778899aabbccddeeff
//! public: ed25519:…
//! private: …
//! ```
//!
//! A file with the public half alone has no `private` line. Lines that begin with `#` are for people; names that this version does not
//! know are skipped.

use core::fmt;
use core::str::FromStr;

use p256::ecdsa::signature::Signer as _;
use zeroize::Zeroizing;

use crate::id::{OrgId, bytes_of_hex};
use crate::key::{PublicKey, SignatureBytes, SigningKey};

/// The server's part of an org, in its data folder: the names of the files in [`place::FOLDER`].
pub mod place {
    /// The folder, in the data folder.
    pub const FOLDER: &str = "org";
    /// The org's manifest: [`crate::Signed`] as CBOR, signed by the root.
    pub const MANIFEST: &str = "manifest";
    /// The root's public key, a key file.
    pub const ROOT: &str = "root.pub";
    /// The enroller's private key, a key file.
    pub const ENROLLER: &str = "enroller.key";
    /// The machine CA's private key: PKCS #8 in PEM.
    pub const CA_KEY: &str = "ca.key";
    /// The machine CA's certificate, in PEM.
    pub const CA: &str = "ca.pem";
}

/// What a key is for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Signs the org's manifest.
    Root,
    /// A person's: signs windows, invites, approvals and what is done to machines.
    Admin,
    /// A build host's: signs images' manifests.
    Image,
    /// A build host's: signs PCR policies, so that TPMs unseal to new images. P-256, because TPMs know no Ed25519.
    PcrPolicy,
    /// A server's: signs grants.
    Enroller,
    /// Persons': opens disks whose TPM is lost. P-256. It signs nothing.
    Escrow,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Root, Self::Admin, Self::Image, Self::PcrPolicy, Self::Enroller, Self::Escrow];

    /// Its name, which is its file's with `.key` behind it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Admin => "admin",
            Self::Image => "image",
            Self::PcrPolicy => "pcr-policy",
            Self::Enroller => "enroller",
            Self::Escrow => "escrow",
        }
    }

    /// The usual name of its file.
    #[must_use]
    pub fn file(self) -> String {
        format!("{}.key", self.name())
    }

    /// What its holder should know.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Root => "Keep it offline: it signs the org's manifest, and nothing else. Who has it has the org.",
            Self::Admin => "It is one person's: it lets machines in and shuts them out.",
            Self::Image => "Keep it on the build host: it says what machines may run.",
            Self::PcrPolicy => "Keep it on the build host: TPMs unseal disks to what it has signed.",
            Self::Enroller => "It is one server's: it signs what machines are granted.",
            Self::Escrow => {
                "Keep it offline, best in parts: who has it, and a machine's disk, has what is on the disk."
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = BadKeyFile;

    fn from_str(text: &str) -> Result<Self, BadKeyFile> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(BadKeyFile::Kind)
    }
}

/// A private key of either algorithm, in memory. It is wiped when it is dropped, and prints nothing of itself.
pub enum PrivateKey {
    /// Ed25519.
    Ed25519(SigningKey),
    /// ECDSA with P-256 and SHA-256, with nonces that follow from key and message (RFC 6979).
    P256(p256::ecdsa::SigningKey),
}

impl PrivateKey {
    /// The key that grows from these 32 random bytes. For P-256 they are the number itself, which one in 2^32 is not: none then.
    #[must_use]
    pub fn from_seed(kind: Kind, seed: &[u8; 32]) -> Option<Self> {
        match kind {
            Kind::PcrPolicy | Kind::Escrow => p256::ecdsa::SigningKey::from_slice(seed).ok().map(Self::P256),
            Kind::Root | Kind::Admin | Kind::Image | Kind::Enroller => Some(Self::Ed25519(SigningKey::from_seed(seed))),
        }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Ed25519(key) => key.public(),
            Self::P256(key) => {
                let point = key.verifying_key().to_sec1_point(true);
                // A compressed point has 33 bytes.
                PublicKey::P256(point.as_bytes().try_into().unwrap_or([0; 33]))
            }
        }
    }

    /// Signs these bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> SignatureBytes {
        match self {
            Self::Ed25519(key) => key.sign(message),
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().into()
            }
        }
    }

    /// What it grew from, to be kept as carefully as the key.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        match self {
            Self::Ed25519(key) => key.seed(),
            Self::P256(key) => Zeroizing::new(key.to_bytes().into()),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public())
    }
}

/// A key file.
#[derive(Debug)]
pub struct KeyFile {
    /// What the key is for.
    pub kind: Kind,
    /// The org that it is for, if it was made for one.
    pub org: Option<OrgId>,
    /// The public half.
    pub public: PublicKey,
    /// The private half, in a file that has it.
    pub private: Option<PrivateKey>,
}

/// Why a text is no key file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadKeyFile {
    /// It is something else.
    #[error("this is no key file: its first line is not `{HEAD}`")]
    Head,
    /// A kind that this version does not know.
    #[error("the kind of key is none of root, admin, image, pcr-policy, enroller and escrow")]
    Kind,
    /// The org is not one.
    #[error("the org is not 32 hexadecimal digits")]
    Org,
    /// The public half is missing, or is none.
    #[error("the public key is missing or damaged")]
    Public,
    /// The private half is damaged, or is another key's. Which character it was is not told: it is a secret.
    #[error("the private key is damaged, or is not that of the public key beside it")]
    Private,
}

const HEAD: &str = "slipway-key 1";

impl KeyFile {
    /// A private key for an org.
    #[must_use]
    pub fn new(kind: Kind, org: Option<OrgId>, key: PrivateKey) -> Self {
        Self { kind, org, public: key.public(), private: Some(key) }
    }

    /// The file with the public half alone.
    #[must_use]
    pub fn public_half(&self) -> Self {
        Self { kind: self.kind, org: self.org, public: self.public, private: None }
    }

    /// The file's text. With a private key it is a secret. `whose` is for the reader, such as `the org acme`.
    #[must_use]
    pub fn render(&self, whose: &str) -> Zeroizing<String> {
        let Self { kind, org, public, private } = self;
        let half = if private.is_some() { "private" } else { "public" };
        let mut text = Zeroizing::new(format!("# The {half} {kind} key of {whose}."));
        if private.is_some() {
            text.push_str(&format!(" {}", kind.advice()));
        }
        text.push_str(&format!("\n{HEAD}\nkind: {kind}\n"));
        if let Some(org) = org {
            text.push_str(&format!("org: {org}\n"));
        }
        text.push_str(&format!("public: {public}\n"));
        if let Some(private) = private {
            text.push_str("private: ");
            for byte in private.seed().iter() {
                let digits = [byte >> 4, byte & 15].map(|digit| char::from_digit(u32::from(digit), 16));
                text.extend(digits.into_iter().flatten());
            }
            text.push('\n');
        }
        text
    }
}

impl FromStr for KeyFile {
    type Err = BadKeyFile;

    fn from_str(text: &str) -> Result<Self, BadKeyFile> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        if lines.next() != Some(HEAD) {
            return Err(BadKeyFile::Head);
        }
        let fields: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |name: &str| fields.iter().find(|(key, _)| *key == name).map(|(_, value)| value.trim());
        let kind: Kind = field("kind").ok_or(BadKeyFile::Kind)?.parse()?;
        let org = field("org").map(|org| org.parse().map_err(|_| BadKeyFile::Org)).transpose()?;
        let public = field("public").and_then(|key| key.parse().ok()).ok_or(BadKeyFile::Public)?;
        let private = field("private").map(|digits| private(kind, digits, &public)).transpose()?;
        Ok(Self { kind, org, public, private })
    }
}

fn private(kind: Kind, digits: &str, public: &PublicKey) -> Result<PrivateKey, BadKeyFile> {
    let seed = Zeroizing::new(bytes_of_hex::<32>(digits).ok_or(BadKeyFile::Private)?);
    let key = PrivateKey::from_seed(kind, &seed).filter(|key| key.public() == *public);
    key.ok_or(BadKeyFile::Private)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: Kind) -> KeyFile {
        KeyFile::new(kind, Some(OrgId([7; 16])), PrivateKey::from_seed(kind, &[3; 32]).unwrap())
    }

    #[test]
    fn a_key_survives_its_file() {
        for kind in Kind::ALL {
            let text = file(kind).render("the org acme");
            let read: KeyFile = text.parse().unwrap();
            assert_eq!((read.kind, read.org, read.public), (kind, Some(OrgId([7; 16])), file(kind).public));
            let key = read.private.unwrap();
            assert!(read.public.verifies(b"message", &key.sign(b"message")), "{kind}");
            assert!(text.contains("private: 0303"), "{kind}");
            assert!(!format!("{key:?}").contains("0303"), "{kind}");
            let public = file(kind).public_half().render("the org acme");
            assert!(!public.contains("0303") && public.parse::<KeyFile>().unwrap().private.is_none(), "{kind}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_without_its_secret() {
        let good = file(Kind::Root).render("the org acme");
        let rows = [
            ("slipway-key 1", "slipway-key 2", BadKeyFile::Head),
            ("kind: root", "kind: king", BadKeyFile::Kind),
            ("org: 07", "org: 7", BadKeyFile::Org),
            ("public: ed25519:", "public: ed25519:f", BadKeyFile::Public),
            ("public: ", "republic: ", BadKeyFile::Public),
            ("private: 03", "private: 04", BadKeyFile::Private),
            ("private: 03", "private: 3", BadKeyFile::Private),
            ("private: 03", "private: +3", BadKeyFile::Private),
        ];
        for (from, to, fault) in rows {
            assert_eq!(good.replace(from, to).parse::<KeyFile>().unwrap_err(), fault, "{to}");
        }
        assert_eq!("".parse::<KeyFile>().unwrap_err(), BadKeyFile::Head);
    }

    #[test]
    fn every_truncation_is_refused_or_lacks_the_private_key() {
        let text = file(Kind::Admin).render("the org acme");
        for length in 0..text.len() - 1 {
            let read = text[..length].parse::<KeyFile>();
            assert!(read.is_err() || read.unwrap().private.is_none(), "{length}");
        }
    }
}
