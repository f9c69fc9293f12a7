//! Running scenarios: each in a process of its own, in network, mount, process and (for users) user namespaces of its own.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Error, Result, bail};
use rustix::fs::FlockOperation;
use slipway_wire::Cpu;

use crate::lab::Lab;
use crate::parts::{self, Parts};
use crate::process::run;
use crate::record::Record;
use crate::scenarios::Scenario;
use crate::stock::{Item, Source, Stock};

/// How scenarios are to be run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What they are made of, but for what their machines need.
    pub(crate) parts: Parts,
    /// Where that comes from.
    pub(crate) source: Source,
    /// The words that lead from this program's name to the lab's command line: `["lab"]` for `slipway lab`.
    pub(crate) prefix: Vec<String>,
    /// Let each lab stand when its scenario has ended, until someone presses Enter.
    pub(crate) keep: bool,
    /// How many run at once.
    pub(crate) jobs: usize,
}

/// Fails with a remedy if this system can't run the scenarios.
///
/// # Errors
/// A program is missing, or the namespaces or the tap device are not to be had.
pub(crate) fn check(scenarios: &[&Scenario]) -> Result<()> {
    let mut tools = parts::TOOLS.to_vec();
    tools.extend(scenarios.iter().flat_map(|scenario| scenario.tools.iter().copied()));
    let boots = cpus(scenarios);
    for &cpu in &boots {
        tools.push(parts::qemu(cpu)?);
    }
    parts::require(&tools)?;
    if !rustix::process::geteuid().is_root()
        && run(Command::new("unshare").args(["--user", "--map-root-user", "true"])).is_err()
    {
        bail!(
            "this system does not let users make namespaces (see sysctl user.max_user_namespaces and, on Ubuntu, \
             kernel.apparmor_restrict_unprivileged_userns): run the lab as root"
        );
    }
    if !boots.is_empty()
        && let Err(error) = File::options().read(true).write(true).open("/dev/net/tun")
    {
        bail!(
            "/dev/net/tun can't be opened ({error}), which virtual machines need: run the lab as root, or chmod 0666 /dev/net/tun"
        );
    }
    Ok(())
}

/// The processors of the machines that the scenarios boot, each once.
pub(crate) fn cpus(scenarios: &[&Scenario]) -> BTreeSet<Cpu> {
    scenarios.iter().filter_map(|scenario| scenario.boots).map(|boots| boots.cpu).collect()
}

/// The processors of the machines that join an org in the scenarios, each once.
pub(crate) fn joined(scenarios: &[&Scenario]) -> BTreeSet<Cpu> {
    scenarios.iter().filter_map(|scenario| scenario.boots).filter(|boots| boots.org).map(|boots| boots.cpu).collect()
}

