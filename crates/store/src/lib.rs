//! Facts and durable writes: leases, machines and the org in embedded databases, images as content-addressed files with named versions.

mod blobs;
pub mod images;
pub mod leases;
pub mod loaders;
pub mod machines;
pub mod org;

pub use blobs::{Blobs, Damage};
pub use images::{Images, StoreError};
