//! What PXE adds to DHCP: the vendor class and option 43 (PXE 2.1, RFC 4578).

mod class;
mod vendor;

pub use class::{ClassFamily, VendorClass};
pub use vendor::{BootItem, BootServer, MenuItem, Prompt, VendorOptions};
