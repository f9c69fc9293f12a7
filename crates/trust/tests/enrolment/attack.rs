//! Every message changed and cut, and replies that are not due.

use slipway_trust::escrow::Escrow;
use slipway_trust::frames::{Grant, Intent, Refused, Reply, TicketTold, Volume};
use slipway_trust::id::Time;
use slipway_trust::machine::{Answered, BootProof, Expect, Granted, Misled, Next, Running, Stop, Waiting};
use slipway_trust::org::OrgManifest;
use slipway_trust::record::DiskPlan;
use slipway_trust::seal::{Bound, Domain};
use slipway_trust::{Digest, Kid, Refusal, Role, Signed, decode, encode};

use crate::actor::{Actor, Holder, Installed};
use crate::manual::{approve, enrolled, refused, state};
use crate::node::{Line, Node, refusal};
use crate::org::key;
use crate::tpm_life::{chip, netbooted};

/// A frame cut at every length, with every byte changed in two ways, and with something after it.
pub(crate) fn mutants(good: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> =
        (0..good.len()).map(|length| (format!("cut to {length}"), good[..length].to_vec())).collect();
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut changed = good.to_vec();
            changed[at] ^= bit;
            all.push((format!("byte {at} ^ {bit:#x}"), changed));
        }
    }
    let mut longer = good.to_vec();
    longer.push(0);
    all.push(("longer".to_owned(), longer));
    all
}

/// M3 on a new line, which waits for it.
pub(crate) fn evidence(node: &mut Node, actor: &mut Actor) -> (Line, Vec<u8>) {
    let mut line = actor.connect(node);
    let challenged = actor.greet(node, &mut line, Intent::Enrol).unwrap();
    let proof = actor.proof(node, &challenged);
    let needs = challenged.evidence(proof);
    let signature = actor.sign(&node.org.id, needs.message());
    let (_, frame) = needs.signed(signature).unwrap();
    (line, frame)
}

/// M11 on a new line, which waits for it.
pub(crate) fn boot(node: &mut Node, actor: &mut Actor, installed: &Installed, counter: u64) -> (Line, Vec<u8>) {
    let mut line = actor.connect(node);
    let challenged = actor.greet(node, &mut line, Intent::Boot).unwrap();
    let escrow = Escrow { to: Kid([1; 8]), ephemeral: [2; 33], sealed: [3; 32], tag: [4; 32] };
    let proof = BootProof {
        key: actor.public(&node.org.id),
        machine: installed.machine,
        confirm: Some(installed.confirm),
        quote: None,
        generation: None,
        counter,
        volume: Some(Volume { epochs: vec![1, 2], escrow: Some(escrow) }),
        ca_spki: node.org.manifest.ca_spki,
    };
    let needs = challenged.boot(proof);
    let signature = actor.sign(&node.org.id, needs.message());
    let (_, frame) = needs.signed(signature).unwrap();
    (line, frame)
}

pub(crate) fn poll(node: &Node, actor: &mut Actor, waiting: &mut Waiting) -> (Line, Vec<u8>) {
    let line = actor.connect(node);
    let needs = waiting.poll(&line.channel());
    let signature = actor.sign(&node.org.id, needs.message());
    let ((), frame) = needs.signed(signature).unwrap();
    (line, frame)
}

fn is_refused(node: &mut Node, mut line: Line, frame: &[u8], what: &str) -> Refusal {
    let (reply, note) = line.noted(node, frame);
    let why = refusal(&reply).unwrap_or_else(|| panic!("{what}: not refused"));
    assert_eq!(note.refused, Some(why), "{what}: both sides are told the same");
    assert!(reply.len() < 16, "{what}: a refusal says no more than its reason");
    why
}

