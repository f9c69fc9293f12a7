//! The scenarios: each a short file that reads like a story, and a row in [`SCENARIOS`].

use anyhow::Result;

use crate::lab::Lab;
use crate::parts::Tool;

mod harness;

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Whether it boots machines: then QEMU, firmware, a kernel and the agent are made ready.
    pub boots: bool,
    /// The foreign programs it uses.
    pub tools: &'static [Tool],
    /// The story itself.
    pub run: fn(&mut Lab) -> Result<()>,
}

/// All scenarios, in the order they are listed and run.
pub const SCENARIOS: &[Scenario] =
    &[Scenario { name: "harness", about: "bring-up", boots: true, tools: &[], run: harness::run }];
