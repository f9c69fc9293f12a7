//! Enrolment by hand, as people see it.

use slipway_trust::desk::{Kind, Objection};
use slipway_trust::frames::Intent;
use slipway_trust::life::State;
use slipway_trust::machine::{Answered, Stop, Waiting, healthy, on_noted};
use slipway_trust::node::Caller;
use slipway_trust::record::{Approval, DiskPlan};
use slipway_trust::{Assurance, Digest, Domain, Refusal, Signed};

use crate::actor::{Actor, Installed};
use crate::node::{Node, refusal};

pub(crate) fn plan(disk: Option<&str>) -> DiskPlan {
    DiskPlan { disk: disk.map(str::to_owned), wipe: disk.is_some(), esp_mib: 512, data: true }
}

/// What an admin signs when the words are the same.
pub(crate) fn approval(node: &Node, waiting: &Waiting, name: &str) -> Approval {
    let ticket = node.registry.ticket(&waiting.told().ticket).unwrap();
    assert_eq!(ticket.words, waiting.words(), "the person sees the same words");
    Approval {
        ticket: ticket.id,
        key: ticket.key.digest(),
        ek: ticket.tpm.as_ref().map(|tpm| tpm.ek),
        transcript: ticket.transcript,
        yes: true,
        name: name.to_owned(),
        role: "worker".to_owned(),
        plan: plan(ticket.inventory.disks.first().map(|disk| disk.id.as_str())),
        at: node.now,
        replaces: None,
        opening: None,
    }
}

pub(crate) fn approve(node: &mut Node, waiting: &Waiting, name: &str) -> Result<(), Objection> {
    let approval = approval(node, waiting, name);
    let signed = node.org.sign(Domain::Approval, &approval);
    node.submit(Kind::Approval, &signed).map(drop)
}

/// A machine that has come up to its first boot.
pub(crate) fn enrolled(node: &mut Node, actor: &mut Actor, name: &str) -> Installed {
    let mut waiting = actor.apply(node, Intent::Enrol).unwrap();
    approve(node, &waiting, name).unwrap();
    actor.install(node, &mut waiting)
}

pub(crate) fn state(node: &Node, installed: &Installed) -> State {
    node.registry.machine(&installed.machine).unwrap().state
}

/// M13, with the certificate that the machine got.
pub(crate) fn say_healthy(
    node: &mut Node,
    actor: &mut Actor,
    installed: &Installed,
    generation: Digest,
) -> Result<(), Stop> {
    let mut line = actor.connect(node);
    let key = actor.public(&node.org.id);
    line.caller = Some(Caller { machine: installed.machine, key, epoch: 1 });
    on_noted(&line.ask(node, &healthy(generation)))
}

#[test]
fn a_blank_machine_without_a_tpm_is_approved_by_hand_installed_booted_and_runs() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Wait(5)));
    approve(&mut node, &waiting, "web-1").unwrap();
    let granted = actor.fetch(&mut node, &mut waiting);
    assert_eq!((granted.grant().name.as_str(), granted.image().version, granted.seconds()), ("web-1", 20, 1800));
    assert_eq!(granted.grant().plan, plan(Some("nvme-20")));
    let sha256 = granted.image().sha256;
    let grant = granted.grant();
    let mut installed =
        Installed { machine: grant.machine, confirm: grant.confirm, boots: 0, slots: None, escrow: None };
    assert_eq!(state(&node, &installed), State::Pending);
    actor.report(&mut node, &mut waiting, sha256).unwrap();

    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(state(&node, &installed), State::Confirmed);
    assert_eq!(admitted.material.shares.len(), 1);
    assert_eq!((admitted.material.name.as_str(), admitted.generation.version), ("web-1", 30));
    assert!(!admitted.material.promote);
    say_healthy(&mut node, &mut actor, &installed, admitted.generation.sha256).unwrap();
    assert_eq!(state(&node, &installed), State::Active);
    let again = actor.boot(&mut node, &mut installed).unwrap();
    assert!(again.material.promote, "a system that was healthy may stand first in the boot order");
    assert_eq!(again.material.shares, admitted.material.shares);
    assert_eq!(node.registry.machine(&installed.machine).unwrap().assurance, Assurance::Approved);
    node.check_disk();
    let events = [
        "window-opened",
        "ticket-opened",
        "ticket-approved",
        "machine-granted",
        "machine-installed",
        "machine-attested",
        "share-made",
        "machine-healthy",
        "machine-attested",
    ];
    assert_eq!(node.events(), events);
}

