//! The firmware's boot entries (UEFI specification, chapter 3), through efivarfs.
//!
//! What is to change is decided over [`Variables`], a picture of them, and comes out as [`Change`]s; [`apply`] writes them. What is
//! not ours keeps its place and its order, and what is right already is not written: the memory behind it is small and wears out.

mod boot;
mod load_option;
mod shell;
#[cfg(test)]
mod tests;

pub use boot::{Change, Entry, Refusal, Target, Variables, remove, settle_order, shadow, try_first, try_once};
pub use load_option::{LoadOption, OptionError};
pub use shell::{EfiError, apply, loader_file, loader_partition, read};

/// The vendor GUID of the variables that the specification defines.
pub const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Non-volatile, for boot services, for run time.
pub const LASTING: u32 = 7;
