//! A TPM, or whoever is on the bus, may answer anything: nothing makes us panic, and no cut reply is believed.

use std::io;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use slipway_tpm::command::{self, Reply};
use slipway_tpm::{
    Approval, Attest, Credential, EkKind, EkPublic, PcrSet, PolicyKey, Public, Sealed, Tpm, check_ek_chain,
};

use crate::emulator::{Emulator, ORG, entropy};

type Replies = Vec<Vec<u8>>;

/// Every step there is. What comes of it does not matter, and neither do the arguments where the TPM checks them.
fn story(tpm: &mut Tpm<impl FnMut(&[u8]) -> io::Result<Vec<u8>>>) {
    let key = PolicyKey {
        point: tpm.identity(&ORG).ok().and_then(|keys| keys.identity.p256_point()).unwrap_or([4; 64]),
        reference: Vec::new(),
    };
    let policy =
        tpm.read_pcrs(PcrSet::one(11)).ok().and_then(|values| values.first().map(|value| value.1)).unwrap_or_default();
    let policy = slipway_tpm::policy::approved_policy(&policy);
    let digest = slipway_tpm::policy::approval_digest(&policy, &key.reference);
    let approval = Approval { policy, signature: tpm.sign(&ORG, &digest).unwrap_or([1; 64]) };
    let inventory = tpm.inventory();
    for kind in EkKind::ALL {
        let _ = tpm.ek_certificate(kind);
        let _ = tpm.activate(kind, &ORG, &Credential { blob: vec![1; 68], secret: vec![1; 256] });
    }
    let _ = (
        tpm.certify(&ORG, &[1; 32]),
        tpm.quote(&ORG, PcrSet::BOOT, &[2; 32]),
        tpm.random(16),
        tpm.extend(23, &[1; 32]),
    );
    let blob = tpm.seal(b"a secret", &key, &entropy(1)).unwrap_or_default();
    let _ = tpm.unseal(&blob, &key, &approval, &entropy(2));
    let _ = (inventory, tpm.clear());
}

/// What a real TPM answers to the story.
fn tape() -> &'static Replies {
    static TAPE: std::sync::OnceLock<Replies> = std::sync::OnceLock::new();
    TAPE.get_or_init(|| {
        let mut wire = Emulator::certified().wire();
        let replies = Arc::new(Mutex::new(Replies::new()));
        let kept = replies.clone();
        let mut tpm = Tpm::new(move |command: &[u8]| {
            let reply = wire.exchange(command)?;
            kept.lock().unwrap().push(reply.clone());
            Ok(reply)
        });
        tpm.start().unwrap();
        replies.lock().unwrap().clear();
        story(&mut tpm);
        drop(tpm);
        Arc::into_inner(replies).unwrap().into_inner().unwrap()
    })
}

/// The story with these replies, then silence.
fn replay(replies: impl IntoIterator<Item = Vec<u8>>) {
    let mut replies = replies.into_iter();
    story(&mut Tpm::new(move |_: &[u8]| replies.next().ok_or_else(|| io::ErrorKind::BrokenPipe.into())));
}

fn decode_all(bytes: &[u8]) {
    let _ = (command::decode_buffer(bytes), command::decode_digest(bytes), command::decode_primary(bytes));
    let _ = (command::decode_public(bytes), command::decode_created(bytes), command::decode_loaded(bytes));
    let _ = (command::decode_session(bytes), command::decode_ticket(bytes), command::decode_signature(bytes));
    let _ = (command::decode_properties(bytes), command::decode_algorithms(bytes), command::decode_nv_public(bytes));
    let _ = (command::decode_pcrs(bytes), command::decode_attest(bytes).map(|said| Attest::decode(&said.attest)));
    let _ = (Public::decode(bytes), Public::decode_sized(bytes), Attest::decode(bytes), Sealed::decode(bytes));
    let _ = (EkPublic::decode(bytes), slipway_tpm::decode_signature(bytes), slipway_tpm::EventLog::decode(bytes));
    let ek = EkPublic::new(EkKind::P256.template()).unwrap();
    let _ = check_ek_chain(&ek, bytes, &[], &[], 0);
}

#[test]
fn a_reply_is_refused_at_every_length_but_its_own() {
    assert!(tape().len() > 60, "{} replies", tape().len());
    for reply in tape() {
        for length in 0..reply.len() {
            assert!(Reply::decode(&reply[..length], false).is_err());
        }
        for length in 10..reply.len() {
            decode_all(&reply[10..length]);
        }
    }
}

#[test]
fn a_tpm_that_falls_silent_at_any_moment_is_an_error_and_no_more() {
    for length in 0..tape().len() {
        replay(tape()[..length].iter().cloned());
    }
}

proptest! {
    #[test]
    fn no_reply_makes_a_step_panic(nth in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<Option<prop::sample::Index>>()) {
        let mut replies = tape().clone();
        let reply = &mut replies[nth.index(tape().len())];
        for (at, value) in changes {
            let at = at.index(reply.len());
            reply[at] = value;
        }
        if let Some(cut) = cut {
            // The length is made right again, so that what is inside is read.
            reply.truncate(10 + cut.index(reply.len()));
            let size = u32::try_from(reply.len()).unwrap();
            if let Some(field) = reply.get_mut(2..6) {
                field.copy_from_slice(&size.to_be_bytes());
            }
        }
        replay(replies);
    }

    #[test]
    fn no_bytes_make_a_reader_of_the_tpm_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = (Reply::decode(&bytes, true), Reply::decode(&bytes, false));
        decode_all(&bytes);
    }
}
