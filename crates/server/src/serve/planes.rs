//! The planes: DHCP, TFTP and HTTP, bound at the start.

use crate::journal::Journal;
use crate::ports::Survey;
use crate::site::{SharedSite, Site};

use super::{Error, Start};

/// The planes that run.
pub(super) struct Planes {}

/// Binds every socket and starts every plane.
pub(super) async fn spawn(
    _start: &Start,
    _site: &SharedSite,
    _journal: &Journal,
    _survey: &Survey,
) -> Result<Planes, Error> {
    Ok(Planes {})
}

impl Planes {
    /// Follows a change of the interfaces; names what takes a restart.
    pub(super) fn adopt(&mut self, _before: &Site, _after: &Site) -> Vec<String> {
        Vec::new()
    }

    /// Lets transfers end and closes the sockets.
    pub(super) async fn shut_down(self) {}
}
