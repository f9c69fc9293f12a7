//! A server of our own, with every certificate that it must not be let in with.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData as _, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use slipway_trust::{SigningKey, Time};

use super::*;

const ORG: OrgId = OrgId([7; 16]);
/// 2026-06-01.
const NOW: Time = Time(1_780_272_000);

struct Ca {
    key: KeyPair,
    params: CertificateParams,
    der: CertificateDer<'static>,
}

fn ca(name: &str) -> Ca {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let der = params.self_signed(&key).unwrap().der().clone();
    Ca { key, params, der }
}

impl Ca {
    fn pin(&self) -> Digest {
        Digest::of(&self.key.subject_public_key_info())
    }

    /// A server's certificate and key, valid in these years.
    fn server(&self, name: &str, years: (i32, i32)) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().der().clone(), key)
    }
}

/// What a server was told: the exporter, and whether the client showed a certificate.
type Served = Option<([u8; 32], bool)>;

/// Serves one connection with this chain, and echoes five bytes. What it is told of the client, and its exporter.
fn serve(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    clients: Option<&Ca>,
) -> (SocketAddr, thread::JoinHandle<Served>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = Arc::new(builder.with_single_cert(chain, PrivateKeyDer::Pkcs8(key.serialize_der().into())).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(config).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).ok()?;
        }
        let mut exporter = [0; 32];
        connection.export_keying_material(&mut exporter, frames::EXPORTER, Some(&[])).unwrap();
        let known = connection.peer_certificates().is_some();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        let mut hello = [0; 5];
        stream.read_exact(&mut hello).ok()?;
        stream.write_all(&hello).ok()?;
        Some((exporter, known))
    });
    (address, server)
}

fn expected(pin: Option<Digest>) -> Expected {
    Expected { org: ORG, pin, clock: Clock::fixed(NOW) }
}

fn good_name() -> String {
    org::server_name(&ORG)
}

#[test]
fn the_orgs_server_is_let_in_and_both_ends_export_the_same() {
    let ca = ca("org");
    let (certificate, key) = ca.server(&good_name(), (2026, 2027));
    let (address, server) = serve(vec![certificate, ca.der.clone()], &key, None);
    let mut channel = connect(address, &expected(Some(ca.pin())), None).unwrap();
    channel.write_all(b"hello").unwrap();
    let mut heard = [0; 5];
    channel.read_exact(&mut heard).unwrap();
    assert_eq!(server.join().unwrap(), Some((channel.exporter, false)));
    assert_eq!((&heard, channel.ca), (b"hello", ca.pin()));
}

#[test]
fn without_a_pin_the_ca_that_was_seen_is_told() {
    let ca = ca("org");
    let (certificate, key) = ca.server(&good_name(), (2026, 2027));
    let (address, _server) = serve(vec![certificate, ca.der.clone()], &key, None);
    assert_eq!(connect(address, &expected(None), None).unwrap().ca, ca.pin());
}

#[test]
fn nobody_else_is_let_in() {
    let (ours, theirs) = (ca("org"), ca("org"));
    let name = good_name();
    let other = org::server_name(&OrgId([8; 16]));
    let rows: [(&str, (CertificateDer<'static>, KeyPair), CertificateDer<'static>, &str); 6] = [
        ("another CA", theirs.server(&name, (2026, 2027)), theirs.der.clone(), "CA of this org"),
        (
            "our CA shown, another has signed",
            theirs.server(&name, (2026, 2027)),
            ours.der.clone(),
            "not signed the server",
        ),
        ("another org's name", ours.server(&other, (2026, 2027)), ours.der.clone(), "for another name"),
        ("a name of one's own", ours.server("example.org", (2026, 2027)), ours.der.clone(), "for another name"),
        ("expired", ours.server(&name, (2024, 2025)), ours.der.clone(), "expired"),
        ("not yet valid", ours.server(&name, (2027, 2028)), ours.der.clone(), "not valid yet"),
    ];
    for (what, (certificate, key), ca, reason) in rows {
        let (address, server) = serve(vec![certificate, ca], &key, None);
        let told = connect(address, &expected(Some(ours.pin())), None).unwrap_err();
        assert!(told.contains(reason), "{what}: {told}");
        assert_eq!(server.join().unwrap(), None, "{what}: the server was spoken to");
    }
    let (certificate, key) = ours.server(&name, (2026, 2027));
    let (address, _server) = serve(vec![certificate], &key, None);
    let told = connect(address, &expected(Some(ours.pin())), None).unwrap_err();
    assert!(told.contains("CA of this org"), "no CA shown: {told}");
}

#[test]
fn a_machine_shows_its_certificate_with_a_key_that_never_leaves_its_place() {
    let ca = ca("org");
    let (certificate, key) = ca.server(&good_name(), (2026, 2027));
    let identity = Arc::new(Identity::File(SigningKey::from_seed(&[9; 32])));
    // The same key once more, for the CA to certify.
    let pkcs8 = [b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".as_slice(), &[9; 32]].concat();
    let machine = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.as_slice().into(), &rcgen::PKCS_ED25519).unwrap();
    let params = CertificateParams::new(vec!["machine.internal".to_owned()]).unwrap();
    let mine = params.signed_by(&machine, &Issuer::from_params(&ca.params, &ca.key)).unwrap().der().to_vec();
    let (address, server) = serve(vec![certificate, ca.der.clone()], &key, Some(&ca));
    let mut channel = connect(address, &expected(Some(ca.pin())), Some((&identity, mine))).unwrap();
    channel.write_all(b"hello").unwrap();
    channel.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(server.join().unwrap(), Some((channel.exporter, true)));
}
