//! `cargo xtask lab matrix`: the tables of what the lab boots, made of the lab's own records. README.md has the short one and
//! docs/firmware.md the whole; the text around them is people's. A scenario that was not run keeps its row.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use serde::Deserialize;

use crate::programs::Programs;
use crate::{lab, sh};

/// Where the tables stand: between these two lines.
const BEGIN: &str = "<!-- From here on written by `cargo xtask lab matrix`. -->";
const END: &str = "<!-- To here. -->";

/// The parts of a boot that have a column, by their names in the lab's records.
const STAGES: [&str; 5] = ["first DISCOVER", "boot file loaded", "kernel up", "booted", "reported"];

/// A document with a table.
struct Page {
    file: &'static str,
    head: &'static str,
    row: fn(Row<'_>) -> String,
}

const PAGES: [Page; 2] = [
    Page {
        file: "README.md",
        head: "| Scenario | Machine and firmware | Way | Seconds | Result |\n|---|---|---|---|---|\n",
        row: |row| row.short(),
    },
    Page {
        file: "docs/firmware.md",
        head: "| Scenario | Machine | Firmware, boot programs | Way | Asks | Loads | Kernel | Linux | Report | In all | Seen \
               | Result |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
        row: |row| row.whole(),
    },
];

/// Boot firmware, and write what came of it into the tables of README.md and docs/firmware.md.
#[derive(Parser)]
#[command(name = "cargo xtask lab matrix", bin_name = "cargo xtask lab matrix", about)]
struct Args {
    /// Only these scenarios; the others keep their rows [default: all that boot machines].
    names: Vec<String>,
    /// Boot nothing: take what the last runs left in this folder (target/lab).
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// How many scenarios run at once: one, so that none takes another's time.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
}

/// A scenario as `slipway lab list --json` tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Scenario {
    /// Its name.
    pub(crate) name: String,
    /// What it boots, if it boots machines.
    pub(crate) boots: Option<Boots>,
}

/// What a scenario boots, and how.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Boots {
    cpu: String,
    way: String,
}

