//! Checks that nothing else would miss: each of these fails if one line of the code is taken out.

use slipway_trust::desk::{Kind as Record, Objection};
use slipway_trust::frames::{Ask, Hello, Intent};
use slipway_trust::invite::{ApprovalMode, Invite, Kind};
use slipway_trust::life::State;
use slipway_trust::record::{Act, Disk, Verb};
use slipway_trust::{Assurance, Digest, OrgId, Refusal, Registry, Role, Signed, SigningKey, decode, encode};

use crate::actor::{Actor, Holder};
use crate::desk::act;
use crate::manual::{approve, enrolled, refused, refused_passing, state};
use crate::node::{Node, refusal};
use crate::org::key;
use crate::policy::{invite, submit_invite, token};
use crate::tpm_life::{chip, netbooted, starts};

/// What a server says to a hello that was changed.
fn greeted(node: &mut Node, change: impl FnOnce(&mut Hello)) -> Option<Refusal> {
    let mut actor = Actor::plain(20);
    let (_, frame) = actor.start(node, Intent::Enrol).hello();
    let signed: Signed = decode(&frame).unwrap();
    let Ask::Hello(mut hello) = decode(&signed.payload).unwrap() else { panic!("it is a hello") };
    change(&mut hello);
    let frame = encode(&Signed::unsigned(encode(&Ask::Hello(hello))));
    refusal(&Node::connect_plainly(1).ask(node, &frame))
}

#[test]
fn a_hello_is_for_this_version_this_org_and_a_server_that_plays_the_role() {
    let mut node = Node::open();
    assert_eq!(greeted(&mut node, |_| ()), None);
    assert_eq!(greeted(&mut node, |hello| hello.versions = vec![1, 2]), None);
    assert_eq!(greeted(&mut node, |hello| hello.versions = vec![2]), Some(Refusal::Version));
    assert_eq!(greeted(&mut node, |hello| hello.versions = Vec::new()), Some(Refusal::Version));
    assert_eq!(greeted(&mut node, |hello| hello.org = OrgId([1; 16])), Some(Refusal::WrongOrg));
    node.enrolls = false;
    assert_eq!(greeted(&mut node, |_| ()), Some(Refusal::NotHere));
    assert_eq!(greeted(&mut node, |hello| hello.intent = Intent::Recover), Some(Refusal::NotHere));
    assert_eq!(greeted(&mut node, |hello| (hello.intent, hello.image_version) = (Intent::Boot, 20)), None);
    (node.enrolls, node.gateway) = (true, false);
    assert_eq!(greeted(&mut node, |_| ()), None);
    for intent in [Intent::Recover, Intent::Boot] {
        assert_eq!(greeted(&mut node, |hello| hello.intent = intent), Some(Refusal::NotHere), "{intent:?}");
    }
}

#[test]
fn the_key_that_signs_is_the_one_in_the_tpm_and_no_other() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut line = actor.connect(&node);
    let challenged = actor.greet(&mut node, &mut line, Intent::Enrol).unwrap();
    // All that the TPM says is true; the key is one in a file.
    let mut proof = actor.proof(&node, &challenged);
    proof.key = key(77).public();
    let (_, frame) = challenged.evidence(proof).sign(&key(77)).unwrap();
    assert_eq!(refusal(&line.ask(&mut node, &frame)), Some(Refusal::BadEvidence));
}

#[test]
fn of_two_disks_the_empty_one_is_meant_and_one_that_something_is_on_is_left_alone() {
    let mut node = Node::open();
    let made = Invite { approval: ApprovalMode::Automatic, wipe: true, ..invite(&node, Kind::Secret) };
    submit_invite(&mut node, &made).unwrap();
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    actor.inventory.disks[0].used = true;
    let empty = Disk { id: "nvme-empty".to_owned(), used: false, ..actor.inventory.disks[0].clone() };
    actor.inventory.disks.push(empty);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let plan = actor.fetch(&mut node, &mut waiting).grant().plan.clone();
    assert_eq!((plan.disk.as_deref(), plan.wipe), (Some("nvme-empty"), true));
}

