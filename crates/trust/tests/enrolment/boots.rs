//! Boots from a machine's own disk.

use slipway_trust::frames::{Intent, Reply};
use slipway_trust::image::Rejected;
use slipway_trust::machine::{Misled, Stop};
use slipway_trust::node::Caller;
use slipway_trust::org::BadManifest;
use slipway_trust::seal::{Bound, Domain};
use slipway_trust::{Digest, MachineId, Refusal, Role, Signed, decode, encode};

use crate::actor::{Actor, Installed};
use crate::manual::{enrolled, refused, refused_passing, say_healthy};
use crate::node::Node;

pub(crate) fn booted() -> (Node, Actor, Installed) {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    actor.boot(&mut node, &mut installed).unwrap();
    (node, actor, installed)
}

#[test]
fn a_machine_that_was_off_for_months_boots_by_its_key() {
    let (mut node, mut actor, mut installed) = booted();
    node.pass(200 * 24 * 3600);
    node.sweep();
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn a_boot_counter_rises_and_the_nonce_of_a_grant_is_spent_once() {
    let (mut node, mut actor, mut installed) = booted();
    assert_eq!(node.registry.machine(&installed.machine).unwrap().confirm, None);
    installed.boots = 0;
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Replayed));
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn the_first_boot_after_a_grant_shows_its_nonce() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    let confirm = installed.confirm;
    installed.confirm = [0; 32];
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadCommitment));
    assert!(node.registry.machine(&installed.machine).unwrap().shares.is_empty());
    installed.confirm = confirm;
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn who_does_not_hold_the_key_of_a_machine_is_not_that_machine() {
    let (mut node, _, mut installed) = booted();
    let mut thief = Actor::new(21);
    assert_eq!(thief.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadSignature));
    installed.machine = MachineId([9; 16]);
    assert_eq!(thief.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Unknown));
}

#[test]
fn a_newer_preboot_is_told_of_and_no_older_one() {
    let (mut node, mut actor, mut installed) = booted();
    assert!(actor.boot(&mut node, &mut installed).unwrap().preboot.is_none());
    node.publish(&[(Role::Preboot, 12), (Role::Preboot, 20), (Role::Preboot, 25), (Role::Generation, 30)]);
    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(admitted.preboot.map(|manifest| manifest.version), Some(25));
    assert_eq!(admitted.running.map(|manifest| manifest.version), Some(20));
}

#[test]
fn a_preboot_that_must_not_be_installed_any_more_runs_on_where_it_is() {
    let (mut node, mut actor, mut installed) = booted();
    let preboot =
        slipway_trust::ImageManifest { not_after: Some(node.now.plus(60)), ..node.org.image(Role::Preboot, 20) };
    let signed = [preboot, node.org.image(Role::Generation, 30)].map(|image| node.org.publish_image(&image));
    node.images = slipway_trust::node::Images::new(&node.org.manifest, signed, []).0;
    node.pass(61);
    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(admitted.running.map(|manifest| manifest.version), Some(20), "its TPM cannot unseal without it");
    let mut other = Actor::new(21);
    let mut waiting = other.apply(&mut node, Intent::Enrol).unwrap();
    crate::manual::approve(&mut node, &waiting, "web-2").unwrap();
    assert_eq!(other.refused(&mut node, &mut waiting), Refusal::NoImage);
}

#[test]
fn a_preboot_stands_first_once_its_own_last_start_was_well() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    node.publish(&[(Role::Preboot, 12), (Role::Preboot, 20), (Role::Preboot, 25), (Role::Generation, 30)]);
    // Which preboot starts; whether it may stand first; whether its system then says that it is well.
    let starts = [
        (20, false, false),
        (20, false, true),
        (20, true, true),
        (25, false, true),
        (25, true, false),
        (25, false, true),
        (20, false, true),
        (20, true, true),
    ];
    for (number, (version, first, well)) in starts.into_iter().enumerate() {
        actor.preboot = version;
        let admitted = actor.boot(&mut node, &mut installed).unwrap();
        assert_eq!(admitted.material.promote, first, "start {number}");
        if well {
            say_healthy(&mut node, &mut actor, &installed, admitted.generation.sha256).unwrap();
        }
    }
}

#[test]
fn a_gateway_without_images_says_so_and_gives_nothing() {
    let (mut node, mut actor, mut installed) = booted();
    let before = node.registry.clone();
    node.publish(&[(Role::Preboot, 20)]);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused_passing(Refusal::NoImage));
    assert_eq!(node.registry, before);
    node.gateway = false;
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused_passing(Refusal::NotHere));
}

