//! An answer that may leave only after its writes are durable: an invariant is a type, not a comment.

use core::fmt::Display;

use crate::journal::{Entry, Outcome};

/// What one datagram led to, before it is durable: what to write, what to answer, and the journal's entry.
#[must_use = "a draft does nothing until it is settled"]
#[derive(Debug)]
pub struct Draft<W, T> {
    pub(crate) writes: Vec<W>,
    pub(crate) reply: Option<T>,
    pub(crate) entry: Entry,
}

/// What one datagram came to in the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled<T> {
    /// The answer, where there is one.
    pub reply: Option<T>,
    /// For the journal, exactly once.
    pub entry: Entry,
}

impl<W, T> Draft<W, T> {
    /// Whether there is something to make durable; if not, [`settle`] never asks for a commit.
    #[must_use]
    pub const fn needs_commit(&self) -> bool {
        !self.writes.is_empty()
    }

    fn release(self) -> Settled<T> {
        Settled { reply: self.reply, entry: self.entry }
    }

    fn fail(self, error: &impl Display) -> Settled<T> {
        let outcome = Outcome::Ourselves(format!("not answered, because it could not be made durable: {error}"));
        Settled { reply: None, entry: Entry { outcome, ..self.entry } }
    }
}

/// The only way out of drafts: one commit for all of them, then their answers in the same order. When the commit fails, the drafts
/// that needed it are not answered; their clients ask again.
pub fn settle<W: Clone, T, E: Display>(
    drafts: Vec<Draft<W, T>>,
    commit: impl FnOnce(&[W]) -> Result<(), E>,
) -> Vec<Settled<T>> {
    let writes: Vec<W> = drafts.iter().flat_map(|draft| &draft.writes).cloned().collect();
    let outcome = if writes.is_empty() { Ok(()) } else { commit(&writes) };
    let finish = |draft: Draft<W, T>| match &outcome {
        Err(error) if draft.needs_commit() => draft.fail(error),
        _ => draft.release(),
    };
    drafts.into_iter().map(finish).collect()
}
