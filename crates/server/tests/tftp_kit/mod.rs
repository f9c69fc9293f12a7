//! A small client and a small site for tests and benchmarks of the TFTP server.

pub mod client;
pub mod server;
