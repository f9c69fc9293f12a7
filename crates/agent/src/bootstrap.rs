//! The bootstrap image: from nothing but a network to a preboot on the machine's own ESP. It holds no secret of the org at any time, and writes
//! nothing before the org has granted it.

mod install;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use slipway_disk::Device;
use slipway_disk::gpt::{self, Present};
use slipway_trust::frames::Intent;
use slipway_trust::machine::{Answered, Expect, Granted, Waiting};
use slipway_trust::{OrgFacts, OrgId, Refusal, Role, SigningKey};

use crate::checkpoint::{self, Checkpoint};
use crate::clock::Clock;
use crate::cmdline::Cmdline;
use crate::console::Console;
use crate::gateway::Gateways;
use crate::identity::Identity;
use crate::invite::{self, Invite};
use crate::keys::Keys;
use crate::net::{self, Network};
use crate::talk::{Ends, Failure};
use crate::tpm::{self, Found};
use crate::{ground, inventory, online, power, random, role};

/// The first pause after a failure, in seconds; each is twice as long as the one before, up to the last.
const FIRST_PAUSE: u64 = 2;
const LAST_PAUSE: u64 = 60;
/// How long a refusal that only a person can mend stands before it is asked again, in seconds.
const FOR_A_PERSON: u64 = 600;
/// The pause before an address is asked for again that nobody has given again.
const RENEW_AGAIN: Duration = Duration::from_secs(60);
/// The pause before an installation is tried again.
const AGAIN: Duration = Duration::from_secs(10);
/// Questions of a person in front of the machine wait this long at a time.
const WAIT_FOR_KEY: Duration = Duration::from_secs(3600);

/// All that stays the same until the machine starts over.
struct Bootstrap<'a> {
    console: &'a Console,
    cmdline: &'a Cmdline,
    keys: Keys,
    network: Network,
    /// How often the network was brought up.
    turn: u32,
    ends: Ends,
    invite: Invite,
    /// Why there is no TPM, or what it is.
    tpm: String,
    /// Whether the disk shows that this machine has been one of ours.
    returns: bool,
}

/// Runs until the machine starts over.
pub(crate) fn run(console: &Console, cmdline: &Cmdline) -> Result<(), String> {
    let facts = role::org()?;
    let clock = role::introduce(console, Role::Bootstrap, &facts);
    let network = online::until_up(console, cmdline, 0);
    let keys = Keys::open();
    let mut bootstrap = Bootstrap::new(console, cmdline, keys, network, facts, clock)?;
    let mut pause = FIRST_PAUSE;
    loop {
        match bootstrap.enrol() {
            Ok(()) => {
                let peak =
                    std::fs::read_to_string("/proc/self/status").ok().and_then(|text| inventory::peak_kib(&text));
                console.say(&format!("fact peak_rss_kib={}", peak.unwrap_or(0)));
                console.ok(Checkpoint::Rebooting, "");
                power::restart();
            }
            Err(failure) if failure.passes() => {
                let told = failure.refused.as_ref().and_then(|refused| refused.again).map(u64::from);
                let seconds = told.unwrap_or(pause).clamp(1, LAST_PAUSE);
                console.failed(failure.step, &failure.reason, &format!("trying again in {seconds} s"));
                thread::sleep(Duration::from_secs(seconds));
                pause = pause.saturating_mul(2).min(LAST_PAUSE);
                // Nobody of the org's is there: by another interface somebody may be.
                if failure.step == Checkpoint::Tls {
                    bootstrap.go_online_again();
                }
                bootstrap.ends.gateways.rotate();
            }
            Err(failure) => {
                if failure.is(Refusal::BadBootLog) {
                    tpm::started().iter().for_each(|line| console.say(line));
                }
                let next = format!(
                    "a person must look at it; press a key to ask again now, or it is asked again in {} min",
                    FOR_A_PERSON / 60
                );
                console.failed(failure.step, &failure.reason, &next);
                bootstrap.keys.forget();
                bootstrap.keys.key(Duration::from_secs(FOR_A_PERSON));
                pause = FIRST_PAUSE;
            }
        }
    }
}

