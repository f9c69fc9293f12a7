//! Facts and durable writes: leases in an embedded database, images as content-addressed files with named versions.

mod blobs;
pub mod images;
pub mod leases;
pub mod loaders;

pub use blobs::{Blobs, Damage};
pub use images::{Images, StoreError};
