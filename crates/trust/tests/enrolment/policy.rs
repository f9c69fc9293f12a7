//! Invites and other words of admins beforehand.

use slipway_trust::desk::{Kind as Record, Objection};
use slipway_trust::frames::Intent;
use slipway_trust::id::InviteId;
use slipway_trust::invite::{ApprovalMode, BadInvite, Invite, Kind, Match, Token};
use slipway_trust::life::State;
use slipway_trust::machine::{Answered, Waiting};
use slipway_trust::record::InviteRevoke;
use slipway_trust::window::Window;
use slipway_trust::{Arch, Assurance, Digest, Domain, Refusal};

use crate::actor::Actor;
use crate::manual::{approve, refused, state};
use crate::node::Node;

/// An invite for an hour and one machine, that nobody has signed yet.
pub(crate) fn invite(node: &Node, kind: Kind) -> Invite {
    let token = token(node, 1);
    Invite {
        id: token.invite,
        label: "rack 4".to_owned(),
        key: (kind != Kind::Open).then(|| token.key().public()),
        kind,
        max_uses: 1,
        not_before: node.now,
        expires: node.now.plus(3600),
        role: "worker".to_owned(),
        only: Match::default(),
        approval: ApprovalMode::Manual,
        min_assurance: Assurance::Claimed,
        wipe: false,
        created_by: node.org.admin(),
        trusts_lan: false,
        insecure_match: false,
    }
}

/// The text that goes to the machine with it.
pub(crate) fn token(node: &Node, seed: u8) -> Token {
    Token::new(node.org.id, InviteId([seed; 8]), [seed; 32], node.org.manifest.ca_spki)
}

pub(crate) fn submit_invite(node: &mut Node, invite: &Invite) -> Result<(), Objection> {
    let signed = node.org.sign(Domain::Invite, invite);
    node.submit(Record::Invite, &signed).map(drop)
}

fn automatic(node: &mut Node, kind: Kind) -> Invite {
    let made = Invite { approval: ApprovalMode::Automatic, wipe: true, ..invite(node, kind) };
    submit_invite(node, &made).unwrap();
    made
}

#[test]
fn a_secret_invite_lets_one_machine_in_by_itself_and_wipes_only_a_disk_without_doubt() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Secret);
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(waiting.told().approved);
    assert_eq!(waiting.told().label.as_deref(), Some("rack 4"));
    let granted = actor.fetch(&mut node, &mut waiting);
    assert_eq!(granted.grant().plan.disk.as_deref(), Some("nvme-20"));
    assert!(granted.grant().plan.wipe);
    let machine = node.registry.machine(&granted.grant().machine).unwrap();
    assert_eq!((machine.assurance, machine.role.as_str()), (Assurance::Invited, "worker"));
    let mut second = Actor::new(21).with_token(token(&node, 1));
    assert_eq!(second.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::InviteUsed));
}

#[test]
fn a_disk_is_not_wiped_where_there_is_doubt_which() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Secret);
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let mut second = actor.inventory.disks[0].clone();
    second.id = "nvme-other".to_owned();
    actor.inventory.disks.push(second);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let plan = actor.fetch(&mut node, &mut waiting).grant().plan.clone();
    assert_eq!((plan.disk, plan.wipe), (None, false));
}

#[test]
fn of_a_hundred_machines_that_race_for_one_use_exactly_one_wins() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Secret);
    let mut racers: Vec<(Actor, Waiting)> = (0..100)
        .map(|n| {
            let mut actor = Actor::plain(100 + n).with_token(token(&node, 1));
            let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
            (actor, waiting)
        })
        .collect();
    let mut winners = 0;
    for (actor, waiting) in &mut racers {
        match actor.poll(&mut node, waiting).unwrap() {
            Answered::Granted(_) => winners += 1,
            Answered::Refused(refused) => assert_eq!(refused.why, Refusal::InviteUsed),
            Answered::Wait(_) => panic!("it was approved"),
        }
    }
    assert_eq!((winners, node.registry.machines().count()), (1, 1));
    assert_eq!(node.registry.invite(&InviteId([1; 8])).unwrap().uses.len(), 1);
    // And again, in the other order: the winner keeps what he has, the others are told no.
    for (actor, waiting) in racers.iter_mut().rev() {
        if matches!(actor.poll(&mut node, waiting).unwrap(), Answered::Granted(_)) {
            winners += 1;
        }
    }
    assert_eq!((winners, node.registry.machines().count()), (2, 1));
    node.check_disk();
}

#[test]
fn a_decision_that_was_outrun_is_not_settled() {
    let mut node = Node::open();
    let first = invite(&node, Kind::Secret);
    let signed = node.org.sign(Domain::Invite, &first);
    let early = node.desk(|desk| desk.create_invite(&signed)).unwrap();
    let late = node.desk(|desk| desk.create_invite(&signed)).unwrap();
    early.settle(&mut node.registry, |_| Ok::<(), ()>(())).unwrap();
    let outrun = late.settle(&mut node.registry, |_| Ok::<(), ()>(())).unwrap_err();
    assert_eq!(outrun, slipway_trust::registry::Unsettled::Outrun);
}

