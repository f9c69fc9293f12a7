//! Building what the lab boots, and running the lab.

use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;

use crate::matrix::{self, Scenario};
use crate::needs::Work;
use crate::programs::Programs;
use crate::tally::Tally;
use crate::{setup, sh};

const LAB: &str = "target/debug/slipway-lab";
const SLIPWAY: &str = "target/debug/slipway";

/// `cargo xtask lab ...`: hands the arguments to the lab's own command line.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    if let Some(("matrix", args)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return matrix::run(args);
    }
    setup::ensure(&[Work::Build, Work::Boot, Work::Peers])?;
    Programs::Alone.build()?;
    Ok(sh::exit_code(sh::status(lab().args(args))?))
}

/// The scenarios that boot machines, as the lab lists them.
pub(crate) fn scenarios_that_boot(programs: Programs) -> Result<Vec<Scenario>> {
    programs.build()?;
    let output = lab().args(["list", "--json"]).stderr(Stdio::inherit()).output().context("cannot start the lab")?;
    let scenarios: Vec<Scenario> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the lab ended with {} and without a list of its scenarios", output.status))?;
    Ok(scenarios.into_iter().filter(|scenario| scenario.boots.is_some()).collect())
}

/// Runs scenarios, and returns their records as the lab's JSON. That some fail is in the records.
pub(crate) fn records_of(names: &[&str], jobs: usize) -> Result<Vec<u8>> {
    setup::ensure(&[Work::Build, Work::Boot, Work::Peers])?;
    let mut lab = lab();
    lab.args(["run", "--json", "--jobs", &jobs.to_string()]).args(names).stdout(Stdio::piped());
    let output = lab.spawn().and_then(Child::wait_with_output).context("cannot start the lab")?;
    Ok(output.stdout)
}

/// `cargo xtask demo`.
pub(crate) fn demo(args: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build, Work::Boot, Work::Peers])?;
    Programs::Alone.build()?;
    Ok(sh::exit_code(sh::status(lab().arg("demo").args(args))?))
}

/// The lab about to run one scenario in a folder of its own, built.
pub(crate) fn alone(name: &str, folder: &Path) -> Result<Command> {
    setup::ensure(&[Work::Build, Work::Boot, Work::Peers])?;
    Programs::Alone.build()?;
    let mut lab = lab();
    lab.args(["run", name, "--jobs", "1", "--work"]).arg(folder);
    Ok(lab)
}

/// Runs every scenario, and the demo beside them, and counts each.
pub(crate) fn all(tally: &mut Tally, programs: Programs) -> Result<()> {
    programs.build()?;
    thread::scope(|scope| {
        let demo = scope.spawn(|| lab().arg("demo").stderr(Stdio::inherit()).output());
        let ran = scenarios(tally);
        let demo = demo.join().map_err(|_| anyhow!("the thread that runs the demo panicked"))?;
        let demo = demo.context("cannot start the demo")?;
        println!("{}", String::from_utf8_lossy(&demo.stdout));
        tally.note("demo", demo.status.success());
        ran
    })
}

fn scenarios(tally: &mut Tally) -> Result<()> {
    let mut lab = lab();
    lab.args(["run", "--all", "--json"]).stdout(Stdio::piped());
    let output = lab.spawn().and_then(Child::wait_with_output).context("cannot start the lab")?;
    let records: Vec<Record> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the lab ended with {} and without records", output.status))?;
    if records.is_empty() {
        bail!("the lab ran no scenario");
    }
    for record in &records {
        println!("{} lab {:<24} {:>6.1} s", if record.passed { "ok  " } else { "FAIL" }, record.name, record.seconds);
        let reason = record.error.as_deref().unwrap_or_default();
        if record.passed {
            tally.add(1, []);
        } else {
            tally.add(0, [format!("lab {}: {reason}", record.name)]);
        }
    }
    if !output.status.success() && records.iter().all(|record| record.passed) {
        bail!("the lab failed: {}", output.status);
    }
    Ok(())
}

/// What the lab says of one scenario.
#[derive(Deserialize)]
struct Record {
    name: String,
    passed: bool,
    seconds: f64,
    error: Option<String>,
}

fn lab() -> Command {
    let mut lab = sh::command(sh::root().join(LAB));
    lab.arg("--slipway").arg(sh::root().join(SLIPWAY));
    lab
}
