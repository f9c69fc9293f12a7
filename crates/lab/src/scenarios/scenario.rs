//! What a scenario is, for the list of them.

use anyhow::Result;
use slipway_wire::Cpu;

use crate::firmware::{Boots, OVMF};
use crate::lab::Lab;
use crate::parts::{MCOPY, MDIR, SGDISK, SWTPM, SWTPM_SETUP, Tool};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// What it boots, if it boots machines: then QEMU, firmware, a kernel and the agent are made ready, and it has a row in the
    /// firmware table.
    pub boots: Option<Boots>,
    /// The foreign programs it uses.
    pub tools: &'static [Tool],
    /// The story itself.
    pub run: fn(&mut Lab) -> Result<()>,
}

/// What scenarios use in which machines join an org.
pub(super) const JOINING: &[Tool] = &[SWTPM, SWTPM_SETUP, SGDISK, MCOPY, MDIR];

/// A scenario in which x64 machines with TPMs join an org, by this way.
pub(super) const fn joins(
    name: &'static str,
    about: &'static str,
    way: &'static str,
    run: fn(&mut Lab) -> Result<()>,
) -> Scenario {
    Scenario { name, about, boots: Boots::joining(Cpu::X64, &[OVMF], way), tools: JOINING, run }
}

/// A scenario that boots no machine.
pub(super) const fn boots_nothing(
    name: &'static str,
    about: &'static str,
    tools: &'static [Tool],
    run: fn(&mut Lab) -> Result<()>,
) -> Scenario {
    Scenario { name, about, boots: None, tools, run }
}
