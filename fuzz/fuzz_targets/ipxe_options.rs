//! Any value of option 175: read without panic, written and read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_wire::ipxe::IpxeOptions;

fuzz_target!(|bytes: &[u8]| {
    let Ok(options) = IpxeOptions::decode(bytes) else { return };
    let _ = (options.version(), options.bus_id(), options.priority(), options.is_no_pxedhcp());
    for feature in options.features() {
        assert!(options.has(feature), "{feature}");
    }
    assert_eq!(IpxeOptions::decode(&options.encode()).as_ref(), Ok(&options));
});
