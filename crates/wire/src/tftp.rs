//! TFTP packets: RFC 1350, with the option extension of RFC 2347.
//!
//! Decoding borrows from the datagram; encoding appends to a buffer. A DATA packet for scatter/gather output is [`data_header`]
//! and the file's own bytes.

mod option;
mod packet;

pub use option::{BLKSIZE, OptionKind, RawOption};
pub use packet::{DEFAULT_BLKSIZE, ErrorCode, MAX_REQUEST, Mode, Packet, Request, data_header};
