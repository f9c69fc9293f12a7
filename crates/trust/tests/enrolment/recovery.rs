//! A machine that lost its ESP gets it back, and nothing else.

use slipway_trust::desk::Kind;
use slipway_trust::frames::Intent;
use slipway_trust::life::State;
use slipway_trust::machine::Answered;
use slipway_trust::org::RecoveryPolicy;
use slipway_trust::record::{DiskPlan, Verb};
use slipway_trust::{Domain, Refusal, Role};

use crate::actor::{Actor, Installed};
use crate::desk::act;
use crate::manual::{approval, approve, enrolled, plan, refused, say_healthy, state};
use crate::node::Node;
use crate::tpm_life::{chip, netbooted, starts};

const ESP_ONLY: DiskPlan = DiskPlan { disk: None, wipe: false, esp_mib: 512, data: false };

/// A machine that runs.
fn active(node: &mut Node, actor: &mut Actor, name: &str) -> Installed {
    let mut installed = enrolled(node, actor, name);
    starts(node, actor);
    let generation = actor.boot(node, &mut installed).unwrap().generation.sha256;
    say_healthy(node, actor, &installed, generation).unwrap();
    installed
}

/// It is netbooted again.
fn netboots(node: &Node, actor: &mut Actor) {
    let image = node.org.image(Role::Bootstrap, 12);
    chip(actor).boots(&image);
}

#[test]
fn a_machine_recovers_by_its_own_proof_without_a_window_and_stays_who_it_is() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let installed = active(&mut node, &mut actor, "web-1");
    let before = node.registry.machine(&installed.machine).unwrap().clone();
    node.pass(9 * 3600);
    assert!(node.registry.open_window(node.now).is_none());
    netboots(&node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    assert!(waiting.told().approved);
    assert_eq!(state(&node, &installed), State::Active, "asking changes nothing");
    let granted = actor.fetch(&mut node, &mut waiting);
    assert!(granted.grant().recovery);
    assert_eq!(granted.grant().plan, ESP_ONLY);
    assert_eq!(state(&node, &installed), State::Recovery);
    let mut again = actor.install(&mut node, &mut waiting);
    assert_eq!(again.machine, installed.machine);
    // Still the bootstrap image: no share for it.
    assert_eq!(actor.boot(&mut node, &mut again).unwrap_err(), refused(Refusal::BadBootLog));
    starts(&node, &mut actor);
    let admitted = actor.boot(&mut node, &mut again).unwrap();
    let after = node.registry.machine(&installed.machine).unwrap();
    assert_eq!(admitted.material.shares, before.shares, "the data partition opens as before");
    assert_eq!(
        (after.state, &after.role, &after.key, after.floor),
        (State::Confirmed, &before.role, &before.key, before.floor)
    );
    assert_eq!(node.registry.machines().count(), 1);
    node.check_disk();
}

#[test]
fn a_recovery_that_nobody_finishes_changes_nothing() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = active(&mut node, &mut actor, "web-1");
    netboots(&node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    actor.fetch(&mut node, &mut waiting);
    node.pass(30 * 60);
    node.sweep();
    assert_eq!(state(&node, &installed), State::Active);
    starts(&node, &mut actor);
    installed.boots = 1;
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn an_installation_that_was_interrupted_goes_on_without_a_person_and_without_a_window() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let first = enrolled(&mut node, &mut actor, "web-1");
    let window = node.registry.window().unwrap().window.id;
    let close = slipway_trust::record::WindowClose { window, at: node.now };
    let signed = node.org.sign(Domain::WindowClose, &close);
    node.submit(Kind::WindowClose, &signed).unwrap();
    netboots(&node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    let granted = actor.fetch(&mut node, &mut waiting);
    assert_eq!((granted.grant().machine, granted.grant().recovery), (first.machine, false));
    assert_eq!(granted.grant().plan, plan(Some("nvme-20")), "with the plan that was approved");
    let mut installed = actor.install(&mut node, &mut waiting);
    starts(&node, &mut actor);
    actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!(node.registry.window().unwrap().granted.len(), 1);
    node.check_disk();
}

#[test]
fn a_machine_that_begins_anew_again_and_again_holds_one_place_in_the_queue() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    enrolled(&mut node, &mut actor, "web-1");
    netboots(&node, &mut actor);
    for _ in 0..5 {
        let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
        assert_eq!(node.registry.tickets().count(), 1);
        let granted = actor.fetch(&mut node, &mut waiting);
        assert_eq!(granted.grant().plan, plan(Some("nvme-20")), "with the plan that was approved");
    }
    node.check_disk();
}

#[test]
fn the_fourth_recovery_in_a_day_is_a_persons_to_decide() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    active(&mut node, &mut actor, "web-1");
    for n in 0..4 {
        node.pass(3600);
        netboots(&node, &mut actor);
        let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
        assert_eq!(waiting.told().approved, n < 3, "recovery {n}");
        if n < 3 {
            let mut installed = actor.install(&mut node, &mut waiting);
            starts(&node, &mut actor);
            actor.boot(&mut node, &mut installed).unwrap();
        } else {
            assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Wait(_)));
            let mut yes = approval(&node, &waiting, "ignored");
            yes.plan = ESP_ONLY;
            let signed = node.org.sign(Domain::Approval, &yes);
            node.submit(Kind::Approval, &signed).unwrap();
            let granted = actor.fetch(&mut node, &mut waiting);
            assert_eq!((granted.grant().name.as_str(), granted.grant().recovery), ("web-1", true));
        }
    }
}

