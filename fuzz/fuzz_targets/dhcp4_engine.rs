//! DHCP's decisions under any sequence of datagrams, waits, full disks, restarts and changes of the plan: no address is acknowledged to
//! two clients at a time, nothing is promised that is not durable, every answer can be read by whoever asked, and the book stays small.
#![no_main]

mod dhcp4_world;

use dhcp4_world::World;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| World::new(bytes).run());
