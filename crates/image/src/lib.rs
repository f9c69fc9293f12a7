//! What a machine boots, as bytes: PE images, unified kernel images (UKI), initial RAM file systems, and the kernel packages of
//! distributions that they are made from. Server and agent share it.
//!
//! [`pe`], [`uki`], [`authenticode`] and [`der`] are pure: they read and write byte slices and never panic on any input.

pub mod authenticode;
mod bytes;
pub mod der;
pub mod drivers;
pub mod initramfs;
pub mod iso;
pub mod kernel;
pub mod measure;
pub mod media;
pub mod modalias;
pub mod modinfo;
pub mod pe;
pub mod recipe;
pub mod uki;

pub use initramfs::Initramfs;
pub use iso::{Iso, IsoError};
pub use kernel::Kernel;
pub use pe::{Machine, Pe};
pub use uki::Uki;