#[test]
fn healthy_is_said_with_a_certificate_that_the_record_knows() {
    let (mut node, mut actor, installed) = booted();
    let generation = node.org.image(Role::Generation, 30).sha256;
    let key = actor.public(&node.org.id);
    let good = Caller { machine: installed.machine, key, epoch: 1 };
    let rows = [
        (None, generation, Some(Refusal::BadSignature)),
        (Some(Caller { machine: MachineId([9; 16]), ..good }), generation, Some(Refusal::Unknown)),
        (Some(Caller { key: Actor::new(21).public(&node.org.id), ..good }), generation, Some(Refusal::Unknown)),
        (Some(Caller { epoch: 0, ..good }), generation, Some(Refusal::WrongState)),
        (Some(good), Digest([1; 32]), Some(Refusal::BadEvidence)),
        (Some(good), generation, None),
    ];
    for (caller, generation, why) in rows {
        let mut line = actor.connect(&node);
        line.caller = caller;
        let reply = line.ask(&mut node, &slipway_trust::machine::healthy(generation));
        assert_eq!(crate::node::refusal(&reply), why, "{caller:?}");
    }
    let before = node.events().len();
    say_healthy(&mut node, &mut actor, &installed, generation).unwrap();
    assert_eq!(node.events().len(), before, "what is known already is not said again");
}

/// M12, changed on its way by who holds the gateway.
fn changed(
    node: &mut Node,
    actor: &mut Actor,
    installed: &mut Installed,
    change: impl FnOnce(&mut slipway_trust::frames::Material),
) -> Result<(), Stop> {
    let mut line = actor.connect(node);
    let challenged = actor.greet(node, &mut line, Intent::Boot)?;
    installed.boots += 1;
    let proof = slipway_trust::machine::BootProof {
        key: actor.public(&node.org.id),
        machine: installed.machine,
        confirm: None,
        quote: None,
        generation: None,
        counter: installed.boots,
        volume: None,
        ca_spki: node.org.manifest.ca_spki,
    };
    let (booting, frame) = challenged.boot(proof).sign(&crate::org::key(20))?;
    let Reply::Material(mut material) = decode(&line.ask(node, &frame)).unwrap() else { panic!() };
    change(&mut material);
    let root = node.org.root();
    let running = slipway_trust::machine::Running { root: &root, now: node.now, epoch: 3, floor: 25 };
    booting.on_material(&encode(&Reply::Material(material)), &running).map(drop)
}

#[test]
fn a_gateway_that_was_taken_over_can_serve_nothing_that_others_have_not_signed() {
    let (mut node, mut actor, mut installed) = booted();
    let mut old = node.org.manifest.clone();
    old.epoch = 2;
    let old = Signed::by(&node.org.root, Domain::OrgManifest, Bound::Org(&node.org.id), encode(&old));
    let other_ca = slipway_trust::OrgManifest { ca_spki: slipway_trust::Digest([8; 32]), ..node.org.manifest.clone() };
    let other_ca = Signed::by(&node.org.root, Domain::OrgManifest, Bound::Org(&node.org.id), encode(&other_ca));
    let forged =
        Signed::by(&node.org.admins[0], Domain::OrgManifest, Bound::Org(&node.org.id), encode(&node.org.manifest));
    let low = node.org.publish_image(&node.org.image(Role::Generation, 24));
    let preboot = node.org.publish_image(&node.org.image(Role::Preboot, 30));
    let mut unsigned = node.org.publish_image(&node.org.image(Role::Generation, 30));
    unsigned.signatures.clear();
    let outcome = |result: Result<(), Stop>| match result {
        Ok(()) => None,
        Err(Stop::Misled(why)) => Some(why),
        Err(other) => panic!("{other}"),
    };
    let mut serve = |change: &dyn Fn(&mut slipway_trust::frames::Material)| {
        outcome(changed(&mut node, &mut actor, &mut installed, change))
    };
    assert_eq!(serve(&|_| ()), None);
    assert_eq!(serve(&|m| m.org = old.clone()), Some(Misled::Manifest(BadManifest::Older { epoch: 2, seen: 3 })));
    assert_eq!(serve(&|m| m.org = other_ca.clone()), Some(Misled::OtherCa));
    assert!(matches!(serve(&|m| m.org = forged.clone()), Some(Misled::Manifest(BadManifest::Unproven(_)))));
    let below = Misled::Image(Rejected::BelowFloor { version: 24, floor: 25 });
    assert_eq!(serve(&|m| m.generation = low.clone()), Some(below));
    assert!(matches!(serve(&|m| m.generation = preboot.clone()), Some(Misled::Image(Rejected::WrongRole { .. }))));
    assert!(matches!(serve(&|m| m.generation = unsigned.clone()), Some(Misled::Image(Rejected::Unproven(_)))));
    assert!(matches!(serve(&|m| m.preboot = m.running.clone()), Some(Misled::Image(Rejected::BelowFloor { .. }))));
    assert_eq!(serve(&|m| m.running = Some(preboot.clone())), Some(Misled::NotDue));
}
