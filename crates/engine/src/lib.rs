//! Meaning to decision: what each machine is answered, and why.
//!
//! Pure: no clock, socket, file, log or store. Time comes in as a value, facts come in as values, and what to do comes out as a
//! value. [`decide`](decide::decide) is the heart: DHCP, ProxyDHCP, TFTP names, HTTP scripts, `explain` and policy tests ask it.

pub mod answer;
pub mod catalog;
pub mod decide;
pub mod dhcp4;
pub mod dhcp6;
pub mod draft;
pub mod enrol;
pub mod grub;
pub mod http;
pub mod journal;
pub mod journey;
pub mod ladder;
pub mod lookup;
pub mod machine;
pub mod menu;
pub mod namespace;
pub mod pxelinux;
pub mod quirks;
pub mod ra;
pub mod request;
pub mod rules;
pub mod san;
pub mod script;
pub mod subnet;
pub mod tftp;
mod time;
pub mod tls;
mod why;

pub use time::Timestamp;
pub use why::Why;
