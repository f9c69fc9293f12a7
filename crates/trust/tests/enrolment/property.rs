//! What holds whatever happens, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use slipway_trust::desk::Kind;
use slipway_trust::frames::Intent;
use slipway_trust::invite::{ApprovalMode, Invite};
use slipway_trust::life::State;
use slipway_trust::machine::{Answered, Waiting, healthy};
use slipway_trust::node::Caller;
use slipway_trust::record::{Act, Share, Verb, WindowClose};
use slipway_trust::seal::Bound;
use slipway_trust::{Domain, MachineId, Registry, Role, Signed, encode};

use crate::actor::{Actor, Holder, Installed};
use crate::manual::{approval, enrolled};
use crate::node::Node;
use crate::policy::{invite, submit_invite, token};
use crate::tpm_life::netbooted;

/// Something that happens.
#[derive(Clone, Copy, Debug)]
enum Event {
    OpenWindow(u32),
    CloseWindow,
    Invite(u8),
    Apply(usize, bool),
    Decide(usize, bool),
    Poll(usize),
    Report(usize),
    Boot(usize, bool),
    Healthy(usize),
    Act(usize, u8),
    Manifest(bool),
    Pass(u32),
    Sweep,
    Restart,
    DiskFull(bool),
    /// Another generation is what there is.
    Publish(u8),
    /// Somebody clears the machine's TPM.
    Clear(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0..3_usize;
    prop_oneof![
        2 => (1..4_u32).prop_map(Event::OpenWindow),
        1 => Just(Event::CloseWindow),
        2 => (0..3_u8).prop_map(Event::Invite),
        8 => (who.clone(), any::<bool>()).prop_map(|(who, recovers)| Event::Apply(who, recovers)),
        6 => (who.clone(), prop::bool::weighted(0.8)).prop_map(|(who, yes)| Event::Decide(who, yes)),
        8 => who.clone().prop_map(Event::Poll),
        3 => who.clone().prop_map(Event::Report),
        8 => (who.clone(), prop::bool::weighted(0.8)).prop_map(|(who, right)| Event::Boot(who, right)),
        5 => who.clone().prop_map(Event::Healthy),
        10 => (who, 0..5_u8).prop_map(|(who, verb)| Event::Act(who, verb)),
        1 => any::<bool>().prop_map(Event::Manifest),
        2 => (1..30_000_u32).prop_map(Event::Pass),
        2 => Just(Event::Sweep),
        1 => Just(Event::Restart),
        1 => any::<bool>().prop_map(Event::DiskFull),
        2 => (1..3_u8).prop_map(Event::Publish),
        1 => (0..3_usize).prop_map(Event::Clear),
    ]
}

/// A machine, and what it holds.
struct Player {
    actor: Actor,
    waiting: Option<Waiting>,
    installed: Option<Installed>,
}

struct World {
    node: Node,
    players: Vec<Player>,
    /// Machines that have proved themselves at a boot.
    attested: BTreeSet<MachineId>,
    revoked: BTreeSet<MachineId>,
    floors: BTreeMap<MachineId, u64>,
    epochs: BTreeMap<MachineId, u64>,
    epoch: u64,
    /// What left the server.
    replies: Vec<Vec<u8>>,
    invites: u8,
}

impl World {
    fn new() -> Self {
        Self::of(Node::open(), (0..3).map(|n| Actor::plain(20 + n)))
    }

    /// The same with machines that have TPMs.
    fn with_tpms() -> Self {
        let node = Node::open();
        let mut actors = [0, 1, 2].map(|n| netbooted(&node, 20 + n));
        actors.iter_mut().for_each(|actor| actor.tls = false);
        Self::of(node, actors)
    }

    fn of(mut node: Node, actors: impl IntoIterator<Item = Actor>) -> Self {
        let mut players: Vec<Player> =
            actors.into_iter().map(|actor| Player { actor, waiting: None, installed: None }).collect();
        // Two have identities at the start, so that what ends them comes up often enough.
        let mut attested = BTreeSet::new();
        for (n, player) in players.iter_mut().enumerate().take(2) {
            let mut installed = enrolled(&mut node, &mut player.actor, &format!("web-{n}"));
            starts(&node, &mut player.actor, Role::Preboot);
            player.actor.boot(&mut node, &mut installed).unwrap();
            attested.insert(installed.machine);
            player.installed = Some(installed);
        }
        Self {
            node,
            players,
            attested,
            revoked: BTreeSet::new(),
            floors: BTreeMap::new(),
            epochs: BTreeMap::new(),
            epoch: 0,
            replies: Vec::new(),
            invites: 0,
        }
    }

