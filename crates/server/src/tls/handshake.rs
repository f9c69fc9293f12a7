//! One handshake, and what it says about the machine if it fails.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{self, NameType, Ssl, SslContext, SslRef};
use slipway_engine::tls::Failure;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::credentials::{Certificates, Credentials, Names, seconds};
use crate::site::Site;

/// The record type that every TLS connection begins with (RFC 8446 §5.1: handshake).
const HANDSHAKE: u8 = 22;
/// OpenSSL's reasons, from its `sslerr.h`: these numbers are part of its interface and do not change.
const ALERTS: i32 = 1000;
const NO_SHARED_CIPHER: i32 = 193;
const NO_SUITABLE_KEY_SHARE: i32 = 101;
const NO_SUITABLE_SIGNATURE_ALGORITHM: i32 = 118;
const NO_SHARED_SIGNATURE_ALGORITHMS: i32 = 376;
const NO_SHARED_GROUPS: i32 = 410;
const UNSUPPORTED_PROTOCOL: i32 = 258;
const VERSION_TOO_LOW: i32 = 396;
const UNEXPECTED_EOF: i32 = 294;

/// Why there is no TLS on a connection.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The machine's doing.
    There {
        /// What it did.
        failure: Failure,
        /// Whether the certificate that it saw is for the name that it asked.
        named: bool,
        /// The connection, where nothing was read from it yet.
        plain: Option<TcpStream>,
    },
    /// Ours.
    Here(String),
}

impl Failed {
    const fn before_hello(failure: Failure) -> Self {
        Self::There { failure, named: true, plain: None }
    }
}

impl From<ErrorStack> for Failed {
    fn from(error: ErrorStack) -> Self {
        Self::Here(format!("OpenSSL cannot make a certificate: {error}"))
    }
}

/// Speaks TLS on a fresh connection, in at most `limit`.
pub(crate) async fn accept(
    certificates: &Certificates,
    site: &Site,
    local: IpAddr,
    stream: TcpStream,
    limit: Duration,
) -> Result<SslStream<TcpStream>, Failed> {
    let first = &mut [0];
    match timeout(limit, stream.peek(first)).await {
        Ok(Ok(1)) if *first == [HANDSHAKE] => {}
        Ok(Ok(1)) => return Err(Failed::There { failure: Failure::NotTls, named: true, plain: Some(stream) }),
        Ok(_) => return Err(Failed::before_hello(Failure::Left { after_certificate: false })),
        Err(_) => return Err(Failed::before_hello(Failure::Late)),
    }
    let own = site.https.as_ref().and_then(|https| https.own.as_ref());
    let context = match (own, certificates.ours()) {
        (Some(own), _) => own.context.clone(),
        (None, Some(ours)) => made(ours, Names::of(site, Some(local))).await?,
        (None, None) => return Err(Failed::Here("there is no CA to make a certificate".to_owned())),
    };
    let mut stream = SslStream::new(Ssl::new(&context)?, stream)?;
    match timeout(limit, Pin::new(&mut stream).accept()).await {
        Ok(Ok(())) => Ok(stream),
        Ok(Err(error)) => {
            let asked = stream.ssl().servername(NameType::HOST_NAME);
            let ours = |name| site.https.iter().any(|https| https.names.iter().any(|known| known == name));
            let named = asked.is_none_or(|name| own.map_or_else(|| ours(name), |own| own.is_for_name(name)));
            Err(Failed::There { failure: failure(&error, stream.ssl()), named, plain: None })
        }
        Err(_) => Err(Failed::before_hello(Failure::Late)),
    }
}

async fn made(credentials: Arc<Credentials>, names: Names) -> Result<SslContext, Failed> {
    let now = seconds();
    if let Some(context) = credentials.at_hand(&names, now) {
        return Ok(context);
    }
    let made = tokio::task::spawn_blocking(move || credentials.made(&names, now)).await;
    Ok(made.map_err(|error| Failed::Here(error.to_string()))??)
}

/// Reads OpenSSL's error. Its last reason is the outermost and says least.
fn failure(error: &ssl::Error, ssl: &SslRef) -> Failure {
    let left = Failure::Left { after_certificate: has_said_hello(ssl) };
    let Some(reason) = error.ssl_error().and_then(|stack| stack.errors().first()) else { return left };
    match reason.reason_code() {
        NO_SHARED_CIPHER
        | NO_SUITABLE_KEY_SHARE
        | NO_SUITABLE_SIGNATURE_ALGORITHM
        | NO_SHARED_SIGNATURE_ALGORITHMS
        | NO_SHARED_GROUPS => Failure::NothingInCommon,
        UNSUPPORTED_PROTOCOL | VERSION_TOO_LOW => Failure::OldVersion,
        UNEXPECTED_EOF => left,
        code => match u8::try_from(code.saturating_sub(ALERTS)) {
            Ok(alert) if code >= ALERTS => Failure::Alert(alert),
            _ => Failure::Broken(reason.reason()),
        },
    }
}

/// Whether we have read the machine's hello, and answered it: with our certificate.
fn has_said_hello(ssl: &SslRef) -> bool {
    let mut random = [0; 32];
    ssl.client_random(&mut random);
    random != [0; 32]
}