#[test]
fn the_second_machine_with_a_cloud_token_raises_an_alarm_and_suspends_the_first() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Cloud);
    let mut first = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = first.apply(&mut node, Intent::Enrol).unwrap();
    let mut installed = first.install(&mut node, &mut waiting);
    first.boot(&mut node, &mut installed).unwrap();
    let mut thief = Actor::new(21).with_token(token(&node, 1));
    assert_eq!(thief.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::InviteUsed));
    assert_eq!(state(&node, &installed), State::Suspended);
    assert!(node.events().ends_with(&["invite-second-use".to_owned(), "machine-suspended".to_owned()]));
    assert_eq!(first.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::Suspended));
    node.check_disk();
}

#[test]
fn two_machines_that_ask_with_one_cloud_token_before_either_is_granted_raise_the_same_alarm() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Cloud);
    let (mut owner, mut thief) =
        (Actor::new(20).with_token(token(&node, 1)), Actor::new(21).with_token(token(&node, 1)));
    let mut waits = owner.apply(&mut node, Intent::Enrol).unwrap();
    let mut lurks = thief.apply(&mut node, Intent::Enrol).unwrap();
    let mut installed = thief.install(&mut node, &mut lurks);
    thief.boot(&mut node, &mut installed).unwrap();
    assert_eq!(owner.refused(&mut node, &mut waits), Refusal::InviteUsed);
    assert!(node.events().contains(&"invite-second-use".to_owned()), "{:?}", node.events());
    assert_eq!(state(&node, &installed), State::Suspended);
    node.check_disk();
}

#[test]
fn a_spent_cloud_token_is_no_switch_to_kill_a_machine_with() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Cloud);
    let mut first = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = first.apply(&mut node, Intent::Enrol).unwrap();
    let mut installed = first.install(&mut node, &mut waiting);
    first.boot(&mut node, &mut installed).unwrap();
    node.pass(3600);
    let mut thief = Actor::new(21).with_token(token(&node, 1));
    assert_eq!(thief.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
    assert_eq!(state(&node, &installed), State::Confirmed);
}

#[test]
fn an_invite_that_is_not_proved_or_not_for_this_machine_is_refused() {
    let mut node = Node::open();
    let made = invite(&node, Kind::Secret);
    let nobody = Match { arch: vec![Arch::Arm64], ..Match::default() };
    let rows: [(Match, Option<Refusal>); 9] = [
        (Match { mac: vec!["52:54:00:00:00:14".to_owned()], ..Match::default() }, None),
        (Match { mac: vec!["52:54:00:00:00:15".to_owned()], ..Match::default() }, Some(Refusal::BadInvite)),
        (Match { uuid: vec!["00000000-0000-0000-0000-000000000014".to_owned()], ..Match::default() }, None),
        (
            Match { uuid: vec!["00000000-0000-0000-0000-000000000015".to_owned()], ..Match::default() },
            Some(Refusal::BadInvite),
        ),
        (Match { serial: vec!["S20".to_owned()], ..Match::default() }, None),
        (Match { cidr: vec!["192.0.2.0/24".to_owned()], ..Match::default() }, None),
        (Match { cidr: vec!["198.51.100.0/24".to_owned()], ..Match::default() }, Some(Refusal::BadInvite)),
        (Match { ek: vec![Digest([1; 32])], ..Match::default() }, Some(Refusal::BadInvite)),
        (nobody, Some(Refusal::BadInvite)),
    ];
    for (n, (only, why)) in (1..).zip(rows) {
        let token = token(&node, n);
        let made = Invite { id: token.invite, key: Some(token.key().public()), only, ..made.clone() };
        submit_invite(&mut node, &made).unwrap();
        let mut actor = Actor::new(20).with_token(token);
        assert_eq!(actor.apply(&mut node, Intent::Enrol).err(), why.map(refused), "{:?}", made.only);
    }
    let mut actor = Actor::new(20);
    actor.invite = Some(InviteId([1; 8]));
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite), "without its secret");
    let mut forged = Actor::new(20).with_token(Token::new(node.org.id, InviteId([1; 8]), [99; 32], Digest([7; 32])));
    assert_eq!(forged.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite), "with another secret");
    let mut unknown = Actor::new(20).with_token(token(&node, 200));
    assert_eq!(unknown.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
    node.pass(3600);
    let mut late = Actor::new(20).with_token(token(&node, 1));
    assert_eq!(late.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite), "too late");
}

#[test]
fn a_revoked_invite_lets_nobody_in_not_even_who_was_approved_by_it() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Secret);
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let revoke = node.org.sign(Domain::InviteRevoke, &InviteRevoke { invite: InviteId([1; 8]), at: node.now });
    node.submit(Record::InviteRevoke, &revoke).unwrap();
    assert_eq!(node.submit(Record::InviteRevoke, &revoke), Err(Objection::Used));
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::BadInvite);
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
}

