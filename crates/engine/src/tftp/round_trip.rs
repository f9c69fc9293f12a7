//! How long to wait for an answer: the round trip, measured (RFC 6298, with a floor that suits a LAN).

use core::time::Duration;

/// Before the first measurement.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Never less: firmware is busy elsewhere for milliseconds at a time.
const LEAST: Duration = Duration::from_millis(20);
/// Never more, however often it was doubled.
const MOST: Duration = Duration::from_secs(8);

/// The round trip to one peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct RoundTrip {
    measured: Option<Measured>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Measured {
    smoothed: Duration,
    variation: Duration,
    shortest: Duration,
}

impl RoundTrip {
    /// Takes in a measurement. It must not come from a block that was sent twice (Karn's rule).
    pub(super) fn sample(&mut self, took: Duration) {
        self.measured = Some(match self.measured {
            None => Measured { smoothed: took, variation: took / 2, shortest: took },
            Some(Measured { smoothed, variation, shortest }) => Measured {
                smoothed: (smoothed * 7 + took) / 8,
                variation: (variation * 3 + smoothed.abs_diff(took)) / 4,
                shortest: shortest.min(took),
            },
        });
    }

    /// What is earlier than this after a packet cannot be the answer to it. Zero before the first measurement.
    pub(super) fn shortest(&self) -> Duration {
        self.measured.map_or(Duration::ZERO, |measured| measured.shortest)
    }

    /// How long to wait for an answer: doubled `back_off` times, at most 8 s or the client's wish (never less than 1 s).
    pub(super) fn patience(&self, back_off: u32, wish: Option<Duration>) -> Duration {
        let patience = self.measured.map_or(UNKNOWN, |measured| measured.smoothed + measured.variation * 4).max(LEAST);
        let most = wish.map_or(MOST, |wish| wish.clamp(UNKNOWN, MOST));
        patience.saturating_mul(1 << back_off.min(16)).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn patience_follows_the_round_trip_between_its_bounds() {
        let mut trip = RoundTrip::default();
        assert_eq!(trip.patience(0, None), ms(1000));
        trip.sample(ms(100));
        assert_eq!(trip.patience(0, None), ms(300));
        for _ in 0..100 {
            trip.sample(Duration::from_micros(50));
        }
        assert_eq!(trip.patience(0, None), ms(20));
        assert_eq!(trip.shortest(), Duration::from_micros(50));
        trip.sample(ms(30_000));
        assert_eq!(trip.patience(0, None), ms(8000));
    }

    #[test]
    fn patience_doubles_up_to_eight_seconds_or_the_clients_wish() {
        let mut trip = RoundTrip::default();
        let waits = |trip: &RoundTrip, wish| [0, 1, 2, 3, 4, 99].map(|n| trip.patience(n, wish).as_millis());
        assert_eq!(waits(&trip, None), [1000, 2000, 4000, 8000, 8000, 8000]);
        assert_eq!(waits(&trip, Some(ms(5000))), [1000, 2000, 4000, 5000, 5000, 5000]);
        trip.sample(ms(1));
        assert_eq!(waits(&trip, Some(ms(1000))), [20, 40, 80, 160, 320, 1000]);
        assert_eq!(waits(&trip, Some(ms(255_000)))[5], 8000);
    }
}
