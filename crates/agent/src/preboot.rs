//! The preboot on the machine's own ESP: it proves the machine to the org, opens the disk, and starts the generation. Where it can't, it
//! says why, and asks a person.

mod data;
mod escrow;
mod offline;
mod pin;
mod start;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use slipway_disk::Device;
use slipway_trust::frames::Intent;
use slipway_trust::machine::{Admitted, Running};
use slipway_trust::{OrgFacts, OrgId, OrgManifest, Refusal, Role, SigningKey};
use zeroize::Zeroizing;

use crate::checkpoint::{Checkpoint, one_line};
use crate::clock::Clock;
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::gateway::Gateways;
use crate::ground::{self, Ground};
use crate::identity::{self, Identity};
use crate::keys::Keys;
use crate::net::Network;
use crate::prompt::{self, Choice, Pin, Wanted};
use crate::remember::Remembered;
use crate::talk::{Booting, Ends, Failure};
use crate::tpm::{self, Found};
use crate::{inventory, net, online, power, role};

/// A key that is pressed this soon leads to the prompt.
const KEY_TIME: Duration = Duration::from_secs(3);
/// How often the org is asked before a person is.
const TRIES: u32 = 3;
/// How long disks may take to appear.
const DISKS: Duration = Duration::from_secs(20);

/// All that stays while the preboot runs.
pub(super) struct Preboot<'a> {
    pub(super) console: &'a Console,
    pub(super) cmdline: &'a Cmdline,
    pub(super) keys: Keys,
    pub(super) facts: OrgFacts,
    pub(super) org: OrgId,
    pub(super) clock: Clock,
    pub(super) identity: Arc<Identity>,
    pub(super) ground: Ground,
    pub(super) memory: Remembered,
    /// How often the org was asked.
    pub(super) tries: u32,
    /// The PIN that a person wants for offline starts.
    pub(super) pin: Option<Pin>,
    /// How many PINs were wrong.
    pub(super) wrong_pins: u32,
}

/// Runs until another kernel does.
pub(crate) fn run(console: &Console, cmdline: &Cmdline) -> Result<(), String> {
    let begun = Instant::now();
    let facts = role::org()?;
    let clock = role::introduce(console, Role::Preboot, &facts);
    let keys = Keys::open();
    console.say(&format!("press a key within {} s for the prompt", KEY_TIME.as_secs()));
    let mut preboot = match Preboot::new(console, cmdline, keys, facts, clock) {
        Ok(preboot) => preboot,
        Err((keys, reason)) => {
            console.failed(
                Checkpoint::Identity,
                &reason,
                "boot this machine from the network: the org's bootstrap image repairs it",
            );
            without_ground(console, &keys)
        }
    };
    let mut wanted: Option<Wanted> = None;
    let mut asked = preboot.keys.key(KEY_TIME.saturating_sub(begun.elapsed())).is_some();
    loop {
        if asked {
            match prompt::ask(console, &preboot.keys) {
                Choice::Retry => {}
                Choice::Network(None) => {
                    list_interfaces(console);
                    continue;
                }
                Choice::Network(Some(network)) => wanted = Some(network),
                Choice::Offline => {
                    let failure = preboot.start_offline();
                    let guesses = preboot.wrong_pins >= offline::WRONG_PINS;
                    let next = if guesses { "too many wrong PINs, starting over" } else { "nothing was started" };
                    console.failed(failure.step, &failure.reason, next);
                    if guesses {
                        power::restart();
                    }
                    continue;
                }
                Choice::Pin => {
                    preboot.pin = preboot.ask_new_pin();
                    continue;
                }
                Choice::Reboot => power::restart(),
                Choice::Off => power::off(),
            }
        }
        let failure = preboot.start(wanted.as_ref());
        preboot.tries = preboot.tries.saturating_add(1);
        asked = preboot.tries >= TRIES || !failure.passes();
        if failure.is(Refusal::BadBootLog) {
            tpm::started().iter().for_each(|line| console.say(line));
        }
        let next = if asked { "the disk stays closed; a person is asked" } else { "trying again in 5 s" };
        console.failed(failure.step, &failure.reason, next);
        if !asked {
            asked = preboot.keys.key(Duration::from_secs(5)).is_some();
        }
    }
}

