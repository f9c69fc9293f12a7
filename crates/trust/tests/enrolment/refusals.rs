//! Which refusals stand in the audit log.

use slipway_trust::Refusal;
use slipway_trust::frames::Intent;
use slipway_trust::invite::Kind;
use slipway_trust::record::Verb;

use crate::actor::{Actor, Installed};
use crate::boots::booted;
use crate::desk::act;
use crate::manual::{enrolled, refused};
use crate::node::Node;
use crate::policy::{automatic, token};
use crate::tpm_life::{netbooted, starts};

/// What the audit log says of refusals: to whom, and why.
fn told(node: &Node) -> Vec<(String, String)> {
    node.check_disk();
    let refusals = node.log().into_iter().filter(|entry| entry.event == "refused");
    refusals.map(|entry| (entry.subject, entry.detail)).collect()
}

fn of(installed: &Installed, detail: &str) -> (String, String) {
    (format!("machine {}", installed.machine), detail.to_owned())
}

#[test]
fn a_machine_that_is_refused_stands_in_the_audit_log_once_an_hour_for_each_reason() {
    let (mut node, mut actor, mut installed) = booted();
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    for _ in 0..3 {
        assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Suspended));
    }
    let suspended = "boot from 192.0.2.50: suspended (this machine is suspended: `slipway machine resume` ends that)";
    assert_eq!(told(&node), [of(&installed, suspended)]);
    act(&mut node, installed.machine, Verb::Revoke).unwrap();
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Revoked));
    // By its key, and for the same reason.
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Revoked));
    let revoked = "boot from 192.0.2.50: revoked (this machine was revoked)";
    assert_eq!(told(&node), [of(&installed, suspended), of(&installed, revoked)]);
    node.pass(3600);
    assert_eq!(actor.apply(&mut node, Intent::Recover).unwrap_err(), refused(Refusal::Revoked));
    assert_eq!(told(&node)[2], of(&installed, "evidence from 192.0.2.50: revoked (this machine was revoked)"));
}

#[test]
fn who_only_says_that_he_is_a_machine_changes_nothing_in_the_audit_log() {
    let (mut node, _, mut installed) = booted();
    let before = node.registry.clone();
    assert_eq!(Actor::new(21).boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadSignature));
    assert_eq!(node.registry, before);
}

#[test]
fn strangers_with_a_spent_invite_are_told_of_but_fill_no_log() {
    let (mut node, mut machine, mut installed) = booted();
    automatic(&mut node, Kind::Secret);
    let mut first = Actor::new(30).with_token(token(&node, 1));
    let mut waiting = first.apply(&mut node, Intent::Enrol).unwrap();
    first.fetch(&mut node, &mut waiting);
    for seed in 31..131 {
        let mut late = Actor::plain(seed).with_token(token(&node, 1));
        assert_eq!(late.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::InviteUsed));
    }
    let said = told(&node);
    assert_eq!(said.len(), 20);
    assert!(said[0].0.starts_with("ed25519:"), "{said:?}");
    assert_eq!(
        said[0].1,
        "evidence from 192.0.2.50: invite-used (the invite is used up), with the invite 0101010101010101"
    );
    act(&mut node, installed.machine, Verb::Suspend).unwrap();
    machine.boot(&mut node, &mut installed).unwrap_err();
    assert_eq!(told(&node).len(), 21, "a machine of the org is not hidden by them");
}

#[test]
fn a_boot_log_that_is_not_allowed_is_told_of_whoever_it_was() {
    let mut node = Node::open();
    let mut stranger = netbooted(&node, 20);
    crate::tpm_life::chip(&mut stranger).runs(slipway_trust::Digest::of(b"an attacker's image"));
    assert_eq!(stranger.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog));
    assert!(told(&node)[0].1.starts_with("activated from 192.0.2.50: bad-boot-log"), "{:?}", told(&node));

    let mut actor = netbooted(&node, 21);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    starts(&node, &mut actor);
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(told(&node)[1].0, format!("machine {}", installed.machine));
    assert_eq!(told(&node).len(), 2);
}

#[test]
fn how_long_a_machine_may_start_without_the_org_is_known_as_it_was_last_told() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    starts(&node, &mut actor);
    let mut at_each = |node: &mut Node, days: u16| {
        node.org.manifest.policy.offline_days = days;
        actor.boot(node, &mut installed).unwrap();
        node.registry.machine(&installed.machine).unwrap().offline_until
    };
    assert_eq!(at_each(&mut node, 0), None);
    let until = node.now.plus(7 * 24 * 3600);
    assert_eq!(at_each(&mut node, 7), Some(until));
    node.pass(3600);
    assert_eq!(at_each(&mut node, 0), None, "its key slot for that is destroyed at this start");

    let (mut node, mut actor, mut installed) = booted();
    node.org.manifest.policy.offline_days = 7;
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(node.registry.machine(&installed.machine).unwrap().offline_until, None, "it has no TPM");
}
