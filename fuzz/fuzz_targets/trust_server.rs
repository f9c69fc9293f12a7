//! A server's end of every conversation: frames as they come, and frames that the machine has signed whatever is in them. Each is answered once, refusals
//! are small, what is left on disk reads again, and nobody gets a grant or a share who was not approved.
#![no_main]

mod trust_world;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use slipway_trust::frames::{Intent, Reply};
use slipway_trust::node::{Conversation, Door, Fresh, Images, Peer, Step, View};
use slipway_trust::record::Inventory;
use slipway_trust::seal::{Bound, Domain};
use slipway_trust::transcript::Transcript;
use slipway_trust::{Registry, Signed, decode, encode};
use trust_world::{CHANNEL, NOW, World};

/// Made once: its signatures cost more than what is fuzzed.
static WORLD: LazyLock<World> = LazyLock::new(World::new);

struct Server {
    world: &'static World,
    registry: Registry,
    images: Images,
    door: Door,
    conversation: Conversation,
    drawn: u8,
}

impl Server {
    fn new() -> Self {
        let world = &*WORLD;
        let images = Images::new(&world.org, world.images.iter().cloned(), []).0;
        let registry = world.registry();
        Self { world, registry, images, door: Door::default(), conversation: Conversation::new(), drawn: 0 }
    }

    fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        self.drawn = self.drawn.wrapping_add(1);
        let fresh = Fresh::new(&[self.drawn; Fresh::LENGTH]);
        let view = View {
            registry: &self.registry,
            org: &self.world.org,
            org_signed: &self.world.signed,
            images: &self.images,
            tpm_roots: &[],
            enroller: Some(&self.world.enroller),
            gateway: true,
            sources: &[],
            now: NOW,
        };
        let peer = Peer { address: IpAddr::V4(Ipv4Addr::LOCALHOST), channel: CHANNEL, certificate: None };
        let draft = match self.conversation.on_frame(frame, &view, &peer, &fresh, &mut self.door) {
            Step::Draft(draft) => draft,
            Step::Certificate(needs) => needs.with_certificate(vec![0; 8], view.enroller),
        };
        for change in draft.changes() {
            let (table, key, value) = change.row();
            if let Some(value) = value {
                // The audit log's rows need those before them, and what says where it ends needs them all.
                let of_audit = table == slipway_trust::Table::Audit || key == b"audit";
                let alone = Registry::load([(table, key, value)]);
                assert!(alone.is_ok() || of_audit, "what is written reads again");
            }
        }
        draft.settle(&mut self.registry, |_| Ok::<(), ()>(())).expect("nothing else is decided").frame
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, rest)) = bytes.split_first() else { return };
    let mut server = Server::new();
    let intent = [Intent::Enrol, Intent::Recover, Intent::Boot, Intent::Enrol][usize::from(mode & 3)];
    let mut transcript = Transcript::new(&server.world.org.org);
    if mode & 4 != 0 {
        let (_, hello) = server.world.start(intent).hello();
        let reply = server.answer(&hello);
        transcript = transcript.then(&hello).then(&reply);
    }
    if mode & 8 != 0 {
        // A genuine proof first: there is a ticket then, which nobody has approved.
        let (greeted, hello) = server.world.start(Intent::Enrol).hello();
        server.conversation = Conversation::new();
        let challenged = greeted.on_challenge(&server.answer(&hello), &CHANNEL).unwrap();
        let proof = slipway_trust::machine::Proof {
            key: server.world.machine.public(),
            inventory: Inventory::default(),
            tpm: None,
            token: None,
            ca_spki: server.world.org.ca_spki,
        };
        let (_, frame) = challenged.evidence(proof).sign(&server.world.machine).unwrap();
        server.answer(&frame);
        server.conversation = Conversation::new();
        transcript = server.registry.tickets().next().map_or(transcript, |ticket| {
            assert!(ticket.granted.is_none());
            Transcript::of(ticket.transcript)
        });
    }
    for chunk in rest.split(|byte| *byte == 0xfe).take(4) {
        let frame = if mode & 16 != 0 {
            let bound = Bound::Moment { transcript: transcript.hash(), channel: &CHANNEL };
            encode(&Signed::by(&server.world.machine, Domain::Frame, bound, chunk.to_vec()))
        } else {
            chunk.to_vec()
        };
        let answer = server.answer(&frame);
        match decode::<Reply>(&answer).expect("an answer reads") {
            Reply::Refused(_) => assert!(answer.len() < 16, "a refusal says no more than its reason"),
            Reply::Grant(_) | Reply::Material(_) => panic!("nobody was approved"),
            _ => {}
        }
        assert!(server.registry.machines().next().is_none());
    }
});
