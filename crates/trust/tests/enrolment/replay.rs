//! Messages dropped, sent twice, in another order, too late, too large and on another channel; servers and people in the middle who are not who they seem.

use slipway_trust::frames::{Ask, Boot, Intent};
use slipway_trust::machine::{Answered, Next};
use slipway_trust::node::{Door, DoorLimits};
use slipway_trust::{MachineId, Refusal, Signed, decode, encode};

use crate::actor::Actor;
use crate::attack::{boot, evidence, poll};
use crate::channel::Channel;
use crate::manual::approve;
use crate::node::{Node, refusal};
use crate::org::{Ca, NOW, key};

#[test]
fn messages_come_in_their_order_and_once() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let (_, hello) = actor.start(&mut node, Intent::Enrol).hello();
    let (mut line, proof) = evidence(&mut node, &mut actor);
    // Twice: the second time the conversation is over.
    assert_eq!(refusal(&line.ask(&mut node, &proof)), None);
    for late in [&proof, &hello] {
        assert_eq!(refusal(&line.ask(&mut node, late)), Some(Refusal::Stale));
    }
    // The first is missing.
    let fresh = |actor: &mut Actor, node: &Node| actor.connect(node);
    let mut line = fresh(&mut actor, &node);
    assert_eq!(refusal(&line.ask(&mut node, &proof)), Some(Refusal::Malformed));
    // Another one than is due, in each state.
    let activated = Ask::Activated(slipway_trust::frames::Activated {
        proof: [0; 32],
        quote: slipway_trust::frames::Quote { attest: Vec::new(), signature: [0; 64], log: Vec::new() },
    });
    let boot = Boot {
        machine: MachineId([1; 16]),
        confirm: None,
        quote: None,
        generation: None,
        counter: 1,
        reveal: [0; 32],
        volume: None,
    };
    let others = [activated, Ask::Boot(Box::new(boot))].map(|ask| encode(&Signed::unsigned(encode(&ask))));
    for other in others.iter().chain([&hello]) {
        let (mut line, proof) = evidence(&mut node, &mut actor);
        assert_eq!(refusal(&line.ask(&mut node, other)), Some(Refusal::Malformed));
        assert_eq!(refusal(&line.ask(&mut node, &proof)), Some(Refusal::Stale), "and the conversation is over");
    }
    for other in &others {
        let mut line = fresh(&mut actor, &node);
        assert_eq!(refusal(&line.ask(&mut node, other)), Some(Refusal::Malformed));
    }
}

#[test]
fn what_was_recorded_is_of_no_use_on_another_channel() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    // The whole first conversation again.
    let mut line = actor.connect(&node);
    let (greeted, hello) = actor.start(&mut node, Intent::Enrol).hello();
    let challenged = greeted.on_challenge(&line.ask(&mut node, &hello), &line.channel()).unwrap();
    let proof = actor.proof(&node, &challenged);
    let (proving, proof) = challenged.evidence(proof).sign(&key(20)).unwrap();
    let Next::Ticket(mut waiting) = proving.on_reply(&line.ask(&mut node, &proof)).unwrap() else { panic!() };
    let mut replay = actor.connect(&node);
    assert_eq!(refusal(&replay.ask(&mut node, &hello)), None, "a hello proves nothing, so anybody may say it again");
    assert_eq!(refusal(&replay.ask(&mut node, &proof)), Some(Refusal::BadSignature));
    // Polls and reports.
    approve(&mut node, &waiting, "web-1").unwrap();
    let (mut line, asked) = poll(&node, &mut actor, &mut waiting);
    let mut elsewhere = actor.connect(&node);
    assert_eq!(refusal(&elsewhere.ask(&mut node, &asked)), Some(Refusal::BadSignature));
    assert_eq!(refusal(&line.ask(&mut node, &asked)), None);
    assert_eq!(refusal(&line.ask(&mut node, &asked)), Some(Refusal::Replayed), "nor again on its own");
    let mut installed = actor.install(&mut node, &mut waiting);
    // Boots.
    let (mut line, frame) = boot(&mut node, &mut actor, &installed, 1);
    let (mut elsewhere, _) = boot(&mut node, &mut actor, &installed, 1);
    assert_eq!(refusal(&elsewhere.ask(&mut node, &frame)), Some(Refusal::BadCommitment));
    assert_eq!(refusal(&line.ask(&mut node, &frame)), None);
    installed.boots = 1;
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn somebody_in_the_middle_has_two_channels_and_that_shows() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    // He has a certificate that the machine believes; he passes every byte on, unchanged.
    let (mut near, mut far) = (actor.connect(&node), actor.connect(&node));
    let (greeted, hello) = actor.start(&mut node, Intent::Enrol).hello();
    let reply = far.ask(&mut node, &hello);
    let challenged = greeted.on_challenge(&near.tls().down(&reply), &near.channel()).unwrap();
    let proof = actor.proof(&node, &challenged);
    let (_, frame) = challenged.evidence(proof).sign(&key(20)).unwrap();
    let passed = near.tls().up(&frame);
    assert_eq!(refusal(&far.ask(&mut node, &passed)), Some(Refusal::BadSignature));
}