#[test]
pub(crate) fn evidence_that_was_changed_or_cut_is_refused_and_leaves_nothing_behind() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let length = evidence(&mut node, &mut actor).1.len();
    let before = node.registry.clone();
    for n in 0..length * 3 + 1 {
        let (line, frame) = evidence(&mut node, &mut actor);
        let (what, mutant) = mutants(&frame).swap_remove(n);
        is_refused(&mut node, line, &mutant, &what);
    }
    assert_eq!(node.registry, before);
}

#[test]
fn a_poll_that_was_changed_or_cut_fetches_no_grant() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let (_, good) = poll(&node, &mut actor, &mut waiting);
    let before = node.registry.clone();
    for n in 0..good.len() * 3 + 1 {
        let (line, frame) = poll(&node, &mut actor, &mut waiting);
        let (what, mutant) = mutants(&frame).swap_remove(n % (frame.len() * 3 + 1));
        is_refused(&mut node, line, &mutant, &what);
    }
    assert_eq!(node.registry, before);
    actor.fetch(&mut node, &mut waiting);
}

#[test]
fn a_boot_that_was_changed_or_cut_gets_no_share() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    let (_, good) = boot(&mut node, &mut actor, &installed, 1);
    let before = node.registry.clone();
    for n in 0..good.len() * 3 + 1 {
        let (line, frame) = boot(&mut node, &mut actor, &installed, 1);
        let (what, mutant) = mutants(&frame).swap_remove(n);
        is_refused(&mut node, line, &mutant, &what);
    }
    assert_eq!(node.registry, before);
}

#[test]
fn a_report_that_was_changed_or_cut_is_refused() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let sha256 = actor.fetch(&mut node, &mut waiting).image().sha256;
    let events = node.events().len();
    let mut report = |node: &mut Node, n: Option<usize>| {
        let mut line = actor.connect(node);
        let needs = waiting.installed(sha256, Some("Boot0003".to_owned()), &line.channel());
        let ((), frame) = needs.sign(&key(20)).unwrap();
        let Some(n) = n else { return (frame.len(), line.ask(node, &frame).len()) };
        let (what, mutant) = mutants(&frame).swap_remove(n % (frame.len() * 3 + 1));
        is_refused(node, line, &mutant, &what);
        (frame.len(), 0)
    };
    let length = report(&mut node, Some(0)).0;
    for n in 1..length * 3 + 1 {
        report(&mut node, Some(n));
    }
    assert_eq!(node.events().len(), events);
    report(&mut node, None);
    assert_eq!(node.events().len(), events + 1);
}

#[test]
fn a_hello_or_a_challenge_that_was_changed_makes_every_proof_of_it_void() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let (_, good) = actor.start(&mut node, Intent::Enrol).hello();
    let mut through = 0;
    for n in 0..good.len() * 3 + 1 {
        let mut line = actor.connect(&node);
        let (greeted, hello) = actor.start(&mut node, Intent::Enrol).hello();
        let (what, mutant) = mutants(&hello).swap_remove(n);
        let reply = line.ask(&mut node, &mutant);
        let Ok(challenged) = greeted.on_challenge(&reply, &line.channel()) else { continue };
        let waiting = actor.prove(&mut node, &mut line, challenged);
        assert!(matches!(waiting, Err(Stop::Refused(_))), "{what}");
        through += 1;
    }
    assert!(through > 64, "nonce and commitment can be changed, and what follows shows it");
    let length = line_reply_length(&mut node, &mut actor);
    for n in 0..length * 3 + 1 {
        let mut line = actor.connect(&node);
        let (greeted, hello) = actor.start(&mut node, Intent::Enrol).hello();
        let reply = line.ask(&mut node, &hello);
        let (what, mutant) = mutants(&reply).swap_remove(n);
        let Ok(challenged) = greeted.on_challenge(&mutant, &line.channel()) else { continue };
        let waiting = actor.prove(&mut node, &mut line, challenged);
        assert!(matches!(waiting, Err(Stop::Refused(_))), "{what}");
    }
    assert_eq!(node.registry.tickets().count(), 0);
}

