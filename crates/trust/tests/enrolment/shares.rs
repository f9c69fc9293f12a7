//! Shares of a disk key, and the key slots that they open: moved on with each generation, whatever is interrupted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use slipway_trust::frames::Intent;
use slipway_trust::{Role, record::Share};

use crate::actor::{Actor, Installed};
use crate::manual::{approve, enrolled, say_healthy};
use crate::node::Node;

/// A machine with a data partition, as a preboot treats it.
struct Home {
    node: Node,
    actor: Actor,
    installed: Installed,
    generation: u64,
    /// The epochs of the key slots that the header lists, and whether each still opens.
    slots: BTreeMap<u64, bool>,
    /// Every share that was ever given, by its epoch.
    given: BTreeMap<u64, [u8; 32]>,
}

/// What a preboot does to a data partition; the power can fail before each.
const WRITINGS: u8 = 3;

impl Home {
    fn new() -> Self {
        let (mut node, mut actor) = (Node::open(), Actor::plain(20));
        let installed = enrolled(&mut node, &mut actor, "web-1");
        let (slots, given) = (BTreeMap::new(), BTreeMap::new());
        Self { node, actor, installed, generation: 30, slots, given }
    }

    /// A newer generation is what there is.
    fn publish(&mut self) {
        self.generation += 1;
        self.node.publish(&[(Role::Preboot, 20), (Role::Generation, self.generation)]);
    }

    fn shares(&self) -> Vec<u64> {
        self.node.registry.machine(&self.installed.machine).unwrap().shares.iter().map(|share| share.epoch).collect()
    }

    /// A start: the power fails before so many writings are done, or the generation runs, and is well or not.
    fn start(&mut self, writings: u8, well: bool) {
        let told = (!self.slots.is_empty()).then(|| self.slots.keys().copied().collect());
        self.installed.slots = told;
        let admitted = self.actor.boot(&mut self.node, &mut self.installed).unwrap();
        let shares = admitted.material.shares;
        assert!(shares.len() <= 2, "no more than the old one and the new one");
        for Share { epoch, secret } in &shares {
            assert_eq!(self.given.entry(*epoch).or_insert(*secret), secret, "no epoch has two shares");
        }
        let newest = shares.last().unwrap().epoch;
        let opens = shares.iter().rev().map(|share| share.epoch).find(|epoch| self.slots.get(epoch) == Some(&true));
        let mut left = writings;
        let mut write = || left.checked_sub(1).map(|rest| left = rest).is_some();
        match opens {
            None => {
                assert!(self.slots.is_empty(), "a volume that no share opens: {:?}, {shares:?}", self.slots);
                if !write() {
                    return;
                }
                self.slots.insert(newest, true);
            }
            Some(epoch) if epoch != newest => {
                if !write() {
                    return;
                }
                self.slots.insert(newest, true);
            }
            Some(epoch) if admitted.material.promote => {
                let old: Vec<u64> = self.slots.keys().copied().filter(|slot| *slot != epoch).collect();
                for slot in old {
                    // First it is overwritten, then it is not listed any more.
                    if !write() {
                        return;
                    }
                    self.slots.insert(slot, false);
                    if !write() {
                        return;
                    }
                    self.slots.remove(&slot);
                }
            }
            Some(_) => {}
        }
        if well && write() {
            say_healthy(&mut self.node, &mut self.actor, &self.installed, admitted.generation.sha256).unwrap();
        }
    }

    fn whole(&mut self) {
        self.start(WRITINGS, true);
    }
}

#[test]
fn a_newer_generation_has_a_share_of_its_own_and_the_old_one_ends_when_no_slot_needs_it() {
    let mut home = Home::new();
    home.whole();
    assert_eq!((home.shares(), home.slots.len()), (vec![1], 1));
    home.whole();
    assert_eq!(home.shares(), [1], "the same generation");
    home.publish();
    home.whole();
    assert_eq!((home.shares(), home.slots.keys().copied().collect::<Vec<_>>()), (vec![1, 2], vec![1, 2]));
    // Nothing more is made until that is through.
    home.publish();
    home.whole();
    assert_eq!((home.shares(), home.slots.keys().copied().collect::<Vec<_>>()), (vec![1, 2], vec![2]));
    home.start(WRITINGS, false);
    assert_eq!((home.shares(), home.slots.len()), (vec![2, 3], 2));
    // The system was not well: the old slot stays, as often as it starts.
    home.start(WRITINGS, false);
    home.start(WRITINGS, false);
    assert_eq!((home.shares(), home.slots.len()), (vec![2, 3], 2));
    home.whole();
    home.whole();
    home.whole();
    assert_eq!((home.shares(), home.slots.keys().copied().collect::<Vec<_>>()), (vec![3], vec![3]));
    let events = home.node.events();
    let count = |event| events.iter().filter(|told| *told == event).count();
    assert_eq!((count("share-made"), count("share-destroyed")), (3, 2));
    home.node.check_disk();
}

#[test]
fn a_machine_that_tells_of_other_slots_than_it_has_shares_for_loses_none() {
    for told in [None, Some(vec![]), Some(vec![7]), Some(vec![u64::MAX, 0])] {
        let mut home = Home::new();
        home.whole();
        home.publish();
        home.installed.slots = told.clone();
        home.actor.boot(&mut home.node, &mut home.installed).unwrap();
        assert_eq!(home.shares(), [1], "{told:?}");
    }
}

#[test]
fn a_new_disk_has_a_share_of_an_epoch_that_no_other_had() {
    let mut home = Home::new();
    home.whole();
    home.actor.inventory.disks[0].id = "nvme-new".to_owned();
    let mut waiting = home.actor.apply(&mut home.node, Intent::Recover).unwrap();
    approve(&mut home.node, &waiting, "ignored").unwrap();
    home.installed = home.actor.install(&mut home.node, &mut waiting);
    home.slots.clear();
    home.whole();
    assert_eq!((home.shares(), home.slots.len()), (vec![2], 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_interrupted_a_share_opens_the_disk_and_in_the_end_it_is_one(
        events in prop::collection::vec((prop::bool::weighted(0.3), 0..=WRITINGS, any::<bool>()), 1..40)
    ) {
        let mut home = Home::new();
        for (newer, writings, well) in events {
            if newer {
                home.publish();
            }
            home.start(writings, well);
        }
        for _ in 0..8 {
            home.whole();
        }
        let slots: BTreeSet<u64> = home.slots.keys().copied().collect();
        prop_assert_eq!(home.shares(), slots.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(slots.len(), 1);
        home.node.check_disk();
    }
}
