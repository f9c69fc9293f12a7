//! DHCPv6 messages (RFC 8415), with the options that network boot adds (RFC 5970, RFC 6939).
//!
//! [`Packet::decode`] reads what came to port 547: a client's message, or one within the envelopes of its relays. As with DHCPv4,
//! what is sloppy is tolerated and named in [`Message::faults`].

mod code;
mod describe;
mod duid;
mod ia;
mod message;
mod options;

pub use code::{MessageType, OptionCode, StatusCode};
pub use duid::Duid;
pub use ia::{Ia, IaAddr, IaKind};
pub use message::{Message, Packet, RELAYS_MAX, Relay};
pub use options::{ENTERPRISE_INTEL, Options, Status, VendorClass6};

/// The port that clients listen on.
pub const CLIENT_PORT: u16 = 546;
/// The port that servers and relays listen on.
pub const SERVER_PORT: u16 = 547;
