//! What came of the cuts.

use core::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::drive::writes::Lost;

/// What is under way when the power is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// A machine was granted its preboot, brings it to its disk, and starts it for the first time.
    Install,
    /// A machine takes its preboot for good, and brings a newer one to the other slot.
    Update,
    /// A machine runs the newer preboot, and takes that one for good.
    Settle,
}

/// How a machine came up after a cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// From its disk, by the preboot that was there before.
    Older,
    /// From its disk, by the new preboot.
    Newer,
    /// By the network, without anybody being asked.
    Recovered,
    /// By the network, with a person's word.
    Asked,
}

/// One cut.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cut {
    pub(super) phase: Phase,
    /// When, in seconds of the machine's own time since the phase began.
    pub(super) at: f64,
    /// Whether QEMU was killed; else it stood still while its disk, variables and TPM were copied.
    pub(super) killed: bool,
    /// What a disk with a cache of its own had not flushed by then, and how much of it is lost; where there is none, nothing is.
    pub(super) lost: Option<Lost>,
    /// What the machine had said last.
    pub(super) reached: String,
    /// How often it was switched on until it came up; 0: it never did.
    pub(super) starts: u32,
    /// How it came up.
    pub(super) outcome: Option<Outcome>,
    /// Whether it was followed until its system was well.
    pub(super) followed: bool,
    /// From the first of its starts until it had proved itself to the gateway, in seconds, or until its system was well.
    pub(super) took: f64,
    /// Why the machine counts as dead, or what of its disk had changed that must not.
    pub(super) fault: Option<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) seed: u64,
    pub(super) wanted: usize,
    pub(super) cuts: Vec<Cut>,
    /// Why it ended before all cuts were made.
    pub(super) failed: Option<String>,
}

impl Report {
    /// Leaves it in a scenario's folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(folder.join("cuts.json"), text).context("cannot write cuts.json")
    }

    /// How many cuts came to no good end.
    pub(super) fn faults(&self) -> usize {
        self.cuts.iter().filter(|cut| cut.fault.is_some()).count()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Update => "update",
            Self::Settle => "settle",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Older => "came up from disk by the old preboot",
            Self::Newer => "came up from disk by the new preboot",
            Self::Recovered => "recovered by the network, by itself",
            Self::Asked => "recovered by the network, approved once more",
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, at, reached, starts, took, .. } = self;
        write!(f, "{phase}, at {at:.3} s (after: {reached}")?;
        if let Some(Lost { gone, of }) = self.lost {
            write!(f, "; of {of} writes that were not flushed, {gone} lost")?;
        }
        f.write_str("): ")?;
        match (&self.fault, self.outcome) {
            (Some(fault), _) => write!(f, "FAULT: {fault}"),
            (None, Some(outcome)) => write!(f, "{outcome}, at start {starts}, in {took:.0} s"),
            (None, None) => f.write_str("nothing is known"),
        }
    }
}

/// The words of a step in a line of the console, without its detail.
pub(super) fn step(line: &str) -> String {
    let (_, said) = line.split_once("slipway-agent: ").unwrap_or_default();
    let end = said.find(" (").unwrap_or(said.len());
    said.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_told_with_what_the_machine_had_said_and_how_it_came_up() {
        let mut cut = Cut {
            phase: Phase::Install,
            at: 1.2341,
            killed: true,
            lost: None,
            reached: step("slipway-agent: [ok] written to the esp (/EFI/slipway/preboot-a.efi, read back)"),
            starts: 1,
            outcome: Some(Outcome::Recovered),
            followed: false,
            took: 31.4,
            fault: None,
        };
        let good = "install, at 1.234 s (after: [ok] written to the esp): recovered by the network, by itself, at start 1, in 31 s";
        assert_eq!(cut.to_string(), good);
        cut.fault = Some("it is dead".into());
        assert!(cut.to_string().ends_with("): FAULT: it is dead"));
        let report = Report { seed: 1, wanted: 2, cuts: vec![cut], failed: None };
        assert_eq!(report.faults(), 1);
    }
}
