//! What a machine boots, as bytes: PE images, unified kernel images (UKI), initial RAM file systems, and the kernel packages of
//! distributions that they are made from. Server and agent share it.
//!
//! [`pe`] and [`uki`] are pure: they read and write byte slices and never panic on any input.

mod bytes;
pub mod initramfs;
pub mod iso;
pub mod kernel;
pub mod modinfo;
pub mod pe;
pub mod uki;

pub use initramfs::Initramfs;
pub use iso::{Iso, IsoError};
pub use kernel::Kernel;
pub use pe::{Machine, Pe};
pub use uki::Uki;
