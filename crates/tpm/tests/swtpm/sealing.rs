//! Secrets that open for approved images alone.

use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use slipway_tpm::policy::{approval_digest, approved_policy};
use slipway_tpm::{Approval, Closed, PcrSet, PolicyKey, TpmError};

use crate::emulator::{Bus, Emulator, Transport, entropy};

const SECRET: [u8; 32] = *b"a secret that opens a data disk!";
/// What the image measures into PCR 11.
const IMAGE: [u8; 32] = [0x11; 32];

/// The build host's key.
struct BuildHost(SigningKey);

impl BuildHost {
    fn new(seed: u8) -> Self {
        Self(SigningKey::from_slice(&[seed; 32]).unwrap())
    }

    fn key(&self) -> PolicyKey {
        let point = self.0.verifying_key().to_sec1_point(false);
        PolicyKey { point: point.as_bytes()[1..].try_into().unwrap(), reference: b"tpm-secret".to_vec() }
    }

    /// Approves an image by the value that it gives PCR 11.
    fn approve(&self, pcr11: &[u8; 32]) -> Approval {
        let policy = approved_policy(pcr11);
        let signature: p256::ecdsa::Signature =
            self.0.sign_prehash(&approval_digest(&policy, &self.key().reference)).unwrap();
        Approval { policy, signature: signature.to_bytes().into() }
    }
}

/// A TPM in which this image was booted.
fn booted(emulator: &Emulator, image: &[u8; 32]) -> slipway_tpm::Tpm<Transport> {
    let mut tpm = emulator.boot();
    tpm.extend(11, image).unwrap();
    tpm
}

fn pcr11(tpm: &mut slipway_tpm::Tpm<Transport>) -> [u8; 32] {
    tpm.read_pcrs(PcrSet::one(11)).unwrap()[0].1
}

fn closed<R>(result: Result<R, TpmError>) -> Closed {
    match result.map(drop).unwrap_err() {
        TpmError::Closed(closed) => closed,
        other => panic!("{other}"),
    }
}

#[test]
fn a_secret_opens_for_an_approved_image_after_every_restart_and_never_crosses_the_bus_in_the_clear() {
    let (emulator, host, bus) = (Emulator::new(), BuildHost::new(1), Bus::default());
    let mut tpm = emulator.boot_listening(&bus);
    tpm.extend(11, &IMAGE).unwrap();
    let approval = host.approve(&pcr11(&mut tpm));
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    assert_eq!(*tpm.unseal(&blob, &host.key(), &approval, &entropy(2)).unwrap(), SECRET);
    drop(tpm);
    let mut tpm = emulator.boot_listening(&bus);
    tpm.extend(11, &IMAGE).unwrap();
    assert_eq!(*tpm.unseal(&blob, &host.key(), &approval, &entropy(3)).unwrap(), SECRET);
    assert!(bus.has(&approval.policy) && !bus.has(&SECRET));
}

#[test]
fn a_new_image_needs_a_new_approval_and_no_new_sealing() {
    let (emulator, host) = (Emulator::new(), BuildHost::new(1));
    let mut tpm = booted(&emulator, &IMAGE);
    let old = host.approve(&pcr11(&mut tpm));
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    drop(tpm);
    let mut tpm = booted(&emulator, &[0x12; 32]);
    let new = host.approve(&pcr11(&mut tpm));
    assert_eq!(closed(tpm.unseal(&blob, &host.key(), &old, &entropy(2))), Closed::Pcr11);
    assert_eq!(*tpm.unseal(&blob, &host.key(), &new, &entropy(3)).unwrap(), SECRET);
    // What runs later cannot open it again.
    tpm.extend(11, &[0; 32]).unwrap();
    assert_eq!(closed(tpm.unseal(&blob, &host.key(), &new, &entropy(4))), Closed::Pcr11);
}

#[test]
fn a_command_line_from_elsewhere_closes_it() {
    let (emulator, host) = (Emulator::new(), BuildHost::new(1));
    let mut tpm = booted(&emulator, &IMAGE);
    let approval = host.approve(&pcr11(&mut tpm));
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    drop(tpm);
    let mut tpm = booted(&emulator, &IMAGE);
    tpm.extend(12, &[1; 32]).unwrap();
    assert_eq!(closed(tpm.unseal(&blob, &host.key(), &approval, &entropy(2))), Closed::Pcr12);
    drop(tpm);
    let mut tpm = booted(&emulator, &IMAGE);
    assert_eq!(*tpm.unseal(&blob, &host.key(), &approval, &entropy(3)).unwrap(), SECRET);
}