/// What the lab recorded.
#[derive(Clone, Debug, Deserialize)]
struct Record {
    name: String,
    passed: bool,
    stages: Vec<Stage>,
    programs: Vec<String>,
    date: String,
    slipway: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Stage {
    name: String,
    seconds: f64,
}

/// `cargo xtask lab matrix`.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let args = Args::parse_from(std::iter::once("matrix".to_owned()).chain(args.iter().cloned()));
    let scenarios = lab::scenarios_that_boot(Programs::Alone)?;
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    if let Some(unknown) = args.names.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("no scenario {unknown:?} boots machines; these do: {}", names.join(", "));
    }
    let wanted: Vec<&str> = match args.names.as_slice() {
        [] => names,
        some => some.iter().map(String::as_str).collect(),
    };
    let records = match &args.from {
        Some(folder) => recorded(&wanted, folder)?,
        None => serde_json::from_slice(&lab::records_of(&wanted, args.jobs)?).context("the lab left no records")?,
    };
    for page in &PAGES {
        let path = sh::root().join(page.file);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", page.file))?;
        let fresh = page.with(&text, &scenarios, &records).with_context(|| format!("in {}", page.file))?;
        fs::write(&path, fresh).with_context(|| format!("cannot write {}", page.file))?;
    }
    println!("written: {} rows of README.md and docs/firmware.md", records.len());
    let failed: Vec<&str> = records.iter().filter(|record| !record.passed).map(|record| record.name.as_str()).collect();
    if !failed.is_empty() {
        bail!("these fail, and their rows say so: {}", failed.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

/// What the lab's last runs left.
fn recorded(wanted: &[&str], folder: &Path) -> Result<Vec<Record>> {
    let path = |name: &&&str| folder.join(name).join("result.json");
    let there = wanted.iter().filter(|name| path(name).exists());
    let read = |name: &&str| -> Result<Record> {
        let path = path(&name);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is of another time: run {name} again", path.display()))
    };
    there.map(read).collect()
}

/// Checks that both tables have a row for each scenario that boots machines, in the scenarios' order, and no other. What the rows
/// say is nobody's to check: times differ.
///
/// # Errors
/// Rows that are missing or too many, and the remedy.
pub(crate) fn check(programs: Programs) -> Result<()> {
    let scenarios = lab::scenarios_that_boot(programs)?;
    let mut faults = Vec::new();
    for page in &PAGES {
        let text = fs::read_to_string(sh::root().join(page.file)).with_context(|| format!("no {}", page.file))?;
        let (_, table, _) = split(&text).with_context(|| format!("in {}", page.file))?;
        faults.extend(faults_of(table, &scenarios).map(|fault| format!("{}: {fault}", page.file)));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// What is wrong with the table's list of scenarios.
fn faults_of(table: &str, scenarios: &[Scenario]) -> Option<String> {
    let rows: Vec<&str> = rows_of(table).map(|(name, _)| name).collect();
    let wanted: Vec<&str> = scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    let missing: Vec<&str> = wanted.iter().filter(|name| !rows.contains(name)).copied().collect();
    if !missing.is_empty() {
        let missing = missing.join(" ");
        return Some(format!(
            "no row for {missing}: run `cargo xtask lab matrix {missing}` (with `--from target/lab` if it has just run)"
        ));
    }
    (rows != wanted).then(|| {
        "rows of scenarios that are gone, or another order: run `cargo xtask lab matrix --from target/lab`".to_owned()
    })
}

impl Page {
    /// The document with the rows of these records, and for other scenarios the rows that it has.
    fn with(&self, text: &str, scenarios: &[Scenario], records: &[Record]) -> Result<String> {
        let (before, table, after) = split(text)?;
        let mut fresh = self.head.to_owned();
        for scenario in scenarios {
            let Some(boots) = &scenario.boots else { continue };
            let record = records.iter().find(|record| record.name == scenario.name);
            let old = || rows_of(table).find(|(name, _)| *name == scenario.name).map(|(_, row)| format!("{row}\n"));
            let new = record.map(|record| (self.row)(Row { boots, record }));
            let row = new.or_else(old);
            fresh += &row.with_context(|| format!("{} has no row yet: let it run too", scenario.name))?;
        }
        Ok(format!("{before}{BEGIN}\n\n{fresh}\n{END}{after}"))
    }
}

/// The document before, between and behind the two marks.
fn split(text: &str) -> Result<(&str, &str, &str)> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    parts.with_context(|| format!("the table's place is not marked: `{BEGIN}` and `{END}`"))
}

/// The rows of a table with the scenario that each begins with.
fn rows_of(table: &str) -> impl Iterator<Item = (&str, &str)> {
    table.lines().filter_map(|line| Some((line.strip_prefix("| `")?.split_once('`')?.0, line)))
}

/// One scenario's row.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    boots: &'a Boots,
    record: &'a Record,
}

impl Row<'_> {
    fn short(self) -> String {
        let Self { boots, record } = self;
        let seconds = seconds(self.in_all());
        let programs = record.programs.join(", ");
        format!("| `{}` | {}: {programs} | {} | {seconds} | {} |\n", record.name, boots.cpu, boots.way, self.verdict())
    }

    fn whole(self) -> String {
        let Self { boots, record } = self;
        let stages = STAGES.map(|stage| seconds(self.stage(stage))).join(" | ");
        format!(
            "| `{}` | {} | {} | {} | {stages} | {} | {}, {} | {} |\n",
            record.name,
            boots.cpu,
            record.programs.join(", "),
            boots.way,
            seconds(self.in_all()),
            record.date,
            record.slipway,
            self.verdict()
        )
    }

    fn verdict(&self) -> &'static str {
        if self.record.passed { "passes" } else { "FAILS" }
    }

    /// The stages of the first machine that came to Linux, else of the first: with several, each stage begins with its machine's name.
    fn stages(&self) -> impl Iterator<Item = (&str, f64)> {
        let of = |stage: &Stage| stage.name.split_once(": ").map(|(machine, _)| machine.to_owned());
        let stages = &self.record.stages;
        let booted = stages.iter().find(|stage| stage.name.ends_with("booted"));
        let machine = booted.or_else(|| stages.iter().find(|stage| stage.name.ends_with("first DISCOVER"))).map(of);
        stages
            .iter()
            .filter(move |stage| Some(of(stage)) == machine)
            .map(|stage| (stage.name.split_once(": ").map_or(stage.name.as_str(), |(_, what)| what), stage.seconds))
    }

    fn stage(&self, name: &str) -> Option<f64> {
        self.stages().find(|(stage, _)| *stage == name).map(|(_, seconds)| seconds)
    }

    /// From power-on to the last of the columns, for a machine that came to Linux.
    fn in_all(&self) -> Option<f64> {
        self.stage("booted")?;
        Some(self.stages().filter(|(stage, _)| STAGES.contains(stage)).map(|(_, seconds)| seconds).sum())
    }
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.1}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(name: &str) -> Scenario {
        let boots = Boots { cpu: "x64".to_owned(), way: "PXE: UKI".to_owned() };
        Scenario { name: name.to_owned(), boots: Some(boots) }
    }

    fn record(name: &str, stages: &[(&str, f64)]) -> Record {
        Record {
            name: name.to_owned(),
            passed: name != "bad",
            stages: stages.iter().map(|&(name, seconds)| Stage { name: name.to_owned(), seconds }).collect(),
            programs: vec!["OVMF 1".to_owned(), "iPXE 2".to_owned()],
            date: "23 Nov 2026".to_owned(),
            slipway: "slipway 0.1.0".to_owned(),
        }
    }

    fn document(table: &str) -> String {
        format!("# Firmware\n{BEGIN}\n{table}{END}\nThe end.\n")
    }

    #[test]
    fn a_row_tells_each_stage_of_the_machine_that_came_to_linux() {
        let stages = [
            ("setup", 9.0),
            ("node1: first DISCOVER", 1.0),
            ("node2: first DISCOVER", 6.0),
            ("node2: kernel up", 2.04),
            ("node2: booted", 3.0),
        ];
        let row = |record: &Record| Row { boots: &scenario("x").boots.unwrap(), record }.whole();
        assert_eq!(
            row(&record("good", &stages)),
            "| `good` | x64 | OVMF 1, iPXE 2 | PXE: UKI | 6.0 | – | 2.0 | 3.0 | – | 11.0 | 23 Nov 2026, slipway 0.1.0 | passes |\n"
        );
        assert_eq!(
            row(&record("bad", &[("first DISCOVER", 1.0)])),
            "| `bad` | x64 | OVMF 1, iPXE 2 | PXE: UKI | 1.0 | – | – | – | – | – | 23 Nov 2026, slipway 0.1.0 | FAILS |\n"
        );
    }

    #[test]
    fn rows_stand_in_the_scenarios_order_and_those_not_run_stay() {
        let text = document("| `b` | old |\n| `gone` | old |\n");
        let scenarios = [scenario("a"), scenario("b")];
        let page = Page { file: "f", head: "| head |\n", row: |row| format!("| `{}` | new |\n", row.record.name) };
        let fresh = page.with(&text, &scenarios, &[record("a", &[])]).unwrap();
        assert_eq!(fresh, document("\n| head |\n| `a` | new |\n| `b` | old |\n\n"));
        assert!(page.with(&text, &[scenario("c")], &[]).unwrap_err().to_string().contains("c has no row yet"));
        assert!(page.with("no marks", &scenarios, &[]).is_err());
    }

    #[test]
    fn a_scenario_without_a_row_is_a_fault_with_its_remedy() {
        let scenarios = [scenario("a"), scenario("b")];
        let rows: [(&str, Option<&str>); 4] = [
            ("| `a` | 1 |\n| `b` | 2 |\n", None),
            ("| `a` | other times |\n| `b` |\n", None),
            ("| `b` | 2 |\n", Some("no row for a: run `cargo xtask lab matrix a`")),
            ("| `b` | 2 |\n| `a` | 1 |\n", Some("or another order")),
        ];
        for (table, fault) in rows {
            let found = faults_of(table, &scenarios);
            assert_eq!(found.is_some(), fault.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(fault.unwrap_or_default()), "{table}");
        }
    }
}
