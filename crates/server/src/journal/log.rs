//! One log line per entry, its level by what came of it.

use std::time::{Duration, Instant};

use slipway_engine::Why;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::request::Loader;
use tracing::Level;

/// error: the operator must act. warn: misconfigured. info: a step of a boot. debug: a packet of no consequence, a peer's fault.
pub(super) fn level(entry: &Entry) -> Level {
    match &entry.outcome {
        Outcome::Answered(_) => match entry.about {
            About::Dhcp { loader: Loader::Os, .. } => Level::DEBUG,
            // Every host of the network asks.
            _ if entry.proto == Proto::Router => Level::DEBUG,
            _ => Level::INFO,
        },
        Outcome::Declined(why) => declined(why),
        Outcome::Peer(_) => Level::DEBUG,
        Outcome::Ourselves(_) => Level::ERROR,
    }
}

fn declined(why: &Why) -> Level {
    match why {
        Why::ReinstallGuard { .. } | Why::WrongPass => Level::WARN,
        Why::NoImage { .. }
        | Why::CannotRun { .. }
        | Why::CannotAttach { .. }
        | Why::NoLoader { .. }
        | Why::LoaderLoop { .. }
        | Why::MenuNeedsIpxe { .. }
        | Why::PoolEmpty
        | Why::AddressInUse => Level::WARN,
        Why::UnknownCa
        | Why::CertificateRefused
        | Why::WrongClock
        | Why::WrongName
        | Why::NoCommonCipher
        | Why::OldTls
        | Why::Revoked => Level::WARN,
        Why::NoMenu { .. }
        | Why::NoRule
        | Why::Ignored { .. }
        | Why::LocalBoot { .. }
        | Why::Installed { .. }
        | Why::NoWindow
        | Why::Enrolled
        | Why::Suspended
        | Why::UnknownArch { .. }
        | Why::WrongAddress => Level::INFO,
        _ => Level::DEBUG,
    }
}

/// Writes the line. Field names are fixed: `mac uuid ip iface proto why`; absent ones are left out.
pub(super) fn line(entry: &Entry) {
    let mac = entry.mac.map(tracing::field::display);
    let ip = entry.ip.map(tracing::field::display);
    let uuid = entry.uuid.map(tracing::field::display);
    let iface = (!entry.interface.is_empty()).then_some(entry.interface.as_str());
    let why = match &entry.outcome {
        Outcome::Declined(why) => Some(why.code()),
        _ => None,
    };
    let (proto, asked, outcome) = (entry.proto.name(), &entry.asked, &entry.outcome);
    macro_rules! write_at {
        ($level:ident) => {
            tracing::$level!(target: "slipway::journal", proto, mac, ip, uuid, iface, why, "{asked} -> {outcome}")
        };
    }
    match level(entry) {
        Level::ERROR => write_at!(error),
        Level::WARN => write_at!(warn),
        Level::INFO => write_at!(info),
        _ => write_at!(debug),
    }
}

/// Holds back lines about packets that anybody can send: declined ones and broken ones. What was answered is always told.
#[derive(Debug)]
pub(super) struct Limiter {
    since: Instant,
    told: u32,
    suppressed: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { since: Instant::now(), told: 0, suppressed: 0 }
    }
}

impl Limiter {
    /// Lines in a window.
    const MOST: u32 = 50;
    const WINDOW: Duration = Duration::from_secs(1);

    /// Whether to tell of this entry; if so, how many were held back since the last one.
    pub(super) fn admit(&mut self, entry: &Entry) -> Option<u64> {
        if matches!(entry.outcome, Outcome::Answered(_)) {
            return Some(0);
        }
        if self.since.elapsed() >= Self::WINDOW {
            self.since = Instant::now();
            self.told = 0;
        }
        if self.told >= Self::MOST {
            self.suppressed += 1;
            return None;
        }
        self.told += 1;
        Some(core::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Timestamp;

    fn entry(outcome: Outcome) -> Entry {
        Entry {
            at: Timestamp(0),
            proto: Proto::Dhcp4,
            mac: None,
            ip: None,
            uuid: None,
            interface: String::new(),
            asked: String::new(),
            about: About::Other,
            outcome,
        }
    }

    #[test]
    fn the_level_says_who_must_act() {
        let rows = [
            (Outcome::Answered("OFFER".to_owned()), Level::INFO),
            (Outcome::Declined(Why::NoImage { image: "x".to_owned() }), Level::WARN),
            (Outcome::Declined(Why::PoolEmpty), Level::WARN),
            (Outcome::Declined(Why::UnknownCa), Level::WARN),
            (Outcome::Declined(Why::NoRule), Level::INFO),
            (Outcome::Declined(Why::NotFound), Level::DEBUG),
            (Outcome::Peer("no END".to_owned()), Level::DEBUG),
            (Outcome::Ourselves("disk full".to_owned()), Level::ERROR),
        ];
        for (outcome, expected) in rows {
            assert_eq!(level(&entry(outcome.clone())), expected, "{outcome:?}");
        }
    }

    #[test]
    fn a_flood_of_bad_packets_does_not_flood_the_log_and_is_counted() {
        let mut limiter = Limiter::default();
        let bad = entry(Outcome::Peer("no END".to_owned()));
        let told = (0..1000).filter(|_| limiter.admit(&bad).is_some()).count();
        assert!((50..1000).contains(&told), "{told}");
        assert_eq!(limiter.admit(&entry(Outcome::Answered("OFFER".to_owned()))), Some(0));
        limiter.since = Instant::now() - Limiter::WINDOW;
        assert_eq!(limiter.admit(&bad), Some(u64::try_from(1000 - told).unwrap()));
    }
}
