//! The power is cut at random moments, while a machine installs its preboot and while it updates it, each time on the same machine as it was
//! before. Whatever the moment: it starts from its disk again, or is helped by the network; and what else is on its disk is not touched.
//!
//! A test run sees a few cuts; `cargo xtask soak power-cut` many, and keeps a report.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::enrol::{self, Home};
use crate::drive::{DATA, Partition};
use crate::lab::Lab;
use crate::loadgen::Random;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::org::Org;
use crate::snapshot::Snapshot;

mod report;

use report::{Cut, Outcome, Phase};

/// How many cuts a test run sees.
const SAMPLE: u64 = 4;
/// How long firmware may take to come to something, one way or another.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a machine is switched on again before it counts as dead: the org believes a machine lost that was sent to its disk in vain.
const STARTS: u32 = 3;

/// What stays from round to round.
struct Bench {
    lan: Lan,
    org: Org,
    home: Home,
    /// Somebody else's partition, and the digest of its content.
    foreign: (Partition, String),
    random: Random,
}

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let seed = Random::seed()?;
    let cuts = std::env::var("SLIPWAY_CUTS").map_or(Ok(SAMPLE), |text| text.parse()).context("SLIPWAY_CUTS")?;
    lab.say(&format!("{cuts} cuts, seed {seed} (SLIPWAY_SEED={seed} repeats it)"));
    let (mut bench, blank) = Bench::make(lab, seed)?;

    let install = bench.install(lab)?;
    lab.say(&format!("installing takes {:.1} s without a cut", install.as_secs_f64()));
    let newer = lab.build_image(&bench.org, &["preboot"])?;
    let newer = newer.get("version").and_then(serde_json::Value::as_u64).with_context(|| format!("{newer}"))?;
    let active = bench.snapshot(lab, "active")?;
    let update = bench.update(lab)?;
    lab.say(&format!("updating takes {:.1} s without a cut", update.as_secs_f64()));

    let mut seen = Vec::new();
    for number in 1..=cuts {
        let (phase, before, length) = match number % 2 {
            1 => (Phase::Install, &blank, install),
            _ => (Phase::Update, &active, update),
        };
        let moment = bench.random.part_of(length);
        before.restore()?;
        let cut = bench.cut(lab, phase, moment, newer);
        let told = cut.as_ref().map_or_else(|error| format!("{error:#}"), Cut::to_string);
        lab.say(&format!("cut {number}: {told}"));
        let failed = cut.is_err().then_some(told.as_str());
        seen.extend(cut.as_ref().ok().cloned());
        let text = report::render(seed, cuts, [install, update], &seen, failed);
        std::fs::write(lab.folder().join("report.md"), text).context("cannot write report.md")?;
        cut.with_context(|| format!("cut {number} of seed {seed}, {:.3} s into the {phase}", moment.as_secs_f64()))?;
    }
    Ok(())
}

impl Bench {
    /// A blank machine but for somebody's partition, and an org that lets it in; and all of that to go back to.
    fn make(lab: &mut Lab, seed: u64) -> Result<(Self, Snapshot)> {
        let (lan, org) = enrol::org(lab, "")?;
        let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
        home.disk.partition(&[("somebody", DATA, 64)])?;
        let foreign = home.disk.partition_of(DATA)?;
        home.disk.fill(&foreign)?;
        let foreign = (foreign.clone(), home.disk.digest(&foreign)?);
        org.open_window()?;
        let bench = Self { lan, org, home, foreign, random: Random::new(seed) };
        let blank = bench.snapshot(lab, "blank")?;
        Ok((bench, blank))
    }

    /// The machine as it is now, and what the server knows. The machine is off; the server is started again at the next power-on.
    fn snapshot(&self, lab: &Lab, name: &str) -> Result<Snapshot> {
        let server = self.org.server();
        server.stop()?;
        let of_server = ["org", "org.redb", "leases.redb", "machines.redb", "journal.jsonl"];
        let mut places: Vec<PathBuf> = of_server.iter().map(|name| server.data().join(name)).collect();
        places.extend(["machine1.vars.fd", "tpm/node1"].map(|name| lab.folder().join(name)));
        places.push(self.home.disk.path()?.to_owned());
        Snapshot::take(&lab.folder().join(name), &places)
    }

    /// Joins without a cut, and returns how long it is from the grant until the preboot runs.
    fn install(&self, lab: &mut Lab) -> Result<Duration> {
        let machine = self.begin(lab, Phase::Install)?;
        enrol::install(&machine)?;
        let took = between(&machine, "[ok] approval", "[ok] gateway reachable")?;
        machine.pull_plug()?;
        Ok(took)
    }

