//! Both ends of every conversation, over two real TLS ends in memory, with a clock that jumps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod actor;
mod attack;
mod boots;
mod channel;
mod checks;
mod desk;
mod escrow;
mod golden;
mod manual;
mod node;
mod org;
mod policy;
mod property;
mod recovery;
mod refusals;
mod replay;
mod shares;
mod tpm;
mod tpm_life;
