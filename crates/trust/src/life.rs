//! The life of a machine, as a pure function. Nothing else changes a state.
//!
//! ```text
//!            approve            grant              second stage attests        healthy
//! REQUESTED ───────► APPROVED ───────► PENDING ───────────────────► CONFIRMED ───────► ACTIVE
//!     │ deny, 24 h       │ 15 min         │ 30 min                       ▲                │ │
//!     ▼                  ▼                ▼                              │ attests        │ │ suspend ⇄ resume
//!  DENIED, EXPIRED    EXPIRED          EXPIRED                        RECOVERY ◄─ recover ┘ ▼
//!                                                                                     SUSPENDED
//! every machine ── retire ──► RETIRED        every machine ── revoke ──► REVOKED, for ever
//! ```

use core::fmt;

use minicbor::{CborLen, Decode, Encode};

use crate::id::Time;
use crate::refusal::Refusal;

/// Where an enrolment or a machine stands.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(index_only)]
pub enum State {
    /// It asks; nobody has decided.
    #[n(0)]
    Requested,
    /// It may fetch its grant.
    #[n(1)]
    Approved,
    /// A person said no.
    #[n(2)]
    Denied,
    /// It took too long.
    #[n(3)]
    Expired,
    /// It has its grant; its first boot from its own disk is awaited.
    #[n(4)]
    Pending,
    /// Its preboot has proved itself; a healthy system is awaited.
    #[n(5)]
    Confirmed,
    /// It runs.
    #[n(6)]
    Active,
    /// An admin withholds everything from it.
    #[n(7)]
    Suspended,
    /// It may rewrite its ESP, and nothing else.
    #[n(8)]
    Recovery,
    /// Its identity has ended; the hardware may enrol anew.
    #[n(9)]
    Retired,
    /// Its identity has ended; key and TPM are never let in again.
    #[n(10)]
    Revoked,
}

/// What can happen.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Event {
    /// A person, or the policy, says yes.
    Approve,
    /// A person says no.
    Deny,
    /// The grant was fetched.
    Grant,
    /// The preboot on the disk has proved itself to the gateway.
    Attest,
    /// The operating system says that it is well.
    Healthy,
    /// An admin suspends it.
    Suspend,
    /// An admin resumes it.
    Resume,
    /// The machine proved itself from the bootstrap image: it has lost its ESP.
    Recover,
    /// An admin retires it.
    Retire,
    /// An admin revokes it.
    Revoke,
    /// The time that it may stay in its state is over.
    TimeOut,
}

impl State {
    /// All states.
    pub const ALL: [Self; 11] = [
        Self::Requested,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Pending,
        Self::Confirmed,
        Self::Active,
        Self::Suspended,
        Self::Recovery,
        Self::Retired,
        Self::Revoked,
    ];

    /// Its name, as listings and the audit log spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Recovery => "recovery",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether it is a machine's: one that has an identity, or had one.
    #[must_use]
    pub const fn has_identity(self) -> bool {
        !matches!(self, Self::Requested | Self::Approved | Self::Denied)
    }

    /// Whether the org's share of the disk key may be given to a machine that has just come to this state by attesting.
    #[must_use]
    pub const fn gets_share(self) -> bool {
        matches!(self, Self::Confirmed | Self::Active)
    }

    /// How long it may last, in seconds, and whether it ends then; one that does not end is shown as stuck.
    #[must_use]
    pub const fn limit(self) -> Option<Limit> {
        match self {
            Self::Requested => Some(Limit { seconds: 24 * 3600, ends: true }),
            Self::Approved => Some(Limit { seconds: 15 * 60, ends: true }),
            Self::Pending | Self::Recovery => Some(Limit { seconds: 30 * 60, ends: true }),
            Self::Confirmed => Some(Limit { seconds: 30 * 60, ends: false }),
            Self::Denied | Self::Expired | Self::Active | Self::Suspended | Self::Retired | Self::Revoked => None,
        }
    }

