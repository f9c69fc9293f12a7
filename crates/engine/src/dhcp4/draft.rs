//! What goes out, and what has to be durable before it does.

use core::net::{Ipv4Addr, SocketAddrV4};

use super::lease::Record;

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
pub type Draft = crate::draft::Draft<Record, Transmit>;

/// What one datagram came to in the end.
pub type Settled = crate::draft::Settled<Transmit>;