    fn happen(&mut self, event: Event) {
        let Self { node, players, .. } = self;
        match event {
            Event::OpenWindow(most) if !node.disk_full => drop(node.open_window(most)),
            Event::CloseWindow => {
                let Some(window) = node.registry.window().map(|record| record.window.id) else { return };
                let signed = node.org.sign(Domain::WindowClose, &WindowClose { window, at: node.now });
                self.submit(Kind::WindowClose, &signed);
            }
            Event::Invite(who) if !node.disk_full => {
                if self.invites < 3 {
                    self.invites += 1;
                }
                let token = token(node, self.invites);
                let made = invite(node, slipway_trust::invite::Kind::Secret);
                let key = Some(token.key().public());
                let made = Invite { id: token.invite, key, approval: ApprovalMode::Automatic, max_uses: 2, ..made };
                // The third is not new: its uses are shared.
                let _ = submit_invite(node, &made);
                let actor = &mut players[usize::from(who)].actor;
                (actor.invite, actor.token) = (Some(token.invite), Some(token));
            }
            Event::Apply(who, recovers) if !node.disk_full => {
                let intent = if recovers { Intent::Recover } else { Intent::Enrol };
                let player = &mut players[who];
                starts(node, &mut player.actor, Role::Bootstrap);
                player.waiting = player.actor.apply(node, intent).ok().or(player.waiting.take());
            }
            Event::Decide(who, yes) => {
                let Some(waiting) = &players[who].waiting else { return };
                if node.registry.ticket(&waiting.told().ticket).is_none() {
                    return;
                }
                let mut word = approval(node, waiting, &format!("web-{who}"));
                word.yes = yes;
                let signed = node.org.sign(Domain::Approval, &word);
                self.submit(Kind::Approval, &signed);
            }
            Event::Poll(who) if !node.disk_full => {
                let Player { actor, waiting: Some(waiting), installed } = &mut players[who] else { return };
                if let Ok(Answered::Granted(granted)) = actor.poll(node, waiting) {
                    let grant = granted.grant();
                    *installed = Some(Installed {
                        machine: grant.machine,
                        confirm: grant.confirm,
                        boots: 0,
                        slots: None,
                        escrow: None,
                    });
                }
            }
            Event::Report(who) if !node.disk_full => {
                let Player { actor, waiting: Some(waiting), .. } = &mut players[who] else { return };
                let sha256 = node.org.image(Role::Preboot, 20).sha256;
                let _ = actor.report(node, waiting, sha256);
            }
            Event::Boot(who, right) if !node.disk_full => {
                let Player { actor, installed: Some(installed), .. } = &mut players[who] else { return };
                let confirm = installed.confirm;
                if !right {
                    installed.confirm = [0; 32];
                }
                starts(node, actor, Role::Preboot);
                installed.slots = node.registry.machine(&installed.machine).map(|machine| told(&machine.shares, right));
                if let Ok(admitted) = actor.boot(node, installed) {
                    self.attested.insert(installed.machine);
                    let state = node.registry.machine(&installed.machine).unwrap().state;
                    assert!(admitted.material.shares.is_empty() || state.gets_share(), "{state}");
                }
                installed.confirm = confirm;
            }
            Event::Healthy(who) if !node.disk_full => {
                let Player { actor, installed: Some(installed), .. } = &mut players[who] else { return };
                let mut line = actor.connect(node);
                line.caller = Some(Caller { machine: installed.machine, key: actor.public(&node.org.id), epoch: 1 });
                let reply = line.ask(node, &healthy(node.org.image(Role::Generation, 30).sha256));
                self.replies.push(reply);
            }
            Event::Act(who, verb) => {
                let Some(installed) = &players[who].installed else { return };
                let (machine, verb) = (installed.machine, Verb::ALL[usize::from(verb)]);
                node.pass(1);
                let act = Act { machine, verb, reason: "a test".to_owned(), at: node.now, opening: None };
                let signed = node.org.sign(Domain::Act, &act);
                self.submit(Kind::Act, &signed);
            }
            Event::Manifest(up) => {
                let mut manifest = node.org.manifest.clone();
                manifest.epoch = if up { manifest.epoch + 1 } else { manifest.epoch.saturating_sub(1) };
                let bound = Bound::Org(&node.org.id);
                let signed = Signed::by(&node.org.root, Domain::OrgManifest, bound, encode(&manifest));
                self.submit(Kind::Manifest, &signed);
            }
            Event::Pass(seconds) => node.pass(u64::from(seconds)),
            Event::Sweep if !node.disk_full => drop(node.sweep()),
            Event::Restart => {
                let rows = node.disk.iter().map(|((table, key), value)| (*table, key.clone(), value.clone()));
                node.registry = Registry::load(rows).unwrap();
            }
            Event::DiskFull(full) => node.disk_full = full,
            Event::Publish(more) => {
                let newer = (Role::Generation, 30 + u64::from(more));
                let preboots = [(Role::Preboot, 12), (Role::Preboot, 20)];
                node.publish(&[(Role::Bootstrap, 12), preboots[0], preboots[1], (Role::Generation, 30), newer]);
            }
            Event::Clear(who) => {
                if let Holder::Chip(chip) = &mut players[who].actor.holder {
                    chip.clear();
                }
            }
            _ => {}
        }
    }

    /// An admin submits a record, unless the disk is full.
    fn submit(&mut self, kind: Kind, signed: &Signed) {
        if !self.node.disk_full {
            let _ = self.node.submit(kind, signed);
        }
    }