    /// Updates without a cut, and returns how long it is from the gateway's word until another kernel takes over.
    fn update(&self, lab: &mut Lab) -> Result<Duration> {
        let machine = self.begin(lab, Phase::Update)?;
        machine.wait_step(0, "preboot updated")?;
        enrol::come_up(&machine, 0)?;
        let took = between(&machine, "[ok] identity proved", "hello from generation")?;
        machine.pull_plug()?;
        self.org.server().stop()?;
        Ok(took)
    }

    /// Switches the machine on, and returns it when the phase begins.
    fn begin(&self, lab: &mut Lab, phase: Phase) -> Result<Machine> {
        if self.org.server().process().is_err() {
            self.org.server().start()?;
        }
        let machine = lab.power_on(self.home.order.clone(), &self.lan)?;
        match phase {
            Phase::Install => {
                self.org.approve(&machine, &["--name", "web-1"])?;
                machine.wait_step(0, "approval")?;
            }
            Phase::Update => drop(machine.wait_step(0, "identity proved")?),
        }
        Ok(machine)
    }

    /// One cut, and what becomes of the machine.
    fn cut(&self, lab: &mut Lab, phase: Phase, moment: Duration, newer: u64) -> Result<Cut> {
        let machine = self.begin(lab, phase)?;
        if machine.process().wait_exit(moment).is_ok() {
            bail!("it went off by itself");
        }
        machine.pull_plug()?;
        let reached = machine.console().find_last("slipway-agent: [").map_or_else(String::new, |line| line.text);
        let begun = Instant::now();
        let (starts, outcome) = self.afterwards(lab, newer)?;
        let took = begun.elapsed();
        self.ensure_whole()?;
        self.org.server().stop()?;
        Ok(Cut { phase, moment, reached: report::step(&reached), starts, outcome, took })
    }

    /// Switches the machine on until its system is well.
    fn afterwards(&self, lab: &mut Lab, newer: u64) -> Result<(u32, Outcome)> {
        for start in 1..=STARTS {
            let machine = lab.power_on(self.home.order.clone(), &self.lan)?;
            let came = self.see(&machine, newer)?;
            machine.pull_plug()?;
            if let Some(outcome) = came {
                return Ok((start, outcome));
            }
        }
        bail!("the machine is dead: switched on {STARTS} times, it found nothing to start")
    }

    /// Follows one start: what the machine came up by, or nothing if its firmware gave up.
    fn see(&self, machine: &Machine, newer: u64) -> Result<Option<Outcome>> {
        const PREBOOT: &str = "preboot image, version ";
        let first = [PREBOOT, "bootstrap image, version ", "UEFI Interactive Shell"];
        let line = machine.console().wait_for_any(0, &first, PATIENCE)?.text;
        if let Some((_, rest)) = line.split_once(PREBOOT) {
            enrol::come_up(machine, 0)?;
            let is_newer = rest.starts_with(&format!("{newer},"));
            return Ok(Some(if is_newer { Outcome::Newer } else { Outcome::Older }));
        }
        if line.contains("UEFI Interactive Shell") {
            return Ok(None);
        }
        let asks = machine.console().wait_for_any(0, &["[ok] approval", "[..] approval (ticket"], PATIENCE)?;
        let asked = asks.text.contains("[..]");
        if asked {
            self.org.approve(machine, &["--name", "web-1"])?;
        }
        enrol::install(machine)?;
        Ok(Some(if asked { Outcome::Asked } else { Outcome::Recovered }))
    }

    /// Whether the machine is one that the org knows to be well, and what is somebody else's is as it was.
    fn ensure_whole(&self) -> Result<()> {
        enrol::ensure_told(&self.org, self.home.order.mac(), "state", "active")?;
        let (foreign, digest) = &self.foreign;
        let partitions = self.home.disk.partitions()?;
        ensure!(partitions.contains(foreign), "somebody's partition is gone from the table: {partitions:?}");
        ensure!(self.home.disk.digest(foreign)? == *digest, "somebody's partition has changed");
        self.home.disk.verify_table()?;
        self.org.audit().map(drop)
    }
}

/// How long it was from the first line with one text to the first with another.
fn between(machine: &Machine, first: &str, last: &str) -> Result<Duration> {
    let at = |text| machine.console().find(text).with_context(|| format!("{} did not say {text:?}", machine.name()));
    Ok(at(last)?.at.duration_since(at(first)?.at)?)
}