fn line_reply_length(node: &mut Node, actor: &mut Actor) -> usize {
    let mut line = actor.connect(node);
    let (_, hello) = actor.start(node, Intent::Enrol).hello();
    line.ask(node, &hello).len()
}

#[test]
fn a_grant_that_was_changed_or_cut_is_not_believed() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let (mut line, frame) = poll(&node, &mut actor, &mut waiting);
    let good = line.ask(&mut node, &frame);
    let root = node.org.root();
    let expect = Expect { root: &root, now: node.now, epoch: 3, floor: 0 };
    for (what, mutant) in mutants(&good) {
        let answered = waiting.on_reply(&mutant, &expect);
        assert!(matches!(answered, Err(_) | Ok(Answered::Refused(_))), "{what}: {answered:?}");
    }
    assert!(matches!(waiting.on_reply(&good, &expect), Ok(Answered::Granted(_))));
}

/// A grant that an enroller of the org has signed, changed before it was signed.
fn granted(
    node: &Node,
    waiting: &mut Waiting,
    good: &Grant,
    change: impl FnOnce(&mut Grant),
) -> Result<Granted, Misled> {
    let mut grant = good.clone();
    change(&mut grant);
    let transcript = node.registry.ticket(&waiting.told().ticket).unwrap().transcript;
    let signed = Signed::by(&node.org.enroller, Domain::Grant, Bound::Transcript(&transcript), encode(&grant));
    let root = node.org.root();
    let expect = Expect { root: &root, now: node.now, epoch: 3, floor: 20 };
    match waiting.on_reply(&encode(&Reply::Grant(signed)), &expect)? {
        Answered::Granted(granted) => Ok(*granted),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_machine_acts_on_no_grant_but_its_own_and_wipes_nothing_that_it_did_not_tell_of() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let good = actor.fetch(&mut node, &mut waiting).grant().clone();
    let wipe = |disk: Option<&str>| DiskPlan { disk: disk.map(str::to_owned), wipe: true, esp_mib: 512, data: true };
    let old = OrgManifest { epoch: 2, ..node.org.manifest.clone() };
    let other_ca = OrgManifest { ca_spki: Digest([8; 32]), ..node.org.manifest.clone() };
    let sign = |manifest: &OrgManifest| {
        Signed::by(&node.org.root, Domain::OrgManifest, Bound::Org(&node.org.id), encode(manifest))
    };
    let image = |role, version| node.org.publish_image(&node.org.image(role, version));
    let mut why = |change: &dyn Fn(&mut Grant)| granted(&node, &mut waiting, &good, change).err();
    assert_eq!(why(&|_| ()), None);
    assert_eq!(why(&|grant| grant.key = key(21).public()), Some(Misled::OtherGrant("key")));
    assert_eq!(why(&|grant| grant.ek = Some(Digest([1; 32]))), Some(Misled::OtherGrant("TPM")));
    assert_eq!(why(&|grant| grant.expires = grant.time), Some(Misled::ExpiredGrant));
    let long_ago = |grant: &mut Grant| (grant.time, grant.expires) = (Time(1), Time(2));
    assert_eq!(why(&long_ago), Some(Misled::ExpiredGrant));
    assert_eq!(why(&|grant| grant.plan = wipe(None)), Some(Misled::Plan));
    assert_eq!(why(&|grant| grant.plan = wipe(Some("sda"))), Some(Misled::Plan));
    assert_eq!(why(&|grant| grant.recovery = true), Some(Misled::Plan), "a recovery wipes nothing");
    assert!(matches!(why(&|grant| grant.org = sign(&old)), Some(Misled::Manifest(_))));
    assert_eq!(why(&|grant| grant.org = sign(&other_ca)), Some(Misled::OtherCa));
    assert!(matches!(why(&|grant| grant.image = image(Role::Preboot, 19)), Some(Misled::Image(_))));
    assert!(matches!(why(&|grant| grant.image = image(Role::Generation, 30)), Some(Misled::Image(_))));
    assert!(matches!(why(&|grant| grant.image.signatures.clear()), Some(Misled::Image(_))));
}

#[test]
fn only_an_enroller_of_the_org_grants_and_only_for_one_conversation() {
    let (mut node, mut actor, mut other) = (Node::open(), Actor::plain(20), Actor::plain(21));
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let mut second = other.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-1").unwrap();
    let (mut line, frame) = poll(&node, &mut actor, &mut waiting);
    let reply = line.ask(&mut node, &frame);
    let root = node.org.root();
    let expect = Expect { root: &root, now: node.now, epoch: 3, floor: 0 };
    assert_eq!(second.on_reply(&reply, &expect).err(), Some(Misled::Grant), "another machine's");
    let Reply::Grant(signed) = decode(&reply).unwrap() else { panic!() };
    let transcript = node.registry.ticket(&waiting.told().ticket).unwrap().transcript;
    for stranger in [&node.org.root, &node.org.admins[0], &node.org.builder, &key(99)] {
        let forged = Signed::by(stranger, Domain::Grant, Bound::Transcript(&transcript), signed.payload.clone());
        assert_eq!(waiting.on_reply(&encode(&Reply::Grant(forged)), &expect).err(), Some(Misled::Grant));
    }
    assert!(matches!(waiting.on_reply(&reply, &expect), Ok(Answered::Granted(_))));
}

#[test]
fn material_that_was_changed_starts_no_other_generation() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let installed = enrolled(&mut node, &mut actor, "web-1");
    let mut line = actor.connect(&node);
    let challenged = actor.greet(&mut node, &mut line, Intent::Boot).unwrap();
    let proof = BootProof {
        key: actor.public(&node.org.id),
        machine: installed.machine,
        confirm: Some(installed.confirm),
        quote: None,
        generation: None,
        counter: 1,
        volume: None,
        ca_spki: node.org.manifest.ca_spki,
    };
    let (booting, frame) = challenged.boot(proof).sign(&key(20)).unwrap();
    let good = line.ask(&mut node, &frame);
    let root = node.org.root();
    let running = Running { root: &root, now: node.now, epoch: 3, floor: 0 };
    let genuine = booting.on_material(&good, &running).unwrap();
    for (what, mutant) in mutants(&good) {
        let Ok(admitted) = booting.on_material(&mutant, &running) else { continue };
        assert_eq!((&admitted.org, &admitted.generation), (&genuine.org, &genuine.generation), "{what}");
        assert!(admitted.preboot.is_none(), "{what}");
    }
}

