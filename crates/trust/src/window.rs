//! Enrolment windows: outside of one, nobody new gets in.

use minicbor::{CborLen, Decode, Encode};

use crate::id::{InviteId, Time};
use crate::key::Kid;

/// A window, signed by an admin ([`crate::Domain::Window`]).
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Window {
    /// Random: two windows are never the same.
    #[n(0)]
    pub id: InviteId,
    /// From when.
    #[n(1)]
    pub opens: Time,
    /// Until when: at most [`Window::LONGEST`] later.
    #[n(2)]
    pub expires: Time,
    /// How many machines may be granted an identity in it, 1 to 1000.
    #[n(3)]
    pub max_machines: u32,
    /// Invites that count in it; empty: any.
    #[n(4)]
    pub invites: Vec<InviteId>,
    /// The admin who opened it.
    #[n(5)]
    pub opened_by: Kid,
}

impl Window {
    /// The longest that a window stays open, in seconds: 8 hours.
    pub const LONGEST: u64 = 8 * 3600;
    /// The most machines of a window.
    pub const MOST_MACHINES: u32 = 1000;

    /// Whether it is one at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BadWindow> {
        if self.expires <= self.opens || self.expires.since(self.opens) > Self::LONGEST {
            return Err(BadWindow::Length);
        }
        if self.max_machines == 0 || self.max_machines > Self::MOST_MACHINES {
            return Err(BadWindow::Machines);
        }
        Ok(())
    }

    /// Whether machines that come with this invite, or with none, may come in by it.
    #[must_use]
    pub fn admits(&self, invite: Option<&InviteId>) -> bool {
        self.invites.is_empty() || invite.is_some_and(|invite| self.invites.contains(invite))
    }

    /// Whether it is open at this time.
    #[must_use]
    pub fn is_open(&self, now: Time) -> bool {
        self.check().is_ok() && self.opens <= now && now < self.expires
    }
}

/// What is wrong with a window.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadWindow {
    /// Too long, or it ends before it begins.
    #[error("a window is open for more than nothing and at most 8 hours")]
    Length,
    /// No machines, or too many.
    #[error("a window is for 1 to 1000 machines")]
    Machines,
}
