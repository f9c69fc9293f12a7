//! The DHCP load generator: a crowd of clients behind one relay, which notes every address that it is promised and insists that the
//! promises hold.
//!
//! It is one thread and one socket, bound to the relay's address and port 67, so that thousands of clients need neither interfaces
//! nor privileges of their own. What it does follows from a seed.

mod crowd;
mod ledger;
mod report;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

pub use crowd::Crowd;
pub use ledger::Fault;
pub use report::Report;

/// What a crowd is and does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The server's address and port.
    pub server: SocketAddrV4,
    /// The relay's address: ours, in a subnet that the server gives addresses in.
    pub relay: Ipv4Addr,
    /// How many clients are there at a time.
    pub clients: usize,
    /// How long a client is idle between two exchanges, at most; it is a random part of that.
    pub idle: Duration,
    /// What everything random follows from.
    pub seed: u64,
}

/// Runs a crowd for so long, then has every client confirm its lease.
///
/// # Errors
/// The socket cannot be had or fails.
pub fn run(plan: &Plan, time: Duration) -> Result<Report> {
    let mut crowd = Crowd::new(plan)?;
    crowd.act_for(time)?;
    crowd.confirm()?;
    Ok(crowd.report())
}

/// A small generator of random numbers (SplitMix64): the same seed gives the same numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed that `SLIPWAY_SEED` names, which repeats a run; else another one each time.
    ///
    /// # Errors
    /// `SLIPWAY_SEED` is no number.
    pub fn seed() -> Result<u64> {
        match std::env::var("SLIPWAY_SEED") {
            Ok(text) => text.parse().context("SLIPWAY_SEED is not a number"),
            Err(_) => Ok(u64::from(SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos())),
        }
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A transaction identifier.
    fn xid(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    /// A number below `bound`, which is not 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A part of this time.
    pub fn part_of(&mut self, time: Duration) -> Duration {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.below(micros.max(1)))
    }
}
