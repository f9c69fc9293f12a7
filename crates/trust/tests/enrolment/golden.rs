//! Vectors for whoever writes a second client: docs/enrolment.md shows the same values.

use slipway_trust::escrow::Escrow;
use slipway_trust::frames::{Ask, Hello, Intent, Poll};
use slipway_trust::id::InviteId;
use slipway_trust::invite::Token;
use slipway_trust::keyfile::{Kind, PrivateKey};
use slipway_trust::record::Share;
use slipway_trust::seal::{Bound, signed_bytes};
use slipway_trust::transcript::Transcript;
use slipway_trust::{Arch, Digest, Domain, MachineId, OrgId, PublicKey, Signed, TicketId, disk_key, encode, words};

use crate::org::key;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The values that docs/enrolment.md names.
fn vectors() -> Vec<(&'static str, String)> {
    let root = key(1).public();
    let org = OrgId::of(&root);
    let hello = Hello {
        versions: vec![1],
        org,
        nonce: [2; 32],
        commitment: Digest::of(&[3; 32]),
        image_version: 12,
        arch: Arch::X64,
        intent: Intent::Enrol,
        invite: None,
        machine: None,
    };
    let hello = encode(&Signed::unsigned(encode(&Ask::Hello(hello))));
    let th0 = Transcript::new(&org);
    let th1 = th0.then(&hello);
    let machine = key(20).public();
    let poll = encode(&Ask::Poll(Poll { ticket: TicketId([4; 16]), counter: 1 }));
    let bound = Bound::Moment { transcript: th1.hash(), channel: &[5; 32] };
    let signed = Signed::by(&key(20), Domain::Frame, bound, poll.clone());
    let token = Token::new(org, InviteId([6; 8]), [7; 32], Digest([8; 32]));
    let share = Share { epoch: 1, secret: [10; 32] };
    let p256 = PublicKey::P256([2; 33]);
    let escrow_key = PrivateKey::from_seed(Kind::Escrow, &[12; 32]).unwrap().public();
    let escrow = Escrow::seal(&escrow_key, &org, &MachineId([9; 16]), &[14; 32], &[13; 32]).unwrap();
    vec![
        ("root key", root.to_string()),
        ("root key, encoded", hex(&encode(&root))),
        ("P-256 key, encoded", hex(&encode(&p256))),
        ("org", org.to_string()),
        ("M1", hex(&hello)),
        ("th0", th0.hash().to_string()),
        ("th1", th1.hash().to_string()),
        ("machine key", machine.to_string()),
        ("machine key's short name", machine.kid().to_string()),
        ("M7's payload", hex(&poll)),
        ("M7's signed bytes", hex(&signed_bytes(Domain::Frame, bound, &poll))),
        ("M7", hex(&encode(&signed))),
        ("words", words::six(th1.hash(), &[3; 32], &machine, &Digest([8; 32])).join(" ")),
        ("invite", token.reveal()),
        ("invite's key", token.key().public().to_string()),
        ("disk key", hex(disk_key::derive(&org, &MachineId([9; 16]), &[11; 32], &share).as_slice())),
        ("escrow key", escrow_key.to_string()),
        ("escrow", hex(&encode(&escrow))),
    ]
}

#[test]
fn the_vectors_of_the_protocols_description_are_what_the_code_computes() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/enrolment.md")).unwrap();
    let missing: Vec<String> = vectors()
        .into_iter()
        .map(|(name, value)| format!("| {name} | `{value}` |"))
        .filter(|row| !text.contains(row))
        .collect();
    assert!(missing.is_empty(), "docs/enrolment.md lacks:\n{}", missing.join("\n"));
}
