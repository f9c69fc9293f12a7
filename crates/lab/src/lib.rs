//! Real firmware in QEMU, on networks of its own, beside foreign peers; and the load generator.
//!
//! A *scenario* is one function that is given a [`Lab`] and tells a story in it: it plugs in LANs and hosts, starts Slipway and
//! foreign peers on them, switches machines on, waits for what has to happen, and checks in the captures and in the machines'
//! journals which way it happened.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> { Ok(()) }
//! use slipway_lab::{Firmware, Lab, Order};
//!
//! fn run(lab: &mut Lab) -> anyhow::Result<()> {
//!     let lan = lab.lan("lan")?;                                         // captured into lan.pcap from here on
//!     let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;         // a network namespace with eth0
//!     let server = lab.slipway(&host, "[[interface]]\nname = \"eth0\"\nmode = \"dhcp\"\n")?;
//!     server.start()?;                                                   // returns at READY=1
//!     let client = lab.host("client", &[(&lan, "")])?;
//!     client.run("udhcpc", ["-i", "eth0", "-n", "-q"])?;                 // to its end; start() runs beside the scenario
//!     client.inside(|| Ok(std::net::UdpSocket::bind("0.0.0.0:0")?))?;    // our own sockets, on that host
//!     server.kill9()?;                                                   // and start() again; sighup(), reload(), stop()
//!     let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
//!     machine.wait_booted()?;
//!     server.journal_json(machine.mac())?;                               // slipway --json machine show MAC
//!     anyhow::ensure!(lab.story(&lan)?.transfers().is_empty(), "nothing was to be loaded by TFTP");
//!     Ok(())
//! }
//! ```
//!
//! To add one: a file in `scenarios/`, and a row in [`scenarios::SCENARIOS`] that names the foreign programs it uses. There are no
//! sleeps: everything waits for a line ([`Log::wait_for`]), a packet ([`Packets::wait_for`]) or an end ([`Running::wait_exit`]), and
//! only so long. Programs that scenarios start, machines and networks all end with the scenario, also when it fails, when the lab is
//! killed, or on Ctrl-C: they live in namespaces whose first process dies with the lab.
//!
//! What a scenario leaves is in `target/lab/<scenario>/`: a pcap per LAN, a log per program and machine, `result.json`, and after a
//! failure `report.txt` with the machines' last words, the packets' story and the server's journal.

mod agent;
mod capture;
pub mod cli;
mod demo;
mod disks;
mod drive;
mod ear;
mod filter;
pub mod firmware;
pub mod kernels;
mod lab;
mod linux;
pub mod loadgen;
mod log;
mod machine;
mod net;
mod org;
mod packages;
mod parts;
mod pcap;
pub mod peers;
mod process;
mod racer;
mod record;
mod runner;
pub mod scenarios;
mod secure;
mod server;
mod snapshot;
mod stock;
mod story;
mod tpm;

pub use capture::{Capture, Packets};
pub use drive::{Bus, DATA, Drive, ESP, Partition};
pub use ear::Hears;
pub use lab::Lab;
pub use linux::Linux;
pub use log::{Line, Log};
pub use machine::{Booted, Firmware, Machine, Order};
pub use net::{Host, Lan, Leg};
pub use org::{CONFIG, GATEWAY, Made, Org};
pub use parts::{Parts, Tool};
pub use pcap::{Packet, Payload};
pub use process::{Running, run};
pub use record::{Record, Stage};
pub use secure::{Enrolled, Keys};
pub use server::Server;
pub use story::{Dhcp, Dhcp6, Request, Story, Transfer};
pub use tpm::Tpm;