#[test]
fn another_secure_boot_state_closes_it() {
    let (emulator, host) = (Emulator::new(), BuildHost::new(1));
    let mut tpm = booted(&emulator, &IMAGE);
    let approval = host.approve(&pcr11(&mut tpm));
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    drop(tpm);
    let mut tpm = booted(&emulator, &IMAGE);
    tpm.extend(7, &[1; 32]).unwrap();
    assert_eq!(closed(tpm.unseal(&blob, &host.key(), &approval, &entropy(2))), Closed::Pcr7);
}

#[test]
fn another_policy_key_purpose_signature_or_tpm_does_not_open_it() {
    let (emulator, host, thief) = (Emulator::new(), BuildHost::new(1), BuildHost::new(2));
    let mut tpm = booted(&emulator, &IMAGE);
    let value = pcr11(&mut tpm);
    let approval = host.approve(&value);
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    let mut unseal = |key: &PolicyKey, approval: &Approval| closed(tpm.unseal(&blob, key, approval, &entropy(2)));
    assert_eq!(unseal(&thief.key(), &thief.approve(&value)), Closed::OtherPolicyKey);
    assert_eq!(unseal(&host.key(), &thief.approve(&value)), Closed::ApprovalSignature);
    let other = PolicyKey { reference: b"another purpose".to_vec(), ..host.key() };
    assert_eq!(unseal(&other, &approval), Closed::OtherPolicyKey);
    let changed = Approval { policy: [0; 32], ..approval.clone() };
    assert_eq!(unseal(&host.key(), &changed), Closed::ApprovalSignature);

    let mut stranger = booted(&Emulator::new(), &IMAGE);
    assert_eq!(closed(stranger.unseal(&blob, &host.key(), &approval, &entropy(2))), Closed::OtherTpm);
    tpm.clear().unwrap();
    assert_eq!(closed(tpm.unseal(&blob, &host.key(), &approval, &entropy(2))), Closed::OtherTpm);
}

#[test]
fn the_tpm_itself_refuses_what_our_own_checks_would_have_caught() {
    // A blob that claims to be sealed for the thief's key: its public part no longer fits its private part.
    let (emulator, host, thief) = (Emulator::new(), BuildHost::new(1), BuildHost::new(2));
    let mut tpm = booted(&emulator, &IMAGE);
    let value = pcr11(&mut tpm);
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    let mut sealed = slipway_tpm::Sealed::decode(&blob).unwrap();
    sealed.public.policy = slipway_tpm::policy::sealed_policy(&thief.key(), &sealed.pcr7).unwrap().to_vec();
    let result = tpm.unseal(&sealed.encode(), &thief.key(), &thief.approve(&value), &entropy(2));
    assert_eq!(closed(result), Closed::OtherTpm);
}

#[test]
fn a_reply_that_was_changed_on_the_bus_is_not_believed() {
    let (emulator, host) = (Emulator::new(), BuildHost::new(1));
    let mut tpm = booted(&emulator, &IMAGE);
    let approval = host.approve(&pcr11(&mut tpm));
    let blob = tpm.seal(&SECRET, &host.key(), &entropy(1)).unwrap();
    drop(tpm);
    let mut wire = emulator.wire();
    let transport = move |command: &[u8]| {
        let mut reply = wire.exchange(command)?;
        // TPM2_Unseal
        if command[6..10] == [0, 0, 1, 0x5e] {
            reply[20] ^= 1;
        }
        Ok(reply)
    };
    let mut tpm = slipway_tpm::Tpm::new(transport);
    tpm.start().unwrap();
    tpm.extend(11, &IMAGE).unwrap();
    let result = tpm.unseal(&blob, &host.key(), &approval, &entropy(2));
    assert!(matches!(result, Err(TpmError::Forged { .. })), "{result:?}");
}

#[test]
fn a_blob_is_refused_at_every_length_but_its_own() {
    let mut tpm = booted(&Emulator::new(), &IMAGE);
    let blob = tpm.seal(&SECRET, &BuildHost::new(1).key(), &entropy(1)).unwrap();
    assert!(blob.len() < 400, "{} bytes", blob.len());
    for length in 0..blob.len() {
        assert!(slipway_tpm::Sealed::decode(&blob[..length]).is_err(), "cut to {length}");
    }
    assert_eq!(slipway_tpm::Sealed::decode(&blob).unwrap().encode(), blob);
}

#[test]
fn a_tpm_that_does_not_measure_with_sha_256_seals_nothing_and_says_what_to_do() {
    let mut tpm = Emulator::measuring_with_sha1().boot();
    let refused = tpm.seal(&SECRET, &BuildHost::new(1).key(), &entropy(1)).unwrap_err();
    assert_eq!(refused.to_string(), "the TPM's SHA-256 bank is switched off");
    assert!(refused.remedy().unwrap().starts_with("switch the TPM's SHA-256 PCR bank on"));
}
