//! DHCPv6 on port 547: addresses, parameters, and the boot part that RFC 5970 gave it.
//!
//! As with DHCPv4, a datagram that was heard becomes one [`Draft`], whose answer comes out only through
//! [`settle`](crate::draft::settle). There is no ProxyDHCP here: a client takes everything from one server.

mod ask;
mod book;
mod boot;
mod desk;
mod grant;
mod lease;
mod plan;
mod reply;

use core::net::SocketAddrV6;

pub use ask::{AGENT_CLASS, Heard, Link, classify};
pub use book::{Book, LEASES_MAX, QUARANTINE};
pub use desk::Desk;
pub use lease::{ClientKey, Holder, Record, Write};

/// A datagram to send, on the interface that the question came in on, from whichever of our addresses the routes choose.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Transmit {
    /// The payload.
    pub data: Vec<u8>,
    /// Where to, with the scope that the question came from.
    pub to: SocketAddrV6,
}

/// What one datagram led to, before it is durable.
pub type Draft = crate::draft::Draft<Write, Transmit>;

/// What one datagram came to in the end.
pub type Settled = crate::draft::Settled<Transmit>;

#[cfg(test)]
mod tests;
