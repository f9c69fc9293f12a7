//! The planes: DHCP, TFTP and HTTP, their sockets bound at the start.

use core::error::Error as StdError;
use std::io;
use std::time::Duration;

use slipway_store::leases::Embedded;

use crate::dhcp;
use crate::http;
use crate::journal::Journal;
use crate::ports::Survey;
use crate::site::{SharedSite, Site};
use crate::tftp;

use super::{Error, Start};

/// How long running transfers may go on after a stop was asked for: less than the whole server has.
const DRAIN: Duration = Duration::from_secs(3);

/// The planes that run.
pub(super) struct Planes {
    tftp: tftp::Handle,
    http: http::Handle,
    dhcp: dhcp::Handle,
}

/// Binds every socket and starts every plane. When one cannot start, those before it are ended by the process's end.
pub(super) async fn spawn(
    start: &Start,
    site: &SharedSite,
    journal: &Journal,
    survey: &Survey,
) -> Result<Planes, Error> {
    let limits = tftp::Limits { drain: DRAIN, ..tftp::Limits::default() };
    let everywhere = http::everywhere(start.config.tftp_port);
    let tftp = tftp::spawn(&everywhere, limits, site.clone(), journal.clone())
        .map_err(|error| failed("TFTP", error, survey))?;
    let limits = http::Limits { drain: DRAIN, ..http::Limits::default() };
    let everywhere = http::everywhere(start.config.http_port);
    let http = http::spawn(&everywhere, limits, site.clone(), journal.clone())
        .map_err(|error| failed("the HTTP boot server", error, survey))?;
    // Last: once DHCP answers, firmware asks the others.
    let dhcp = Embedded::open(&start.data)
        .map_err(dhcp::Error::Leases)
        .and_then(|leases| dhcp::spawn(dhcp::Ports::default(), leases, site.clone(), journal.clone()))
        .map_err(|error| failed("DHCP", error, survey))?;
    Ok(Planes { tftp, http, dhcp })
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
    /// Follows a change of the site's interfaces: DHCP's sockets belong to interfaces, those of TFTP and HTTP to all. Tells what could
    /// not be opened.
    pub(super) fn adopt(&mut self, site: &Site) -> Vec<String> {
        self.dhcp.adopt(site)
    }

    /// Lets transfers end, in at most [`DRAIN`], and closes the sockets.
    pub(super) async fn shut_down(self) {
        let dhcp = tokio::task::spawn_blocking(move || self.dhcp.shutdown());
        let tftp = tokio::task::spawn_blocking(move || self.tftp.shutdown());
        self.http.shutdown().await;
        let _ = tokio::join!(tftp, dhcp);
    }
}
