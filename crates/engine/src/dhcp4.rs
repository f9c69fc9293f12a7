//! DHCPv4: addresses and boot answers on port 67, boot answers beside another server on 67 and 4011.
//!
//! A datagram that was heard becomes one [`Draft`]: what to make durable, what to answer, and the journal's entry. The answer comes
//! out only through [`settle`], after its writes are committed, so no address is acknowledged that a power cut could give away
//! again. A [`Desk`] keeps the lease book where we give addresses; [`beside`] answers where another server does, and needs none.

mod ask;
mod book;
mod boot;
mod desk;
mod draft;
mod grant;
mod lease;
mod plan;
mod ranges;
mod reply;
mod route;

pub use ask::{AGENT_CLASS, Heard, Link, Policy, classify};
pub use book::{Book, Change, HOLD, HOLDS_MAX, QUARANTINE};
pub(crate) use desk::put_place;
pub use desk::{Desk, beside};
pub use draft::{Draft, Settled, Transmit};
pub use lease::{ClientKey, Holder, Record};
pub use route::destination;

pub use crate::draft::settle;

#[cfg(test)]
mod tests;