#[test]
fn a_machine_believes_no_reply_that_is_not_due() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let told = TicketTold { ticket: slipway_trust::TicketId([1; 16]), approved: true, delay: 0, label: None };
    let replies =
        [Reply::Noted, Reply::Ticket(told), Reply::Grant(Signed::unsigned(Vec::new()))].map(|reply| encode(&reply));
    for reply in &replies {
        let (greeted, _) = actor.start(&mut node, Intent::Enrol).hello();
        assert_eq!(greeted.on_challenge(reply, &[0; 32]).err(), Some(Stop::Misled(Misled::NotDue)));
    }
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let root = node.org.root();
    let expect = Expect { root: &root, now: node.now, epoch: 3, floor: 0 };
    assert_eq!(waiting.on_reply(&replies[0], &expect).err(), Some(Misled::NotDue));
    assert_eq!(waiting.on_reply(&replies[1], &expect).err(), Some(Misled::NotDue), "another ticket");
    assert_eq!(waiting.on_reply(&replies[2], &expect).err(), Some(Misled::Malformed));
    assert_eq!(waiting.on_reply(b"", &expect).err(), Some(Misled::Malformed));
    // A machine without a TPM is never asked to open a secret.
    let mut line = actor.connect(&node);
    let challenged = actor.greet(&mut node, &mut line, Intent::Enrol).unwrap();
    let proof = actor.proof(&node, &challenged);
    let (proving, _) = challenged.evidence(proof).sign(&key(20)).unwrap();
    let activate = slipway_trust::frames::Activate { blob: Vec::new(), secret: Vec::new(), quote_nonce: [0; 32] };
    assert!(matches!(proving.on_reply(&encode(&Reply::Activate(activate))), Err(Stop::Misled(Misled::NotDue))));
}

