//! Any value of options 43 and 60: read without panic, written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_wire::pxe::{VendorClass, VendorOptions};

fuzz_target!(|bytes: &[u8]| {
    let class = VendorClass::parse(bytes);
    assert!(class.arch.is_none() || bytes.contains(&b':'));

    let Ok(options) = VendorOptions::decode(bytes) else { return };
    let _ = (options.discovery_control(), options.multicast(), options.prompt(), options.boot_item());
    let mut copy = VendorOptions::default();
    copy.set_boot_servers(&options.boot_servers()).set_menu(&options.menu());
    assert_eq!((copy.boot_servers(), copy.menu()), (options.boot_servers(), options.menu()));

    let written = options.encode();
    assert_eq!(written.last(), Some(&255));
    assert_eq!(VendorOptions::decode(&written).as_ref(), Ok(&options));
});
