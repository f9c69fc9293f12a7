//! What time it is. A machine's clock is what a battery made of it, so it is believed only within bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use slipway_trust::{Time, machine};

/// The machine's clock, as far as it can be believed: [`machine::clock`] judges it by the time when the image was built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clock {
    built: Time,
    /// A clock that stands still, for tests.
    still: bool,
}

impl Clock {
    /// The clock of a machine whose image was built then.
    pub(crate) const fn new(built: Time) -> Self {
        Self { built, still: false }
    }

    /// A clock that stands still.
    #[cfg(test)]
    pub(crate) const fn fixed(at: Time) -> Self {
        Self { built: at, still: true }
    }

    /// Now.
    pub(crate) fn now(self) -> Time {
        if self.still { self.built } else { machine::clock(system(), self.built).time }
    }

    /// Whether the machine's clock is wrong.
    pub(crate) fn is_broken(self) -> bool {
        machine::clock(system(), self.built).broken
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.now().0)))
    }
}

fn system() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or(0))
}
