//! What time it is. A machine's clock is what a battery made of it, so it is believed only within bounds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use slipway_trust::Time;

/// A clock further ahead of the image's build than this is broken: ten years, in seconds.
const CREDIBLE: u64 = 10 * 366 * 24 * 3600;

/// The machine's clock, as far as it can be believed: never before the image was built, and not far after.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Clock {
    /// When the image was built.
    built: Time,
    /// Whether the machine's clock is not believed at all.
    broken: bool,
}

impl Clock {
    /// Judges the machine's clock by the time when the image was built.
    pub(crate) fn new(built: Time) -> Self {
        Self { built, broken: is_broken(system(), built) }
    }

    /// A clock that stands still.
    #[cfg(test)]
    pub(crate) fn fixed(at: Time) -> Self {
        Self { built: at, broken: true }
    }

    /// Now.
    pub(crate) fn now(self) -> Time {
        believed(system(), self.built, self.broken)
    }

    /// Whether it has to be made do with the time of the build, in words.
    pub(crate) fn complaint(self) -> Option<&'static str> {
        let slow = !self.broken && system() < self.built;
        match (self.broken, slow) {
            (true, _) => Some("the machine's clock is years ahead: the time of the image's build is used"),
            (_, true) => Some("the machine's clock is behind: the time of the image's build is used"),
            _ => None,
        }
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

fn is_broken(said: Time, built: Time) -> bool {
    said.since(built) > CREDIBLE
}

fn believed(said: Time, built: Time, broken: bool) -> Time {
    if broken { built } else { said.max(built) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_from_the_build_on_and_for_ten_years() {
        let built = Time(1_700_000_000);
        for (said, believed_now) in
            [(0, built), (built.0, built), (built.0 + 5, Time(built.0 + 5)), (built.0 + CREDIBLE + 1, built), (u64::MAX, built)]
        {
            let said = Time(said);
            assert_eq!(believed(said, built, is_broken(said, built)), believed_now, "{said:?}");
        }
    }
}