#[test]
fn a_second_machine_with_a_cloud_token_ends_the_enrolment_of_one_that_has_not_come_up_yet() {
    let mut node = Node::open();
    let made = Invite { approval: ApprovalMode::Automatic, ..invite(&node, Kind::Cloud) };
    submit_invite(&mut node, &made).unwrap();
    let mut first = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = first.apply(&mut node, Intent::Enrol).unwrap();
    let mut installed = first.install(&mut node, &mut waiting);
    let mut second = Actor::new(21).with_token(token(&node, 1));
    assert_eq!(second.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::InviteUsed));
    assert_eq!(state(&node, &installed), State::Expired);
    assert_eq!(first.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Expired));
}

#[test]
fn a_cloud_token_makes_no_more_of_a_tpm_than_a_virtual_one() {
    let mut node = Node::open();
    let made = Invite { approval: ApprovalMode::Automatic, ..invite(&node, Kind::Cloud) };
    submit_invite(&mut node, &made).unwrap();
    let mut actor = netbooted(&node, 20).with_token(token(&node, 1));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let installed = actor.install(&mut node, &mut waiting);
    assert_eq!(node.registry.machine(&installed.machine).unwrap().assurance, Assurance::VirtualTpm);
}

/// A machine whose key nobody else has.
fn nobody(n: u32) -> Actor {
    let mut actor = Actor::plain(21);
    actor.holder = Holder::File(Box::new(SigningKey::from_seed(&Digest::of(&n.to_le_bytes()).0)));
    actor
}

#[test]
fn a_full_queue_drops_neither_who_is_approved_nor_who_is_known_better_than_the_next_one() {
    let mut node = Node::open();
    let made = Invite { max_uses: 1000, ..invite(&node, Kind::Secret) };
    submit_invite(&mut node, &made).unwrap();
    // The oldest, and known least of all; but a person has said yes.
    let mut approved = nobody(0);
    let mut waiting = approved.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let most = u32::try_from(Registry::MOST_TICKETS).unwrap();
    for n in 1..most {
        nobody(n).with_token(token(&node, 1)).apply(&mut node, Intent::Enrol).unwrap();
    }
    assert_eq!(nobody(most).apply(&mut node, Intent::Enrol).unwrap_err(), refused_passing(Refusal::TooMany));
    nobody(most + 1).with_token(token(&node, 1)).apply(&mut node, Intent::Enrol).unwrap();
    assert_eq!(node.registry.tickets().count(), Registry::MOST_TICKETS);
    approved.fetch(&mut node, &mut waiting);
}

#[test]
fn an_invite_that_asks_for_more_than_the_machine_shows_leaves_it_to_a_person() {
    let mut node = Node::open();
    let base = invite(&node, Kind::Secret);
    let made = Invite { approval: ApprovalMode::Automatic, min_assurance: Assurance::Approved, ..base };
    submit_invite(&mut node, &made).unwrap();
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(!waiting.told().approved, "a secret is less than a person's word");
    approve(&mut node, &waiting, "web-1").unwrap();
    actor.install(&mut node, &mut waiting);
}

#[test]
fn hardware_that_is_revoked_after_its_approval_gets_no_grant() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let first = enrolled(&mut node, &mut actor, "web-1");
    act(&mut node, first.machine, Verb::Retire).unwrap();
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-2").unwrap();
    act(&mut node, first.machine, Verb::Revoke).unwrap();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::Revoked);
}

