//! Machines with a TPM: what they prove, and what nobody can prove in their stead.

use slipway_trust::desk::Kind;
use slipway_trust::frames::{Intent, Quote};
use slipway_trust::invite::{ApprovalMode, Match};
use slipway_trust::life::State;
use slipway_trust::machine::{Answered, Next};
use slipway_trust::record::{EkEntry, EkList};
use slipway_trust::{Assurance, Digest, Domain, OrgId, Refusal, Role};

use crate::actor::{Actor, Holder};
use crate::manual::{approve, enrolled, refused, state};
use crate::node::{Node, refusal};
use crate::policy::{invite, submit_invite};
use crate::tpm::{Chip, event};

/// A machine whose firmware has started the bootstrap image.
pub(crate) fn netbooted(node: &Node, seed: u8) -> Actor {
    let mut chip = Chip::new();
    chip.boots(&node.org.image(Role::Bootstrap, 12));
    Actor::with_chip(seed, chip)
}

pub(crate) fn chip(actor: &mut Actor) -> &mut Chip {
    match &mut actor.holder {
        Holder::Chip(chip) => chip,
        Holder::File(_) => panic!("it has no TPM"),
    }
}

/// It starts from its own disk.
pub(crate) fn starts(node: &Node, actor: &mut Actor) {
    let image = node.org.image(Role::Preboot, actor.preboot);
    chip(actor).boots(&image);
}

pub(crate) fn list(node: &mut Node, actor: &mut Actor) {
    let entry = EkEntry { ek: chip(actor).ek(), name: Some("db-1".to_owned()), role: "db".to_owned(), wipe: true };
    let signed = node.org.sign(Domain::EkList, &EkList { entries: vec![entry], at: node.now });
    node.submit(Kind::EkList, &signed).unwrap();
}

#[test]
fn a_tpm_whose_key_is_in_the_list_enrols_by_itself_and_is_known_by_what_booted() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(waiting.told().approved);
    let mut installed = actor.install(&mut node, &mut waiting);
    let machine = node.registry.machine(&installed.machine).unwrap().clone();
    assert_eq!((machine.name.as_str(), machine.role.as_str()), ("db-1", "db"));
    assert_eq!(machine.assurance, Assurance::TpmBoot);
    starts(&node, &mut actor);
    let admitted = actor.boot(&mut node, &mut installed).unwrap();
    assert_eq!((state(&node, &installed), admitted.material.shares.len()), (State::Confirmed, 1));
    node.check_disk();
}

#[test]
fn a_tpm_that_nobody_vouches_for_is_pinned_once_a_person_has_compared_the_words() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let installed = enrolled(&mut node, &mut actor, "web-1");
    let machine = node.registry.machine(&installed.machine).unwrap();
    assert_eq!(machine.assurance, Assurance::Tpm);
    assert_eq!(machine.tpm.as_ref().unwrap().ek, chip(&mut actor).ek());
}

#[test]
fn an_image_that_is_not_ours_relays_enrolment_and_gets_no_ticket() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    let chip = chip(&mut actor);
    chip.restart();
    chip.runs(Digest::of(b"a rogue image"));
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog));
    assert_eq!(node.registry.tickets().count(), 0);
}

#[test]
fn what_ran_beside_our_image_is_noticed_before_and_after_it() {
    let mut node = Node::open();
    let ours = node.org.image(Role::Bootstrap, 12);
    let loader = Digest([0x1d; 32]);
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    let kernel = ours.kernel_authenticode.unwrap();
    let rows: [(&[Digest], Option<Refusal>); 12] = [
        (&[loader, ours.authenticode, ours.authenticode, kernel], None),
        (&[ours.authenticode, kernel, loader, ours.authenticode, kernel], None),
        (&[ours.authenticode, kernel, kernel], Some(Refusal::BadBootLog)),
        (&[loader, ours.authenticode, kernel, loader, kernel], Some(Refusal::BadBootLog)),
        (&[loader, ours.authenticode, loader, kernel], Some(Refusal::BadBootLog)),
        (&[loader, kernel, ours.authenticode, kernel], Some(Refusal::BadBootLog)),
        (&[loader, ours.authenticode, ours.kernel_authenticode.unwrap()], None),
        (&[ours.authenticode], None),
        (&[Digest([9; 32]), ours.authenticode], Some(Refusal::BadBootLog)),
        (&[ours.authenticode, Digest([9; 32])], Some(Refusal::BadBootLog)),
        (&[ours.kernel_authenticode.unwrap()], Some(Refusal::BadBootLog)),
        (&[loader], Some(Refusal::BadBootLog)),
    ];
    for (programs, why) in rows {
        chip(&mut actor).restart();
        programs.iter().for_each(|program| chip(&mut actor).runs(*program));
        let found = actor.apply(&mut node, Intent::Enrol).err();
        assert_eq!(found, why.map(refused), "{programs:?}");
    }
}

