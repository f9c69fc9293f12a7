//! TLS 1.3 to the org's servers: the CA is pinned, the server's name is fixed, nothing is resumed.

mod signer;
#[cfg(test)]
mod tests;
mod verify;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use slipway_trust::{Digest, OrgId, frames, org};

use crate::clock::Clock;
use crate::h1;
use crate::identity::Identity;
use signer::Resolver;
use verify::{Pinned, Seen};

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may be silent.
const SILENCE: Duration = Duration::from_secs(20);

/// Whom a server must be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Its org.
    pub(crate) org: OrgId,
    /// The pin of the org's CA; none: whoever it is, and six words are compared.
    pub(crate) pin: Option<Digest>,
    /// What time it is.
    pub(crate) clock: Clock,
}

/// A connection to a server that is who it must be.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What signatures are bound to (RFC 9266).
    pub(crate) exporter: [u8; 32],
    /// The pin of the CA that vouched for the server.
    pub(crate) ca: Digest,
}

/// Connects, and finishes the handshake.
///
/// # Errors
/// In words: nobody there, or not who it must be.
pub(crate) fn connect(
    peer: SocketAddr,
    expected: &Expected,
    me: Option<(&Arc<Identity>, Vec<u8>)>,
) -> Result<Channel, String> {
    let seen = Seen::default();
    let config = config(expected, me, seen.clone()).map_err(|error| error.to_string())?;
    let name = server_name(&expected.org)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
    let mut socket = TcpStream::connect_timeout(&peer, CONNECT).map_err(|error| plain(&error))?;
    let timed = socket.set_read_timeout(Some(SILENCE)).and_then(|()| socket.set_write_timeout(Some(SILENCE)));
    timed.and_then(|()| socket.set_nodelay(true)).map_err(|error| plain(&error))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).map_err(|error| plain(&error))?;
    }
    let mut exporter = [0; 32];
    let exported = connection.export_keying_material(&mut exporter, frames::EXPORTER, Some(&[]));
    exported.map_err(|error| error.to_string())?;
    let ca = seen.take().ok_or("the server's certificate was not looked at")?;
    Ok(Channel { stream: StreamOwned::new(connection, socket), exporter, ca })
}

fn server_name(org: &OrgId) -> Result<ServerName<'static>, String> {
    ServerName::try_from(org::server_name(org)).map_err(|error| error.to_string())
}

fn config(
    expected: &Expected,
    me: Option<(&Arc<Identity>, Vec<u8>)>,
    seen: Seen,
) -> Result<ClientConfig, rustls::Error> {
    let provider: Arc<CryptoProvider> = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Pinned::new(expected, &provider, seen).map_err(rustls::Error::General)?;
    let builder = ClientConfig::builder_with_details(provider, Arc::new(expected.clock))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match me {
        None => builder.with_no_client_auth(),
        Some((identity, certificate)) => {
            let key = Arc::new(signer::Key::new(Arc::clone(identity)));
            let certified = CertifiedKey::new(vec![CertificateDer::from(certificate)], key);
            builder.with_client_cert_resolver(Arc::new(Resolver::new(certified)))
        }
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why a handshake failed, for people.
fn plain(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(fault)) => verify::in_words(fault),
        Some(rustls::Error::AlertReceived(alert)) => format!("the server refuses the connection: {alert:?}"),
        Some(other) => other.to_string(),
        None => h1::in_words(error),
    }
}

impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
