//! Real firmware in QEMU on networks of its own, foreign peers, and the load generator.
mod capture;
pub mod cli;
mod demo;
mod lab;
mod log;
mod machine;
mod net;
mod parts;
mod pcap;
pub mod peers;
mod process;
mod record;
mod runner;
pub mod scenarios;
mod server;
mod story;

pub use capture::Packets;
pub use lab::Lab;
pub use log::{Line, Log};
pub use machine::{Booted, Firmware, Machine, Order};
pub use net::{Host, Lan, Leg};
pub use parts::{Parts, Tool};
pub use pcap::{Packet, Payload};
pub use process::{Running, run};
pub use record::{Record, Stage};
pub use server::Server;
pub use story::{Dhcp, Request, Story, Transfer};
