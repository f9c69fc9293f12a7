//! HTTPS, by clients that offer what firmware offers, and what the journal says of those that cannot come in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "test code"
)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::ssl::{Ssl, SslContext, SslContextBuilder, SslMethod, SslStream, SslVerifyMode, SslVersion};
use openssl::x509::X509;
use openssl::x509::extension::SubjectAlternativeName;
use slipway_engine::Timestamp;
use slipway_engine::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::rules::Rules;
use slipway_server::config::CertificateFiles;
use slipway_server::http::{self, Limits};
use slipway_server::journal::Journal;
use slipway_server::site::{HttpsSettings, Interface, Ipv6, Mode, Site, TftpSettings};
use slipway_server::tls::{Authority, Certificates, Own};
use slipway_store::Blobs;
use slipway_wire::MacAddr;
use tokio::runtime::Runtime;

const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

struct Lab {
    data: tempfile::TempDir,
    journal: Journal,
    server: http::Handle,
    content: Vec<u8>,
    runtime: Runtime,
}

impl Lab {
    fn start() -> Self {
        Self::start_as(true)
    }

    /// With `tls`, HTTPS; without, the plain server.
    fn start_as(tls: bool) -> Self {
        Self::start_with(tls, None)
    }

    fn start_with(tls: bool, own: Option<Own>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let blobs = Blobs::under(data.path());
        let content: Vec<u8> = (0..3_000_017_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let digest = Digest([1; 32]);
        let path = blobs.path(&digest);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &content).unwrap();
        let files = [("uki.efi".to_owned(), FileRef { digest, size: content.len() as u64 })].into();
        let image =
            Image { name: "lab".into(), version: "1".into(), kind: ImageKind::Uki, cpu: None, cmdline: None, files };
        let site = Site {
            interfaces: vec![Interface {
                name: "lo".into(),
                index: 1,
                mac: [0; 6],
                v4: vec![([127, 0, 0, 1].into(), 8)],
                v6: vec![("::1".parse().unwrap(), 128)],
                mtu: 65536,
                mode: Mode::Dhcp,
                ipv6: Ipv6::default(),
            }],
            subnets: Vec::new(),
            subnets6: Vec::new(),
            rules: Rules::zero_configuration(),
            catalog: Catalog { images: [("lab".to_owned(), vec![image])].into(), ..Catalog::default() },
            blobs,
            http_port: 0,
            https: Some(HttpsSettings { port: 0, names: vec!["boot.example".to_owned()], own }),
            export: None,
            tftp: TftpSettings { blksize_max: 1468, single_port: false, allow: Vec::new() },
        };
        let journal = Journal::default();
        // What DHCP would have told: whose address this is.
        journal.note(Entry {
            at: Timestamp(1),
            proto: Proto::Dhcp4,
            mac: Some(MAC),
            ip: Some([127, 0, 0, 1].into()),
            uuid: None,
            interface: "lo".into(),
            asked: "REQUEST".into(),
            about: About::Other,
            outcome: Outcome::Answered("ACK".into()),
        });
        let certificates = Certificates::default();
        certificates.open(data.path(), &site).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = {
            let _inside = runtime.enter();
            let (site, certificates) = (Arc::new(ArcSwap::from_pointee(site)), Arc::new(certificates));
            let listen = ["127.0.0.1:0".parse().unwrap()];
            if tls {
                http::spawn_tls(&listen, Limits::default(), site, journal.clone(), certificates).unwrap()
            } else {
                http::spawn(&listen, Limits::default(), site, journal.clone()).unwrap()
            }
        };
        Self { data, journal, server, content, runtime }
    }

