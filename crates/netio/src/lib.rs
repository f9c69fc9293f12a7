//! Linux datagrams: where a packet came in and from which address the answer leaves, broadcast, batches, segmentation offload.
//!
//! Everything that a boot server needs of UDP and that `std::net::UdpSocket` does not offer. The sockets are synchronous: a plane
//! is a plain thread that [`wait`]s on its sockets and a [`Waker`], receives a [`Batch`], and sends [`Train`]s. What is unsafe is
//! the system calls themselves and nothing more: control messages are laid out by safe code.

mod control;
mod error;
mod multicast;
mod recv;
mod send;
mod socket;
mod wait;

pub use error::Error;
pub use recv::{Batch, Received};
pub use send::Train;
pub use socket::{Bind, Source, UdpSocket};
pub use wait::{Ready, Waker, wait};
