//! Signing PE images with the key in `db`, and saying of an image by whom it is signed.

use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyFlags;
use openssl::x509::{X509, X509PurposeId};
use slipway_image::authenticode::{self, Statement, statement};

use super::{Error, Keys, Role};
use crate::tls::{common_name, fingerprint};

/// A signature of an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// The signer's name, as its certificate says it.
    pub signer: String,
    /// SHA-256 of the signer's certificate in DER, in pairs of digits with colons.
    pub sha256: String,
    /// Whether it holds.
    pub standing: Standing,
}

/// Whether a signature holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It was made by this certificate's key over this image. Whether a firmware trusts that key is its own business.
    Valid,
    /// It states another image's digest: the image was changed.
    Changed,
    /// It is not this certificate's.
    Forged,
    /// It states a digest that is not by SHA-256, and is not checked here.
    Unchecked,
}

impl Standing {
    /// A word for programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Changed => "changed",
            Self::Forged => "forged",
            Self::Unchecked => "unchecked",
        }
    }
}

impl Keys {
    /// The image with a signature by the key in `db`, behind those that it has. An image that has this signature stays as it is.
    ///
    /// # Errors
    /// It is no PE image, or OpenSSL fails.
    pub fn sign(&self, image: &[u8]) -> Result<Vec<u8>, Error> {
        let ours = self.fingerprint()?;
        if signatures(image)?.iter().any(|known| known.sha256 == ours && known.standing == Standing::Valid) {
            return Ok(image.to_vec());
        }
        let db = self.pair(Role::Db)?;
        let certificate = db.certificate.to_der()?;
        authenticode::sign(image, |digest| authenticode::signed_image(digest, &certificate, |bytes| db.sign(bytes)))
    }

    /// The fingerprint of the certificate that images are signed by, as in [`Signature::sha256`].
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn fingerprint(&self) -> Result<String, Error> {
        Ok(fingerprint(&self.pair(Role::Db)?.certificate)?)
    }
}

/// The signatures of a PE image, in order, each held against the image.
///
/// # Errors
/// It is no PE image, its table of signatures is damaged, or OpenSSL cannot read one of them.
pub fn signatures(image: &[u8]) -> Result<Vec<Signature>, Error> {
    let found = authenticode::signatures(image)?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let digest = authenticode::digest(image)?;
    found.into_iter().map(|pkcs7| one(pkcs7, digest)).collect()
}

fn one(der: &[u8], digest: [u8; 32]) -> Result<Signature, Error> {
    let pkcs7 = Pkcs7::from_der(der)?;
    let signers = pkcs7.signers(Stack::new()?.as_ref(), Pkcs7Flags::empty())?;
    let signer = signers.get(0).ok_or(slipway_image::authenticode::AuthenticodeError::Certificate)?;
    let standing = match statement(der) {
        None | Some(Statement { sha256: None, .. }) => Standing::Unchecked,
        Some(Statement { sha256: Some(stated), .. }) if stated != digest => Standing::Changed,
        Some(Statement { content, .. }) if holds(&pkcs7, signer.to_owned(), content)? => Standing::Valid,
        Some(_) => Standing::Forged,
    };
    Ok(Signature { signer: common_name(signer.subject_name()), sha256: fingerprint(signer)?, standing })
}

/// Whether the signature over these bytes is by the signer's key. Nothing else is asked: not whether anybody trusts the signer, and
/// not what time it is, as firmware does not ask that either.
fn holds(pkcs7: &Pkcs7, signer: X509, content: &[u8]) -> Result<bool, Error> {
    let mut store = X509StoreBuilder::new()?;
    store.add_cert(signer)?;
    store.set_flags(X509VerifyFlags::PARTIAL_CHAIN | X509VerifyFlags::NO_CHECK_TIME)?;
    store.set_purpose(X509PurposeId::ANY)?;
    let flags = Pkcs7Flags::BINARY;
    Ok(pkcs7.verify(Stack::new()?.as_ref(), &store.build(), Some(content), None, flags).is_ok())
}