/// Scenarios that wait, and what they wait for.
struct Desk<'a> {
    state: Mutex<(VecDeque<(usize, &'a Scenario)>, Stock)>,
    news: Condvar,
}

impl<'a> Desk<'a> {
    /// Those whose machines join an org go first: they are the longest, and none of them is to be left when all others are done.
    fn of(scenarios: &[&'a Scenario]) -> Self {
        let mut waiting: Vec<_> = scenarios.iter().copied().enumerate().collect();
        waiting.sort_by_key(|(_, scenario)| scenario.boots.map_or(2, |boots| u8::from(!boots.org)));
        Self { state: Mutex::new((waiting.into(), Stock::default())), news: Condvar::new() }
    }

    fn put(&self, item: Item) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.put(item);
        self.news.notify_all();
    }

    /// The first scenario whose parts are there, with them; waits for one. Nothing, when none is left.
    fn next(&self, parts: &Parts) -> Option<(usize, &'a Scenario, Result<Parts, String>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let (waiting, stock) = &mut *state;
            if waiting.is_empty() {
                return None;
            }
            let mut ready = waiting.iter().enumerate();
            let found = ready.find_map(|(place, (_, scenario))| Some((place, stock.parts(scenario, parts)?)));
            if let Some((place, parts)) = found {
                return waiting.remove(place).map(|(number, scenario)| (number, scenario, parts));
            }
            state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Runs the scenarios and returns their records in the order of `scenarios`. `tell` hears what happens.
pub(crate) fn run_all(scenarios: &[&Scenario], plan: &Plan, tell: &(dyn Fn(&str) + Sync)) -> Vec<Record> {
    let desk = Desk::of(scenarios);
    let records: Mutex<Vec<(usize, Record)>> = Mutex::default();
    std::thread::scope(|scope| {
        let joined = joined(scenarios);
        for cpu in cpus(scenarios) {
            let (desk, org) = (&desk, joined.contains(&cpu));
            scope.spawn(move || plan.source.make(cpu, org, tell, &|item| desk.put(item)));
        }
        for _ in 0..plan.jobs.clamp(1, scenarios.len().max(1)) {
            // Each thread lives as long as the scenario it started: the scenario is killed with it.
            scope.spawn(|| {
                while let Some((number, scenario, parts)) = desk.next(&plan.parts) {
                    let record = run_one(scenario, plan, parts, tell);
                    let word = if record.passed { "pass" } else { "FAIL" };
                    tell(&format!("{word}  {}  {:.1} s", record.name, record.seconds));
                    records.lock().unwrap_or_else(PoisonError::into_inner).push((number, record));
                }
            });
        }
    });
    let mut records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
    records.sort_by_key(|(number, _)| *number);
    records.into_iter().map(|(_, record)| record).collect()
}

fn run_one(scenario: &Scenario, plan: &Plan, parts: Result<Parts, String>, tell: &(dyn Fn(&str) + Sync)) -> Record {
    let start = Instant::now();
    let ran = parts.map_err(Error::msg).and_then(|parts| launch(scenario, plan, &parts, tell));
    ran.unwrap_or_else(|error| Record {
        seconds: start.elapsed().as_secs_f64(),
        error: Some(format!("{error:#}")),
        ..Record::beginning(scenario.name, &plan.parts.slipway)
    })
}

/// Starts the scenario's process, passes on what it says, and reads the record that it leaves.
fn launch(scenario: &Scenario, plan: &Plan, parts: &Parts, tell: &(dyn Fn(&str) + Sync)) -> Result<Record> {
    let folder = plan.parts.work.join(scenario.name);
    let _lock = lock(&plan.parts.work.join("cache"), scenario.name)?;
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = command(&program, scenario, plan, parts, rustix::process::geteuid().is_root())?;
    let errors = File::create(folder.join("lab.log")).context("cannot write lab.log")?;
    command.stdout(Stdio::piped()).stderr(errors);
    command.stdin(if plan.keep { Stdio::inherit() } else { Stdio::null() });
    let mut child = command.spawn().context("cannot start the scenario's process")?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            tell(&format!("{}: {}", scenario.name, line.unwrap_or_default()));
        }
    }
    let status = child.wait()?;
    let said = std::fs::read_to_string(folder.join("result.json")).ok();
    let record = said.and_then(|text| serde_json::from_str::<Record>(&text).ok());
    record.with_context(|| {
        let last = std::fs::read_to_string(folder.join("lab.log")).unwrap_or_default();
        format!("the scenario's process ended with {status} and without a result: {}", last.trim())
    })
}

/// Keeps the scenario's folder for this lab alone, for as long as the file is open.
fn lock(cache: &Path, name: &str) -> Result<File> {
    let path = cache.join(format!("{name}.lock"));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => {
            bail!("another lab is running {name} in the same folder: wait for it, or name another folder with --work")
        }
    }
}

/// The command that runs one scenario in namespaces of its own. It dies with the thread that starts it, and everything in the
/// namespaces dies with it: nothing survives, however the lab ends.
fn command(program: &Path, scenario: &Scenario, plan: &Plan, parts: &Parts, root: bool) -> Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    if !root {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]);
    command.arg(program).args(&plan.prefix).args(["inside", scenario.name, "--parts"]);
    command.arg(serde_json::to_string(parts)?);
    if plan.keep {
        command.arg("--keep");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:{}", parts::PATH));
    Ok(command)
}

