//! What came of the cuts, for people.

use core::fmt;
use std::time::Duration;

/// What was under way when the power was cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// A machine was granted its preboot, and brings it to its disk, and starts it.
    Install,
    /// A machine brings a newer preboot to the other slot.
    Update,
}

/// How a machine came up after a cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
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
#[derive(Clone, Debug)]
pub(super) struct Cut {
    pub(super) phase: Phase,
    /// Since the phase began.
    pub(super) moment: Duration,
    /// What the machine had said last.
    pub(super) reached: String,
    /// How often it was switched on until it was well.
    pub(super) starts: u32,
    pub(super) outcome: Outcome,
    /// From the first of that until it was well.
    pub(super) took: Duration,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Install => "install",
            Self::Update => "update",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Older => "disk, old preboot",
            Self::Newer => "disk, new preboot",
            Self::Recovered => "network, by itself",
            Self::Asked => "network, approved once more",
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { phase, moment, reached, starts, outcome, took } = self;
        let (moment, took) = (moment.as_secs_f64(), took.as_secs_f64());
        write!(f, "{phase}, at {moment:.3} s (after: {reached}); then {outcome}, start {starts}, {took:.0} s")
    }
}

/// The words of a step in a line of the console, without its detail.
pub(super) fn step(line: &str) -> String {
    let (_, said) = line.split_once("slipway-agent: ").unwrap_or_default();
    let end = said.find(" (").unwrap_or(said.len());
    said.get(..end).unwrap_or_default().to_owned()
}

/// The report. `lengths` are those of an installation and an update without a cut; a cut that went wrong ends the run.
pub(super) fn render(seed: u64, wanted: u64, lengths: [Duration; 2], cuts: &[Cut], failed: Option<&str>) -> String {
    let [install, update] = lengths.map(|length| length.as_secs_f64());
    let mut out = format!(
        "{} of {wanted} cuts, seed {seed}. Without a cut an installation took {install:.1} s from the grant to the preboot's first words with the \
         gateway, an update {update:.1} s from the gateway's word to the generation.\n\n| Phase | Outcome | Machines |\n|---|---|---|\n",
        cuts.len()
    );
    for phase in [Phase::Install, Phase::Update] {
        for outcome in [Outcome::Older, Outcome::Newer, Outcome::Recovered, Outcome::Asked] {
            let count = cuts.iter().filter(|cut| cut.phase == phase && cut.outcome == outcome).count();
            if count > 0 {
                out += &format!("| {phase} | {outcome} | {count} |\n");
            }
        }
    }
    out += &format!("| both | dead, or somebody else's partition changed | {} |\n", usize::from(failed.is_some()));
    out += "\n| Cut | Phase | At, s | The machine had said last | Came up by | Starts | Well after, s |\n|---|---|---|---|---|---|---|\n";
    for (number, cut) in (1..).zip(cuts) {
        let Cut { phase, moment, reached, starts, outcome, took } = cut;
        let (moment, took) = (moment.as_secs_f64(), took.as_secs_f64());
        out += &format!("| {number} | {phase} | {moment:.3} | {reached} | {outcome} | {starts} | {took:.0} |\n");
    }
    failed.map_or(out.clone(), |reason| format!("{out}\nThen it went wrong: {reason}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_how_machines_came_up_and_lists_each_cut() {
        let seconds = Duration::from_secs;
        let cut = |phase, outcome| Cut {
            phase,
            moment: Duration::from_millis(1234),
            reached: step("slipway-agent: [ok] written to the esp (/EFI/slipway/preboot-a.efi, read back)"),
            starts: 1,
            outcome,
            took: seconds(31),
        };
        let cuts = [cut(Phase::Install, Outcome::Asked), cut(Phase::Update, Outcome::Newer)];
        let report = render(7, 10, [seconds(20), seconds(9)], &cuts, None);
        assert!(report.starts_with("2 of 10 cuts, seed 7. "), "{report}");
        assert!(
            report.contains("| install | network, approved once more | 1 |\n| update | disk, new preboot | 1 |\n"),
            "{report}"
        );
        let first = "| 1 | install | 1.234 | [ok] written to the esp | network, approved once more | 1 | 31 |\n";
        assert!(report.contains(first) && report.contains("changed | 0 |"), "{report}");
        let failed = render(7, 10, [seconds(20), seconds(9)], &cuts, Some("it is dead"));
        assert!(failed.contains("changed | 1 |") && failed.ends_with("it went wrong: it is dead\n"), "{failed}");
    }
}
