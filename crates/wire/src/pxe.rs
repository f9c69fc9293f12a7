//! What PXE adds to DHCP: the vendor class and option 43 (PXE 2.1, RFC 4578).

mod class;

pub use class::{ClassFamily, VendorClass};
