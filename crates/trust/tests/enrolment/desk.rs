//! What admins do.

use slipway_trust::desk::{Kind, Objection};
use slipway_trust::frames::Intent;
use slipway_trust::life::State;
use slipway_trust::org::BadManifest;
use slipway_trust::record::{Act, Approval, Verb, WindowClose};
use slipway_trust::seal::Bound;
use slipway_trust::window::{BadWindow, Window};
use slipway_trust::{Domain, MachineId, Refusal, Signed, Time, encode};

use crate::actor::Actor;
use crate::manual::{approval, approve, enrolled, refused, refused_passing, say_healthy, state};
use crate::node::Node;
use crate::org::key;

/// An admin acts, a second later than before.
pub(crate) fn act(node: &mut Node, machine: MachineId, verb: Verb) -> Result<(), Objection> {
    node.pass(1);
    let signed = sign(node, machine, verb, node.now);
    node.submit(Kind::Act, &signed).map(drop)
}

fn sign(node: &Node, machine: MachineId, verb: Verb, at: Time) -> Signed {
    node.org.sign(Domain::Act, &Act { machine, verb, reason: "a test".to_owned(), at, opening: None })
}

#[test]
fn a_machine_is_suspended_resumed_retired_and_revoked_and_each_bites_at_the_next_request() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    let generation = admitted.generation.sha256;
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Suspended));
    assert_eq!(say_healthy(&mut node, &mut actor, &installed, generation), Err(refused(Refusal::Suspended)));
    assert_eq!(actor.apply(&mut node, Intent::Recover).unwrap_err(), refused(Refusal::Suspended));
    assert_eq!(node.registry.machine(&installed.machine).unwrap().shares.len(), 1, "withheld, not destroyed");
    act(&mut node, installed.machine, Verb::Resume).unwrap();
    actor.boot(&mut node, &mut installed).unwrap();
    act(&mut node, installed.machine, Verb::Retire).unwrap();
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Retired));
    assert!(node.registry.machine(&installed.machine).unwrap().shares.is_empty(), "destroyed");
    let mut second = enrolled(&mut node, &mut actor, "web-1");
    assert_ne!(second.machine, installed.machine, "the hardware may enrol anew, as somebody else");
    actor.boot(&mut node, &mut second).unwrap();
    act(&mut node, second.machine, Verb::Revoke).unwrap();
    assert_eq!(actor.boot(&mut node, &mut second).unwrap_err(), refused(Refusal::Revoked));
    assert_eq!(say_healthy(&mut node, &mut actor, &second, generation), Err(refused(Refusal::Revoked)));
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Revoked));
    for verb in [Verb::Suspend, Verb::Resume, Verb::Retire, Verb::Revoke] {
        assert_eq!(act(&mut node, second.machine, verb), Err(Objection::Machine(verb, State::Revoked)));
    }
    node.check_disk();
}

#[test]
fn hardware_that_is_revoked_under_an_old_name_is_refused_under_its_present_one() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let first = enrolled(&mut node, &mut actor, "web-1");
    act(&mut node, first.machine, Verb::Retire).unwrap();
    let mut second = enrolled(&mut node, &mut actor, "web-2");
    let generation = actor.boot(&mut node, &mut second).unwrap().generation.sha256;
    act(&mut node, first.machine, Verb::Revoke).unwrap();
    assert_eq!(actor.boot(&mut node, &mut second).unwrap_err(), refused(Refusal::Revoked));
    assert_eq!(say_healthy(&mut node, &mut actor, &second, generation), Err(refused(Refusal::Revoked)));
    act(&mut node, first.machine, Verb::Unban).unwrap();
    actor.boot(&mut node, &mut second).unwrap();
    say_healthy(&mut node, &mut actor, &second, generation).unwrap();
}

#[test]
fn a_machine_that_has_not_come_up_is_not_suspended_but_its_enrolment_ends_and_that_is_said() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    assert_eq!(state(&node, &installed), State::Pending);
    node.pass(1);
    let signed = sign(&node, installed.machine, Verb::Suspend, node.now);
    let taken = node.submit(Kind::Act, &signed).unwrap();
    assert_eq!((taken.event, state(&node, &installed)), ("machine-expired", State::Expired));
    assert!(taken.summary.contains("its enrolment is over"), "{}", taken.summary);
    let refused = act(&mut node, installed.machine, Verb::Resume).unwrap_err();
    assert_eq!(refused, Objection::Machine(Verb::Resume, State::Expired));
    let words = "`resume` is not for a machine that is expired: `slipway machine show` tells since when";
    assert_eq!(refused.to_string(), words);
}