/// Runs one scenario in this process, which [`command`] has put into namespaces of its own, and leaves its record.
pub(crate) fn inside(scenario: &Scenario, parts: &Parts, keep: bool) -> Result<bool> {
    let start = Instant::now();
    let beginning = Record::beginning(scenario.name, &parts.slipway);
    let mut lab = Lab::new(scenario.name, parts)?;
    let outcome = (scenario.run)(&mut lab);
    let record = Record {
        passed: outcome.is_ok(),
        seconds: start.elapsed().as_secs_f64(),
        stages: lab.stages(),
        programs: lab.programs(scenario.boots.map_or(&[], |boots| boots.programs)),
        error: outcome.err().map(|error| format!("{error:#}")),
        ..beginning
    };
    if let Some(error) = &record.error {
        let report = lab.report();
        std::fs::write(lab.folder().join("report.txt"), format!("{error}\n\n{report}"))?;
        println!("failed: {error}\n{report}");
    }
    std::fs::write(lab.folder().join("result.json"), serde_json::to_string_pretty(&record)?)?;
    if keep {
        println!("everything still stands, in {}; to enter it, and one of its hosts:", lab.folder().display());
        // In a user namespace of our own our number is not what it is outside.
        let mapped = std::fs::read_to_string("/proc/self/uid_map")?;
        let user =
            if mapped.split_whitespace().nth(2) == Some("4294967295") { "" } else { "--user --preserve-credentials " };
        println!("    nsenter {user}--net --mount --pid --target $(pgrep -f 'inside {}' | tail -n 1)", scenario.name);
        println!("    ip netns exec server bash");
        println!("press Enter to end it");
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(record.passed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::SCENARIOS;

    fn shown(root: bool, keep: bool) -> String {
        let parts = Parts { slipway: "/s".into(), work: "/w".into(), linux: None, org: None };
        let source = Source { agent: None, workspace: None, slipway: "/s".into(), cache: "/w/cache".into() };
        let plan = Plan { parts, source, prefix: vec!["lab".to_owned()], keep, jobs: 1 };
        let scenario = SCENARIOS.first().unwrap();
        crate::process::shown(&command(Path::new("/bin/slipway"), scenario, &plan, &plan.parts, root).unwrap())
    }

    #[test]
    fn what_waits_for_nothing_goes_before_what_is_longer_and_must_wait() {
        let named = |name| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        let desk = Desk::of(&["tftp-clients", "uefi-pxe-uki", "recover-esp"].map(named));
        let parts = Parts { slipway: "/s".into(), work: "/w".into(), linux: None, org: None };
        let next = || desk.next(&parts).map(|(number, scenario, _)| (number, scenario.name));
        assert_eq!(next(), Some((0, "tftp-clients")));
        desk.put(Item::Linux(Cpu::X64, Err("none".to_owned())));
        desk.put(Item::Org(Cpu::X64, Err("none".to_owned())));
        assert_eq!([next(), next(), next()], [Some((2, "recover-esp")), Some((1, "uefi-pxe-uki")), None]);
    }

    #[test]
    fn a_scenarios_folder_is_one_labs_at_a_time() {
        let cache = tempfile::tempdir().unwrap();
        let held = lock(cache.path(), "uefi-pxe-uki").unwrap();
        assert!(lock(cache.path(), "uefi-pxe-uki").unwrap_err().to_string().contains("--work"));
        assert!(lock(cache.path(), "uefi-http-uki").is_ok());
        drop(held);
    }

    #[test]
    fn a_user_gets_a_user_namespace_and_root_does_not() {
        assert!(shown(false, false).contains("--user --map-root-user --net --mount --pid"));
        assert!(!shown(true, false).contains("--user"));
    }

    #[test]
    fn the_scenario_dies_with_the_lab_and_is_told_what_it_is_made_of() {
        let words = shown(true, true);
        assert!(words.starts_with("setpriv --pdeathsig KILL unshare") && words.contains("--kill-child"), "{words}");
        assert!(words.contains("/bin/slipway lab inside uefi-pxe-uki --parts {\"slipway\":\"/s\""), "{words}");
        assert!(words.ends_with("--keep"));
    }
}
