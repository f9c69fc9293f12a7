//! A machine's end of every conversation: whatever a server answers, nothing is believed that the org has not signed for this machine.
#![no_main]

mod trust_world;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use slipway_trust::frames::{Challenge, Intent, Reply, TicketTold};
use slipway_trust::machine::{Answered, BootProof, Expect, Next, Proof, Running, on_noted};
use slipway_trust::record::Inventory;
use slipway_trust::{MachineId, OrgManifest, TicketId, decode, encode};
use trust_world::{CHANNEL, NOW, World};

/// Made once: its signatures cost more than what is fuzzed.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|reply: &[u8]| {
    let world = &*WORLD;
    let root = world.root.public();
    let _ = on_noted(reply);

    let (greeted, _) = world.start(Intent::Enrol).hello();
    let _ = greeted.on_challenge(reply, &CHANNEL).map(|challenged| challenged.words(&root, &world.org.ca_spki));

    let challenge = Challenge { nonce: [1; 32], org: world.org.org, quote_nonce: [2; 32], pcrs: vec![4, 7], time: NOW };
    let challenge = encode(&Reply::Challenge(challenge));
    let challenged = |intent| world.start(intent).hello().0.on_challenge(&challenge, &CHANNEL).unwrap();
    let proof = || Proof {
        key: world.machine.public(),
        inventory: Inventory::default(),
        tpm: None,
        token: None,
        ca_spki: world.org.ca_spki,
    };
    let prove = || challenged(Intent::Enrol).evidence(proof()).sign(&world.machine).unwrap().0;
    if let Ok(Next::Activate(_)) = prove().on_reply(reply) {
        panic!("a machine without a TPM opens no secret");
    }

    let told = TicketTold { ticket: TicketId([1; 16]), approved: true, delay: 0, label: None };
    let Ok(Next::Ticket(mut waiting)) = prove().on_reply(&encode(&Reply::Ticket(told))) else { panic!() };
    let expect = Expect { root: &root, now: NOW, epoch: 1, floor: 0 };
    if let Ok(Answered::Granted(_)) = waiting.on_reply(reply, &expect) {
        panic!("no enroller has signed for this conversation");
    }

    let boot = BootProof {
        key: world.machine.public(),
        machine: MachineId([1; 16]),
        confirm: None,
        quote: None,
        generation: None,
        counter: 1,
        volume: None,
        ca_spki: world.org.ca_spki,
    };
    let (booting, _) = challenged(Intent::Boot).boot(boot).sign(&world.machine).unwrap();
    if let Ok(admitted) = booting.on_material(reply, &Running { root: &root, now: NOW, epoch: 1, floor: 0 }) {
        let signed = [&admitted.material.org, &admitted.material.generation];
        assert!(signed.iter().all(|signed| **signed == world.signed || world.images.contains(signed)));
        assert_eq!(decode::<OrgManifest>(&world.signed.payload), Ok(admitted.org));
    }
});