#[test]
fn two_conversations_that_somebody_in_the_middle_holds_have_different_words() {
    let (mut node, mut actor, mut middle) = (Node::open(), Actor::plain(20), Actor::plain(20));
    // He shows the machine his own challenge and the server his own hello, but the machine's key to both.
    middle.connections = 77;
    let seen = middle.apply(&mut node, Intent::Enrol).unwrap();
    let shown = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert_ne!(seen.words(), shown.words());
    assert_eq!(seen.words().split(' ').count(), 6);
}

#[test]
fn both_ends_of_a_channel_export_the_same_and_no_two_channels_do() {
    let node = Node::new();
    let (mut one, mut two) = (node.connect(), node.connect());
    let ([a, b], [c, d]) = (one.tls().exporters(), two.tls().exporters());
    assert_eq!((a, c), (b, d));
    assert_ne!(a, c);
}

#[test]
fn a_fake_gateway_is_not_spoken_to() {
    let node = Node::new();
    let name = node.org.server_name();
    let ca = &node.org.ca;
    let open = |server: (Vec<u8>, Vec<u8>), now| Channel::open(&ca.certificate, &name, &server, now).map(drop);
    open(ca.server(&name, 2030), NOW).unwrap();
    let wrong_ca = open(Ca::new().server(&name, 2030), NOW).unwrap_err();
    assert!(matches!(wrong_ca, rustls::Error::InvalidCertificate(_)), "{wrong_ca}");
    let wrong_name = open(ca.server("gw.00000000000000000000000000000000.internal", 2030), NOW).unwrap_err();
    assert!(matches!(wrong_name, rustls::Error::InvalidCertificate(_)), "{wrong_name}");
    let expired = open(ca.server(&name, 2025), NOW).unwrap_err();
    assert!(matches!(expired, rustls::Error::InvalidCertificate(_)), "{expired}");
}

#[test]
fn a_bit_that_changes_on_the_wire_ends_the_connection() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let (_, hello) = actor.start(&mut node, Intent::Enrol).hello();
    for at in (0..hello.len()).step_by(7) {
        let mut line = actor.connect(&node);
        // Within the record's head a changed length waits for more, which never comes.
        if at > 4 {
            assert!(line.tls().up_tampered(&hello, at).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_conversation_that_takes_two_minutes_is_over() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let (mut line, frame) = evidence(&mut node, &mut actor);
    node.pass(120);
    assert_eq!(refusal(&line.ask(&mut node, &frame)), Some(Refusal::Stale));
    let (mut line, frame) = evidence(&mut node, &mut actor);
    node.pass(119);
    assert_eq!(refusal(&line.ask(&mut node, &frame)), None);
}

#[test]
fn of_ten_thousand_hellos_the_door_lets_in_what_it_can_serve() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    node.door = Door::new(DoorLimits::default());
    let (mut refused, mut lines) = (0, Vec::new());
    for n in 0..10_000_u32 {
        let mut line = Node::connect_plainly(u64::from(n));
        line.address = std::net::IpAddr::from((0x0a00_0000 + n / 8).to_be_bytes());
        let (_, hello) = actor.start(&mut node, Intent::Enrol).hello();
        refused += u32::from(refusal(&line.ask(&mut node, &hello)) == Some(Refusal::TooMany));
        lines.push(line);
    }
    assert_eq!(10_000 - refused, 1024);
    node.pass(120);
    let mut honest = Actor::new(30);
    honest.apply(&mut node, Intent::Enrol).unwrap();
}

#[test]
fn who_waits_is_listened_to_once_a_second_and_no_more_often() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    for _ in 0..Door::MOST_ASKS {
        assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Wait(_)));
    }
    let before = node.disk.clone();
    assert_eq!(actor.refused(&mut node, &mut waiting), Refusal::TooMany);
    assert_eq!(node.disk, before, "nothing was written for it");
    let mut other = Actor::plain(21);
    let mut patient = other.apply(&mut node, Intent::Enrol).unwrap();
    assert!(matches!(other.poll(&mut node, &mut patient).unwrap(), Answered::Wait(_)), "others are heard");
    node.pass(60);
    assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Wait(_)));
}

#[test]
fn a_frame_that_is_too_large_is_not_read() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut line = actor.connect(&node);
    assert_eq!(refusal(&line.ask(&mut node, &vec![0; 256 * 1024 + 1])), Some(Refusal::Malformed));
    let mut start = actor.start(&mut node, Intent::Enrol);
    start.image_version = 12;
    let (_, hello) = start.hello();
    let mut signed: Signed = decode(&hello).unwrap();
    signed.payload.extend([0; 20 * 1024]);
    let mut line = actor.connect(&node);
    assert_eq!(refusal(&line.ask(&mut node, &encode(&signed))), Some(Refusal::Malformed));
}