#[test]
fn an_act_is_used_once_and_never_after_a_later_one() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    actor.boot(&mut node, &mut installed).unwrap();
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    let resume = sign(&node, installed.machine, Verb::Resume, node.now.plus(1));
    node.pass(1);
    node.submit(Kind::Act, &resume).unwrap();
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    assert_eq!(node.submit(Kind::Act, &resume), Err(Objection::Used));
    let future = sign(&node, installed.machine, Verb::Resume, node.now.plus(3600));
    assert_eq!(node.submit(Kind::Act, &future), Err(Objection::Future));
    let unknown = sign(&node, MachineId([9; 16]), Verb::Resume, node.now);
    assert_eq!(node.submit(Kind::Act, &unknown), Err(Objection::NoMachine));
    assert_eq!(state(&node, &installed), State::Suspended);
}

#[test]
fn where_two_admins_must_sign_one_can_only_stop() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    actor.boot(&mut node, &mut installed).unwrap();
    node.org.manifest.admins.threshold = 2;
    node.org.publish();
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    let too_few = Objection::Unsigned { valid: 1, needed: 2 };
    for verb in [Verb::Resume, Verb::Retire, Verb::Revoke, Verb::Unban] {
        assert_eq!(act(&mut node, installed.machine, verb), Err(too_few.clone()), "{}", verb.name());
    }
    let mut both = sign(&node, installed.machine, Verb::Resume, node.now);
    both.sign(&node.org.admins[1], Domain::Act, Bound::Org(&node.org.id));
    node.submit(Kind::Act, &both).unwrap();
    let mut twice = sign(&node, installed.machine, Verb::Retire, node.now.plus(1));
    twice.signatures.push(twice.signatures[0]);
    assert_eq!(node.submit(Kind::Act, &twice), Err(too_few), "the same admin twice is one");
}

#[test]
fn where_two_admins_must_sign_one_denies_and_cannot_approve() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    node.org.manifest.admins.threshold = 2;
    node.org.publish();
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let too_few = Objection::Unsigned { valid: 1, needed: 2 };
    assert_eq!(approve(&mut node, &waiting, "web-1"), Err(too_few));
    let approval = approval(&node, &waiting, "web-1");
    let mut both = node.org.sign(Domain::Approval, &approval);
    both.sign(&node.org.admins[1], Domain::Approval, Bound::Org(&node.org.id));
    node.submit(Kind::Approval, &both).unwrap();
    // What two have allowed and is not taken yet, one still stops; and nobody outside of the org does.
    let denial = Approval { yes: false, ..approval };
    let mut stranger = Signed::unsigned(encode(&denial));
    stranger.sign(&key(99), Domain::Approval, Bound::Org(&node.org.id));
    assert_eq!(node.submit(Kind::Approval, &stranger), Err(Objection::Unsigned { valid: 0, needed: 1 }));
    let taken = node.submit(Kind::Approval, &node.org.sign(Domain::Approval, &denial)).unwrap();
    assert_eq!(taken.event, "ticket-denied");
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::Denied);
    assert_eq!(node.events().last().unwrap(), "ticket-denied");
}

#[test]
fn a_record_of_one_kind_is_taken_for_no_other() {
    let mut node = Node::open();
    let window = node.registry.window().unwrap().signed.clone();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Window) {
        assert!(node.submit(kind, &window).is_err(), "{}", kind.name());
    }
    let close = WindowClose { window: node.registry.window().unwrap().window.id, at: node.now };
    let misfiled = node.org.sign(Domain::Window, &close);
    assert!(node.submit(Kind::Window, &misfiled).is_err());
    assert!(node.submit(Kind::WindowClose, &misfiled).is_err());
    let signed = node.org.sign(Domain::WindowClose, &close);
    node.submit(Kind::WindowClose, &signed).unwrap();
    assert_eq!(node.submit(Kind::WindowClose, &signed), Err(Objection::NoWindow));
    assert_eq!(Actor::new(20).apply(&mut node, Intent::Enrol).unwrap_err(), refused_passing(Refusal::NoWindow));
    assert_eq!(node.submit(Kind::Window, &window), Err(Objection::Used), "a closed window stays closed");
}