    fn check(&mut self) {
        let registry = &self.node.registry;
        for id in &self.revoked {
            assert_eq!(registry.machine(id).unwrap().state, State::Revoked, "nothing leaves REVOKED");
        }
        let mut keys = BTreeSet::new();
        for machine in registry.machines() {
            if machine.state == State::Revoked {
                self.revoked.insert(machine.id);
            }
            if matches!(machine.state, State::Revoked | State::Retired) {
                assert!(machine.shares.is_empty(), "shares end with the identity");
            }
            assert!(machine.shares.len() <= 2, "an old share and a new one");
            assert!(machine.shares.is_sorted_by_key(|share| share.epoch), "the newest last");
            assert!(machine.shares.iter().all(|share| share.epoch <= machine.epochs));
            let epochs = self.epochs.entry(machine.id).or_default();
            assert!(machine.epochs >= *epochs, "epochs of shares never fall");
            *epochs = machine.epochs;
            assert!(machine.shares.is_empty() || self.attested.contains(&machine.id), "a share before it attested");
            let floor = self.floors.entry(machine.id).or_default();
            assert!(machine.floor >= *floor, "floors never fall");
            *floor = machine.floor;
        }
        for machine in registry.living() {
            assert!(keys.insert(machine.key), "one key, one identity");
        }
        for record in registry.invites() {
            assert!(record.uses.len() <= 2, "an invite is used as often as it may be");
        }
        if let Some(record) = registry.window() {
            assert!(record.granted.len() <= usize::try_from(record.window.max_machines).unwrap());
        }
        let epoch = registry.org().map_or(0, |(epoch, _)| epoch);
        assert!(epoch >= self.epoch, "epochs never fall");
        self.epoch = epoch;
        let shares: Vec<[u8; 32]> = registry.machines().flat_map(|m| &m.shares).map(|share| share.secret).collect();
        for reply in &self.replies {
            assert!(!shares.iter().any(|share| reply.windows(32).any(|window| window == share)), "a share leaked");
        }
        assert!(registry.tickets().count() <= Registry::MOST_TICKETS);
        self.node.check_disk();
    }
}

/// A machine with a TPM is powered on, and starts this image.
fn starts(node: &Node, actor: &mut Actor, role: Role) {
    let version = if role == Role::Preboot { actor.preboot } else { actor.bootstrap };
    if let Holder::Chip(chip) = &mut actor.holder {
        chip.boots(&node.org.image(role, version));
    }
}

/// The key slots of a machine that has moved on to the newest share, and has destroyed the old one or not.
fn told(shares: &[Share], destroyed: bool) -> Vec<u64> {
    let kept = if destroyed { shares.len().saturating_sub(1) } else { 0 };
    shares.iter().skip(kept).map(|share| share.epoch).collect()
}

proptest! {
    // Each start of a TPM is a process.
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_machines_with_tpms_the_same_holds(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::with_tpms();
        for event in events {
            world.happen(event);
            world.check();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_revoked_is_for_ever_no_share_comes_early_and_nothing_falls(
        events in prop::collection::vec(event(), 1..80)
    ) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
            world.check();
        }
    }

    #[test]
    fn any_bytes_are_refused_by_a_server_and_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut node = Node::open();
        let before = node.registry.clone();
        let mut line = Node::connect_plainly(1);
        let reply = line.ask(&mut node, &bytes);
        prop_assert!(crate::node::refusal(&reply).is_some());
        prop_assert_eq!(&node.registry, &before);
    }
}

#[test]
fn a_log_whose_end_was_cut_off_is_found_at_the_next_start() {
    let mut node = Node::open();
    let mut actor = Actor::new(20);
    crate::manual::enrolled(&mut node, &mut actor, "web-1");
    let rows: Vec<_> = node.disk.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect();
    let entries = rows.iter().filter(|(table, ..)| *table == slipway_trust::Table::Audit).count();
    for kept in 0..entries {
        let cut = rows.iter().filter(|(table, key, _)| {
            *table != slipway_trust::Table::Audit || *key <= u64::try_from(kept).unwrap().to_be_bytes().to_vec()
        });
        assert!(Registry::load(cut.cloned()).is_err(), "{kept} of {entries} entries");
    }
}

#[test]
fn a_damaged_row_is_found_and_so_is_one_in_the_wrong_place() {
    let mut node = Node::open();
    let mut actor = Actor::new(20);
    crate::manual::enrolled(&mut node, &mut actor, "web-1");
    let rows: Vec<_> = node.disk.iter().map(|((table, key), value)| (*table, key.clone(), value.clone())).collect();
    assert!(Registry::load(rows.clone()).is_ok());
    for at in 0..rows.len() {
        let mut cut = rows.clone();
        cut[at].2.pop();
        assert!(Registry::load(cut).is_err(), "{:?}", rows[at].0);
        if rows[at].0 != slipway_trust::Table::Audit {
            let mut moved = rows.clone();
            moved[at].1[0] ^= 1;
            assert!(Registry::load(moved).is_err(), "{:?}", rows[at].0);
        }
    }
}
