//! That an attestation key lives in the TPM of an endorsement key.

use crate::emulator::{Emulator, ORG, OTHER_ORG, entropy};
use slipway_tpm::{EkKind, Entropy, ResponseCode, TpmError, make_credential};

#[test]
fn each_kind_of_ek_opens_a_credential_that_was_made_for_it() {
    let mut tpm = Emulator::new().boot();
    let name = tpm.identity(&ORG).unwrap().attestation.name().unwrap();
    for kind in EkKind::ALL {
        let ek = tpm.ek_public(kind).unwrap();
        let credential = make_credential(&ek, &name, &[42; 32], &entropy(3)).unwrap();
        assert_eq!(*tpm.activate(kind, &ORG, &credential).unwrap(), [42; 32], "{}", kind.name());
    }
}

#[test]
fn an_ek_that_is_kept_in_the_tpm_opens_it_too() {
    let mut tpm = Emulator::certified().boot();
    let name = tpm.identity(&ORG).unwrap().attestation.name().unwrap();
    for kind in [EkKind::Rsa2048, EkKind::P384] {
        let ek = tpm.ek_public(kind).unwrap();
        let credential = make_credential(&ek, &name, &[42; 32], &entropy(4)).unwrap();
        assert_eq!(*tpm.activate(kind, &ORG, &credential).unwrap(), [42; 32], "{}", kind.name());
    }
}

#[test]
fn a_credential_for_another_key_another_tpm_or_with_a_changed_byte_stays_closed() {
    let mut tpm = Emulator::new().boot();
    let mut other = Emulator::new().boot();
    for kind in EkKind::ALL {
        let refused = |result: Result<_, TpmError>| result.unwrap_err().refusal().unwrap().bare();
        let ek = tpm.ek_public(kind).unwrap();
        let name = tpm.identity(&ORG).unwrap().attestation.name().unwrap();

        let wrong = tpm.identity(&OTHER_ORG).unwrap().attestation.name().unwrap();
        let credential = make_credential(&ek, &wrong, &[42; 32], &entropy(5)).unwrap();
        assert_eq!(refused(tpm.activate(kind, &ORG, &credential)), ResponseCode::INTEGRITY);

        let credential = make_credential(&ek, &name, &[42; 32], &entropy(6)).unwrap();
        let code = refused(other.activate(kind, &ORG, &credential));
        // swtpm calls an RSA padding that does not fit a failure.
        let refusals = [ResponseCode::INTEGRITY, ResponseCode::VALUE, ResponseCode::FAILURE];
        assert!(refusals.contains(&code), "{code}");

        for at in [2, 20, credential.blob.len() - 1] {
            let mut changed = credential.clone();
            changed.blob[at] ^= 1;
            assert_eq!(refused(tpm.activate(kind, &ORG, &changed)), ResponseCode::INTEGRITY, "byte {at}");
        }
        // Nothing was left behind: the next one is opened.
        assert_eq!(*tpm.activate(kind, &ORG, &credential).unwrap(), [42; 32]);
    }
}

#[test]
fn useless_random_bytes_are_said_so() {
    let mut tpm = Emulator::new().boot();
    let name = tpm.identity(&ORG).unwrap().attestation.name().unwrap();
    let ek = tpm.ek_public(EkKind::P256).unwrap();
    assert!(make_credential(&ek, &name, &[42; 32], &Entropy([0; 64])).is_err());
    assert!(make_credential(&ek, &name, &[42; 32], &Entropy([0xff; 64])).is_err());
}
