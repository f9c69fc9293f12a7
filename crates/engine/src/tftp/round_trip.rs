//! How long to wait for an answer: the round trip, measured (RFC 6298, with a floor that suits a LAN).

use core::time::Duration;

/// Before the first measurement.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Never less: firmware is busy elsewhere for milliseconds at a time.
const LEAST: Duration = Duration::from_millis(20);
/// Never more by measurement: the first answer may have been lost, and come again after the client's own patience.
const LONGEST: Duration = Duration::from_millis(250);
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
        let took = took.min(LONGEST);
        // Far below the last: that was the client's own patience, not the network.
        let misled = |measured: &Measured| took < measured.smoothed / 4;
        self.measured = Some(match self.measured.filter(|measured| !misled(measured)) {
            None => Measured { smoothed: took, variation: took / 2, shortest: took },
            Some(Measured { smoothed, variation, shortest }) => Measured {
                smoothed: (smoothed * 7 + took) / 8,
                variation: (variation * 3 + smoothed.abs_diff(took)) / 4,
                shortest: shortest.min(took),
            },
        });
    }

    /// Whether an answer that came `soon` after we broke a long silence shows the estimate to be wrong: the answer to anything
    /// earlier would hardly come at just that moment.
    pub(super) fn is_far_above(&self, soon: Duration) -> bool {
        self.patience(0, None) >= LONGEST / 2 && soon < LONGEST / 16
    }

    /// What is earlier than this after a packet cannot be the answer to it. Zero before the first measurement.
    pub(super) fn shortest(&self) -> Duration {
        self.measured.map_or(Duration::ZERO, |measured| measured.shortest)
    }

    /// How long to wait for an answer: doubled `back_off` times, at most 8 s or the client's wish (never less than 1 s).
    pub(super) fn patience(&self, back_off: u32, wish: Option<Duration>) -> Duration {
        let measured = |trip: Measured| (trip.smoothed + trip.variation * 4).clamp(LEAST, LONGEST);
        let patience = self.measured.map_or(UNKNOWN, measured);
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
        trip.sample(ms(60));
        assert_eq!(trip.patience(0, None), ms(180));
        trip.sample(ms(10));
        assert_eq!(trip.patience(0, None), ms(30), "the first was the client's patience, not the network's");
        for _ in 0..100 {
            trip.sample(Duration::from_micros(50));
        }
        assert_eq!(trip.patience(0, None), ms(20));
        assert_eq!(trip.shortest(), Duration::from_micros(50));
        trip.sample(ms(30_000));
        assert_eq!(trip.patience(0, None), ms(250));
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
