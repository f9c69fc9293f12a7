//! Keys in escrow: what persons open them for, and who gets what.

use slipway_trust::desk::{Kind, Objection};
use slipway_trust::escrow::{Escrow, Opening};
use slipway_trust::frames::Intent;
use slipway_trust::keyfile::{self, PrivateKey};
use slipway_trust::life::State;
use slipway_trust::machine::Answered;
use slipway_trust::record::{Act, TpmFacts, Verb};
use slipway_trust::{Domain, MachineId, Refusal};

use crate::actor::{Actor, Installed};
use crate::desk::act;
use crate::manual::{approval, enrolled, refused, state};
use crate::node::Node;
use crate::tpm_life::{chip, netbooted, starts};

/// The key of the escrow slot.
const SLOT: [u8; 32] = [0x5a; 32];

fn escrow_key() -> PrivateKey {
    PrivateKey::from_seed(keyfile::Kind::Escrow, &[0x33; 32]).unwrap()
}

fn sealed(node: &Node, machine: &MachineId, entropy: u8) -> Escrow {
    Escrow::seal(&escrow_key().public(), &node.org.id, machine, &SLOT, &[entropy; 32]).unwrap()
}

/// A machine with a TPM whose disk is in use, and in escrow.
fn at_home() -> (Node, Actor, Installed) {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "db-1");
    starts(&node, &mut actor);
    actor.boot(&mut node, &mut installed).unwrap();
    installed.slots = Some(vec![1]);
    installed.escrow = Some(sealed(&node, &installed.machine, 1));
    starts(&node, &mut actor);
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(node.registry.machine(&installed.machine).unwrap().escrow, installed.escrow);
    (node, actor, installed)
}

fn opening(node: &Node, of: &MachineId, tpm: &TpmFacts) -> Opening {
    let escrow = node.registry.machine(of).unwrap().escrow.clone().unwrap();
    Opening::make(&escrow, (&node.org.id, of), &escrow_key(), tpm, [7; 64]).unwrap()
}

fn tpm_of(node: &Node, machine: &MachineId) -> TpmFacts {
    node.registry.machine(machine).unwrap().tpm.clone().unwrap()
}

fn open(node: &mut Node, machine: MachineId, opening: Option<Opening>) -> Result<(), Objection> {
    node.pass(1);
    let act = Act { machine, verb: Verb::Open, reason: "a test".to_owned(), at: node.now, opening };
    let signed = node.org.sign(Domain::Act, &act);
    node.submit(Kind::Act, &signed).map(drop)
}

#[test]
fn another_tpm_takes_a_machines_place_and_opens_its_disk_and_the_old_one_never_comes_back() {
    let (mut node, mut old_actor, mut old) = at_home();
    let mut actor = netbooted(&node, 21);
    actor.inventory = old_actor.inventory.clone();
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let tpm = node.registry.ticket(&waiting.told().ticket).unwrap().tpm.clone().unwrap();
    let mut yes = approval(&node, &waiting, "db-1");
    (yes.replaces, yes.opening) = (Some(old.machine), Some(opening(&node, &old.machine, &tpm)));
    let signed = node.org.sign(Domain::Approval, &yes);
    node.submit(Kind::Approval, &signed).unwrap();
    assert_eq!(state(&node, &old), State::Confirmed, "until the grant is fetched");
    let mut installed = actor.install(&mut node, &mut waiting);
    assert_eq!(state(&node, &old), State::Revoked);
    assert_eq!(old_actor.boot(&mut node, &mut old).unwrap_err(), refused(Refusal::Revoked));
    assert_eq!(old_actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Revoked));
    // The bootstrap image gets nothing of it.
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    starts(&node, &mut actor);
    let material = actor.boot(&mut node, &mut installed).unwrap().material;
    let given = material.opening.unwrap();
    assert_eq!((given.machine, material.shares.len()), (old.machine, 1));
    let org = node.org.id;
    assert_eq!(chip(&mut old_actor).activate(&org, &given.blob, &given.secret), None);
    assert_eq!(chip(&mut actor).activate(&org, &given.blob, &given.secret), Some(SLOT));
    // It is given until the disk has another key in escrow.
    installed.slots = Some(vec![1]);
    for (entropy, left) in [(1, true), (2, false), (2, false)] {
        let escrow = if entropy == 1 { sealed(&node, &old.machine, 1) } else { sealed(&node, &installed.machine, 2) };
        installed.escrow = Some(escrow);
        starts(&node, &mut actor);
        let material = actor.boot(&mut node, &mut installed).unwrap().material;
        assert_eq!(material.opening.is_some(), left, "{entropy}");
    }
    assert_eq!(node.events().iter().filter(|event| *event == "opening-spent").count(), 1);
    node.check_disk();
}

