//! What a TPM, or whoever sits between, answers to every step: pieces, each after its length in two bytes. And the same bytes as each
//! structure that travels: what can be read is written the same.
#![no_main]

use std::io;

use libfuzzer_sys::fuzz_target;
use slipway_tpm::command::{self, Reply};
use slipway_tpm::{
    Approval, Attest, Credential, EkKind, EkPublic, Entropy, PcrSet, PolicyKey, Public, Sealed, Tpm, check_ak,
    check_ek_chain, check_identity,
};

const ORG: [u8; 16] = [7; 16];

fuzz_target!(|bytes: &[u8]| {
    structures(bytes);
    let _ = (Reply::decode(bytes, true), Reply::decode(bytes, false));
    if let Ok(reply) = Reply::decode(bytes, false) {
        structures(reply.parameters);
    }
    let mut rest = bytes;
    let pieces = move |_: &[u8]| -> io::Result<Vec<u8>> {
        let (size, after) = rest.split_first_chunk().ok_or(io::ErrorKind::BrokenPipe)?;
        let (piece, after) =
            after.split_at_checked(u16::from_be_bytes(*size).into()).ok_or(io::ErrorKind::BrokenPipe)?;
        rest = after;
        Ok(piece.to_vec())
    };
    story(&mut Tpm::new(pieces));
});

fn structures(bytes: &[u8]) {
    if let Ok(public) = Public::decode(bytes) {
        assert_eq!(public.encode(), bytes);
        let _ = (check_ak(&public), check_identity(&public), EkPublic::new(public));
    }
    if let Ok(sealed) = Sealed::decode(bytes) {
        assert_eq!(sealed.encode(), bytes);
    }
    let _ = (Attest::decode(bytes), slipway_tpm::decode_signature(bytes));
    let _ = (command::decode_primary(bytes), command::decode_public(bytes), command::decode_created(bytes));
    let _ = (command::decode_properties(bytes), command::decode_algorithms(bytes), command::decode_nv_public(bytes));
    let _ = (command::decode_pcrs(bytes), command::decode_attest(bytes), command::decode_ticket(bytes));
    if let Ok(ek) = EkPublic::new(EkKind::P256.template()) {
        assert!(check_ek_chain(&ek, bytes, &[], &[], 0).is_err());
    }
}

fn story(tpm: &mut Tpm<impl FnMut(&[u8]) -> io::Result<Vec<u8>>>) {
    let key = PolicyKey { point: [4; 64], reference: Vec::new() };
    let _ = (tpm.identity(&ORG), tpm.read_pcrs(PcrSet::one(11)), tpm.sign(&ORG, &[1; 32]), tpm.inventory());
    let credential = Credential { blob: vec![1; 68], secret: vec![1; 256] };
    let _ = EkKind::ALL.map(|kind| (tpm.ek_certificate(kind), tpm.activate(kind, &ORG, &credential)));
    let _ = (
        tpm.certify(&ORG, &[1; 32]),
        tpm.quote(&ORG, PcrSet::BOOT, &[2; 32]),
        tpm.random(16),
        tpm.extend(23, &[1; 32]),
    );
    let blob = tpm.seal(b"a secret", &key, &Entropy([1; 64])).unwrap_or_default();
    let approval = Approval { policy: [0; 32], signature: [1; 64] };
    let _ = tpm.unseal(&blob, &key, &approval, &Entropy([2; 64]));
}