/// Nothing can be started from here.
fn without_ground(console: &Console, keys: &Keys) -> ! {
    loop {
        match prompt::ask(console, keys) {
            Choice::Off => power::off(),
            Choice::Reboot | Choice::Retry => power::restart(),
            Choice::Network(_) | Choice::Offline | Choice::Pin => {
                console.say("this machine does not know who it is: it can only start over")
            }
        }
    }
}

fn list_interfaces(console: &Console) {
    for link in net::ethernet() {
        let state = if link.carrier { "link up" } else { "no link" };
        console.say(&format!("{} {} {state}", link.name, link.mac));
    }
}

impl<'a> Preboot<'a> {
    fn new(
        console: &'a Console,
        cmdline: &'a Cmdline,
        keys: Keys,
        facts: OrgFacts,
        clock: Clock,
    ) -> Result<Self, (Keys, String)> {
        let org = OrgId::of(&facts.root);
        match known(console, org) {
            Ok((ground, memory, identity)) => Ok(Self {
                console,
                cmdline,
                keys,
                facts: with_pin(facts, &memory),
                org,
                clock,
                identity: Arc::new(identity),
                ground,
                memory,
                tries: 0,
                pin: None,
                wrong_pins: 0,
            }),
            Err(reason) => Err((keys, reason)),
        }
    }

