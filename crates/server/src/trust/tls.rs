//! The trust plane's TLS: 1.3 and nothing else, no tickets, no early data, a certificate of our own that renews itself, and a client's if it
//! shows one.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring::default_provider;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::UnixTime;
use slipway_trust::Time;

use super::authority::{Authority, Error, SERVER_LIFE};
use super::clock::Clock;

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum NoTls {
    /// The machine CA.
    #[error("the machine CA")]
    Authority(#[from] Error),
    /// rustls does not take what it is given.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
    /// Nor the CA to check clients by.
    #[error("TLS cannot be set up")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What the listener speaks TLS with, for this CA.
///
/// # Errors
/// The CA cannot make a certificate, or rustls does not take it.
pub(super) fn config(authority: Arc<Authority>, clock: &Clock) -> Result<Arc<ServerConfig>, NoTls> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone())?;
    // A chain and dates are judged here; whether the machine still stands is judged per request, by its record.
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()?;
    let certificate = Renewed::new(authority, clock.clone())?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Wall(clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::new(certificate));
    // A resumed session would have skipped the checks of the first; each connection proves everything anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Our clock, as rustls asks for it.
#[derive(Debug)]
struct Wall(Clock);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(core::time::Duration::from_secs(self.0.now().0)))
    }
}

/// The server's certificate, made anew at half of its life.
#[derive(Debug)]
struct Renewed {
    authority: Arc<Authority>,
    clock: Clock,
    current: RwLock<(Time, Arc<CertifiedKey>)>,
}

impl Renewed {
    fn new(authority: Arc<Authority>, clock: Clock) -> Result<Self, Error> {
        let now = clock.now();
        let current = RwLock::new((now, authority.server(now)?));
        Ok(Self { authority, clock, current })
    }
}

impl ResolvesServerCert for Renewed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = self.clock.now();
        let (made, certificate) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if now.since(made) < SERVER_LIFE / 2 {
            return Some(certificate);
        }
        match self.authority.server(now) {
            Ok(renewed) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = (now, Arc::clone(&renewed));
                Some(renewed)
            }
            Err(error) => {
                tracing::error!(%error, "the trust plane's certificate cannot be renewed");
                Some(certificate)
            }
        }
    }
}