#[test]
fn a_window_is_short_and_for_few() {
    let mut node = Node::new();
    let admin = node.org.admin();
    let mut submit = |opens: u64, expires: u64, max_machines| {
        let (opens, expires) = (Time(opens), Time(expires));
        let id = slipway_trust::id::InviteId(node.random()[..8].try_into().unwrap());
        let window = Window { id, opens, expires, max_machines, invites: Vec::new(), opened_by: admin };
        let signed = node.org.sign(Domain::Window, &window);
        node.submit(Kind::Window, &signed).map(drop)
    };
    let now = crate::org::NOW.0;
    assert_eq!(submit(now, now + 8 * 3600 + 1, 1), Err(Objection::Window(BadWindow::Length)));
    assert_eq!(submit(now, now, 1), Err(Objection::Window(BadWindow::Length)));
    assert_eq!(submit(now, now + 60, 0), Err(Objection::Window(BadWindow::Machines)));
    assert_eq!(submit(now, now + 60, 1001), Err(Objection::Window(BadWindow::Machines)));
    assert_eq!(submit(now - 60, now, 1), Err(Objection::Over));
    assert_eq!(submit(now + Time::SKEW + 1, now + 3600, 1), Err(Objection::Future));
    submit(now, now + 60, 1).unwrap();
    assert_eq!(submit(now - 1, now + 60, 1), Err(Objection::Used), "one that was signed before the last");
    submit(now + 200, now + 3600, 1).unwrap();
    assert!(node.registry.open_window(Time(now)).is_some(), "opened by an admin whose clock is ahead of the server's");
}

#[test]
fn a_new_window_is_told_with_its_end_and_with_the_one_that_it_ends() {
    let mut node = Node::open();
    let before = node.registry.window().unwrap().window.clone();
    let window =
        Window { id: slipway_trust::id::InviteId([3; 8]), opens: before.opens.plus(1), max_machines: 1, ..before };
    let signed = node.org.sign(Domain::Window, &window);
    let told = node.submit(Kind::Window, &signed).unwrap().summary;
    let expected = format!("the enrolment window 0303030303030303 is open until {} for 1 machine;", window.expires);
    assert!(told.starts_with(&expected) && told.contains(&before.id.to_string()), "{told}");
}

#[test]
fn nobody_but_an_admin_of_the_org_is_listened_to() {
    let mut node = Node::open();
    let record = node.registry.window().unwrap().window.clone();
    let window = Window { id: slipway_trust::id::InviteId([3; 8]), ..record };
    let payload = encode(&window);
    for stranger in [key(99), key(1), key(2), key(3)] {
        let signed = Signed::by(&stranger, Domain::Window, Bound::Org(&node.org.id), payload.clone());
        assert_eq!(node.submit(Kind::Window, &signed), Err(Objection::Unsigned { valid: 0, needed: 1 }));
    }
    let other_org = slipway_trust::OrgId([1; 16]);
    let signed = Signed::by(&node.org.admins[0], Domain::Window, Bound::Org(&other_org), payload);
    assert_eq!(node.submit(Kind::Window, &signed), Err(Objection::Unsigned { valid: 0, needed: 1 }));
}

#[test]
fn the_epoch_of_the_orgs_manifest_never_falls() {
    let mut node = Node::new();
    let old = node.org.signed.clone();
    node.submit(Kind::Manifest, &old).unwrap();
    let mut manifest = node.org.manifest.clone();
    manifest.name = "Other".to_owned();
    let publish = |node: &Node, manifest: &slipway_trust::OrgManifest| {
        Signed::by(&node.org.root, Domain::OrgManifest, Bound::Org(&node.org.id), encode(manifest))
    };
    let same = publish(&node, &manifest);
    assert_eq!(node.submit(Kind::Manifest, &same), Err(Objection::SameEpoch(3)));
    manifest.epoch = 4;
    let next = publish(&node, &manifest);
    node.submit(Kind::Manifest, &next).unwrap();
    assert_eq!(node.registry.org().unwrap().0, 4);
    let older = Objection::Manifest(BadManifest::Older { epoch: 3, seen: 4 });
    assert_eq!(node.submit(Kind::Manifest, &old), Err(older));
    let forged = node.org.sign(Domain::OrgManifest, &manifest);
    assert!(matches!(node.submit(Kind::Manifest, &forged), Err(Objection::Manifest(BadManifest::Unproven(_)))));
    node.check_disk();
}

#[test]
fn a_name_belongs_to_one_living_machine() {
    let (mut node, mut first, mut second) = (Node::open(), Actor::new(20), Actor::new(21));
    enrolled(&mut node, &mut first, "web-1");
    let waiting = second.apply(&mut node, Intent::Enrol).unwrap();
    assert_eq!(approve(&mut node, &waiting, "web-1"), Err(Objection::NameTaken("web-1".to_owned())));
    approve(&mut node, &waiting, "web-2").unwrap();
}
