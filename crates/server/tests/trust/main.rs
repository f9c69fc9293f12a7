//! The trust plane on loopback, with machines that speak real TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]
#![allow(unreachable_pub, reason = "one test program")]

mod control;
mod enrol;
mod kit;
mod limits;
