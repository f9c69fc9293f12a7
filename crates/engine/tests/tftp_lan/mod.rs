//! A network in memory with a clock that jumps: one transfer machine, one client, and packets that are lost, doubled and reordered.

pub mod client;
pub mod world;
