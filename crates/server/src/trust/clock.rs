//! The wall clock, which tests turn by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use slipway_trust::Time;

/// A clock.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicU64>>);

impl Clock {
    /// The system's.
    #[must_use]
    pub const fn wall() -> Self {
        Self(None)
    }

    /// One that stands still until it is turned.
    #[must_use]
    pub fn standing(at: Time) -> Self {
        Self(Some(Arc::new(AtomicU64::new(at.0))))
    }

    /// Turns a standing clock; the system's goes on as it does.
    pub fn turn(&self, to: Time) {
        if let Some(seconds) = &self.0 {
            seconds.store(to.0, Ordering::SeqCst);
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Some(seconds) => Time(seconds.load(Ordering::SeqCst)),
            None => Time(crate::journal::now().0 / 1000),
        }
    }
}
