//! Facts and durable writes: leases in an embedded database, images as content-addressed files with named versions.

mod blobs;

pub use blobs::Blobs;
