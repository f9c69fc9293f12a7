//! Images built, read back, cut short and bent.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "test code"
)]

mod initramfs;
mod kernel;
mod machine;
mod media;
mod stub;
mod uki;