    /// The refusal for a machine that asks for something that this state does not allow.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Denied => Refusal::Denied,
            Self::Expired => Refusal::Expired,
            Self::Suspended => Refusal::Suspended,
            Self::Retired => Refusal::Retired,
            Self::Revoked => Refusal::Revoked,
            Self::Requested | Self::Approved | Self::Pending | Self::Confirmed | Self::Active | Self::Recovery => {
                Refusal::WrongState
            }
        }
    }

    /// Where this leads.
    ///
    /// # Errors
    /// Nowhere: what to tell the machine.
    pub const fn after(self, event: Event) -> Result<Self, Refusal> {
        match (self, event) {
            (Self::Revoked, _) => Err(Refusal::Revoked),
            (Self::Requested, Event::Approve) => Ok(Self::Approved),
            (Self::Requested | Self::Approved, Event::Deny) => Ok(Self::Denied),
            (Self::Requested | Self::Approved | Self::Pending, Event::TimeOut) => Ok(Self::Expired),
            (Self::Approved, Event::Grant) => Ok(Self::Pending),
            (Self::Pending | Self::Confirmed | Self::Recovery, Event::Attest) => Ok(Self::Confirmed),
            (Self::Active, Event::Attest | Event::Healthy) | (Self::Confirmed, Event::Healthy) => Ok(Self::Active),
            (Self::Active | Self::Confirmed | Self::Recovery, Event::Recover) => Ok(Self::Recovery),
            // A recovery that nobody finished changes nothing: what is on the disk may be whole.
            (Self::Recovery, Event::TimeOut) => Ok(Self::Active),
            (Self::Active | Self::Confirmed | Self::Recovery, Event::Suspend) => Ok(Self::Suspended),
            (Self::Suspended, Event::Resume) => Ok(Self::Active),
            (
                Self::Pending | Self::Confirmed | Self::Active | Self::Suspended | Self::Recovery | Self::Expired,
                Event::Retire,
            ) => Ok(Self::Retired),
            (
                Self::Pending
                | Self::Confirmed
                | Self::Active
                | Self::Suspended
                | Self::Recovery
                | Self::Expired
                | Self::Retired,
                Event::Revoke,
            ) => Ok(Self::Revoked),
            (state, _) => Err(state.refusal()),
        }
    }

    /// What becomes of it by the mere passing of time.
    #[must_use]
    pub fn at(self, since: Time, now: Time) -> Self {
        match self.limit() {
            Some(limit) if limit.ends && now.since(since) >= limit.seconds => {
                self.after(Event::TimeOut).unwrap_or(self)
            }
            _ => self,
        }
    }

    /// Whether it has lasted longer than it should.
    #[must_use]
    pub fn is_stuck(self, since: Time, now: Time) -> bool {
        self.limit().is_some_and(|limit| now.since(since) >= limit.seconds)
    }
}

/// How long a state may last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limit {
    /// In seconds.
    pub seconds: u64,
    /// Whether it ends then.
    pub ends: bool,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A recovery is allowed this often to one machine in a day.
pub const RECOVERIES_A_DAY: usize = 3;
/// Of a fleet, this share may recover in an hour, in percent; but always one machine.
pub const FLEET_PERCENT_AN_HOUR: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 11] = [
        Event::Approve,
        Event::Deny,
        Event::Grant,
        Event::Attest,
        Event::Healthy,
        Event::Suspend,
        Event::Resume,
        Event::Recover,
        Event::Retire,
        Event::Revoke,
        Event::TimeOut,
    ];

    #[test]
    fn no_path_leaves_revoked() {
        for event in EVENTS {
            assert_eq!(State::Revoked.after(event), Err(Refusal::Revoked), "{event:?}");
        }
        assert_eq!(State::Revoked.at(Time(0), Time(u64::MAX)), State::Revoked);
    }

    #[test]
    fn a_share_is_given_in_no_state_that_is_reached_without_attesting() {
        for state in State::ALL {
            for event in EVENTS {
                if let Ok(after) = state.after(event) {
                    let earned = state.gets_share() || event == Event::Attest;
                    let known = matches!(event, Event::Resume | Event::TimeOut);
                    assert!(!after.gets_share() || earned || known, "{state} {event:?} {after}");
                }
            }
        }
    }

    #[test]
    fn every_state_but_the_last_can_be_left() {
        for state in State::ALL {
            let ways = EVENTS.iter().filter(|event| state.after(**event).is_ok_and(|after| after != state)).count();
            let dead = matches!(state, State::Revoked | State::Denied);
            assert_eq!(ways == 0, dead, "{state}");
        }
    }
}
