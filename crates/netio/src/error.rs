//! What can go wrong with a socket, with what was tried.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};

/// A system call that failed, and what it was for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket could not be opened or bound.
    #[error("cannot bind UDP {addr}{}", device.as_ref().map(|name| format!(" on {name}")).unwrap_or_default())]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// The interface asked for.
        device: Option<String>,
        /// The system's reason.
        source: io::Error,
    },
    /// The socket for router discovery could not be opened.
    #[error("cannot listen for router solicitations on {device}")]
    Discovery {
        /// The interface.
        device: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A multicast group could not be joined.
    #[error("cannot join the multicast group {group}")]
    Join {
        /// The group.
        group: Ipv6Addr,
        /// The system's reason.
        source: io::Error,
    },
    /// An option of the socket could not be set.
    #[error("cannot set {option} on UDP {addr}")]
    Option {
        /// The option's name in the manual (`IP_PKTINFO`).
        option: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Receiving failed: the socket is broken, not one packet.
    #[error("cannot receive from a UDP socket")]
    Receive(#[source] io::Error),
    /// One datagram could not be sent.
    #[error("cannot send to {to}")]
    Send {
        /// Where to.
        to: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// Waiting for packets failed.
    #[error("cannot wait for packets")]
    Wait(#[source] io::Error),
}
