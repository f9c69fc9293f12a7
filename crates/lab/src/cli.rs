//! The lab's command line: `slipway-lab …`, `slipway lab …` and `cargo xtask lab …` are all this.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::firmware::Boots;
use crate::parts::Parts;
use crate::record::table;
use crate::runner::{self, Plan};
use crate::scenarios::{self, SCENARIOS, Scenario};
use crate::stock::Source;

/// Boot virtual machines of chosen firmware, in networks of their own, through this Slipway.
#[derive(Args, Debug)]
pub struct LabArgs {
    #[command(subcommand)]
    chore: Chore,
    /// The slipway program under test [default: $SLIPWAY, or beside this program]
    #[arg(long, global = true, value_name = "FILE")]
    slipway: Option<PathBuf>,
    /// The agent that booted machines run [default: beside slipway, or built from the source tree]
    #[arg(long, global = true, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Where each scenario leaves its logs and captures [default: target/lab in the source tree, else ~/.cache/slipway/lab]
    #[arg(long, global = true, value_name = "DIR")]
    work: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// List the scenarios.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run scenarios: by name, or all of them.
    Run {
        /// Their names.
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// Run all scenarios.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Let each lab stand when its scenario has ended, until you press Enter.
        #[arg(long)]
        keep: bool,
        /// Print the results as JSON.
        #[arg(long)]
        json: bool,
        /// How many scenarios run at once.
        #[arg(long, value_name = "N", default_value_t = 2)]
        jobs: usize,
    },
    /// Watch a blank virtual machine join an org, lose its ESP and come back.
    Demo,
    /// Run one scenario in this process, which must be in namespaces of its own.
    #[command(hide = true)]
    Inside {
        name: String,
        #[arg(long)]
        parts: String,
        #[arg(long)]
        keep: bool,
    },
}

/// Obeys the command line. `prefix` is the words between the program's name and these arguments, such as `lab`.
///
/// # Errors
/// Something that the lab needs is missing; failing scenarios are no error but an exit code of 1.
pub fn run(args: LabArgs, prefix: &[&str]) -> Result<ExitCode> {
    match &args.chore {
        Chore::List { json } => list(*json),
        Chore::Run { names, all, keep, json, jobs } => {
            let scenarios = if *all { SCENARIOS.iter().collect() } else { find(names)? };
            let plan = args.plan(&scenarios, prefix, *keep, *jobs)?;
            run_scenarios(&scenarios, &plan, *json)
        }
        Chore::Demo => {
            let plan = args.plan(&[&scenarios::demo::SCENARIO], prefix, false, 1)?;
            crate::demo::show(&plan)
        }
        Chore::Inside { name, parts, keep } => {
            let parts: Parts = serde_json::from_str(parts).context("--parts is not what the lab wrote")?;
            let demo = std::iter::once(&scenarios::demo::SCENARIO);
            let scenario =
                SCENARIOS.iter().chain(demo).find(|scenario| scenario.name == name).context("no such scenario")?;
            Ok(exit_code(runner::inside(scenario, &parts, *keep)?))
        }
    }
}

fn list(json: bool) -> Result<ExitCode> {
    if json {
        let boots = |boots: Boots| serde_json::json!({"cpu": boots.cpu.name(), "way": boots.way});
        let list: Vec<_> = SCENARIOS
            .iter()
            .map(|scenario| {
                // How a machine joins an org is no firmware's way of booting: it is no row of the tables of those.
                let way = scenario.boots.filter(|boots| !boots.org).map(boots);
                serde_json::json!({"name": scenario.name, "about": scenario.about, "boots": way})
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        for scenario in SCENARIOS {
            println!("{:20} {}", scenario.name, scenario.about);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find(names: &[String]) -> Result<Vec<&'static Scenario>> {
    let mut found = Vec::new();
    for name in names {
        let Some(scenario) = SCENARIOS.iter().find(|scenario| scenario.name == name) else {
            let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            bail!("there is no scenario {name:?}; there are: {}", known.join(", "));
        };
        if !found.iter().any(|other: &&Scenario| other.name == scenario.name) {
            found.push(scenario);
        }
    }
    Ok(found)
}

fn run_scenarios(scenarios: &[&Scenario], plan: &Plan, json: bool) -> Result<ExitCode> {
    let records = runner::run_all(scenarios, plan, &|line| eprintln!("{line}"));
    if json {
        println!("{}", serde_json::to_string_pretty(&records)?);
    } else {
        print!("{}", table(&records));
    }
    Ok(exit_code(records.iter().all(|record| record.passed)))
}

fn exit_code(passed: bool) -> ExitCode {
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl LabArgs {
    /// Finds what the scenarios need, with a remedy for what can't be found.
    fn plan(&self, scenarios: &[&Scenario], prefix: &[&str], keep: bool, jobs: usize) -> Result<Plan> {
        runner::check(scenarios)?;
        let workspace = workspace();
        let work = self.work.clone().map_or_else(|| default_work(workspace.as_deref()), Ok)?;
        std::fs::create_dir_all(work.join("cache")).with_context(|| format!("cannot make {}", work.display()))?;
        let work = work.canonicalize()?;
        let slipway = self.slipway()?;
        let (agent, cache) = (self.agent.clone(), work.join("cache"));
        let source = Source { agent, workspace, slipway: slipway.clone(), cache };
        let prefix = prefix.iter().map(|&word| word.to_owned()).collect();
        // With a terminal to press Enter on, one at a time.
        let jobs = if keep { 1 } else { jobs };
        Ok(Plan { parts: Parts { slipway, work, linux: None, org: None }, source, prefix, keep, jobs })
    }

    fn slipway(&self) -> Result<PathBuf> {
        let named = self.slipway.clone().or_else(|| std::env::var_os("SLIPWAY").map(PathBuf::from));
        let own = std::env::current_exe().context("cannot find this program's own file")?;
        let path = named.unwrap_or_else(|| own.with_file_name("slipway"));
        path.canonicalize().with_context(|| format!("no slipway program at {}: name it with --slipway", path.display()))
    }
}

/// The source tree that the current folder is in, if it is in one.
fn workspace() -> Option<PathBuf> {
    let current = std::env::current_dir().ok()?;
    current.ancestors().find(|folder| folder.join("crates/lab/Cargo.toml").exists()).map(Path::to_owned)
}

fn default_work(workspace: Option<&Path>) -> Result<PathBuf> {
    if let Some(workspace) = workspace {
        return Ok(workspace.join("target/lab"));
    }
    let home = std::env::var_os("HOME").context("no HOME to keep the lab's files in: name a folder with --work")?;
    Ok(PathBuf::from(home).join(".cache/slipway/lab"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scenario_is_refused_with_the_names_of_all() {
        let error = find(&["uefi-pxe-ukki".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("uefi-pxe-ukki") && error.contains("uefi-pxe-uki, "), "{error}");
    }

    #[test]
    fn a_scenario_named_twice_runs_once() {
        assert_eq!(find(&["uefi-pxe-uki".to_owned(), "uefi-pxe-uki".to_owned()]).unwrap().len(), 1);
    }
}
