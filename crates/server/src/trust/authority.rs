//! The machine CA: the server's own certificate, made in memory, and those that machines are given.

use std::sync::Arc;
use std::time::Duration;

use p256::elliptic_curve::sec1::ToSec1Point as _;
use rcgen::string::Ia5String;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls::crypto::ring::default_provider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use slipway_trust::node::{Caller, CertificateWanted};
use slipway_trust::{Digest, OrgId, OrgManifest, PublicKey, Time};
use webpki::{EndEntityCert, KeyUsage};

/// How long the server's own certificate holds. It is made anew at half of that. A machine's clock may be off by a time zone, so hours would
/// be too short; its key is never on disk.
pub(super) const SERVER_LIFE: u64 = 7 * 24 * 3600;
/// Machines' clocks may be behind ours by this, in seconds.
const SKEW: u64 = 5 * 60;
/// 2000-01-01: the server's certificate is valid from here on, because a machine with an empty battery lives at its image's time of build.
const LONG_AGO: u64 = 946_684_800;

const MACHINE: &str = "slipway:machine:";
const EPOCH: &str = "slipway:epoch:";

/// Why the machine CA cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its key does not read.
    #[error("its key is not a P-256 key in PEM (PKCS #8)")]
    Key(#[source] rcgen::Error),
    /// Its certificate is not what the org's manifest holds.
    #[error("its certificate in the org's manifest cannot be used")]
    Certificate(#[source] rcgen::Error),
    /// The same, as those see it who check chains.
    #[error("its certificate in the org's manifest cannot be used")]
    Anchor(#[source] webpki::Error),
    /// Key, certificate and pin belong to different CAs.
    #[error("its key is not that of the certificate that the org's manifest pins")]
    Mismatch,
    /// A certificate could not be signed.
    #[error("a certificate cannot be signed")]
    Sign(#[source] rcgen::Error),
    /// A certificate's key cannot be used for TLS.
    #[error("the new certificate cannot be used")]
    Tls(#[source] rustls::Error),
    /// A key that is no point of its curve.
    #[error("the machine's key is not a key")]
    MachineKey,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] rustix::io::Errno),
}

/// The machine CA with its key.
pub struct Authority {
    org: OrgId,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl core::fmt::Debug for Authority {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Authority(of {})", self.org)
    }
}

impl Authority {
    /// The CA that the org's manifest names, with its key in PEM.
    ///
    /// # Errors
    /// The key is none, or another's.
    pub fn new(org: &OrgManifest, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(key, &PKCS_ECDSA_P256_SHA256).map_err(Error::Key)?;
        let spki = key.subject_public_key_info();
        let certificate = CertificateDer::from(org.ca_certificate.clone());
        let anchor = webpki::anchor_from_trusted_cert(&certificate).map_err(Error::Anchor)?;
        if Digest::of(&spki) != org.ca_spki || !spki.ends_with(&anchor.subject_public_key_info) {
            return Err(Error::Mismatch);
        }
        drop(anchor);
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(Error::Certificate)?;
        Ok(Self { org: org.org, issuer, certificate })
    }

    /// A fresh key with a certificate for the name that every server of the org has.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn server(&self, now: Time) -> Result<Arc<CertifiedKey>, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::Sign)?;
        let name = slipway_trust::org::server_name(&self.org);
        let mut params = self.leaf("Slipway", Time(LONG_AGO), now.plus(SERVER_LIFE))?;
        let name = Ia5String::try_from(name).map_err(Error::Sign)?;
        params.subject_alt_names = vec![SanType::DnsName(name)];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params.signed_by(&key, &self.issuer).map_err(Error::Sign)?;
        let chain = vec![leaf.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        CertifiedKey::from_der(chain, key, &default_provider()).map(Arc::new).map_err(Error::Tls)
    }

    /// A machine's certificate, DER: its id and its record's epoch stand in it as URIs.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn machine(&self, wanted: &CertificateWanted, now: Time) -> Result<Vec<u8>, Error> {
        let key = MachineKey::new(&wanted.key)?;
        let from = Time(now.0.saturating_sub(SKEW));
        let until = from.plus(wanted.seconds);
        let mut params = self.leaf(&wanted.machine.to_string(), from, until)?;
        for uri in [format!("{MACHINE}{}", wanted.machine), format!("{EPOCH}{}", wanted.epoch)] {
            params.subject_alt_names.push(SanType::URI(Ia5String::try_from(uri).map_err(Error::Sign)?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&key, &self.issuer).map_err(Error::Sign)?.der().to_vec())
    }

    fn leaf(&self, name: &str, from: Time, until: Time) -> Result<CertificateParams, Error> {
        let mut serial = [0; 16];
        super::random::fill(&mut serial).map_err(Error::Random)?;
        // A positive number of 16 bytes (RFC 5280 §4.1.2.2).
        let [first, ..] = &mut serial;
        *first = *first & 0x7f | 0x40;
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        params.distinguished_name = subject;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_secs(from.0);
        params.not_after = epoch + Duration::from_secs(until.0);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// The CA's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Whose certificate this is, if it is one of ours for a machine and holds now.
    #[must_use]
    pub fn caller(&self, certificate: &CertificateDer<'_>, now: Time) -> Option<Caller> {
        let anchor = webpki::anchor_from_trusted_cert(&self.certificate).ok()?;
        let leaf = EndEntityCert::try_from(certificate).ok()?;
        let (now, usage) = (UnixTime::since_unix_epoch(Duration::from_secs(now.0)), KeyUsage::client_auth());
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[anchor], &[], now, usage, None, None).ok()?;
        let uri = |prefix: &'static str| leaf.valid_uri_names().find_map(|uri| uri.strip_prefix(prefix));
        let (machine, epoch) = (uri(MACHINE)?.parse().ok()?, uri(EPOCH)?.parse().ok()?);
        let key = key_of(&leaf.subject_public_key_info())?;
        Some(Caller { machine, key, epoch })
    }
}

/// A machine's public key as a certificate holds it.
struct MachineKey {
    bytes: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl MachineKey {
    fn new(key: &PublicKey) -> Result<Self, Error> {
        match key {
            PublicKey::Ed25519(bytes) => Ok(Self { bytes: bytes.to_vec(), algorithm: &PKCS_ED25519 }),
            PublicKey::P256(point) => {
                let key = p256::PublicKey::from_sec1_bytes(point).map_err(|_| Error::MachineKey)?;
                // Those who check certificates take uncompressed points only.
                let bytes = key.to_sec1_point(false).as_bytes().to_vec();
                Ok(Self { bytes, algorithm: &PKCS_ECDSA_P256_SHA256 })
            }
        }
    }
}

impl PublicKeyData for MachineKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

/// The key of a SubjectPublicKeyInfo that one of our certificates holds. Its two forms differ in length, and end in the key.
fn key_of(spki: &[u8]) -> Option<PublicKey> {
    /// RFC 8410 §4: SEQUENCE { SEQUENCE { 1.3.101.112 }, BIT STRING }.
    const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    if let Some(key) = spki.strip_prefix(ED25519) {
        return Some(PublicKey::Ed25519(key.try_into().ok()?));
    }
    let point = spki.last_chunk::<65>()?;
    let key = p256::PublicKey::from_sec1_bytes(point).ok()?;
    let same = MachineKey { bytes: point.to_vec(), algorithm: &PKCS_ECDSA_P256_SHA256 };
    if same.subject_public_key_info() != spki {
        return None;
    }
    Some(PublicKey::P256(key.to_sec1_point(true).as_bytes().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, IsCa};
    use slipway_trust::MachineId;
    use slipway_trust::keyfile::{Kind, PrivateKey};
    use slipway_trust::org::{Policy, Signers};

    const NOW: Time = Time(1_795_000_000);

    /// A CA, the manifest that pins it, and its key in PEM.
    fn ca() -> (OrgManifest, String) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let manifest = OrgManifest {
            org: OrgId([7; 16]),
            epoch: 1,
            name: "acme".to_owned(),
            admins: Signers::default(),
            images: Signers::default(),
            enrollers: Vec::new(),
            ca_certificate: params.self_signed(&key).unwrap().der().to_vec(),
            ca_spki: Digest::of(&key.subject_public_key_info()),
            pcr_policy: None,
            gateways: Vec::new(),
            floors: Vec::new(),
            policy: Policy::default(),
            created: NOW,
            escrow: None,
        };
        (manifest, key.serialize_pem())
    }

    #[test]
    fn a_machines_certificate_says_who_it_is_for_as_long_as_it_holds_to_its_own_ca_alone() {
        let ((manifest, key), (other, other_key)) = (ca(), ca());
        let ours = Authority::new(&manifest, &key).unwrap();
        let others = Authority::new(&other, &other_key).unwrap();
        // A key file's, and a TPM's.
        for kind in [Kind::Enroller, Kind::PcrPolicy] {
            let key = PrivateKey::from_seed(kind, &[3; 32]).unwrap().public();
            let wanted = CertificateWanted { key, machine: MachineId([9; 16]), epoch: 4, seconds: 3600 };
            let certificate = CertificateDer::from(ours.machine(&wanted, NOW).unwrap());
            let caller = Caller { machine: wanted.machine, key, epoch: 4 };
            assert_eq!(ours.caller(&certificate, NOW), Some(caller));
            assert_eq!(ours.caller(&certificate, NOW.plus(3600 - SKEW)), Some(caller));
            assert_eq!(ours.caller(&certificate, NOW.plus(3601 - SKEW)), None, "its time is over");
            assert_eq!(others.caller(&certificate, NOW), None);
        }
        let server = ours.server(NOW).unwrap();
        assert_eq!(ours.caller(&server.cert[0], NOW), None, "a server's is no machine's");
    }

    #[test]
    fn a_key_that_is_not_the_pinned_cas_is_refused() {
        let ((manifest, _), (_, other_key)) = (ca(), ca());
        assert!(matches!(Authority::new(&manifest, &other_key), Err(Error::Mismatch)));
        assert!(matches!(Authority::new(&manifest, "no key"), Err(Error::Key(_))));
    }
}
