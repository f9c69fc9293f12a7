//! A decision whose answer may leave only after its changes are durable.

use super::{Change, Registry};
use crate::audit::{Head, Said};
use crate::id::Time;

/// A decision: what it changes, and what it answers. The answer comes out of [`Draft::settle`] alone.
#[must_use = "a draft does nothing until it is settled"]
#[derive(Debug)]
pub struct Draft<R> {
    pub(crate) seen: u64,
    pub(crate) changes: Vec<Change>,
    pub(crate) reply: R,
}

/// Why a draft was not settled. Nothing has changed.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unsettled<E> {
    /// The registry changed after the draft was made: decide again.
    #[error("something else was decided in between")]
    Outrun,
    /// It could not be made durable.
    #[error("it could not be made durable")]
    Commit(#[source] E),
}

impl<R> Draft<R> {
    /// What it changes.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Says one thing more in the audit log.
    pub(crate) fn say(&mut self, registry: &Registry, now: Time, said: Said) {
        let last = self.changes.iter().rev().find_map(|change| match change {
            Change::Audit(entry) => Some(Head::default().after(entry)),
            _ => None,
        });
        let mut head = last.unwrap_or(registry.audit());
        let entry = head.append(now, said);
        // The log ends here now.
        self.changes.retain(|change| !matches!(change, Change::Head(_)));
        self.changes.extend([Change::Audit(entry), Change::Head(head)]);
    }

    /// The only way out: `commit` makes the changes durable (it is not asked if there are none), the registry takes them in, and the answer is
    /// free. Whoever holds the registry alone from the decision to here is never outrun.
    ///
    /// # Errors
    /// The registry has changed since the draft was made, or the commit fails.
    pub fn settle<E>(
        self,
        registry: &mut Registry,
        commit: impl FnOnce(&[Change]) -> Result<(), E>,
    ) -> Result<R, Unsettled<E>> {
        if !self.changes.is_empty() {
            if registry.version() != self.seen {
                return Err(Unsettled::Outrun);
            }
            commit(&self.changes).map_err(Unsettled::Commit)?;
            self.changes.iter().for_each(|change| registry.apply(change));
        }
        Ok(self.reply)
    }
}
