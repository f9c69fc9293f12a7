//! The maker's word for an endorsement key: a chain of X.509 certificates to a root that the operator trusts
//! (EK Credential Profile §3).

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::credential::EkPublic;
use crate::der::{self, Spki};
use crate::public::pad;
use crate::{Curve, EkKind, Kind, Public};

/// `tcg-kp-EKCertificate`, 2.23.133.8.1: what an EK's certificate is for.
const EK_CERTIFICATE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];

/// Why an EK's certificate proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChainFault {
    /// A root that is to be trusted is no certificate: the operator's fault. Counted from 0.
    #[error("trusted root number {0} is no certificate in DER")]
    Root(usize),
    /// It is no certificate.
    #[error("the endorsement certificate cannot be read")]
    Unreadable,
    /// It is for another key.
    #[error("the endorsement certificate is for another key than the TPM's")]
    OtherKey,
    /// Its key is none that a TPM makes by a template that we know.
    #[error("the certificate's key is no endorsement key that we know: RSA-2048, P-256 or P-384")]
    Kind,
    /// It was not made for endorsement keys.
    #[error("the certificate was not made for an endorsement key (usage 2.23.133.8.1 is missing)")]
    Usage,
    /// It leads to no trusted root.
    #[error("the endorsement certificate leads to no trusted maker's root")]
    UnknownIssuer,
    /// It, or one above it, is no longer valid.
    #[error("the endorsement certificate, or one above it, has expired")]
    Expired,
    /// It, or one above it, is not valid yet.
    #[error("the endorsement certificate, or one above it, is not valid yet")]
    NotYetValid,
    /// Another fault of the chain.
    #[error("the endorsement certificate's chain does not hold: {0}")]
    Chain(Error),
}

impl ChainFault {
    /// Its stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Root(_) => "ek-root-unreadable",
            Self::Unreadable => "ek-cert-unreadable",
            Self::OtherKey => "ek-cert-other-key",
            Self::Kind => "ek-cert-kind",
            Self::Usage => "ek-cert-usage",
            Self::UnknownIssuer => "ek-cert-unknown-issuer",
            Self::Expired => "ek-cert-expired",
            Self::NotYetValid => "ek-cert-not-yet-valid",
            Self::Chain(_) => "ek-cert-chain",
        }
    }
}

/// Checks an EK's certificate (DER): it is for this very key, made for endorsement keys, and leads through `intermediates` to
/// one of `roots` at this time, in seconds since 1970. Gives the number of that root, from 0.
///
/// # Errors
/// The first thing that does not hold.
pub fn check_ek_chain(
    ek: &EkPublic,
    certificate: &[u8],
    intermediates: &[Vec<u8>],
    roots: &[Vec<u8>],
    unix_seconds: u64,
) -> Result<usize, ChainFault> {
    let (key, is_for_eks) = key_and_use(certificate)?;
    if !is_key(ek, &key) {
        return Err(ChainFault::OtherKey);
    }
    if !is_for_eks {
        return Err(ChainFault::Usage);
    }
    let leaf = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&leaf).map_err(|_| ChainFault::Unreadable)?;
    let roots: Vec<CertificateDer<'_>> = roots.iter().map(|root| CertificateDer::from(root.as_slice())).collect();
    let anchors = roots.iter().enumerate().map(|(nth, root)| {
        anchor_from_trusted_cert(root).map_err(|_| ChainFault::Root(nth)) //
    });
    let anchors = anchors.collect::<Result<Vec<TrustAnchor<'_>>, _>>()?;
    let intermediates: Vec<_> = intermediates.iter().map(|one| CertificateDer::from(one.as_slice())).collect();
    let time = UnixTime::since_unix_epoch(core::time::Duration::from_secs(unix_seconds));
    // Makers leave the usage out of the certificates above, or repeat it there: both are right.
    let usage = KeyUsage::required_if_present(EK_CERTIFICATE);
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let path = leaf.verify_for_usage(algorithms, &anchors, &intermediates, time, usage, None, None).map_err(fault)?;
    anchors.iter().position(|anchor| is_anchor(&path, anchor)).ok_or(ChainFault::UnknownIssuer)
}

