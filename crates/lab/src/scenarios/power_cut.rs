//! The power is cut at random moments, while a machine installs its preboot, while it updates it, and while it takes the newer one for good.
//! Whatever the moment: it starts from its disk again, by the old preboot or the new one, or the network helps it; and what else is on its
//! disk is not touched.
//!
//! A test run sees a few cuts, each of them a killed QEMU; `cargo xtask soak power-cut` many, and keeps a report. There, one run of a machine
//! gives several cuts. At each moment QEMU, the TPM and the server are stopped (`SIGSTOP`), and the disk, the firmware's variables, the TPM's
//! state and the server's data are copied; then all go on, until QEMU is killed at the last moment. A copy is what a kill at that moment
//! would have left. Either signal stops a thread of QEMU's on its way back from the kernel, so both find the same writes done; what QEMU
//! had in its own memory is lost to a copy as it is to a kill; and what the computer's kernel holds of the files is in the copy as it
//! outlives a kill. The one difference is to the copy's harm: the TPM, too, is caught in the middle of what it does, and so is the server.
//!
//! Every second copy is harmed more: the disk had a cache of its own, and loses of it what no flush had made durable.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Scenario;
use super::enrol::{self, Home};
use super::joined::OF_SERVER;
use super::scenario::joins;
use crate::drive::writes::{self, Lost};
use crate::drive::{DATA, Partition};
use crate::lab::Lab;
use crate::loadgen::Random;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::org::Org;
use crate::snapshot::Snapshot;

mod report;

use report::{Cut, Outcome, Phase, Report};

/// How many cuts a test run sees.
const SAMPLE: usize = 2;
/// How many cuts one run of a machine gives at most: the last is a kill, those before it are copies. `SLIPWAY_CUTS_AT_ONCE=1` makes each a kill.
const AT_ONCE: usize = 8;
/// Of so many cuts one is followed until the machine's system is well; the others, until the preboot has proved itself to the gateway.
const FOLLOWED: usize = 10;
/// Of so many cuts one falls anywhere between a phase's beginning and the next start's end; the others, while the disk is written.
const ANYWHERE: usize = 4;
/// How long firmware may take to come to something, one way or another.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a machine is switched on again before it counts as dead: the org believes a machine lost that was sent to its disk in vain.
const STARTS: u32 = 3;
/// Somebody else's partition, in MiB.
const FOREIGN: u64 = 16;

/// What stays from round to round.
struct Bench {
    lan: Lan,
    org: Org,
    home: Home,
    /// Somebody else's partition, and the digest of its content.
    foreign: (Partition, String),
    random: Random,
    blank: Snapshot,
    enrolled: Option<Enrolled>,
    /// A machine whose newer preboot came up for the first time.
    on_trial: Option<Snapshot>,
    /// What is written to the machine's disk, where that is logged.
    writes: Option<PathBuf>,
}

/// A machine that runs its first preboot, which is still on trial; and the org has a newer one.
struct Enrolled {
    snapshot: Snapshot,
    newer: u64,
    identity: [String; 2],
}

/// What a cut left.
struct Scene {
    at: Duration,
    reached: String,
    killed: bool,
    /// Whether the disk had a cache of its own, whose content is lost.
    lossy: bool,
    left: Snapshot,
}

pub(super) const SCENARIO: Scenario = joins(
    "power-cut",
    "the power is cut at random moments of an installation and of an update: the machine starts again, or is helped",
    "PXE, its own disk: what the power cut left",
    run,
);

fn run(lab: &mut Lab) -> Result<()> {
    let seed = Random::seed()?;
    let told = |name, usual| std::env::var(name).map_or(Ok(usual), |text| text.parse::<usize>()).context(name);
    let (wanted, at_once) = (told("SLIPWAY_CUTS", SAMPLE)?, told("SLIPWAY_CUTS_AT_ONCE", AT_ONCE)?.max(1));
    lab.say(&format!("{wanted} cuts, seed {seed} (SLIPWAY_SEED={seed} repeats it)"));
    let mut report = Report { seed, wanted, cuts: Vec::new(), failed: None };
    let done = Bench::make(lab, seed, wanted > SAMPLE).and_then(|mut bench| bench.cut_all(lab, at_once, &mut report));
    report.failed = done.as_ref().err().map(|error| format!("{error:#}"));
    report.write(lab.folder())?;
    done?;
    let faults = report.faults();
    ensure!(faults == 0, "{faults} of {wanted} cuts of seed {seed} came to no good end: see cuts.json");
    Ok(())
}

