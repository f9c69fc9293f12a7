//! The audit log: each entry names the one before it by its digest, so that none can be changed, dropped or put in between unseen.

use minicbor::{CborLen, Decode, Encode};

use crate::id::{Digest, Time};

/// One entry.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Entry {
    /// Its place, from 1.
    #[n(0)]
    pub number: u64,
    /// The digest of the entry before it, as it is encoded; zeros for the first.
    #[n(1)]
    pub before: Digest,
    /// When.
    #[n(2)]
    pub at: Time,
    /// Who: `admin <kid>`, `machine <id>`, `policy`, `clock`.
    #[n(3)]
    pub actor: String,
    /// What happened: a stable word, such as `invite-created` or `machine-revoked`.
    #[n(4)]
    pub event: String,
    /// To what: a machine, a ticket, an invite.
    #[n(5)]
    pub subject: String,
    /// The state before.
    #[n(6)]
    pub from: Option<String>,
    /// The state after.
    #[n(7)]
    pub to: Option<String>,
    /// More, in words.
    #[n(8)]
    pub detail: String,
    /// SHA-256 of the evidence: the signed record or the frames that led to it.
    #[n(9)]
    pub evidence: Option<Digest>,
}

/// An invite for one machine that a second one comes with: one of the two is a thief.
pub(crate) const SECOND_USE: &str = "invite-second-use";

impl Entry {
    /// Whether a person must look at it at once.
    #[must_use]
    pub fn is_alarm(&self) -> bool {
        self.event == SECOND_USE
    }
}

/// What an entry says, before it has its place.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Said {
    /// See [`Entry::actor`].
    pub actor: String,
    /// See [`Entry::event`].
    pub event: &'static str,
    /// See [`Entry::subject`].
    pub subject: String,
    /// See [`Entry::from`].
    pub from: Option<String>,
    /// See [`Entry::to`].
    pub to: Option<String>,
    /// See [`Entry::detail`].
    pub detail: String,
    /// See [`Entry::evidence`].
    pub evidence: Option<Digest>,
}

/// The end of a log: what the next entry is chained to.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Head {
    /// How many entries there are.
    #[n(0)]
    pub count: u64,
    /// The last one's digest.
    #[n(1)]
    pub last: Digest,
}

impl Default for Head {
    fn default() -> Self {
        Self { count: 0, last: Digest([0; 32]) }
    }
}

impl Head {
    /// The head after this entry.
    pub(crate) fn after(self, entry: &Entry) -> Self {
        Self { count: entry.number, last: Digest::of(&crate::encode(entry)) }
    }

    /// The next entry. The head moves on to it.
    pub fn append(&mut self, at: Time, said: Said) -> Entry {
        let Said { actor, event, subject, from, to, detail, evidence } = said;
        let number = self.count.saturating_add(1);
        let event = event.to_owned();
        let entry = Entry { number, before: self.last, at, actor, event, subject, from, to, detail, evidence };
        *self = Self { count: number, last: Digest::of(&crate::encode(&entry)) };
        entry
    }

    /// Moves on to an entry, as it is encoded, if it is the next one.
    ///
    /// # Errors
    /// Where the chain breaks.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<Entry, Broken> {
        let number = self.count.saturating_add(1);
        let entry: Entry = crate::decode(bytes).map_err(|_| Broken { number, what: "is not an entry" })?;
        if entry.number != number {
            return Err(Broken { number, what: "is missing, or out of place" });
        }
        if entry.before != self.last {
            return Err(Broken { number, what: "does not follow the one before it: one of the two was changed" });
        }
        *self = Self { count: number, last: Digest::of(bytes) };
        Ok(entry)
    }
}

/// Where a log is broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("entry {number} {what}")]
pub struct Broken {
    /// The entry.
    pub number: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<Vec<u8>> {
        let mut head = Head::default();
        let said = |n: u64| Said { actor: format!("admin {n}"), event: "window-opened", ..Said::default() };
        (0..5).map(|n| crate::encode(&head.append(Time(n), said(n)))).collect()
    }

    fn verify(log: &[Vec<u8>]) -> Result<Head, Broken> {
        let mut head = Head::default();
        log.iter().try_for_each(|entry| head.follow(entry).map(drop))?;
        Ok(head)
    }

    #[test]
    fn a_whole_log_verifies_and_every_change_is_found() {
        let whole = log();
        assert_eq!(verify(&whole).unwrap().count, 5);
        for n in 0..4 {
            let mut dropped = whole.clone();
            dropped.remove(n);
            assert!(verify(&dropped).is_err(), "without entry {n}");
            let mut swapped = whole.clone();
            swapped.swap(n, n + 1);
            assert!(verify(&swapped).is_err(), "with {n} swapped");
            let mut changed = whole.clone();
            let last = changed[n].len() - 8;
            changed[n][last] ^= 1;
            assert!(verify(&changed).is_err(), "with {n} changed");
        }
    }
}
