//! An answer that may leave only after its writes are durable: an invariant is a type, not a comment.

use core::fmt::Display;
use core::net::{Ipv4Addr, SocketAddrV4};

use super::lease::Record;
use crate::journal::{Entry, Outcome};

/// A datagram to send, on the interface that the question came in on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// The payload.
    pub data: Vec<u8>,
    /// Where to.
    pub to: SocketAddrV4,
    /// Our address that it leaves from: the one in option 54.
    pub from: Ipv4Addr,
}

/// What one datagram led to, before it is durable.
#[must_use = "a draft does nothing until it is settled"]
#[derive(Debug)]
pub struct Draft {
    pub(super) writes: Vec<Record>,
    pub(super) reply: Option<Transmit>,
    pub(super) entry: Entry,
}

/// What one datagram came to in the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settled {
    /// The answer, where there is one.
    pub reply: Option<Transmit>,
    /// For the journal, exactly once.
    pub entry: Entry,
}

impl Draft {
    /// Whether there is something to make durable; if not, [`settle`] never asks for a commit.
    #[must_use]
    pub const fn needs_commit(&self) -> bool {
        !self.writes.is_empty()
    }

    fn release(self) -> Settled {
        Settled { reply: self.reply, entry: self.entry }
    }

    fn fail(self, error: &impl Display) -> Settled {
        let outcome = Outcome::Ourselves(format!("not answered, because it could not be made durable: {error}"));
        Settled { reply: None, entry: Entry { outcome, ..self.entry } }
    }
}

/// The only way out of drafts: one commit for all of them, then their answers in the same order. When the commit fails, the drafts
/// that needed it are not answered; their clients ask again.
pub fn settle<E: Display>(drafts: Vec<Draft>, commit: impl FnOnce(&[Record]) -> Result<(), E>) -> Vec<Settled> {
    let writes: Vec<Record> = drafts.iter().flat_map(|draft| &draft.writes).cloned().collect();
    let outcome = if writes.is_empty() { Ok(()) } else { commit(&writes) };
    let finish = |draft: Draft| match &outcome {
        Err(error) if draft.needs_commit() => draft.fail(error),
        _ => draft.release(),
    };
    drafts.into_iter().map(finish).collect()
}
