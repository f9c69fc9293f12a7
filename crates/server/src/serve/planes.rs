//! The planes: DHCP, TFTP, HTTP, HTTPS and the org's, their sockets bound at the start.

use core::error::Error as StdError;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use slipway_store::leases::Embedded;

use crate::dhcp;
use crate::http;
use crate::journal::Journal;
use crate::ports::Survey;
use crate::site::{SharedSite, Site};
use crate::tftp;
use crate::tls::{self, Certificates};
use crate::trust;

use super::org::{Org, OrgSlot, warn_if_missing};
use super::running::chain;
use super::{Error, Start};

/// How long running transfers may go on after a stop was asked for: less than the whole server has.
const DRAIN: Duration = Duration::from_secs(3);

/// The planes that run.
pub(super) struct Planes {
    tftp: tftp::Handle,
    http: http::Handle,
    https: Option<Https>,
    dhcp: dhcp::Handle,
    org: Org,
}

/// HTTPS, with the port that it was started for.
struct Https {
    port: u16,
    certificates: Arc<Certificates>,
    handle: http::Handle,
}

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
enum NoHttps {
    #[error(transparent)]
    Authority(#[from] tls::Error),
    #[error(transparent)]
    Socket(#[from] http::Error),
}

impl Https {
    /// Opens the boot CA, which makes it if this is the first time, and the port. Nothing where none is wanted.
    fn spawn(data: &Path, site: &SharedSite, journal: &Journal) -> Result<Option<Self>, NoHttps> {
        let current = site.load_full();
        let Some(port) = current.https.as_ref().map(|https| https.port) else { return Ok(None) };
        let certificates = Arc::new(Certificates::default());
        certificates.open(data, &current)?;
        let limits = http::Limits { drain: DRAIN, ..http::Limits::default() };
        let shared = Arc::clone(&certificates);
        let handle = http::spawn_tls(&http::everywhere(port), limits, site.clone(), journal.clone(), shared)?;
        Ok(Some(Self { port, certificates, handle }))
    }
}

/// Binds every socket and starts every plane. When one cannot start, those before it are ended by the process's end.
pub(super) async fn spawn(
    start: &Start,
    site: &SharedSite,
    journal: &Journal,
    survey: &Survey,
    (keys, slot): (Option<Arc<trust::Keys>>, OrgSlot),
) -> Result<Planes, Error> {
    let limits = tftp::Limits { drain: DRAIN, ..tftp::Limits::default() };
    let everywhere = http::everywhere(start.config.tftp_port);
    let tftp = tftp::spawn(&everywhere, limits, site.clone(), journal.clone())
        .map_err(|error| failed("TFTP", error, survey))?;
    let limits = http::Limits { drain: DRAIN, ..http::Limits::default() };
    let everywhere = http::everywhere(start.config.http_port);
    let http = http::spawn(&everywhere, limits, site.clone(), journal.clone())
        .map_err(|error| failed("the HTTP boot server", error, survey))?;
    let https = Https::spawn(&start.data, site, journal).map_err(|error| failed("HTTPS", error, survey))?;
    let mut org = Org::new(slot);
    if keys.is_none() {
        warn_if_missing(&start.config.org);
    }
    if let Some(keys) = keys {
        let spawned = org.spawn(start, keys, site, journal).await;
        spawned.map_err(|error| failed("the trust plane", error, survey))?;
    }
    // Last: once DHCP answers, firmware asks the others.
    let dhcp = Embedded::open(&start.data)
        .map_err(dhcp::Error::Leases)
        .and_then(|leases| dhcp::spawn(dhcp::Ports::default(), leases, site.clone(), journal.clone()))
        .map_err(|error| failed("DHCP", error, survey))?;
    Ok(Planes { tftp, http, https, dhcp, org })
}

/// A plane's error, with who stands in the way or what is missing.
fn failed<E: StdError + Send + Sync + 'static>(what: &'static str, error: E, survey: &Survey) -> Error {
    let hint = match cause(&error) {
        Some(io::ErrorKind::AddrInUse) => match survey.told() {
            told if told.is_empty() => String::new(),
            told => format!(": {told}"),
        },
        Some(io::ErrorKind::PermissionDenied) => {
            ": start as root (`sudo slipway serve`), by systemd, or give the program its capabilities \
             (`setcap cap_net_bind_service,cap_net_raw,cap_net_admin+ep` on its file)"
                .to_owned()
        }
        _ => String::new(),
    };
    Error::Plane { what, hint, source: Box::new(error) }
}

/// The kind of the system's error that an error came from.
fn cause(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(system) = error.downcast_ref::<io::Error>() {
            return Some(system.kind());
        }
        next = error.source();
    }
    None
}

impl Planes {
    /// Follows a change of the site. DHCP's sockets belong to interfaces; those of TFTP and HTTP to all, so that they stay; HTTPS comes
    /// and goes with the configuration. Tells what could not be opened.
    pub(super) fn adopt(&mut self, data: &Path, site: &SharedSite, journal: &Journal) -> Vec<String> {
        let current = site.load_full();
        let mut problems = self.dhcp.adopt(&current);
        if let Err(error) = self.adopt_https(data, site, &current, journal) {
            problems.push(format!("HTTPS cannot be served: {}", chain(&error)));
        }
        problems
    }

    fn adopt_https(
        &mut self,
        data: &Path,
        site: &SharedSite,
        current: &Site,
        journal: &Journal,
    ) -> Result<(), NoHttps> {
        match &self.https {
            Some(https) if current.https.as_ref().is_some_and(|wanted| wanted.port == https.port) => {
                https.certificates.open(data, current)?;
            }
            _ => {
                if let Some(before) = self.https.take() {
                    tokio::spawn(before.handle.shutdown());
                }
                self.https = Https::spawn(data, site, journal)?;
            }
        }
        Ok(())
    }

    /// Follows the org: its manifest, and its coming.
    pub(super) async fn adopt_org(&mut self, start: &Start, site: &SharedSite, journal: &Journal) -> Vec<String> {
        let followed = self.org.follow(start, site, journal).await;
        followed.err().map(|error| format!("the org cannot be served: {}", chain(&error))).into_iter().collect()
    }

    /// Lets the org look at the image store again.
    pub(super) async fn look_at_images(&self) {
        self.org.look_at_images().await;
    }

    /// The trust plane's port, where it runs.
    pub(super) fn trust_port(&self) -> Option<u16> {
        self.org.port()
    }

    /// What a person should read of the org at the start.
    pub(super) fn org_line(&self) -> Option<String> {
        self.org.line()
    }

    /// Lets transfers end, in at most [`DRAIN`], and closes the sockets.
    pub(super) async fn shut_down(self) {
        let dhcp = tokio::task::spawn_blocking(move || self.dhcp.shutdown());
        let tftp = tokio::task::spawn_blocking(move || self.tftp.shutdown());
        let https = async {
            if let Some(https) = self.https {
                https.handle.shutdown().await;
            }
        };
        let _ = tokio::join!(tftp, dhcp, self.http.shutdown(), https, self.org.shut_down());
    }
}