impl Bench {
    /// A blank machine but for somebody's partition, and an org that lets it in.
    fn make(lab: &mut Lab, seed: u64, logged: bool) -> Result<Self> {
        let (lan, org) = enrol::org(lab, "")?;
        let mut home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
        // Nothing here is done by two processors at once, and an emulated one that waits is not free.
        home.order = home.order.cpus(1);
        let writes = logged.then(|| lab.folder().join("writes"));
        if let Some(writes) = &writes {
            std::fs::write(writes, "")?;
            home.order = home.order.logging(std::slice::from_ref(writes));
        }
        home.disk.partition(&[("somebody", DATA, FOREIGN)])?;
        let foreign = home.disk.partition_of(DATA)?;
        home.disk.fill(&foreign)?;
        let foreign = (foreign.clone(), home.disk.digest(&foreign)?);
        org.server().cli(["window", "open", "--for", "8h"])?;
        org.server().stop()?;
        let blank = snapshot(lab, &org, &home, "blank")?;
        let random = Random::new(seed);
        Ok(Self { lan, org, home, foreign, random, blank, enrolled: None, on_trial: None, writes })
    }

    /// Makes all cuts. A machine that does not survive one is a line of the report.
    fn cut_all(&mut self, lab: &mut Lab, at_once: usize, report: &mut Report) -> Result<()> {
        let phases: &[Phase] = match report.wanted {
            ..=SAMPLE => &[Phase::Install, Phase::Update],
            _ => &[Phase::Install, Phase::Update, Phase::Settle],
        };
        let each = report.wanted.div_ceil(phases.len()).min(at_once);
        for phase in phases.iter().cycle() {
            let left = report.wanted.saturating_sub(report.cuts.len());
            if left == 0 {
                break;
            }
            self.round(lab, *phase, each.min(left), report)?;
        }
        Ok(())
    }

    /// Some cuts of one run of a machine.
    fn round(&mut self, lab: &mut Lab, phase: Phase, count: usize, report: &mut Report) -> Result<()> {
        self.go_to(lab, phase)?;
        let (machine, scale) = self.begin(lab, phase)?;
        let moments = self.moments(phase, scale, count);
        let scenes = self.cut(lab, &machine, &moments, report.cuts.len())?;
        for scene in scenes.into_iter().rev() {
            let number = report.cuts.len();
            let follow = self.enrolled.is_none() || number % FOLLOWED == FOLLOWED - 1;
            let cut = self.outlive(lab, phase, &scene, follow)?;
            lab.say(&format!("cut {}: {cut}", number + 1));
            if cut.fault.is_none() {
                scene.left.discard()?;
            }
            report.cuts.push(cut);
            report.write(lab.folder())?;
        }
        Ok(())
    }

    /// The machine and the org as they are before a phase, the server serving.
    fn go_to(&mut self, lab: &mut Lab, phase: Phase) -> Result<()> {
        let server = self.org.server();
        if server.process().is_ok() {
            server.stop()?;
        }
        let enrolled = || self.enrolled.as_ref().context("no machine came up after its installation was cut");
        match (phase, &self.on_trial) {
            (Phase::Install, _) => self.blank.restore()?,
            (Phase::Settle, Some(on_trial)) => on_trial.restore()?,
            (Phase::Update | Phase::Settle, _) => enrolled()?.snapshot.restore()?,
        }
        if phase == Phase::Settle && self.on_trial.is_none() {
            server.start()?;
            for _ in 0..2 {
                let machine = lab.power_on(self.home.order.clone(), &self.lan)?;
                enrol::come_up(&machine, 0)?;
                machine.pull_plug()?;
            }
            server.stop()?;
            self.on_trial = Some(snapshot(lab, &self.org, &self.home, "on-trial")?);
        }
        self.org.server().start()
    }