impl<'a> Bootstrap<'a> {
    fn new(
        console: &'a Console,
        cmdline: &'a Cmdline,
        keys: Keys,
        network: Network,
        facts: OrgFacts,
        clock: Clock,
    ) -> Result<Self, String> {
        let org = OrgId::of(&facts.root);
        let disks = inventory::disks();
        let (identity, tpm, known) = identity(console, &disks, org)?;
        let found = invite::find(&facts);
        found.complaints.iter().for_each(|complaint| console.say(&checkpoint::one_line(complaint)));
        let token_pin = match &found.invite {
            Invite::Secret(token) => Some(token.ca_spki),
            Invite::Open(_) | Invite::None => None,
        };
        match &found.invite {
            Invite::Secret(token) => {
                console.say(&format!("an invite was found: {}, from {}", token.invite, found.place))
            }
            Invite::Open(id) => console.say(&format!("the image's open invite is used: {id}")),
            Invite::None => console.say("no invite was found: the machine asks without one"),
        }
        let gateways = Gateways::new(&facts, &[], network.report_url.as_deref());
        let pin = facts.ca_spki.or(token_pin);
        let ends = Ends { facts, org, arch: role::arch(), clock, pin, gateways, identity: Arc::new(identity) };
        let returns = known || has_ours(&disks);
        Ok(Self { console, cmdline, keys, network, turn: 0, ends, invite: found.invite, tpm, returns })
    }

    /// Brings the network up once more, beginning with the next interface.
    fn go_online_again(&mut self) {
        self.turn = self.turn.saturating_add(1);
        self.network = online::until_up(self.console, self.cmdline, self.turn);
        self.ends.gateways = Gateways::new(&self.ends.facts, &[], self.network.report_url.as_deref());
    }

    /// Asks for the machine's address again when half of its time is over: a person may take longer to decide than it was given for.
    fn keep_address(&mut self) {
        if self.network.renew.is_some_and(|due| Instant::now() >= due) {
            match net::renew(&self.network) {
                Ok(network) => self.network = network,
                Err(reason) => {
                    self.network.renew = Instant::now().checked_add(RENEW_AGAIN);
                    self.console.failed(Checkpoint::Dhcp, &reason, "the address is kept, and asked for again");
                }
            }
        }
    }

    /// Everything, from the first word to the boot entry.
    fn enrol(&mut self) -> Result<(), Failure> {
        let first = if self.returns { Intent::Recover } else { Intent::Enrol };
        let waiting = match self.ask(first) {
            // The org does not know this machine any more, or takes nobody new: then the other way is tried.
            Err(failure) if first == Intent::Recover && failure.is(Refusal::Unknown) => self.ask(Intent::Enrol),
            Err(failure)
                if first == Intent::Enrol && failure.is(Refusal::NoWindow) && self.ends.identity.tpm().is_some() =>
            {
                self.ask(Intent::Recover).map_err(|other| if other.is(Refusal::Unknown) { failure } else { other })
            }
            other => other,
        };
        let mut waiting = waiting?;
        let granted = self.wait(&mut waiting)?;
        if self.ends.pin.is_none() {
            self.confirm_words(&waiting);
        }
        self.install(&mut waiting, &granted)
    }