    /// Everything, from the link to the generation. It comes back only if it fails.
    fn start(&mut self, wanted: Option<&Wanted>) -> Failure {
        match self.try_start(wanted) {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    fn try_start(&mut self, wanted: Option<&Wanted>) -> Result<std::convert::Infallible, Failure> {
        let network = online::try_once(self.console, self.cmdline, wanted)?;
        let admitted = self.prove(&network)?;
        self.take_in(&admitted)?;
        let generation = self.bring_generation(&admitted, &network)?;
        let key = self.open_data(&admitted)?;
        self.care_for_preboots(&admitted, &network);
        Err(self.kexec(&admitted, &generation, key))
    }

    /// M1, M2, M11, M12.
    fn prove(&mut self, network: &Network) -> Result<Admitted, Failure> {
        let mut gateways = Gateways::new(&self.facts, &self.told_gateways(), network.report_url.as_deref());
        (0..self.tries).for_each(|_| gateways.rotate());
        let ends = Ends {
            facts: self.facts.clone(),
            org: self.org,
            arch: role::arch(),
            clock: self.clock,
            pin: self.facts.ca_spki,
            gateways,
            identity: Arc::clone(&self.identity),
        };
        let mut line = ends.connect(Checkpoint::Gateway)?;
        self.console
            .ok(Checkpoint::Gateway, &format!("{} at {}", slipway_trust::org::server_name(&self.org), line.peer));
        // Written down before it is said: a counter that was said once is never said again.
        self.memory.boots = self.memory.boots.saturating_add(1);
        self.write_memory();
        let challenged = ends.greet(&mut line, Intent::Boot, None, Some(self.memory.machine))?;
        let boot = Booting {
            machine: self.memory.machine,
            confirm: self.memory.confirm,
            generation: None,
            counter: self.memory.boots,
            volume: self.told_volume(),
        };
        let floors = self.memory.floors;
        let running =
            Running { root: &self.facts.root, now: self.clock.now(), epoch: floors.epoch, floor: floors.generation };
        let admitted = ends.boot(&mut line, challenged, boot, &running).map_err(explained)?;
        let (name, role) = (one_line(&admitted.material.name), one_line(&admitted.material.role));
        self.console.ok(
            Checkpoint::Identity,
            &format!("{name}, {role}, key {} {}", self.identity.public().kid(), self.identity.place()),
        );
        Ok(admitted)
    }

    /// Remembers what the org said.
    fn take_in(&mut self, admitted: &Admitted) -> Result<(), Failure> {
        let material = &admitted.material;
        let memory = &mut self.memory;
        memory.confirm = None;
        memory.name.clone_from(&material.name);
        memory.heard = material.time;
        memory.org = Some(material.org.clone());
        memory.sources.clone_from(&material.sources);
        memory.running.clone_from(&material.running);
        memory.floors.epoch = memory.floors.epoch.max(admitted.org.epoch);
        memory.floors.preboot = memory.floors.preboot.max(admitted.running.as_ref().map_or(0, |own| own.floor));
        self.write_memory();
        Ok(())
    }

    /// Where the org said that its servers are, when it was last heard.
    fn told_gateways(&self) -> Vec<String> {
        self.remembered_org().map(|org| org.gateways).unwrap_or_default()
    }

    /// The org's manifest of when it was last heard.
    pub(super) fn remembered_org(&self) -> Option<OrgManifest> {
        OrgManifest::open(self.memory.org.as_ref()?, &self.facts.root, self.memory.floors.epoch).ok()
    }

    /// An ESP that cannot be written must not keep a machine from starting; what it forgets, the org does not.
    pub(super) fn write_memory(&mut self) {
        let folder = self.ground.folder();
        if let Err(error) = self.memory.write(folder) {
            self.console.say(&format!("what this machine remembers cannot be written to its ESP: {error}"));
        }
    }
}

/// A refusal, with what it means for a machine that has an identity.
fn explained(failure: Failure) -> Failure {
    let more = match failure.refused.as_ref().map(|refused| refused.why) {
        Some(Refusal::Revoked | Refusal::Retired) => "; the org has ended this machine's identity",
        Some(Refusal::Unknown) => "; boot from the network to enrol it",
        Some(Refusal::Replayed | Refusal::BadCommitment) => {
            "; what this ESP remembers is out of date: boot from the network to repair it"
        }
        _ => "",
    };
    Failure { reason: format!("{}{more}", failure.reason), ..failure }
}

/// An image without a pin trusts the CA of the manifest that the root has signed.
fn with_pin(facts: OrgFacts, memory: &Remembered) -> OrgFacts {
    let signed = memory.org.as_ref().and_then(|org| OrgManifest::open(org, &facts.root, memory.floors.epoch).ok());
    let pin = facts.ca_spki.or(signed.map(|org| org.ca_spki));
    OrgFacts { ca_spki: pin, ..facts }
}

/// The ESP, what it remembers, and the key of this machine.
fn known(console: &Console, org: OrgId) -> Result<(Ground, Remembered, Identity), String> {
    let ground = wait_for_ground()?;
    let memory = Remembered::read(Path::new(ground::ESP)).ok_or("this ESP does not say who this machine is")?;
    let kept = ground.esp.read(identity::FILE).map_err(|error| error.to_string())?;
    let identity = match (tpm::find(), kept.map(Zeroizing::new)) {
        // A machine that enrolled without a TPM stays what it is.
        (_, Some(seed)) => {
            let seed: Zeroizing<[u8; 32]> =
                Zeroizing::new(seed.as_slice().try_into().map_err(|_| "the identity key on the ESP is damaged")?);
            Identity::File(SigningKey::from_seed(&seed))
        }
        (Found::Working(chip), None) => Identity::in_tpm(*chip, org)?,
        (Found::Unusable(why), None) => return Err(format!("the identity is in a TPM that cannot be used: {why}")),
    };
    console.say(&format!("machine {} ({}), preboot from {}", one_line(&memory.name), memory.machine, ground.disk.id));
    Ok((ground, memory, identity))
}

fn wait_for_ground() -> Result<Ground, String> {
    let start = Instant::now();
    loop {
        let disks: Vec<Device> = inventory::disks();
        match ground::find(&disks) {
            Ok(ground) => return Ok(ground),
            Err(reason) if start.elapsed() > DISKS => return Err(reason),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}