#[test]
fn a_fleet_that_recovers_all_at_once_is_an_attack_or_a_bad_release() {
    let mut node = Node::open();
    let mut actors: Vec<Actor> = (0..3).map(|n| netbooted(&node, 20 + n)).collect();
    for (n, actor) in actors.iter_mut().enumerate() {
        active(&mut node, actor, &format!("web-{n}"));
        netboots(&node, actor);
    }
    let mut waiting: Vec<_> = actors.iter_mut().map(|actor| actor.apply(&mut node, Intent::Recover).unwrap()).collect();
    assert!(waiting.iter().all(|waiting| waiting.told().approved), "nobody has recovered yet");
    actors[0].fetch(&mut node, &mut waiting[0]);
    assert_eq!(
        actors[1].refused(&mut node, &mut waiting[1]),
        Refusal::RecoveryLimit,
        "one of three is enough in an hour"
    );
    let mut late = actors[2].apply(&mut node, Intent::Recover).unwrap();
    assert!(!late.told().approved, "a person must look");
    node.pass(3600);
    late = actors[2].apply(&mut node, Intent::Recover).unwrap();
    assert!(late.told().approved);
}

#[test]
fn where_the_policy_says_so_a_person_decides_on_each_recovery() {
    let mut node = Node::open();
    node.org.manifest.policy.recovery = RecoveryPolicy::Manual;
    node.org.publish();
    let mut actor = netbooted(&node, 20);
    active(&mut node, &mut actor, "web-1");
    netboots(&node, &mut actor);
    let waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    assert!(!waiting.told().approved);
}

#[test]
fn a_new_disk_is_wiped_only_by_a_persons_word_and_the_old_share_is_gone() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let installed = active(&mut node, &mut actor, "web-1");
    let old = node.registry.machine(&installed.machine).unwrap().shares.clone();
    actor.inventory.disks[0].id = "nvme-new".to_owned();
    netboots(&node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    assert!(!waiting.told().approved);
    let ticket = node.registry.ticket(&waiting.told().ticket).unwrap();
    assert!(ticket.flags[0].contains("other disks"), "{:?}", ticket.flags);
    approve(&mut node, &waiting, "ignored").unwrap();
    let granted = actor.fetch(&mut node, &mut waiting);
    assert_eq!((granted.grant().plan.disk.as_deref(), granted.grant().plan.wipe), (Some("nvme-new"), true));
    let mut again = actor.install(&mut node, &mut waiting);
    starts(&node, &mut actor);
    let admitted = actor.boot(&mut node, &mut again).unwrap();
    assert_eq!((again.machine, admitted.material.shares.len()), (installed.machine, 1));
    assert_ne!(admitted.material.shares, old);
}

#[test]
fn without_a_tpm_nothing_is_proved_and_a_person_decides() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    actor.boot(&mut node, &mut installed).unwrap();
    let waiting = actor.apply(&mut node, Intent::Recover).unwrap();
    assert!(!waiting.told().approved, "the key file is not proof of what booted");
    // The key went with the ESP: another machine for all that anybody knows. The old identity ends in the same act.
    let mut anew = Actor::new(21);
    let mut waiting = anew.apply(&mut node, Intent::Enrol).unwrap();
    let mut yes = approval(&node, &waiting, "web-1");
    yes.replaces = Some(installed.machine);
    let signed = node.org.sign(Domain::Approval, &yes);
    node.submit(Kind::Approval, &signed).unwrap();
    let second = anew.install(&mut node, &mut waiting);
    assert_ne!(second.machine, installed.machine);
    assert_eq!(state(&node, &installed), State::Retired);
    assert_eq!(node.registry.machine(&second.machine).unwrap().name, "web-1");
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Retired));
    node.check_disk();
}

#[test]
fn the_key_of_a_machine_with_a_tpm_counts_only_with_that_tpm() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    active(&mut node, &mut actor, "web-1");
    netboots(&node, &mut actor);
    let org = node.org.id;
    let mut line = actor.connect(&node);
    let challenged = actor.greet(&mut node, &mut line, Intent::Recover).unwrap();
    let mut proof = actor.proof(&node, &challenged);
    proof.tpm = None;
    let needs = challenged.evidence(proof);
    let signature = actor.sign(&org, needs.message());
    let (_, frame) = needs.signed(signature).unwrap();
    assert_eq!(crate::node::refusal(&line.ask(&mut node, &frame)), Some(Refusal::BadEvidence));
}

#[test]
fn no_recovery_revives_a_machine_whose_identity_has_ended() {
    for (verb, why) in [(Verb::Retire, Refusal::Unknown), (Verb::Revoke, Refusal::Revoked)] {
        let mut node = Node::open();
        let mut actor = netbooted(&node, 20);
        let installed = active(&mut node, &mut actor, "web-1");
        netboots(&node, &mut actor);
        let mut waiting = actor.apply(&mut node, Intent::Recover).unwrap();
        act(&mut node, installed.machine, verb).unwrap();
        assert_eq!(actor.refused(&mut node, &mut waiting), if verb == Verb::Retire { Refusal::Retired } else { why });
        assert_eq!(actor.apply(&mut node, Intent::Recover).unwrap_err(), refused(why));
    }
}

#[test]
fn a_server_that_is_no_gateway_recovers_nobody() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    active(&mut node, &mut actor, "web-1");
    netboots(&node, &mut actor);
    node.gateway = false;
    let refused = actor.apply(&mut node, Intent::Recover).unwrap_err();
    assert_eq!(refused, crate::manual::refused_passing(Refusal::NotHere));
}