#[test]
fn a_genuine_image_below_the_floor_is_found_in_the_log_whatever_it_says_of_itself() {
    let mut node = Node::open();
    let old = node.org.image(Role::Bootstrap, 9);
    node.publish(&[(Role::Bootstrap, 9), (Role::Bootstrap, 12), (Role::Preboot, 20), (Role::Generation, 30)]);
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    chip(&mut actor).boots(&old);
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog));
    actor.bootstrap = 9;
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::OldImage));
}

#[test]
fn a_log_that_is_not_what_the_tpm_measured_is_refused() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    let log = chip(&mut actor).log().to_vec();
    let mut longer = log.clone();
    longer.extend(event(4, 0x4, &Digest::of(&[0; 4]), &[0; 4]));
    let mut changed = log.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut cut = log.clone();
    cut.truncate(log.len() - 3);
    let mut relabelled = log.clone();
    let at = log.len() - 32 - 4 - 6;
    relabelled[at] ^= 0xff;
    for (what, told) in [("nothing", Vec::new()), ("longer", longer), ("cut", cut), ("relabelled", relabelled)] {
        chip(&mut actor).told_log = Some(told);
        assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog), "{what}");
    }
    // What an event says beside its digest is nobody's proof, and nobody reads it.
    chip(&mut actor).told_log = Some(changed);
    actor.apply(&mut node, Intent::Enrol).unwrap();
    chip(&mut actor).told_log = None;
    chip(&mut actor).measures_secretly(4, Digest([3; 32]));
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog), "kept from the log");
}

#[test]
fn parts_of_the_image_count_where_its_manifest_tells_them() {
    let mut node = Node::open();
    let mut image = node.org.image(Role::Bootstrap, 12);
    let mut actor = netbooted(&node, 20);
    let part = Digest::of(b"a part");
    image.pcr11 = Some(Digest::of_all(&[&[0; 32], &part.0]));
    let preboot = node.org.publish_image(&node.org.image(Role::Preboot, 20));
    let signed = [node.org.publish_image(&image), preboot];
    node.images = slipway_trust::node::Images::new(&node.org.manifest, signed, []).0;
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog));
    chip(&mut actor).measure(11, 0xd, part, b".linux");
    actor.apply(&mut node, Intent::Enrol).unwrap();
}

#[test]
fn our_own_image_with_a_command_line_from_elsewhere_is_not_our_image() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let line = Digest::of(b"rdinit=/nowhere root=/dev/sdb1");
    chip(&mut actor).measure(12, 0xd, line, b"rdinit=/nowhere root=/dev/sdb1");
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadBootLog));
    let bootstrap = node.org.image(Role::Bootstrap, 12);
    chip(&mut actor).boots(&bootstrap);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    starts(&node, &mut actor);
    chip(&mut actor).measure(12, 0xd, line, b"rdinit=/nowhere root=/dev/sdb1");
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    // Kept from the log, it is another boot than the TPM's.
    starts(&node, &mut actor);
    chip(&mut actor).measures_secretly(12, line);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    assert!(node.registry.machine(&installed.machine).unwrap().shares.is_empty());
    starts(&node, &mut actor);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap().material.shares.len(), 1);
}

#[test]
fn a_tpm_cannot_be_answered_for_by_another() {
    let mut node = Node::open();
    let (mut actor, mut other) = (netbooted(&node, 20), netbooted(&node, 21));
    let org = node.org.id;
    let key = actor.public(&org);
    let mut line = actor.connect(&node);
    let challenged = actor.greet(&mut node, &mut line, Intent::Enrol).unwrap();
    // The endorsement key of another machine, which is worth more.
    let mut proof = actor.proof(&node, &challenged);
    let theirs = chip(&mut other).evidence(&org, &challenged.certify_qualifying());
    proof.tpm.as_mut().unwrap().ek = theirs.ek;
    let needs = challenged.evidence(proof);
    let signature = actor.sign(&org, needs.message());
    let (proving, frame) = needs.signed(signature).unwrap();
    let Next::Activate(needs) = proving.on_reply(&line.ask(&mut node, &frame)).unwrap() else { panic!() };
    assert_eq!(chip(&mut actor).activate(&org, needs.blob(), needs.secret()), None, "its own TPM cannot open it");
    assert_eq!(chip(&mut other).activate(&org, needs.blob(), needs.secret()), None, "nor the other, without its AK");
    let quote = chip(&mut actor).quote(&org, &needs.quote_qualifying());
    let needs = needs.activated(&[0; 32], quote);
    let signature = actor.sign(&org, needs.message());
    let (_, frame) = needs.signed(signature).unwrap();
    assert_eq!(refusal(&line.ask(&mut node, &frame)), Some(Refusal::BadEvidence));
    assert!(node.registry.tickets().next().is_none(), "{key}");
}

