//! Every step with a real TPM: swtpm, the emulator that virtual machines have. Each test has its own, in a folder of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod chain;
mod credential;
mod emulator;
mod identity;
mod replies;
mod sealing;