#[test]
fn a_server_of_another_org_or_one_that_asks_for_a_weak_proof_is_left_at_once() {
    let (mut node, mut actor) = (Node::open(), Actor::plain(20));
    let mut answer = |change: &dyn Fn(&mut slipway_trust::frames::Challenge)| {
        let mut line = actor.connect(&node);
        let (greeted, hello) = actor.start(&mut node, Intent::Enrol).hello();
        let Reply::Challenge(mut challenge) = decode(&line.ask(&mut node, &hello)).unwrap() else { panic!() };
        change(&mut challenge);
        greeted.on_challenge(&encode(&Reply::Challenge(challenge)), &line.channel()).err()
    };
    assert_eq!(answer(&|challenge| challenge.org.0[0] ^= 1), Some(Stop::Misled(Misled::WrongOrg)));
    assert_eq!(answer(&|challenge| challenge.pcrs = vec![7, 11]), Some(Stop::Misled(Misled::WeakQuote)));
    assert_eq!(answer(&|challenge| challenge.pcrs.clear()), Some(Stop::Misled(Misled::WeakQuote)));
}

#[test]
fn a_tpms_last_proof_that_was_changed_or_cut_makes_no_ticket() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let org = node.org.id;
    let before = node.registry.clone();
    let mut length = 0;
    for n in 0.. {
        if n > 0 && n * 37 >= length * 3 {
            break;
        }
        let (mut line, frame) = {
            let mut line = actor.connect(&node);
            let challenged = actor.greet(&mut node, &mut line, Intent::Enrol).unwrap();
            let proof = actor.proof(&node, &challenged);
            let needs = challenged.evidence(proof);
            let signature = actor.sign(&org, needs.message());
            let (proving, frame) = needs.signed(signature).unwrap();
            let Next::Activate(needs) = proving.on_reply(&line.ask(&mut node, &frame)).unwrap() else { panic!() };
            let secret = chip(&mut actor).activate(&org, needs.blob(), needs.secret()).unwrap();
            let quote = chip(&mut actor).quote(&org, &needs.quote_qualifying());
            let needs = needs.activated(&secret, quote);
            let signature = actor.sign(&org, needs.message());
            (line, needs.signed(signature).unwrap().1)
        };
        length = frame.len();
        let (what, mutant) = mutants(&frame).swap_remove(n * 37);
        let why = refusal(&line.ask(&mut node, &mutant));
        assert!(why.is_some(), "{what}");
    }
    assert_eq!(node.registry, before);
    assert!(matches!(actor.holder, Holder::Chip(_)));
}

#[test]
fn a_machine_is_told_why_and_so_is_the_journal_in_the_same_word() {
    let (mut node, mut actor) = (Node::open(), Actor::new(20));
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    crate::desk::act(&mut node, installed.machine, slipway_trust::record::Verb::Revoke).unwrap();
    let stop = actor.boot(&mut node, &mut installed).unwrap_err();
    assert_eq!(stop, refused(Refusal::Revoked));
    assert_eq!(stop.to_string(), "the server refuses: this machine was revoked");
    assert_eq!(state(&node, &installed), slipway_trust::life::State::Revoked);
    let Stop::Refused(Refused { why, .. }) = stop else { panic!() };
    assert_eq!(why.code(), "revoked");
}