    fn addr(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    fn ca(&self) -> X509 {
        X509::from_pem(&Authority::open(self.data.path(), seconds()).unwrap().pem().unwrap()).unwrap()
    }

    /// A client that knows our CA and insists on our address, as firmware does.
    fn client(&self) -> SslContextBuilder {
        let mut builder = SslContext::builder(SslMethod::tls_client()).unwrap();
        builder.cert_store_mut().add_cert(self.ca()).unwrap();
        builder.set_verify(SslVerifyMode::PEER);
        builder
    }

    fn connect(&self, client: SslContextBuilder, name: Option<&str>) -> Result<SslStream<TcpStream>, String> {
        let mut ssl = Ssl::new(&client.build()).unwrap();
        match name {
            Some(name) => {
                ssl.set_hostname(name).unwrap();
                ssl.param_mut().set_host(name).unwrap();
            }
            None => ssl.param_mut().set_ip(self.addr().ip()).unwrap(),
        }
        ssl.connect(TcpStream::connect(self.addr()).unwrap()).map_err(|error| error.to_string())
    }

    /// The machine's last entry, when there are this many beside the first.
    fn entry(&self, count: usize) -> Entry {
        loop {
            let entries = self.journal.machine(MAC).unwrap_or_default();
            if entries.len() > count {
                return Entry::clone(entries.last().unwrap());
            }
            std::thread::yield_now();
        }
    }
}

fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// One request on a connection that ends with it: head and body.
fn ask(mut stream: SslStream<TcpStream>, request: &str) -> (String, Vec<u8>) {
    stream.write_all(format!("{request} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let end = all.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8_lossy(&all[..end]).into_owned(), all.split_off(end))
}

/// The suites of edk2-stable202211's hello, each for itself: no elliptic curve anywhere.
#[test]
fn firmware_that_knows_only_dhe_and_rsa_loads_a_file_with_every_suite_that_it_has() {
    let lab = Lab::start();
    for suite in [
        "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-SHA256",
        "DHE-RSA-AES128-SHA256",
        "DHE-RSA-AES256-SHA",
        "DHE-RSA-AES128-SHA",
        "AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-SHA256",
        "AES128-SHA256",
        "AES256-SHA",
        "AES128-SHA",
    ] {
        let mut client = lab.client();
        client.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        client.set_cipher_list(suite).unwrap();
        let stream = lab.connect(client, None).unwrap_or_else(|error| panic!("{suite}: {error}"));
        assert_eq!(stream.ssl().current_cipher().unwrap().name(), suite);
        if suite.starts_with("DHE") {
            assert_eq!(stream.ssl().peer_tmp_key().unwrap().bits(), 2048, "{suite}");
        }
        let (head, body) = ask(stream, "GET /image/lab/uki.efi");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{suite}: {head}");
        assert!(body == lab.content, "{suite}: {} bytes", body.len());
    }
}

#[test]
fn of_all_that_firmware_of_2022_offers_forward_secrecy_is_chosen() {
    let lab = Lab::start();
    let mut client = lab.client();
    client.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    client
        .set_cipher_list("DHE-RSA-AES256-GCM-SHA384:DHE-RSA-AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-SHA:AES128-SHA")
        .unwrap();
    let stream = lab.connect(client, None).unwrap();
    assert_eq!(stream.ssl().current_cipher().unwrap().name(), "DHE-RSA-AES128-GCM-SHA256");
}

#[test]
fn todays_clients_speak_tls_1_3_and_are_answered_as_over_plain_http() {
    let lab = Lab::start();
    let stream = lab.connect(lab.client(), Some("boot.example")).unwrap();
    assert_eq!(stream.ssl().version_str(), "TLSv1.3");
    let (head, body) = ask(stream, "HEAD /image/lab/uki.efi");
    assert!(head.contains("\r\nContent-Type: application/efi\r\nContent-Length: 3000017\r\n"), "{head}");
    assert!(body.is_empty());
    let (head, body) = ask(lab.connect(lab.client(), None).unwrap(), "GET /none");
    assert!(head.starts_with("HTTP/1.1 404 ") && body == b"no such file\n", "{head}");
    let (_, body) = ask(lab.connect(lab.client(), None).unwrap(), "GET /image/lab/uki.efi");
    assert!(body == lab.content);
    let entry = lab.entry(3);
    assert_eq!(
        (entry.proto, entry.asked.as_str(), entry.interface.as_str()),
        (Proto::Https, "GET /image/lab/uki.efi", "lo")
    );
    assert!(matches!(entry.about, About::File { sent: 3_000_017, whole: true, .. }), "{entry:?}");
}

#[test]
fn ipxe_that_came_by_tls_goes_on_by_tls() {
    let lab = Lab::start();
    let ask = |target| ask(lab.connect(lab.client(), None).unwrap(), target);
    let (_, script) = ask("GET /boot.ipxe?mac=52-54-00-12-34-56&arch=7&image=lab");
    let script = String::from_utf8(script).unwrap();
    assert!(
        script.contains(&format!("https://{}/image/lab@1/uki.efi", lab.addr())) && !script.contains("http://"),
        "{script}"
    );
}

#[test]
fn a_machine_that_does_not_know_our_ca_is_named_in_the_journal() {
    let lab = Lab::start();
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Authority::open(elsewhere.path(), seconds()).unwrap().pem().unwrap();
    for (count, version) in [(1, SslVersion::TLS1_2), (2, SslVersion::TLS1_3)] {
        let mut client = SslContext::builder(SslMethod::tls_client()).unwrap();
        client.cert_store_mut().add_cert(X509::from_pem(&other).unwrap()).unwrap();
        client.set_verify(SslVerifyMode::PEER);
        client.set_max_proto_version(Some(version)).unwrap();
        lab.connect(client, None).unwrap_err();
        let entry = lab.entry(count);
        assert_eq!((entry.mac, entry.proto, &entry.about), (Some(MAC), Proto::Https, &About::Handshake));
        let said = entry.outcome.to_string();
        assert!(said.starts_with("declined (unknown-ca): the machine does not know our CA"), "{said}");
    }
}

#[test]
fn every_other_reason_for_a_failed_handshake_is_named_too() {
    let lab = Lab::start();
    let at = |time: i64| {
        let mut client = lab.client();
        client.verify_param_mut().set_time(time);
        client
    };
    let day = 86_400;
    // An empty battery's clock is good enough.
    for time in [seconds() + 14 * day, 1_000_000_000] {
        lab.connect(at(time), None).unwrap_or_else(|error| panic!("{time}: {error}"));
    }
    let mut elliptic = lab.client();
    elliptic.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    elliptic.set_cipher_list("ECDHE-ECDSA-AES128-GCM-SHA256").unwrap();
    let mut old = lab.client();
    old.set_security_level(0);
    old.set_min_proto_version(Some(SslVersion::TLS1)).unwrap();
    old.set_max_proto_version(Some(SslVersion::TLS1_1)).unwrap();
    let rows = [
        (at(seconds() + 31 * day), None, "wrong-clock"),
        (at(900_000_000), None, "wrong-clock"),
        (lab.client(), Some("other.example"), "wrong-name"),
        (elliptic, None, "no-common-cipher"),
        (old, None, "old-tls"),
    ];
    for (number, (client, name, code)) in rows.into_iter().enumerate() {
        lab.connect(client, name).unwrap_err();
        let said = lab.entry(number + 1).outcome.to_string();
        assert!(said.starts_with(&format!("declined ({code}): ")), "{code}: {said}");
    }
}

/// iPXE's way of saying that it does not know the CA.
#[test]
fn a_client_that_leaves_without_a_word_when_it_has_seen_the_certificate_is_understood() {
    let lab = Lab::start();
    let mut client = lab.client();
    client.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
    let ssl = Ssl::new(&client.build()).unwrap();
    ssl.connect(Leaver { stream: TcpStream::connect(lab.addr()).unwrap(), read: 0 }).map(drop).unwrap_err();
    let said = lab.entry(1).outcome.to_string();
    assert!(said.starts_with("declined (certificate-refused): "), "{said}");
    // And one that says nothing at all is not accused of it.
    drop(TcpStream::connect(lab.addr()).unwrap());
    let said = lab.entry(2).outcome.to_string();
    assert_eq!(said, "peer's fault: closed the connection before the handshake");
}

/// Reads what the server says to a hello, and hangs up.
#[derive(Debug)]
struct Leaver {
    stream: TcpStream,
    read: usize,
}

impl std::io::Read for Leaver {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.read > 1200 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        let read = self.stream.read(into)?;
        self.read += read;
        Ok(read)
    }
}

impl std::io::Write for Leaver {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.read > 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { self.stream.write(bytes) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

#[test]
fn plain_http_on_this_port_is_told_so() {
    let lab = Lab::start();
    let mut stream = TcpStream::connect(lab.addr()).unwrap();
    stream.write_all(b"GET /image/lab/uki.efi HTTP/1.1\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    assert!(said.starts_with("HTTP/1.1 400 ") && said.ends_with("this port is for https:// URLs only\n"), "{said}");
    let said = lab.entry(1).outcome.to_string();
    assert!(said.starts_with("declined (not-tls): "), "{said}");
}

#[test]
fn tls_on_the_port_of_plain_http_is_told_so() {
    let lab = Lab::start_as(false);
    lab.connect(lab.client(), None).unwrap_err();
    assert_eq!(lab.entry(1).outcome.to_string(), "peer's fault: TLS on the port of plain HTTP");
}

#[test]
fn a_server_that_ends_lets_a_handshake_wait_for_nothing() {
    let lab = Lab::start();
    let _silent = TcpStream::connect(lab.addr()).unwrap();
    let started = std::time::Instant::now();
    lab.runtime.block_on(lab.server.shutdown());
    assert!(started.elapsed() < Limits::default().drain, "{:?}", started.elapsed());
}

/// The hello that OVMF of 2022 opens a connection with, captured.
fn hello() -> Vec<u8> {
    let text = include_str!("../../../fixtures/tls/tianocore-ovmf-x64-hello.hex");
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_captured_hello_of_firmware_is_answered_with_dhe_over_ffdhe2048() {
    let lab = Lab::start();
    let mut stream = TcpStream::connect(lab.addr()).unwrap();
    stream.write_all(&hello()).unwrap();
    let mut handshake = Vec::new();
    // Records are unwrapped until ServerHelloDone (14), which is empty and the last.
    while !handshake.ends_with(&[14, 0, 0, 0]) {
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[..3], [22, 3, 3], "a handshake record of TLS 1.2");
        let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut record).unwrap();
        handshake.extend(record);
    }
    let mut messages = Vec::new();
    let mut rest = handshake.as_slice();
    while let [kind, a, b, c, tail @ ..] = rest {
        let (message, after) = tail.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        messages.push((*kind, message));
        rest = after;
    }
    assert_eq!(messages.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [2, 11, 12, 14]);
    let (server_hello, key_exchange) = (messages[0].1, messages[2].1);
    // Version, random, no session, DHE-RSA-AES128-GCM-SHA256.
    assert_eq!((&server_hello[..2], &server_hello[34..37]), (&[3, 3][..], &[0, 0, 0x9e][..]));
    // A prime of 2048 bits: ffdhe2048 begins and ends with 64 ones.
    assert_eq!(
        (&key_exchange[..2], &key_exchange[2..14]),
        (&[1, 0][..], &b"\xff\xff\xff\xff\xff\xff\xff\xff\xad\xf8\x54\x58"[..])
    );
    drop(stream);
    // Having seen all that, it left: what this firmware does when it does not know our CA.
    let said = lab.entry(1).outcome.to_string();
    assert!(said.starts_with("declined (certificate-refused): "), "{said}");
}

#[test]
fn a_hello_cut_off_anywhere_is_an_entry_and_nothing_worse() {
    let lab = Lab::start();
    let hello = hello();
    for end in 1..hello.len() {
        let mut stream = TcpStream::connect(lab.addr()).unwrap();
        stream.write_all(&hello[..end]).unwrap();
        drop(stream);
        let said = lab.entry(end).outcome.to_string();
        assert!(said.starts_with("peer's fault: closed the connection before the handshake"), "{end}: {said}");
    }
    assert!(lab.connect(lab.client(), None).is_ok());
}

/// A certificate that signs itself, for 127.0.0.1, with its key, in files.
fn own(folder: &std::path::Path) -> (X509, CertificateFiles) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None)).unwrap();
    builder.append_extension(names).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    let files = CertificateFiles { certificate: folder.join("own.pem"), key: folder.join("own.key") };
    fs::write(&files.certificate, certificate.to_pem().unwrap()).unwrap();
    fs::write(&files.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (certificate, files)
}

#[test]
fn a_certificate_of_the_operators_own_is_served_and_no_ca_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, files) = own(folder.path());
    let lab = Lab::start_with(true, Some(Own::read(&files, seconds()).unwrap()));
    let mut client = SslContext::builder(SslMethod::tls_client()).unwrap();
    client.cert_store_mut().add_cert(certificate).unwrap();
    client.set_verify(SslVerifyMode::PEER);
    let (head, _) = ask(lab.connect(client, None).unwrap(), "HEAD /image/lab/uki.efi");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(!lab.data.path().join("tls").exists());
}
