//! Which time it is, as far as a machine can know.

use crate::id::Time;

/// A clock that is this far past the build of the image is broken, in seconds: ten years.
const TOO_LATE: u64 = 10 * 366 * 24 * 3600;

/// What a machine takes for the time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clock {
    /// The time to use: never before the image was built.
    pub time: Time,
    /// Whether the machine's own clock is wrong; that is said on the console.
    pub broken: bool,
}

/// The time by the machine's clock, held against the time when its image was built: a clock that is before it, or more than ten years after it,
/// is wrong, and the time of the build is used. Validity is always checked, never skipped.
#[must_use]
pub fn clock(own: Time, built: Time) -> Clock {
    let broken = own < built || own.since(built) > TOO_LATE;
    Clock { time: if broken { built } else { own }, broken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_believed_within_ten_years_of_the_build() {
        let built = Time(1_800_000_000);
        let rows =
            [(0, true), (1_799_999_999, true), (1_800_000_000, false), (2_100_000_000, false), (2_200_000_000, true)];
        for (own, broken) in rows {
            let clock = clock(Time(own), built);
            assert_eq!((clock.broken, clock.time.0), (broken, if broken { built.0 } else { own }), "{own}");
        }
    }
}