#[test]
fn a_window_for_one_machine_grants_one_however_many_were_approved() {
    let mut node = Node::new();
    node.open_window(1);
    let (mut first, mut second) = (Actor::new(20), Actor::new(21));
    let mut waits = first.apply(&mut node, Intent::Enrol).unwrap();
    let mut too = second.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waits, "web-1").unwrap();
    approve(&mut node, &too, "web-2").unwrap();
    first.fetch(&mut node, &mut waits);
    assert_eq!(second.refused(&mut node, &mut too), Refusal::NoWindow);
    first.fetch(&mut node, &mut waits);
    assert_eq!(node.registry.machines().count(), 1);
}

#[test]
fn a_recovery_never_brings_back_a_preboot_below_the_machines_own_floor() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    starts(&node, &mut actor);
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(node.registry.machine(&installed.machine).unwrap().floor, 15, "as the preboot's manifest says");
    node.publish(&[(Role::Bootstrap, 12), (Role::Preboot, 12), (Role::Generation, 30)]);
    let bootstrap = node.org.image(Role::Bootstrap, 12);
    chip(&mut actor).boots(&bootstrap);
    let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::NoImage);
}

#[test]
fn a_grant_is_given_by_an_enroller_and_not_again_to_a_machine_that_has_come_up() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    node.enrolls = false;
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::NotHere);
    assert_eq!(node.registry.machines().count(), 0);
    node.enrolls = true;
    let mut installed = actor.install(&mut node, &mut waiting);
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::WrongState);
    let preboot = node.org.image(Role::Preboot, 20).sha256;
    assert_eq!(actor.report(&mut node, &mut waiting, preboot), Err(refused(Refusal::WrongState)), "nor is M10 taken");
    assert_eq!(node.registry.machine(&installed.machine).unwrap().confirm, None);
}

#[test]
fn a_persons_word_is_not_enough_where_the_org_has_come_to_ask_for_more() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    node.org.manifest.policy.min_assurance = Assurance::Tpm;
    node.org.publish();
    let (has, needs) = (Assurance::Approved, Assurance::Tpm);
    assert_eq!(approve(&mut node, &waiting, "web-1"), Err(Objection::Assurance { has, needs }));
}

#[test]
fn only_what_is_banned_is_unbanned() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    assert_eq!(act(&mut node, installed.machine, Verb::Unban), Err(Objection::NotBanned));
}

#[test]
fn who_waited_for_a_day_is_approved_no_more_even_before_anybody_has_looked() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    node.pass(24 * 3600);
    assert_eq!(approve(&mut node, &waiting, "web-1"), Err(Objection::State(Refusal::Expired)));
}

#[test]
fn an_invite_that_is_handed_in_again_does_not_get_its_uses_back() {
    let mut node = Node::open();
    let made = Invite { approval: ApprovalMode::Automatic, ..invite(&node, Kind::Secret) };
    submit_invite(&mut node, &made).unwrap();
    let mut first = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = first.apply(&mut node, Intent::Enrol).unwrap();
    first.fetch(&mut node, &mut waiting);
    assert_eq!(submit_invite(&mut node, &made), Err(Objection::Used));
    let mut second = Actor::new(21).with_token(token(&node, 1));
    assert_eq!(second.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::InviteUsed));
}

#[test]
fn an_admin_who_is_listed_twice_is_one_admin() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    node.org.manifest.admins.keys = vec![node.org.admins[0].public(); 2];
    node.org.manifest.admins.threshold = 2;
    node.org.publish();
    let too_few = Objection::Unsigned { valid: 1, needed: 2 };
    assert_eq!(act(&mut node, installed.machine, Verb::Retire), Err(too_few));
}

#[test]
fn a_threshold_of_nobody_is_one_of_somebody() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    node.org.manifest.admins.threshold = 0;
    node.org.publish();
    let act = Act {
        machine: installed.machine,
        verb: Verb::Retire,
        reason: "a test".to_owned(),
        at: node.now.plus(1),
        opening: None,
    };
    let unsigned = Signed::unsigned(encode(&act));
    assert_eq!(node.submit(Record::Act, &unsigned), Err(Objection::Unsigned { valid: 0, needed: 1 }));
}