#[test]
fn each_piece_of_a_tpms_evidence_is_needed() {
    let mut node = Node::open();
    let (mut actor, mut other) = (netbooted(&node, 20), netbooted(&node, 21));
    let org = node.org.id;
    for piece in 0..7 {
        let mut line = actor.connect(&node);
        let challenged = actor.greet(&mut node, &mut line, Intent::Enrol).unwrap();
        let mut proof = actor.proof(&node, &challenged);
        let theirs = chip(&mut other).evidence(&org, &challenged.certify_qualifying());
        let stale = chip(&mut other).evidence(&OrgId([1; 16]), &[0; 32]);
        let tpm = proof.tpm.as_mut().unwrap();
        match piece {
            0 => tpm.ak = theirs.ak,
            1 => tpm.identity = theirs.identity,
            2 => tpm.certified = theirs.certified,
            3 => tpm.signature = theirs.signature,
            4 => tpm.ak = tpm.identity.clone(),
            5 => tpm.ek = tpm.ak.clone(),
            _ => *tpm = stale,
        }
        let needs = challenged.evidence(proof);
        let signature = actor.sign(&org, needs.message());
        let (_, frame) = needs.signed(signature).unwrap();
        assert_eq!(refusal(&line.ask(&mut node, &frame)), Some(Refusal::BadEvidence), "piece {piece}");
    }
}

#[test]
fn a_quote_is_fresh_or_worth_nothing() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    starts(&node, &mut actor);
    let org = node.org.id;
    let old = chip(&mut actor).quote(&org, &[1; 32]);
    let mut boot_with = |node: &mut Node, quote: Option<Quote>| {
        let mut line = actor.connect(node);
        let challenged = actor.greet(node, &mut line, Intent::Boot).unwrap();
        let proof = slipway_trust::machine::BootProof {
            key: actor.public(&org),
            machine: installed.machine,
            confirm: Some(installed.confirm),
            quote,
            generation: None,
            counter: 1,
            volume: None,
            ca_spki: node.org.manifest.ca_spki,
        };
        let needs = challenged.boot(proof);
        let signature = actor.sign(&org, needs.message());
        let (_, frame) = needs.signed(signature).unwrap();
        refusal(&line.ask(node, &frame))
    };
    assert_eq!(boot_with(&mut node, Some(old)), Some(Refusal::BadEvidence));
    assert_eq!(boot_with(&mut node, None), Some(Refusal::BadEvidence));
    assert_eq!(state(&node, &installed), State::Pending);
    actor.boot(&mut node, &mut installed).unwrap();
}

#[test]
fn a_share_goes_to_the_preboot_on_record_and_never_to_a_bootstrap_or_a_stranger() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    // The bootstrap image still runs.
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    starts(&node, &mut actor);
    chip(&mut actor).runs(Digest::of(b"a debugger"));
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    // Another preboot than it says.
    let other = node.org.image(Role::Preboot, 12);
    chip(&mut actor).boots(&other);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadBootLog));
    assert!(node.registry.machine(&installed.machine).unwrap().shares.is_empty());
    starts(&node, &mut actor);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap().material.shares.len(), 1);
}

#[test]
fn a_tpm_that_was_cleared_is_another_machine() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut installed = enrolled(&mut node, &mut actor, "web-1");
    chip(&mut actor).clear();
    starts(&node, &mut actor);
    assert_eq!(actor.boot(&mut node, &mut installed).unwrap_err(), refused(Refusal::BadSignature));
    let image = node.org.image(Role::Bootstrap, 12);
    chip(&mut actor).boots(&image);
    assert_eq!(actor.apply(&mut node, Intent::Recover).unwrap_err(), refused(Refusal::Unknown));
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    let ticket = node.registry.ticket(&waiting.told().ticket).unwrap();
    assert!(
        ticket.flags.iter().any(|flag| flag.contains("same TPM") || flag.contains("same UUID")),
        "{:?}",
        ticket.flags
    );
}