    /// Switches the machine on, and returns it when the phase begins, and how long that took.
    fn begin(&self, lab: &mut Lab, phase: Phase) -> Result<(Machine, Duration)> {
        let machine = lab.power_on(self.home.order.clone(), &self.lan)?;
        let begun = match phase {
            Phase::Install => {
                self.org.approve(&machine, &["--name", "web-1"])?;
                machine.wait_step(0, "approval")?
            }
            Phase::Update | Phase::Settle => machine.wait_step(0, "identity proved")?,
        };
        let took = begun.at.duration_since(machine.on_at())?;
        Ok((machine, took))
    }

    /// When to cut, in order. A slow computer's machine is cut as much later as it is slower: by the time that it took to begin.
    fn moments(&mut self, phase: Phase, scale: Duration, count: usize) -> Vec<Duration> {
        // Which part of that time it then takes to write what is to be written.
        let writing = match phase {
            Phase::Install => 30,
            Phase::Update | Phase::Settle => 12,
        };
        let within = |number: usize| if number % ANYWHERE == ANYWHERE - 1 { scale } else { scale / writing };
        let mut moments: Vec<Duration> = (0..count).map(|number| self.random.part_of(within(number))).collect();
        moments.sort();
        moments
    }

    /// Cuts the power at these moments: at the last of them in earnest.
    fn cut(&self, lab: &Lab, machine: &Machine, moments: &[Duration], first: usize) -> Result<Vec<Scene>> {
        let server = self.org.server();
        let mut scenes: Vec<Scene> = Vec::new();
        for (number, at) in (1..).zip(moments.iter().copied()) {
            let before = scenes.last().map_or(Duration::ZERO, |scene| scene.at);
            if machine.process().wait_exit(at.saturating_sub(before)).is_ok() {
                bail!("{} went off by itself", machine.name());
            }
            let killed = number == moments.len();
            let frozen = if killed {
                machine.pull_plug()?;
                Vec::new()
            } else {
                machine.freeze()?
            };
            let _frozen = (frozen, server.process()?.freeze()?);
            let said = machine.console().find_last("slipway-agent: [").map_or_else(String::new, |line| line.text);
            let left = snapshot(lab, &self.org, &self.home, &format!("cut-{}", first + number))?;
            let lossy = !killed && number % 2 == 0 && self.writes.is_some();
            scenes.push(Scene { at, reached: report::step(&said), killed, lossy, left });
        }
        Ok(scenes)
    }

    /// Switches a machine on whose power was cut, and sees what becomes of it.
    fn outlive(&mut self, lab: &mut Lab, phase: Phase, scene: &Scene, follow: bool) -> Result<Cut> {
        let server = self.org.server();
        if !scene.killed {
            // After the kill it has nothing to be put back, and the server has not noticed.
            server.stop()?;
            scene.left.restore()?;
            server.start()?;
        }
        let lost = if scene.lossy { self.lose(phase)? } else { None };
        let (at, reached) = (scene.at.as_secs_f64(), scene.reached.clone());
        let begun = Instant::now();
        let came = self.come_back(lab, phase, follow);
        let took = begun.elapsed().as_secs_f64();
        let whole = came.and_then(|came| self.ensure_whole(phase, follow).map(|()| came));
        let (starts, outcome, fault) = match whole {
            Ok((starts, outcome)) => (starts, Some(outcome), None),
            Err(error) => (0, None, Some(format!("{error:#}"))),
        };
        if follow && fault.is_none() && self.enrolled.is_none() {
            self.enrolled = Some(self.enrolled(lab)?);
        }
        Ok(Cut { phase, at, killed: scene.killed, lost, reached, starts, outcome, followed: follow, took, fault })
    }

    /// Has the disk lose of what it had in a cache of its own.
    fn lose(&mut self, phase: Phase) -> Result<Option<Lost>> {
        let before = match (phase, &self.enrolled, &self.on_trial) {
            (Phase::Update, Some(enrolled), _) => &enrolled.snapshot,
            (Phase::Settle, _, Some(on_trial)) => on_trial,
            _ => &self.blank,
        };
        let (disk, writes) = (self.home.disk.path()?, self.writes.as_ref().context("no writes are logged")?);
        before.restore_one(disk)?;
        writes::replay(writes, disk, &mut self.random).map(Some)
    }