#[test]
fn nothing_is_answered_before_it_is_on_disk() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    node.disk_full = true;
    let before = node.registry.clone();
    let mut line = actor.connect(&node);
    let ((), frame) = waiting.poll(&line.channel()).sign(&crate::org::key(20)).unwrap();
    assert_eq!(node.answer(&mut line, &frame), Err(Refusal::Internal));
    assert_eq!(node.registry, before);
    node.disk_full = false;
    actor.fetch(&mut node, &mut waiting);
    node.check_disk();
}

#[test]
fn a_machine_that_is_denied_is_told_so_and_so_is_one_that_nobody_looks_at() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let mut no = approval(&node, &waiting, "web-1");
    no.yes = false;
    let signed = node.org.sign(Domain::Approval, &no);
    node.submit(Kind::Approval, &signed).unwrap();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::Denied);

    let mut other = Actor::new(21);
    let mut waiting = other.apply(&mut node, Intent::Enrol).unwrap();
    node.pass(24 * 3600);
    assert_eq!(other.refused(&mut node, &mut waiting), Refusal::Expired);
    assert!(node.sweep() > 0);
    assert_eq!(other.refused(&mut node, &mut waiting), Refusal::Expired);
    node.pass(24 * 3600);
    node.sweep();
    assert_eq!(other.refused(&mut node, &mut waiting), Refusal::Unknown);
    assert_eq!(node.registry.tickets().count(), 0);
    node.check_disk();
}

#[test]
fn an_approval_not_used_within_a_quarter_of_an_hour_is_void() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    node.pass(15 * 60);
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::Expired);
}

#[test]
fn a_machine_that_never_boots_from_its_disk_expires_and_may_ask_again() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    node.pass(30 * 60);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Expired));
    node.sweep();
    assert_eq!(state(&node, &installed), State::Expired);
    let second = enrolled(&mut node, &mut actor, "web-1");
    assert_ne!(second.machine, installed.machine);
    node.check_disk();
}

#[test]
fn a_grant_that_was_lost_is_given_again_to_the_same_key_and_counts_once() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let first = actor.fetch(&mut node, &mut waiting);
    let mut installed = actor.install(&mut node, &mut waiting);
    assert_eq!(first.grant().machine, installed.machine);
    assert_eq!(node.registry.machines().count(), 1);
    assert_eq!(node.registry.window().unwrap().granted.len(), 1);
    let mut stale = Installed { confirm: first.grant().confirm, slots: None, escrow: None, ..installed };
    assert_eq!(
        actor.boot(&mut node, &mut stale).unwrap_err(),
        refused(Refusal::BadCommitment),
        "the last nonce counts"
    );
    installed.boots = stale.boots;
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn outside_of_a_window_nobody_new_gets_in() {
    let (mut node, mut actor) = (Node::new(), Actor::new(20));
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused_passing(Refusal::NoWindow));
    node.open_window(1);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    node.pass(8 * 3600);
    // The window closes between approval and grant, which would have expired by then, too.
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::Expired);
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused_passing(Refusal::NoWindow));
    node.open_window(1);
    enrolled(&mut node, &mut actor, "web-1");
    let mut second = Actor::new(21);
    assert_eq!(second.apply(&mut node, Intent::Enrol).unwrap_err(), refused_passing(Refusal::NoWindow), "it is full");
    node.check_disk();
}

#[test]
fn an_image_below_the_floor_gets_nothing() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    actor.bootstrap = 9;
    for intent in [Intent::Enrol, Intent::Recover] {
        assert_eq!(actor.apply(&mut node, intent).unwrap_err(), refused(Refusal::OldImage));
    }
    actor.bootstrap = 10;
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    actor.preboot = 9;
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::OldImage));
    actor.preboot = 20;
    actor.boot(&mut node, &mut installed).unwrap();
    // Version 20 has asked that nothing below 15 runs any more.
    actor.preboot = 12;
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::OldImage));
}

