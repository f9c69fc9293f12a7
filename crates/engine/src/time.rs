//! Wall-clock time as a value.

use core::time::Duration;

/// A point in wall-clock time: milliseconds since the Unix epoch. Leases and the journal are kept in it, because they outlive a
/// process; machines that only measure intervals (TFTP) use a monotonic [`Duration`] instead.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time moved into the future, at most to the end of time.
    #[must_use]
    pub fn plus(self, interval: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}
