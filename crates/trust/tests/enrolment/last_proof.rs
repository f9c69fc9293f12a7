//! M5, the TPM's last proof, changed in every way. A TPM takes its time: it proves itself once, and the server hears the same conversation
//! over and over, each time with another end.

use proptest::test_runner::{Config, TestRunner};
use slipway_trust::frames::{Activated, Ask, Intent};
use slipway_trust::machine::Next;
use slipway_trust::seal::{Bound, signed_bytes};
use slipway_trust::transcript::Transcript;
use slipway_trust::{Digest, Domain, Kid, Refusal, Signed, decode, encode};

use crate::actor::Actor;
use crate::attack::mutants;
use crate::node::{Node, refusal};
use crate::tpm_life::{chip, netbooted};

/// The number of the one channel that all of it is said on.
const CHANNEL: u64 = 1;

/// A conversation up to its last frame.
struct Proof {
    hello: Vec<u8>,
    evidence: Vec<u8>,
    last: Vec<u8>,
    /// What the last frame is signed over.
    transcript: Digest,
    /// How many random numbers the server had drawn before it.
    drawn: u64,
}

impl Proof {
    fn of(node: &mut Node, actor: &mut Actor) -> Self {
        let org = node.org.id;
        let mut line = Node::connect_plainly(CHANNEL);
        let (greeted, hello) = actor.start(node, Intent::Enrol).hello();
        let drawn = node.drawn;
        let challenge = line.ask(node, &hello);
        let challenged = greeted.on_challenge(&challenge, &line.channel()).unwrap();
        let proof = actor.proof(node, &challenged);
        let needs = challenged.evidence(proof);
        let signature = actor.sign(&org, needs.message());
        let (proving, evidence) = needs.signed(signature).unwrap();
        let activate = line.ask(node, &evidence);
        let Next::Activate(needs) = proving.on_reply(&activate).unwrap() else { panic!("it has a TPM") };
        let secret = chip(actor).activate(&org, needs.blob(), needs.secret()).unwrap();
        let quote = chip(actor).quote(&org, &needs.quote_qualifying());
        let needs = needs.activated(&secret, quote);
        let signature = actor.sign(&org, needs.message());
        let (_, last) = needs.signed(signature).unwrap();
        let said = [&hello, &challenge, &evidence, &activate];
        let transcript = *said.into_iter().fold(Transcript::new(&org), |so_far, frame| so_far.then(frame)).hash();
        Self { hello, evidence, last, transcript, drawn }
    }

    /// The same conversation with this end: whether it is refused.
    fn ends_with(&self, node: &mut Node, last: &[u8]) -> Option<Refusal> {
        node.drawn = self.drawn;
        let mut line = Node::connect_plainly(CHANNEL);
        for frame in [&self.hello, &self.evidence] {
            assert_eq!(refusal(&line.ask(node, frame)), None);
        }
        refusal(&line.ask(node, last))
    }

    /// Its last frame with other contents, signed by the machine as if they were true.
    fn signed_anew(&self, node: &Node, actor: &mut Actor, activated: Activated) -> Vec<u8> {
        let payload = encode(&Ask::Activated(activated));
        let channel = Node::connect_plainly(CHANNEL).channel();
        let bound = Bound::Moment { transcript: &self.transcript, channel: &channel };
        let signature = actor.sign(&node.org.id, &signed_bytes(Domain::Frame, bound, &payload));
        let kid: Kid = actor.public(&node.org.id).kid();
        let mut signed = Signed::unsigned(payload);
        signed.attach(kid, signature);
        encode(&signed)
    }
}

#[test]
fn a_tpms_last_proof_that_was_changed_or_cut_makes_no_ticket() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    actor.tls = false;
    let proof = Proof::of(&mut node, &mut actor);
    let before = node.registry.clone();
    let all = mutants(&proof.last);
    // Others in each run; one that was not refused is named.
    let node = std::cell::RefCell::new(node);
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&(0..all.len()), |n| {
        let (what, mutant) = &all[n];
        let why = proof.ends_with(&mut node.borrow_mut(), mutant);
        proptest::prop_assert!(why.is_some(), "{what} of {}: not refused", proof.last.len());
        Ok(())
    });
    tried.unwrap_or_else(|fault| panic!("{fault}"));
    let mut node = node.into_inner();
    assert_eq!(node.registry, before);
    assert_eq!(proof.ends_with(&mut node, &proof.last), None, "unchanged, it makes a ticket");
}

#[test]
fn a_tpms_last_proof_whose_machine_signs_something_else_makes_no_ticket() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    actor.tls = false;
    let proof = Proof::of(&mut node, &mut actor);
    let good: Signed = decode(&proof.last).unwrap();
    let Ask::Activated(good) = good.peek().unwrap() else { panic!("it is M5") };
    let mut changed: Vec<(String, Activated)> = Vec::new();
    for at in 0..32 {
        let mut activated = good.clone();
        activated.proof[at] ^= 1;
        changed.push((format!("byte {at} of the answer"), activated));
    }
    for at in 0..good.quote.attest.len() {
        let mut activated = good.clone();
        activated.quote.attest[at] ^= 1;
        changed.push((format!("byte {at} of the statement"), activated));
    }
    for at in 0..64 {
        let mut activated = good.clone();
        activated.quote.signature[at] ^= 1;
        changed.push((format!("byte {at} of its signature"), activated));
    }
    for length in [0, 1, good.quote.log.len() / 2, good.quote.log.len() - 1] {
        let mut activated = good.clone();
        activated.quote.log.truncate(length);
        changed.push((format!("a log of {length} bytes"), activated));
    }
    for (what, activated) in changed {
        let frame = proof.signed_anew(&node, &mut actor, activated);
        let why = proof.ends_with(&mut node, &frame);
        assert!(matches!(why, Some(Refusal::BadEvidence | Refusal::BadBootLog)), "{what}: {why:?}");
    }
    // A boot log that is not believed is written down, and nothing else.
    assert_eq!(node.registry.tickets().count(), 0);
    assert!(node.events().iter().all(|event| event != "ticket-opened"));
    let frame = proof.signed_anew(&node, &mut actor, good);
    assert_eq!(proof.ends_with(&mut node, &frame), None, "unchanged, it makes a ticket");
}