#[test]
fn a_machine_that_claims_to_be_another_is_let_in_by_nobody_and_a_person_is_told() {
    let (mut node, mut real, mut liar) = (Node::open(), Actor::new(20), Actor::new(21));
    enrolled(&mut node, &mut real, "web-1");
    liar.inventory = real.inventory.clone();
    let waiting = liar.apply(&mut node, Intent::Enrol).unwrap();
    let ticket = node.registry.ticket(&waiting.told().ticket).unwrap();
    assert_eq!(ticket.flags.len(), 3, "{:?}", ticket.flags);
    assert_eq!((ticket.state, ticket.assurance), (State::Requested, Assurance::Claimed));
    assert_eq!(liar.apply(&mut node, Intent::Recover).unwrap_err(), refused(Refusal::Unknown));
}

#[test]
fn an_approval_is_for_one_key_and_one_conversation() {
    let (mut node, mut actor, mut other) = (Node::open(), Actor::new(20), Actor::new(21));
    let old = actor.apply(&mut node, Intent::Enrol).unwrap();
    let stale = approval(&node, &old, "web-1");
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let second = other.apply(&mut node, Intent::Enrol).unwrap();
    let good = approval(&node, &waiting, "web-1");
    let mut submit = |approval: &Approval| {
        let signed = node.org.sign(Domain::Approval, approval);
        node.submit(Kind::Approval, &signed).map(drop)
    };
    assert_eq!(submit(&stale), Err(Objection::NoTicket), "the machine has asked anew");
    let moved = Approval { ticket: second.told().ticket, ..good.clone() };
    assert_eq!(submit(&moved), Err(Objection::OtherTicket));
    assert_eq!(submit(&Approval { ek: Some(Digest([1; 32])), ..good.clone() }), Err(Objection::OtherTicket));
    assert_eq!(submit(&Approval { plan: plan(Some("sda")), ..good.clone() }), Err(Objection::NoDisk("sda".to_owned())));
    let nameless = slipway_trust::record::DiskPlan { wipe: true, ..plan(None) };
    assert_eq!(submit(&Approval { plan: nameless, ..good.clone() }), Err(Objection::NamelessWipe));
    assert_eq!(
        submit(&Approval { name: "../web".to_owned(), ..good.clone() }),
        Err(Objection::Name("../web".to_owned()))
    );
    submit(&good).unwrap();
    assert_eq!(submit(&good), Err(Objection::State(Refusal::WrongState)));
    let payload = slipway_trust::encode(&good);
    assert!(matches!(node.submit(Kind::Approval, &Signed::unsigned(payload)), Err(Objection::Unsigned { .. })));
}

#[test]
fn a_machine_says_what_it_read_back_and_a_wrong_image_is_noticed() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let wrong = actor.report(&mut node, &mut waiting, Digest([9; 32])).unwrap_err();
    assert_eq!(wrong, refused(Refusal::WrongState), "nothing was granted yet");
    approve(&mut node, &waiting, "web-1").unwrap();
    actor.fetch(&mut node, &mut waiting);
    assert_eq!(actor.report(&mut node, &mut waiting, Digest([9; 32])).unwrap_err(), refused(Refusal::BadEvidence));
}

#[test]
fn the_journal_is_told_who_asked_and_why_he_was_refused() {
    let (mut node, mut actor) = (Node::new(), Actor::new(20));
    let mut line = actor.connect(&node);
    let (_, hello) = actor.start(&mut node, Intent::Enrol).hello();
    let (reply, note) = line.noted(&mut node, &hello);
    assert_eq!(refusal(&reply), Some(Refusal::NoWindow));
    assert_eq!((note.what, note.refused, note.ends), ("hello", Some(Refusal::NoWindow), true));
}

pub(crate) fn refused(why: Refusal) -> Stop {
    Stop::Refused(slipway_trust::frames::Refused { why, again: None })
}

pub(crate) fn refused_passing(why: Refusal) -> Stop {
    Stop::Refused(slipway_trust::frames::Refused { why, again: Some(15) })
}