    /// Does what the grant says, for as long as it holds: asking for another one would be a recovery more.
    fn install(&self, waiting: &mut Waiting, granted: &Granted) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match install::install(self, waiting, granted) {
                Err(failure) if failure.passes() && begun.elapsed().as_secs() < granted.seconds() => {
                    let next = format!("the grant still holds; trying again in {} s", AGAIN.as_secs());
                    self.console.failed(failure.step, &failure.reason, &next);
                    thread::sleep(AGAIN);
                }
                other => return other,
            }
        }
    }

    /// M1 to M6.
    fn ask(&self, intent: Intent) -> Result<Waiting, Failure> {
        let console = self.console;
        let mut line = self.ends.connect(Checkpoint::Tls)?;
        console.ok(Checkpoint::Tls, &format!("{} at {}", slipway_trust::org::server_name(&self.ends.org), line.peer));
        let (id, token) = match &self.invite {
            Invite::Secret(token) => (Some(token.invite), Some(token)),
            Invite::Open(id) => (Some(*id), None),
            Invite::None => (None, None),
        };
        let (id, token) = if intent == Intent::Recover { (None, None) } else { (id, token) };
        let challenged = self.ends.greet(&mut line, intent, id, None)?;
        let inventory = inventory::gather(&inventory::disks(), Some(self.tpm.clone()));
        let waiting = self.ends.prove(&mut line, challenged, inventory, token)?;
        match (&waiting.told().label, intent) {
            (Some(label), _) => console.ok(Checkpoint::Invite, label),
            (None, Intent::Recover) => console.ok(Checkpoint::Invite, "none is needed: this machine is known"),
            (None, _) => console.ok(Checkpoint::Invite, "none"),
        }
        console.ok(
            Checkpoint::Identity,
            &format!("key {} {}", self.ends.identity.public().kid(), self.ends.identity.place()),
        );
        Ok(waiting)
    }

    /// M7 until M8.
    fn wait(&mut self, waiting: &mut Waiting) -> Result<Granted, Failure> {
        let console = self.console;
        let words: Vec<&str> = waiting.words().split(' ').collect();
        if !waiting.told().approved {
            console.show(&checkpoint::words_alone(&words));
        }
        console.say(&format!("words: {}", waiting.words()));
        if !waiting.told().approved {
            let told = format!(
                "ticket {}: a person compares these six words with those that the org sees, and approves",
                waiting.told().ticket
            );
            console.under_way(Checkpoint::Approval, &told);
        }
        let mut pause = FIRST_PAUSE;
        let mut delay = waiting.told().delay;
        let mut silent = false;
        loop {
            thread::sleep(Duration::from_secs(u64::from(delay).min(LAST_PAUSE)));
            self.keep_address();
            let expect = Expect { root: &self.ends.facts.root, now: self.ends.clock.now(), epoch: 0, floor: 0 };
            match self.ends.poll(waiting, &expect) {
                Ok(Answered::Granted(granted)) => {
                    let what = if granted.grant().recovery { "its ESP may be written again" } else { "granted" };
                    console.ok(Checkpoint::Approval, &format!("machine {}, {what}", granted.grant().name));
                    return Ok(*granted);
                }
                Ok(Answered::Wait(seconds)) => {
                    delay = seconds.max(1);
                    (pause, silent) = (FIRST_PAUSE, false);
                }
                Ok(Answered::Refused(refused)) if refused.why.passes() && refused.why != Refusal::Stale => {
                    console.under_way(Checkpoint::Approval, &refused.why.to_string());
                    delay = refused.again.unwrap_or(10).max(1);
                }
                Ok(Answered::Refused(refused)) => {
                    return Err(Failure::refusal(Checkpoint::Approval, refused));
                }
                Err(failure) => {
                    if !silent {
                        console.failed(
                            failure.step,
                            &failure.reason,
                            "the question stands; it is asked again until the org answers",
                        );
                    }
                    silent = true;
                    delay = u32::try_from(pause).unwrap_or(60);
                    pause = pause.saturating_mul(2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Without a pin, the six words are all that tells the org's server from another: nothing is written before a person has said that
    /// they are the same.
    fn confirm_words(&self, waiting: &Waiting) {
        let console = self.console;
        self.keys.forget();
        loop {
            let told = format!(
                "this image knows no org by its key: compare `{}` with what the org shows, and press y here if they are the same",
                waiting.words()
            );
            console.under_way(Checkpoint::Approval, &told);
            match self.keys.key(WAIT_FOR_KEY) {
                Some(b'y' | b'Y') => {
                    return console.ok(Checkpoint::Approval, "the words were compared at this machine");
                }
                Some(_) => console
                    .say("nothing is written: if the words differ, somebody stands between this machine and the org"),
                None => {}
            }
        }
    }
}

/// The machine's key, what is to be said of its TPM, and whether the key is one that it had before.
fn identity(console: &Console, disks: &[Device], org: OrgId) -> Result<(Identity, String, bool), String> {
    let why = match tpm::find() {
        Found::Working(mut chip) => match chip.inventory() {
            Ok(facts) => match Identity::in_tpm(*chip, org) {
                Ok(identity) => {
                    return Ok((
                        identity,
                        format!("TPM 2.0 by {} {}", facts.maker, facts.model).trim().to_owned(),
                        false,
                    ));
                }
                Err(reason) => reason,
            },
            Err(error) => tpm::in_words(&error),
        },
        Found::Unusable(why) => why,
    };
    console.say(&checkpoint::one_line(&format!("no TPM is used: {why}; the identity will be a file on the ESP")));
    let kept = ground::kept_key(disks);
    let known = kept.is_some();
    let seed = match kept {
        Some(seed) => seed,
        None => random::bytes()?,
    };
    Ok((Identity::File(SigningKey::from_seed(&seed)), why, known))
}

/// Whether a disk has partitions of ours.
fn has_ours(disks: &[Device]) -> bool {
    disks.iter().any(|disk| {
        let present = std::fs::File::open(&disk.path).and_then(|file| gpt::read(&file, disk));
        let Ok(Present::Gpt(table)) = present else { return false };
        table.partitions().any(|partition| partition.name == gpt::ESP_NAME || partition.kind == gpt::DATA)
    })
}