#[test]
fn a_machine_whose_firmware_changed_opens_its_disk_by_an_admins_word_and_its_own_proof() {
    let (mut node, mut actor, mut installed) = at_home();
    let tpm = tpm_of(&node, &installed.machine);
    let good = opening(&node, &installed.machine, &tpm);
    open(&mut node, installed.machine, Some(good)).unwrap();
    starts(&node, &mut actor);
    chip(&mut actor).runs(slipway_trust::Digest::of(b"a debugger"));
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    starts(&node, &mut actor);
    let given = actor.boot(&mut node, &mut installed).unwrap().material.opening.unwrap();
    assert_eq!(chip(&mut actor).activate(&node.org.id, &given.blob, &given.secret), Some(SLOT));
    act(&mut node, installed.machine, Verb::Retire).unwrap();
    assert_eq!(node.registry.machine(&installed.machine).unwrap().opening, None, "it ends with the identity");
}

#[test]
fn nothing_is_opened_but_what_is_on_record_for_a_tpm_and_in_a_state_that_gets_shares() {
    let (mut node, mut actor, mut installed) = at_home();
    let machine = installed.machine;
    let tpm = tpm_of(&node, &machine);
    let good = opening(&node, &machine, &tpm);
    assert_eq!(open(&mut node, machine, None), Err(Objection::Opening));
    let other = Opening { escrow: sealed(&node, &machine, 9).digest(), ..good.clone() };
    assert_eq!(open(&mut node, machine, Some(other)), Err(Objection::Opening));
    let other = Opening { machine: MachineId([9; 16]), ..good.clone() };
    assert_eq!(open(&mut node, machine, Some(other)), Err(Objection::Opening));
    act(&mut node, machine, Verb::Suspend).unwrap();
    assert_eq!(open(&mut node, machine, Some(good.clone())), Err(Objection::Machine(Verb::Open, State::Suspended)));
    node.pass(1);
    act(&mut node, machine, Verb::Resume).unwrap();
    // A machine without a TPM, in the place of one that has one; and no machine at all.
    let mut plain = Actor::new(30);
    let waiting = plain.apply(&mut node, Intent::Enrol).unwrap();
    let mut yes = approval(&node, &waiting, "web-9");
    yes.opening = Some(good.clone());
    for replaces in [Some(machine), None] {
        yes.replaces = replaces;
        let signed = node.org.sign(Domain::Approval, &yes);
        assert_eq!(node.submit(Kind::Approval, &signed), Err(Objection::Opening));
    }
    // Where two admins must sign, one opens nothing.
    node.org.manifest.admins.threshold = 2;
    node.org.publish();
    assert_eq!(open(&mut node, machine, Some(good)), Err(Objection::Unsigned { valid: 1, needed: 2 }));
    starts(&node, &mut actor);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap().material.opening, None);
}

#[test]
fn a_tpm_that_was_cleared_takes_its_own_place_and_is_not_shut_out() {
    let (mut node, mut actor, old) = at_home();
    chip(&mut actor).clear();
    let image = node.org.image(slipway_trust::Role::Bootstrap, 12);
    chip(&mut actor).boots(&image);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let mut yes = approval(&node, &waiting, "db-1");
    yes.replaces = Some(old.machine);
    let signed = node.org.sign(Domain::Approval, &yes);
    node.submit(Kind::Approval, &signed).unwrap();
    assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Granted(_)));
    assert_eq!((state(&node, &old), node.registry.deny_list().count()), (State::Retired, 0));
}

#[test]
fn keys_that_do_not_fit_a_tpm_or_an_escrow_make_no_opening() {
    let (node, _, installed) = at_home();
    let escrow = sealed(&node, &installed.machine, 1);
    let tpm = tpm_of(&node, &installed.machine);
    let (org, whose) = (node.org.id, installed.machine);
    let make = |key: &PrivateKey, tpm: &TpmFacts, whose: &MachineId| {
        Opening::make(&escrow, (&org, whose), key, tpm, [7; 64]).is_ok()
    };
    assert!(make(&escrow_key(), &tpm, &whose));
    assert!(!make(&escrow_key(), &tpm, &MachineId([9; 16])));
    assert!(!make(&PrivateKey::from_seed(keyfile::Kind::Escrow, &[4; 32]).unwrap(), &tpm, &whose));
    assert!(!make(&escrow_key(), &TpmFacts { ek: slipway_trust::Digest([1; 32]), ..tpm.clone() }, &whose));
    assert!(!make(&escrow_key(), &TpmFacts { ak: tpm.ek_public.clone(), ..tpm.clone() }, &whose));
}