#[test]
fn an_org_that_asks_for_a_verified_boot_takes_nothing_less() {
    let mut node = Node::open();
    node.org.manifest.policy.min_assurance = Assurance::TpmBoot;
    node.org.publish();
    let mut without = Actor::new(30);
    assert_eq!(without.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Assurance));
    let mut actor = netbooted(&node, 20);
    assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Assurance));
    list(&mut node, &mut actor);
    actor.apply(&mut node, Intent::Enrol).unwrap();
}

#[test]
fn an_open_invite_for_named_tpms_lets_in_those_and_no_other() {
    let mut node = Node::open();
    let (mut actor, mut other) = (netbooted(&node, 20), netbooted(&node, 21));
    let mut open = invite(&node, slipway_trust::invite::Kind::Open);
    open.approval = ApprovalMode::Automatic;
    open.only = Match { ek: vec![chip(&mut actor).ek()], ..Match::default() };
    submit_invite(&mut node, &open).unwrap();
    actor.invite = Some(open.id);
    other.invite = Some(open.id);
    let mut without = Actor::new(30);
    without.invite = Some(open.id);
    assert_eq!(other.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
    assert_eq!(without.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::BadInvite));
    assert!(actor.apply(&mut node, Intent::Enrol).unwrap().told().approved);
}

#[test]
fn a_tpm_that_anybody_could_bring_is_no_reason_for_a_share_where_a_claim_let_the_machine_in() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let mut open = invite(&node, slipway_trust::invite::Kind::Open);
    open.approval = ApprovalMode::Automatic;
    open.insecure_match = true;
    open.only = Match { mac: actor.inventory.macs.clone(), ..Match::default() };
    submit_invite(&mut node, &open).unwrap();
    actor.invite = Some(open.id);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(waiting.told().approved);
    let mut installed = actor.install(&mut node, &mut waiting);
    assert_eq!(node.registry.machine(&installed.machine).unwrap().assurance, Assurance::Claimed);
    starts(&node, &mut actor);
    assert!(actor.boot(&mut node, &mut installed).unwrap().material.shares.is_empty());
}

#[test]
fn a_tpm_that_was_cleared_gets_no_second_identity_by_itself() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    list(&mut node, &mut actor);
    let mut waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(waiting.told().approved);
    let installed = actor.install(&mut node, &mut waiting);
    let ek = chip(&mut actor).ek();
    // Its identity key is another one now, its endorsement key is the same.
    chip(&mut actor).clear();
    let image = node.org.image(Role::Bootstrap, 12);
    chip(&mut actor).boots(&image);
    assert_eq!(chip(&mut actor).ek(), ek);
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    assert!(!waiting.told().approved, "whether the machine that it was lives on, a person decides");
    crate::desk::act(&mut node, installed.machine, slipway_trust::record::Verb::Retire).unwrap();
    assert!(actor.apply(&mut node, Intent::Enrol).unwrap().told().approved);
}

#[test]
fn a_tpm_on_the_deny_list_comes_back_under_no_name() {
    let mut node = Node::open();
    let mut actor = netbooted(&node, 20);
    let installed = enrolled(&mut node, &mut actor, "web-1");
    crate::desk::act(&mut node, installed.machine, slipway_trust::record::Verb::Revoke).unwrap();
    for intent in [Intent::Enrol, Intent::Recover] {
        assert_eq!(actor.apply(&mut node, intent).unwrap_err(), refused(Refusal::Revoked));
    }
    // Clearing the TPM makes new keys in it; its endorsement key stays.
    chip(&mut actor).clear();
    let image = node.org.image(Role::Bootstrap, 12);
    chip(&mut actor).boots(&image);
    if chip(&mut actor).ek()
        == node.registry.deny_list().find(|denied| denied.what == chip(&mut actor).ek()).unwrap().what
    {
        assert_eq!(actor.apply(&mut node, Intent::Enrol).unwrap_err(), refused(Refusal::Revoked));
    }
    crate::desk::act(&mut node, installed.machine, slipway_trust::record::Verb::Unban).unwrap();
    let waiting = actor.apply(&mut node, Intent::Enrol).unwrap();
    approve(&mut node, &waiting, "web-2").unwrap();
    let mut waiting = waiting;
    assert!(matches!(actor.poll(&mut node, &mut waiting).unwrap(), Answered::Granted(_)));
    assert_eq!(state(&node, &installed), State::Revoked);
}

#[test]
fn tpm2_keys_of_one_org_are_not_those_of_another() {
    let node = Node::open();
    let mut actor = netbooted(&node, 20);
    let (ours, theirs) = (actor.public(&node.org.id), chip(&mut actor).tpm().identity(&[9; 16]).unwrap());
    let theirs = slipway_trust::PublicKey::p256(&theirs.identity.p256_point().unwrap()).unwrap();
    assert_ne!(ours, theirs);
}
