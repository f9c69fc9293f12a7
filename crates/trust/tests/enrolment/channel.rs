//! Two real TLS ends in memory.

use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use slipway_trust::Time;
use slipway_trust::frames::EXPORTER;

#[derive(Debug)]
struct Clock(Time);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.0)))
    }
}

/// A connection, both ends of it.
pub(crate) struct Channel {
    client: ClientConnection,
    server: ServerConnection,
}

/// What a server shows: its certificate, its key.
pub(crate) type Identity = (Vec<u8>, Vec<u8>);

impl Channel {
    /// Connects a machine that trusts this CA and expects this name to a server that shows this identity.
    pub(crate) fn open(ca: &[u8], name: &str, identity: &Identity, now: Time) -> Result<Self, rustls::Error> {
        let provider = Arc::new(default_provider());
        let clock = Arc::new(Clock(now));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(ca.to_vec())).unwrap();
        let client = ClientConfig::builder_with_details(provider.clone(), clock.clone());
        let mut client = client.with_protocol_versions(&[&TLS13])?.with_root_certificates(roots).with_no_client_auth();
        client.resumption = Resumption::disabled();
        let server = ServerConfig::builder_with_details(provider, clock).with_protocol_versions(&[&TLS13])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.1.clone()));
        let chain = vec![CertificateDer::from(identity.0.clone())];
        let mut server = server.with_no_client_auth().with_single_cert(chain, key)?;
        server.send_tls13_tickets = 0;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), name)?;
        let mut server = ServerConnection::new(Arc::new(server))?;
        client.set_buffer_limit(None);
        server.set_buffer_limit(None);
        let mut channel = Self { client, server };
        while channel.client.is_handshaking() || channel.server.is_handshaking() {
            channel.carry()?;
        }
        Ok(channel)
    }

    /// Carries what each end has to say to the other.
    fn carry(&mut self) -> Result<(), rustls::Error> {
        let mut wire = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            self.server.read_tls(&mut wire).unwrap();
            self.server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while self.server.wants_write() {
            self.server.write_tls(&mut wire).unwrap();
        }
        let mut wire = wire.as_slice();
        while !wire.is_empty() {
            self.client.read_tls(&mut wire).unwrap();
            self.client.process_new_packets()?;
        }
        Ok(())
    }

    /// Sends a frame to the server, and gives what came out there.
    pub(crate) fn up(&mut self, frame: &[u8]) -> Vec<u8> {
        self.client.writer().write_all(frame).unwrap();
        self.carry().unwrap();
        drain(&mut self.server.reader())
    }

    /// Sends a frame to the server with one bit of its way changed.
    pub(crate) fn up_tampered(&mut self, frame: &[u8], at: usize) -> Result<(), rustls::Error> {
        self.client.writer().write_all(frame).unwrap();
        let mut wire = Vec::new();
        self.client.write_tls(&mut wire).unwrap();
        let at = at % wire.len();
        wire[at] ^= 1;
        self.server.read_tls(&mut wire.as_slice()).unwrap();
        self.server.process_new_packets().map(drop)
    }

    /// Sends a frame to the machine, and gives what came out there.
    pub(crate) fn down(&mut self, frame: &[u8]) -> Vec<u8> {
        self.server.writer().write_all(frame).unwrap();
        self.carry().unwrap();
        drain(&mut self.client.reader())
    }

    /// The exporter, as the machine has it and as the server has it.
    pub(crate) fn exporters(&self) -> [[u8; 32]; 2] {
        let client = self.client.export_keying_material([0; 32], EXPORTER, Some(&[])).unwrap();
        let server = self.server.export_keying_material([0; 32], EXPORTER, Some(&[])).unwrap();
        [client, server]
    }
}

fn drain(reader: &mut rustls::Reader<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => bytes,
    }
}
