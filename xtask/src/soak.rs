//! `cargo xtask soak`: letting something go wrong very often, and keeping a report of what came of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::{lab, sh};

/// Where the report of power cuts is kept.
const REPORT: &str = "docs/soak-power-cut.md";

#[derive(Subcommand)]
pub(crate) enum Soak {
    /// Cut a machine's power while it installs or updates its preboot: docs/soak-power-cut.md.
    PowerCut(PowerCut),
}

#[derive(Args)]
pub(crate) struct PowerCut {
    /// How many cuts.
    #[arg(long, default_value_t = 100)]
    count: u64,
    /// What the moments follow from: the same seed, the same moments [default: another one each time].
    #[arg(long)]
    seed: Option<u64>,
    /// How many machines at once, each with its share of the cuts and a seed of its own: this one, the next, and so on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: u64,
    /// Kill QEMU at each cut, instead of copying what most of them leave: that takes longer.
    #[arg(long)]
    kill: bool,
    /// Cut nothing: write the report from what runs left in these folders.
    #[arg(long, value_name = "DIR", num_args = 1..)]
    from: Vec<PathBuf>,
    /// What was tested [default: the commit that is checked out].
    #[arg(long)]
    commit: Option<String>,
}

/// What a run of the scenario `power-cut` left.
#[derive(Debug, Deserialize)]
struct Run {
    seed: u64,
    wanted: u64,
    cuts: Vec<Cut>,
    failed: Option<String>,
}

/// One cut, as the scenario tells of it.
#[derive(Clone, Debug, Deserialize)]
struct Cut {
    phase: String,
    at: f64,
    killed: bool,
    lost: Option<Lost>,
    reached: String,
    starts: u32,
    outcome: Option<String>,
    followed: bool,
    took: f64,
    fault: Option<String>,
}

/// What a disk had not flushed, in writes, and how many of them were lost.
#[derive(Clone, Debug, Deserialize)]
struct Lost {
    gone: u32,
    of: u32,
}