#[test]
fn an_open_invite_grants_no_more_than_the_right_to_ask() {
    let mut node = Node::open();
    let open = invite(&node, Kind::Open);
    submit_invite(&mut node, &open).unwrap();
    let mut actor = Actor::new(20);
    actor.invite = Some(open.id);
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(!waiting.told().approved);
    assert_eq!(node.registry.ticket(&waiting.told().ticket).unwrap().assurance, Assurance::Claimed);

    let mut greedy = Invite { id: InviteId([2; 8]), approval: ApprovalMode::Automatic, ..open };
    let objection = submit_invite(&mut node, &greedy).unwrap_err();
    assert_eq!(objection, Objection::Invite(BadInvite::OpenAutomatic));
    greedy.trusts_lan = true;
    greedy.min_assurance = Assurance::Tpm;
    assert_eq!(submit_invite(&mut node, &greedy), Err(Objection::Invite(BadInvite::OpenAutomatic)));
    greedy.min_assurance = Assurance::TpmChain;
    submit_invite(&mut node, &greedy).unwrap();
    actor.invite = Some(greedy.id);
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Assurance));
}

#[test]
fn a_machine_that_is_known_by_what_it_claims_gets_no_share() {
    let mut node = Node::open();
    let only = Match { mac: vec!["52:54:00:00:00:14".to_owned()], ..Match::default() };
    let base = invite(&node, Kind::Open);
    let made = Invite { approval: ApprovalMode::Automatic, insecure_match: true, only, ..base };
    let anybody = Invite { only: Match::default(), ..made.clone() };
    assert_eq!(submit_invite(&mut node, &anybody), Err(Objection::Invite(BadInvite::OpenAutomatic)));
    submit_invite(&mut node, &made).unwrap();
    let mut actor = Actor::new(20);
    actor.invite = Some(made.id);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let mut installed = actor.install(&mut node, &mut waiting);
    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    assert!(admitted.material.shares.is_empty());
    assert_eq!(node.registry.machine(&installed.machine).unwrap().assurance, Assurance::Claimed);
}

#[test]
fn a_window_for_some_invites_is_closed_to_all_others() {
    let mut node = Node::new();
    let window = Window {
        id: InviteId([5; 8]),
        opens: node.now,
        expires: node.now.plus(3600),
        max_machines: 5,
        invites: vec![InviteId([1; 8])],
        opened_by: node.org.admin(),
    };
    let signed = node.org.sign(Domain::Window, &window);
    node.submit(Record::Window, &signed).unwrap();
    let made = invite(&node, Kind::Secret);
    submit_invite(&mut node, &made).unwrap();
    assert_eq!(Actor::new(20).apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
}

#[test]
fn a_window_for_some_invites_grants_nothing_to_who_was_let_in_by_the_one_before() {
    let mut node = Node::open();
    automatic(&mut node, Kind::Secret);
    let mut actor = Actor::new(20).with_token(token(&node, 1));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let before = node.registry.window().unwrap().window.clone();
    let narrow = Window { id: InviteId([5; 8]), invites: vec![InviteId([2; 8])], ..before.clone() };
    let signed = node.org.sign(Domain::Window, &narrow);
    node.submit(Record::Window, &signed).unwrap();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::NoWindow);
    let wide = Window { id: InviteId([6; 8]), invites: vec![InviteId([1; 8])], ..before };
    let signed = node.org.sign(Domain::Window, &wide);
    node.submit(Record::Window, &signed).unwrap();
    actor.fetch(&mut node, &mut waiting);
}

#[test]
fn a_window_that_is_over_stays_over_when_the_clock_goes_back() {
    let mut node = Node::open();
    node.pass(8 * 3600);
    assert_eq!(node.sweep(), 1);
    assert_eq!(node.sweep(), 0, "once is enough");
    node.now = crate::org::NOW.plus(60);
    assert_eq!(
        Actor::new(20).apply(&mut node, Intent::Enrol).unwrap_err(),
        crate::manual::refused_passing(Refusal::NoWindow)
    );
    assert_eq!(node.events(), ["window-opened", "window-expired"]);
    node.check_disk();
}

#[test]
fn a_queue_that_is_flooded_keeps_those_who_are_known_best() {
    let mut node = Node::open();
    let made = Invite { max_uses: 10, ..invite(&node, Kind::Secret) };
    submit_invite(&mut node, &made).unwrap();
    let mut honest = Actor::plain(20).with_token(token(&node, 1));
    let mut waiting = honest.apply(&mut node, Intent::Enrol).unwrap();
    for n in 0..1100_u32 {
        let mut noise = Actor::plain(21);
        let key = slipway_trust::SigningKey::from_seed(&Digest::of(&n.to_le_bytes()).0);
        noise.holder = crate::actor::Holder::File(Box::new(key));
        noise.apply(&mut node, Intent::Enrol).unwrap();
        node.pass(1);
    }
    assert_eq!(node.registry.tickets().count(), slipway_trust::Registry::MOST_TICKETS);
    assert!(matches!(honest.poll(&mut node, &mut waiting).unwrap(), Answered::Wait(_)));
    node.check_disk();
}