/// The EK that a certificate (DER) is for: the TPM has made its key by the TCG's template. Who signed the certificate is not looked at: whoever
/// holds it, from purchase papers say, answers for it.
///
/// # Errors
/// It cannot be read, is not for an endorsement key, or for one that we do not know.
pub fn ek_of_certificate(certificate: &[u8]) -> Result<EkPublic, ChainFault> {
    let (key, is_for_eks) = key_and_use(certificate)?;
    if !is_for_eks {
        return Err(ChainFault::Usage);
    }
    let public = EkKind::ALL.into_iter().find_map(|kind| with_key(kind.template(), &key)).ok_or(ChainFault::Kind)?;
    EkPublic::new(public).map_err(|_| ChainFault::Kind)
}

/// The certificate's key, and whether it was made for endorsement keys.
fn key_and_use(certificate: &[u8]) -> Result<(Spki<'_>, bool), ChainFault> {
    let (key, extensions) = der::key_and_extensions(certificate).ok_or(ChainFault::Unreadable)?;
    let is_for_eks = der::key_usages(extensions).contains(&EK_CERTIFICATE);
    Ok((der::spki(key).ok_or(ChainFault::Unreadable)?, is_for_eks))
}

/// The template with this key in it, if it is of that kind.
fn with_key(mut template: Public, key: &Spki<'_>) -> Option<Public> {
    match (&mut template.kind, key) {
        (Kind::Rsa { bits, modulus, .. }, Spki::Rsa(theirs, _)) if usize::from(*bits) == 8 * theirs.len() => {
            *modulus = theirs.to_vec();
        }
        (Kind::Ecc { curve, x, y, .. }, Spki::Point(point)) if point.len() == 2 * size(*curve) => {
            let (left, right) = point.split_at_checked(size(*curve))?;
            (*x, *y) = (left.to_vec(), right.to_vec());
        }
        _ => return None,
    }
    // The exponent of an RSA key is the template's, too.
    EkPublic::new(template.clone()).is_ok_and(|ek| is_key(&ek, key)).then_some(template)
}

/// The length of a point's numbers, in bytes.
fn size(curve: Curve) -> usize {
    if curve == Curve::P384 { 48 } else { 32 }
}

fn is_anchor(path: &VerifiedPath<'_>, anchor: &TrustAnchor<'_>) -> bool {
    let found = path.anchor();
    (&found.subject, &found.subject_public_key_info) == (&anchor.subject, &anchor.subject_public_key_info)
}

fn fault(error: Error) -> ChainFault {
    match error {
        Error::UnknownIssuer => ChainFault::UnknownIssuer,
        Error::CertExpired { .. } => ChainFault::Expired,
        Error::CertNotValidYet { .. } => ChainFault::NotYetValid,
        other => ChainFault::Chain(other),
    }
}

/// Whether the certificate's key is the EK.
fn is_key(ek: &EkPublic, key: &Spki<'_>) -> bool {
    match (&ek.public().kind, key) {
        (Kind::Rsa { modulus, exponent, .. }, Spki::Rsa(their_modulus, their_exponent)) => {
            let exponent = if *exponent == 0 { 65537 } else { *exponent };
            der::unpadded(&exponent.to_be_bytes()) == *their_exponent && der::unpadded(modulus) == *their_modulus
        }
        (Kind::Ecc { curve, x, y, .. }, Spki::Point(point)) => {
            let mut ours = vec![0; 2 * size(*curve)];
            let (left, right) = ours.split_at_mut(size(*curve));
            pad(x, left).and(pad(y, right)).is_some() && ours == *point
        }
        _ => false,
    }
}
