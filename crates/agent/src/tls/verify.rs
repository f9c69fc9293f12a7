//! Who a server is: somebody for whom the org's CA vouches, under the one name that all of the org's servers have. The CA comes with the
//! server's certificate, and is known by the digest of its key.

use std::fmt;
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use slipway_trust::Digest;

use super::{Expected, server_name};

/// The pin of the CA that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Digest>>>);

impl Seen {
    pub(super) fn take(&self) -> Option<Digest> {
        self.0.lock().ok()?.take()
    }
}

/// Lets no server in but the org's.
pub(super) struct Pinned {
    pin: Option<Digest>,
    name: ServerName<'static>,
    algorithms: WebPkiSupportedAlgorithms,
    seen: Seen,
}

impl Pinned {
    pub(super) fn new(expected: &Expected, provider: &CryptoProvider, seen: Seen) -> Result<Self, String> {
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { pin: expected.pin, name: server_name(&expected.org)?, algorithms, seen })
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("pin", &self.pin).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Nobody that we know has vouched for the server.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the server does not show the CA of this org: it is another org's server, or nobody's")]
struct NotOurCa;

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _asked: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (pin, roots) = self
            .anchor(others)
            .ok_or_else(|| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(NotOurCa)))))?;
        let parsed = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, others, now, self.algorithms.all)?;
        verify_server_name(&parsed, &self.name)?;
        if let Ok(mut seen) = self.seen.0.lock() {
            *seen = Some(pin);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Pinned {
    /// The CA among the certificates that came, and its pin. Without a pin, it is the last: the one that vouches for the others.
    fn anchor(&self, others: &[CertificateDer<'_>]) -> Option<(Digest, RootCertStore)> {
        others.iter().rev().find_map(|certificate| {
            let mut roots = RootCertStore::empty();
            roots.add(certificate.clone().into_owned()).ok()?;
            let key = roots.roots.first()?.subject_public_key_info.as_ref();
            let pin = Digest::of_all(&[&sequence_head(key.len()), key]);
            self.pin.is_none_or(|wanted| wanted == pin).then_some((pin, roots))
        })
    }
}

/// What is wrong with a server's certificate, for people.
pub(super) fn in_words(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Other(own) => own.to_string(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, or this machine's clock is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name: it is another org's server".to_owned()
        }
        CertificateError::BadSignature | CertificateError::UnknownIssuer => {
            "the org's CA has not signed the server's certificate".to_owned()
        }
        other => format!("the server's certificate cannot be used: {other:?}"),
    }
}

/// The head of a DER SEQUENCE with so many bytes inside: anchors are kept without the head of their SubjectPublicKeyInfo.
fn sequence_head(length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    match significant.as_slice() {
        [] => vec![0x30, 0],
        [short] if *short < 0x80 => vec![0x30, *short],
        long => [&[0x30, 0x80 | u8::try_from(long.len()).unwrap_or(0)], long].concat(),
    }
}