    /// The machine as it is now, which is off; from now on the org has a newer preboot.
    fn enrolled(&self, lab: &Lab) -> Result<Enrolled> {
        let identity = enrol::identity(&self.org, self.home.order.mac())?;
        let newer = lab.made_org()?.newest("preboot")?.0 + 1;
        lab.build_image(&self.org, &["preboot", "--version", &newer.to_string()])?;
        self.org.server().stop()?;
        let snapshot = snapshot(lab, &self.org, &self.home, "enrolled")?;
        self.org.server().start()?;
        Ok(Enrolled { snapshot, newer, identity })
    }

    /// Switches the machine on until it has come up.
    fn come_back(&self, lab: &mut Lab, phase: Phase, follow: bool) -> Result<(u32, Outcome)> {
        for start in 1..=STARTS {
            let machine = lab.power_on(self.home.order.clone(), &self.lan)?;
            let came = self.see(&machine, phase, follow);
            machine.pull_plug()?;
            if let Some(outcome) = came? {
                return Ok((start, outcome));
            }
        }
        bail!("the machine is dead: switched on {STARTS} times, it found nothing to start")
    }

    /// Follows one start: what the machine came up by, or nothing if its firmware gave up.
    fn see(&self, machine: &Machine, phase: Phase, follow: bool) -> Result<Option<Outcome>> {
        const PREBOOT: &str = "preboot image, version ";
        // For HTTP over IPv6 its firmware would wait a minute, and nobody speaks that here.
        const GAVE_UP: [&str; 2] = [">>Start HTTP Boot over IPv6", "UEFI Interactive Shell"];
        let first = [PREBOOT, "bootstrap image, version ", GAVE_UP[0], GAVE_UP[1]];
        let line = machine.console().wait_for_any(0, &first, PATIENCE)?.text;
        if GAVE_UP.iter().any(|text| line.contains(text)) {
            return Ok(None);
        }
        let (outcome, mark) = match (line.split_once(PREBOOT), &self.enrolled) {
            // Before its installation there was none.
            (Some(_), _) if phase == Phase::Install => (Outcome::Newer, 0),
            (Some((_, rest)), Some(known)) if rest.starts_with(&format!("{},", known.newer)) => (Outcome::Newer, 0),
            (Some(_), _) => (Outcome::Older, 0),
            (None, _) => {
                let asks = machine.console().wait_for_any(0, &["[ok] approval", "[..] approval (ticket"], PATIENCE)?;
                let asked = asks.text.contains("[..]");
                if asked {
                    self.org.approve(machine, &["--name", "web-1"])?;
                }
                (if asked { Outcome::Asked } else { Outcome::Recovered }, enrol::put_preboot(machine)?)
            }
        };
        if follow {
            enrol::come_up(machine, mark)?;
        } else {
            machine.wait_step(mark, "identity proved")?;
        }
        Ok(Some(outcome))
    }

    /// Whether the machine is one that the org knows to be well, the same as before, and what is somebody else's is as it was.
    fn ensure_whole(&self, phase: Phase, follow: bool) -> Result<()> {
        let mac = self.home.order.mac();
        if follow {
            enrol::ensure_told(&self.org, mac, "state", "active")?;
        }
        if let Some(known) = self.enrolled.as_ref().filter(|_| phase != Phase::Install) {
            let now = enrol::identity(&self.org, mac)?;
            ensure!(now == known.identity, "it is another machine now: {:?}, {now:?}", known.identity);
        }
        let (foreign, digest) = &self.foreign;
        let partitions = self.home.disk.partitions()?;
        ensure!(partitions.contains(foreign), "somebody's partition is gone from the table: {partitions:?}");
        ensure!(self.home.disk.digest(foreign)? == *digest, "somebody's partition has changed");
        self.home.disk.verify_table()?;
        self.org.audit().map(drop)
    }
}

/// The machine as it is now, and what the server knows. Both stand still.
fn snapshot(lab: &Lab, org: &Org, home: &Home, name: &str) -> Result<Snapshot> {
    let mut places: Vec<PathBuf> = OF_SERVER.iter().map(|name| org.server().data().join(name)).collect();
    places.extend(["machine1.vars.fd", "tpm/node1", "writes"].map(|name| lab.folder().join(name)));
    places.push(home.disk.path()?.to_owned());
    Snapshot::take(&lab.folder().join(name), &places)
}