/// Runs it.
///
/// # Errors
/// The lab can't be built or started, or left no report.
pub(crate) fn run(soak: Soak) -> Result<ExitCode> {
    let Soak::PowerCut(soak) = soak;
    let commit = match &soak.commit {
        Some(commit) => commit.clone(),
        None => sh::stdout(sh::command("git").args(["rev-parse", "--short=12", "HEAD"]))?.trim().to_owned(),
    };
    let folders = if soak.from.is_empty() { soak.cut()? } else { soak.from };
    let runs = folders.iter().map(|folder| read(folder)).collect::<Result<Vec<Run>>>()?;
    fs::write(sh::root().join(REPORT), render(&runs, &commit)).with_context(|| format!("cannot write {REPORT}"))?;
    println!("written: {REPORT}");
    let whole = runs.iter().all(|run| run.failed.is_none() && run.cuts.iter().all(|cut| cut.fault.is_none()));
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(folder: &Path) -> Result<Run> {
    let file = folder.join("power-cut/cuts.json");
    let text = fs::read_to_string(&file).with_context(|| format!("no report in {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", file.display()))
}

impl PowerCut {
    /// Makes the cuts, in folders of their own, which are returned.
    fn cut(&self) -> Result<Vec<PathBuf>> {
        if self.jobs == 0 || self.count < self.jobs {
            bail!("{} cuts by {} machines: each has at least one", self.count, self.jobs);
        }
        let seed = self.seed.unwrap_or_else(|| u64::from(std::process::id()).wrapping_mul(1000));
        let mut running: Vec<(PathBuf, Child)> = Vec::new();
        for job in 0..self.jobs {
            let folder = sh::root().join(format!("target/lab/soak-{}", job + 1));
            let share = (self.count + job) / self.jobs;
            let mut lab = lab::alone("power-cut", &folder)?;
            lab.env("SLIPWAY_CUTS", share.to_string()).env("SLIPWAY_SEED", seed.wrapping_add(job).to_string());
            if self.kill {
                lab.env("SLIPWAY_CUTS_AT_ONCE", "1");
            }
            running.push((folder, lab.spawn().context("cannot start the lab")?));
        }
        let ended = running.into_iter().map(|(folder, mut lab)| lab.wait().map(|_| folder));
        ended.collect::<Result<_, _>>().context("the lab is gone")
    }
}

/// The report: what was done, what came of it in numbers, and each cut.
fn render(runs: &[Run], commit: &str) -> String {
    let cuts: Vec<&Cut> = runs.iter().flat_map(|run| &run.cuts).collect();
    let wanted: u64 = runs.iter().map(|run| run.wanted).sum();
    let faults = cuts.iter().filter(|cut| cut.fault.is_some()).count();
    let killed = cuts.iter().filter(|cut| cut.killed).count();
    let lossy = cuts.iter().filter(|cut| cut.lost.is_some()).count();
    let followed = cuts.iter().filter(|cut| cut.followed).count();
    let seeds: Vec<String> =
        runs.iter().map(|run| format!("{} ({} of {} cuts)", run.seed, run.cuts.len(), run.wanted)).collect();
    let mut out = format!(
        "# Power cuts\n\nWritten by `cargo xtask soak power-cut` of what it saw at commit {commit}: **{} of {wanted} cuts, of which {faults} \
         left a machine dead or changed somebody else's partition.** Seeds: {}.\n\n{ABOUT}\n\
         In {killed} cuts QEMU was killed, the others are copies, {lossy} of them of disks that lost their cache. {followed} machines were followed until their system was well.\n\n",
        cuts.len(),
        seeds.join(", "),
    );
    out += "## What came of them\n| Cut during | The machine came up | Cuts |\n|---|---|---|\n";
    for (name, phase) in PHASES {
        for (outcome, told) in OUTCOMES {
            let is_it =
                |cut: &&&Cut| cut.phase == name && cut.fault.is_none() && cut.outcome.as_deref() == Some(outcome);
            let count = cuts.iter().filter(is_it).count();
            if count > 0 {
                out += &format!("| {phase} | {told} | {count} |\n");
            }
        }
        let dead = cuts.iter().filter(|cut| cut.phase == name && cut.fault.is_some()).count();
        out += &format!("| {phase} | not, or with a foreign partition changed | {dead} |\n");
    }
    out += "\n## Each cut\nSeconds are the machine's own, from the beginning of the phase; it was up so many seconds after power came back.\n\n\
            | Seed | Cut | During | At, s | By | It had said last | It came up | At start | After, s |\n\
            |---|---|---|---|---|---|---|---|---|\n";
    for run in runs {
        out.extend((1..).zip(&run.cuts).map(|(number, cut)| row(run.seed, number, cut)));
    }
    let failed = runs.iter().filter_map(|run| run.failed.as_ref().map(|why| (run.seed, why)));
    out.extend(failed.map(|(seed, why)| format!("\nSeed {seed} ended early: {}\n", first_line(why))));
    out
}

/// The phases by their names in the records, and for people.
const PHASES: [(&str, &str); 3] = [
    ("install", "installation: from the grant to the first start from disk"),
    ("update", "update: the running preboot taken for good, the newer one brought"),
    ("settle", "update: the newer one, once tried, taken for good"),
];
const OUTCOMES: [(&str, &str); 4] = [
    ("older", "from disk, by the old preboot"),
    ("newer", "from disk, by the new preboot"),
    ("recovered", "by the network, nobody being asked"),
    ("asked", "by the network, approved once more"),
];

/// How cuts are made, the same each time.
const ABOUT: &str = "\
A machine with a TPM (QEMU, OVMF) installs its preboot beside somebody else's partition, and updates it; at random moments its power fails. Then it is
switched on again, and has to come up: by the old preboot or the new one from its disk, or by the network, until the gateway has answered its proof. Each
time its partition table is checked by `sgdisk`, somebody else's partition by its digest, the org's log by `slipway audit verify`; and after an update it
is the same machine as before. A machine that comes up is in order only if all of that is.

Three of four moments fall while the disk is written, which takes a few seconds; the fourth, anywhere until the next start is over. One run gives up to
eight cuts. At each moment QEMU, the TPM and the server are stopped (`SIGSTOP`), and the disk, the firmware's variables, the TPM's state and the
server's data are copied; then all go on, until QEMU is killed (`SIGKILL`) at the last moment. What a copy holds is what a kill would have left: either
signal stops a thread of QEMU's on its way back from the kernel, when what it was writing is written; what is in QEMU's memory is lost to both; and what
the computer's kernel holds of the files is seen by both. With a copy the server, and the TPM in the middle of a command, lose their power, too.

Every second copy is worse than a kill: there the disk had a cache of its own. QEMU logs each write (`blklogwrites`), and from what was flushed a disk is
made anew; of what was written since the last flush, a third is there, a third is not, and a third is there up to some sector.

To repeat it: `cargo xtask soak power-cut --count 100 --seed SEED`; with `--kill` QEMU is killed at each moment. The phases and moments follow from the seed; how far a machine has come by then also
depends on the computer. The scenario `power-cut` sees two kills in every test run.
";

fn row(seed: u64, number: u32, cut: &Cut) -> String {
    let Cut { phase, at, killed, lost, reached, starts, outcome, took, fault, .. } = cut;
    let by = match lost {
        _ if *killed => "kill".to_owned(),
        Some(Lost { gone, of }) => format!("copy, {gone} of {of} unflushed writes lost"),
        None => "copy".to_owned(),
    };
    let known = OUTCOMES.iter().find(|(name, _)| outcome.as_deref() == Some(*name)).map(|(_, told)| *told);
    let came =
        fault.as_ref().map_or_else(|| known.unwrap_or("?").to_owned(), |why| format!("**NOT: {}**", first_line(why)));
    let reached = reached.replace('|', " ");
    format!("| {seed} | {number} | {phase} | {at:.3} | {by} | `{reached}` | {came} | {starts} | {took:.0} |\n")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().replace('|', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEFT: &str = r#"{"seed": 7, "wanted": 3, "failed": null, "cuts": [
        {"phase": "install", "at": 1.2341, "killed": true, "reached": "[ok] written to the esp", "starts": 1,
         "outcome": "recovered", "followed": true, "took": 31.4, "fault": null},
        {"phase": "update", "at": 0.5, "killed": false, "reached": "[ok] identity proved", "starts": 0,
         "outcome": null, "followed": false, "took": 300.0, "fault": "dead\nits last lines"}]}"#;

    #[test]
    fn a_report_counts_how_machines_came_up_and_lists_each_cut() {
        let run: Run = serde_json::from_str(LEFT).unwrap();
        let report = render(&[run], "abc");
        assert!(report.contains("at commit abc: **2 of 3 cuts, of which 1 left"), "{report}");
        assert!(report.contains("Seeds: 7 (2 of 3 cuts)"), "{report}");
        assert!(report.contains("first start from disk | by the network, nobody being asked | 1 |\n"), "{report}");
        let row = "| 7 | 1 | install | 1.234 | kill | `[ok] written to the esp` | by the network, nobody being asked | 1 | 31 |\n";
        assert!(report.contains(row), "{report}");
        assert!(report.contains("| copy | `[ok] identity proved` | **NOT: dead** | 0 | 300 |\n"), "{report}");
    }
}
