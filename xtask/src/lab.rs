//! Building what the lab boots, and running the lab.

use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::needs::Work;
use crate::tally::Tally;
use crate::{setup, sh};

const LAB: &str = "target/debug/slipway-lab";
const SLIPWAY: &str = "target/debug/slipway";

/// `cargo xtask lab ...`: hands the arguments to the lab's own command line.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build, Work::Boot, Work::Peers])?;
    build()?;
    Ok(sh::exit_code(sh::status(lab().args(args))?))
}

/// `cargo xtask demo`.
pub(crate) fn demo(args: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build, Work::Boot])?;
    build()?;
    Ok(sh::exit_code(sh::status(lab().arg("demo").args(args))?))
}

/// The demo as a check of the gate.
pub(crate) fn demo_passes() -> Result<()> {
    sh::run(lab().arg("demo"))
}

/// Runs every scenario, one after the other, and counts each.
pub(crate) fn all(tally: &mut Tally) -> Result<()> {
    build()?;
    let names = scenario_names()?;
    if names.is_empty() {
        bail!("the lab lists no scenario");
    }
    for name in names {
        let passed = sh::status(lab().args(["run", &name]))?.success();
        tally.note(&format!("lab {name}"), passed);
    }
    Ok(())
}

fn scenario_names() -> Result<Vec<String>> {
    let list = sh::stdout(lab().args(["list", "--json"]))?;
    let list: Vec<serde_json::Value> =
        serde_json::from_str(&list).context("`slipway-lab list --json` printed no list")?;
    Ok(list.iter().filter_map(|entry| entry.get("name")?.as_str().map(str::to_owned)).collect())
}

fn build() -> Result<()> {
    sh::run(&mut sh::cargo(["build", "--locked", "--quiet", "--package", "slipway", "--package", "slipway-lab"]))
}

fn lab() -> Command {
    let slipway = sh::root().join(SLIPWAY);
    let slipway = fs::canonicalize(&slipway).unwrap_or(slipway);
    let mut lab = sh::command(sh::root().join(LAB));
    lab.env("SLIPWAY", slipway);
    lab
}
