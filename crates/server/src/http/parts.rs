//! A file that is read in many parts, as iPXE reads an ISO image: thousands of requests, of which the journal tells together.

use std::time::Duration;

use slipway_engine::journal::{About, Entry, Outcome};
use tokio::time::Instant;

/// How long after a part the next one is waited for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long parts are gathered before the journal is told.
const LONGEST: Duration = Duration::from_secs(10);

/// Parts that were sent over one connection and that the journal has not been told of yet. The first part of a file is told at once:
/// most who ask for a part ask for one.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The file that the last request got a part of.
    path: Option<String>,
    gathered: Option<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    entry: Entry,
    path: String,
    count: u64,
    bytes: u64,
    since: Instant,
    last: Instant,
}

impl Parts {
    /// Takes the entry of an answered request; gives back what the journal is to be told now. `part` says that it was a part of a file
    /// that went out whole.
    pub(super) fn take(&mut self, entry: Entry, part: bool, now: Instant) -> Vec<Entry> {
        let About::File { path, sent, .. } = &entry.about else {
            self.path = None;
            return self.flush().into_iter().chain([entry]).collect();
        };
        if !part || self.path.as_ref() != Some(path) {
            self.path = part.then(|| path.clone());
            return self.flush().into_iter().chain([entry]).collect();
        }
        let (path, sent) = (path.clone(), *sent);
        let gathered = self.gathered.get_or_insert_with(|| Gathered {
            entry: entry.clone(),
            path,
            count: 0,
            bytes: 0,
            since: now,
            last: now,
        });
        gathered.count = gathered.count.saturating_add(1);
        gathered.bytes = gathered.bytes.saturating_add(sent);
        gathered.last = now;
        gathered.entry.at = entry.at;
        let full = now.duration_since(gathered.since) >= LONGEST;
        if full { self.flush().into_iter().collect() } else { Vec::new() }
    }

    /// When the journal is to be told if nothing more comes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.gathered.as_ref().map(|gathered| gathered.last + PAUSE)
    }

    /// What the journal has not been told yet, as one entry.
    pub(super) fn flush(&mut self) -> Option<Entry> {
        let Gathered { entry, path, count, bytes, since, last } = self.gathered.take()?;
        let took = last.duration_since(since);
        let outcome = Outcome::Answered(format!("206 {bytes} bytes in {:.2} s", took.as_secs_f64()));
        let asked = format!("GET /{} in {count} more parts", path.escape_debug());
        Some(Entry { asked, about: About::File { path, sent: bytes, took, whole: false }, outcome, ..entry })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Timestamp;
    use slipway_engine::journal::Proto;

    fn entry(path: &str, at: u64) -> Entry {
        Entry {
            at: Timestamp(at),
            proto: Proto::Http,
            mac: None,
            ip: None,
            uuid: None,
            interface: String::new(),
            asked: format!("GET /{path} bytes=0-9"),
            about: About::File { path: path.to_owned(), sent: 10, took: Duration::ZERO, whole: true },
            outcome: Outcome::Answered("206 10 bytes in 0.00 s".to_owned()),
        }
    }

    fn told(entries: &[Entry]) -> Vec<String> {
        entries.iter().map(|entry| format!("{} {} -> {}", entry.at.0, entry.asked, entry.outcome)).collect()
    }

    #[test]
    fn the_first_part_is_told_at_once_and_those_after_it_together() {
        let (mut parts, start) = (Parts::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert_eq!(
            told(&parts.take(entry("x.iso", 1), true, after(0))),
            ["1 GET /x.iso bytes=0-9 -> 206 10 bytes in 0.00 s"]
        );
        assert_eq!(parts.due(), None);
        for n in 0..5 {
            assert_eq!(parts.take(entry("x.iso", 2 + n), true, after(n * 100)), []);
        }
        assert_eq!(parts.due(), Some(after(1400)));
        let other = parts.take(entry("y.iso", 9), true, after(500));
        assert_eq!(
            told(&other),
            [
                "6 GET /x.iso in 5 more parts -> 206 50 bytes in 0.40 s",
                "9 GET /y.iso bytes=0-9 -> 206 10 bytes in 0.00 s"
            ]
        );
        assert_eq!((parts.due(), parts.flush()), (None, None));
    }

    #[test]
    fn a_long_reading_is_told_of_while_it_lasts() {
        let (mut parts, start) = (Parts::default(), Instant::now());
        let entries: usize =
            (0..30).map(|n| parts.take(entry("x.iso", n), true, start + Duration::from_secs(n)).len()).sum();
        assert_eq!(entries, 3, "the first, and every ten seconds");
    }

    #[test]
    fn what_is_no_part_ends_a_reading() {
        let (mut parts, start) = (Parts::default(), Instant::now());
        for n in 0..3 {
            parts.take(entry("x.iso", n), true, start);
        }
        assert_eq!(parts.take(entry("x.iso", 4), false, start).len(), 2);
        assert_eq!(parts.take(entry("x.iso", 5), true, start).len(), 1, "the first of another reading");
        parts.take(entry("x.iso", 6), true, start);
        let script = Entry { about: About::Other, ..entry("boot.ipxe", 7) };
        assert_eq!(parts.take(script, false, start).len(), 2);
    }
}
