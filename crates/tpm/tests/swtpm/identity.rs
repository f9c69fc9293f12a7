//! Who a machine is, and what its TPM says of it.

use crate::emulator::{Emulator, ORG, OTHER_ORG};
use slipway_tpm::{
    Boot, BootFault, Change, PcrSet, Refusal, Standing, check_ak, check_certify, check_identity, check_quote,
    check_signature,
};

#[test]
fn a_tpm_tells_its_maker_and_that_it_works() {
    let tpm = Emulator::new();
    let inventory = tpm.boot().inventory().unwrap();
    assert_eq!((inventory.maker.as_str(), inventory.model.as_str()), ("IBM", "SW   TPM"));
    assert_eq!(inventory.switches.standing(), Standing::Working);
    assert_eq!(inventory.ek.certificate, None);
    assert_eq!(inventory.ek.public.kind(), slipway_tpm::EkKind::Rsa2048);
    assert_ne!(inventory.firmware, 0);
}

#[test]
fn an_identity_is_the_same_each_time_and_another_for_another_org_or_tpm() {
    let tpm = Emulator::new();
    let first = tpm.boot().identity(&ORG).unwrap();
    assert_eq!(tpm.boot().identity(&ORG).unwrap(), first);
    assert_ne!(first.identity.p256_point(), first.attestation.p256_point());
    assert_ne!(tpm.boot().identity(&OTHER_ORG).unwrap().identity, first.identity);
    assert_ne!(Emulator::new().boot().identity(&ORG).unwrap().identity, first.identity);
}

#[test]
fn the_keys_are_what_a_server_asks_for_and_not_each_other() {
    let keys = Emulator::new().boot().identity(&ORG).unwrap();
    assert_eq!(check_ak(&keys.attestation), Ok(keys.attestation.name().unwrap()));
    assert_eq!(check_identity(&keys.identity), Ok(keys.identity.p256_point().unwrap()));
    assert_eq!(check_ak(&keys.identity), Err(Refusal::KeyUse));
    assert_eq!(check_identity(&keys.attestation), Err(Refusal::KeyUse));
}

#[test]
fn the_identity_signs_and_a_changed_signature_or_digest_is_noticed() {
    let mut tpm = Emulator::new().boot();
    let point = tpm.identity(&ORG).unwrap().identity.p256_point().unwrap();
    let signature = tpm.sign(&ORG, &[7; 32]).unwrap();
    assert!(check_signature(&point, &[7; 32], &signature));
    assert!(!check_signature(&point, &[8; 32], &signature));
    for at in 0..64 {
        let mut forged = signature;
        forged[at] ^= 1;
        assert!(!check_signature(&point, &[7; 32], &forged), "byte {at}");
    }
    assert!(!check_signature(&tpm.identity(&OTHER_ORG).unwrap().identity.p256_point().unwrap(), &[7; 32], &signature));
}

#[test]
fn the_ak_certifies_the_identity_for_one_occasion_alone() {
    let mut tpm = Emulator::new().boot();
    let keys = tpm.identity(&ORG).unwrap();
    let name = keys.identity.name().unwrap();
    let statement = tpm.certify(&ORG, &[9; 32]).unwrap();
    check_certify(&keys.attestation, &statement, &name, &[9; 32]).unwrap();
    let other = keys.attestation.name().unwrap();
    let refusal =
        |ak, statement: &_, name, qualifying: &[u8]| check_certify(ak, statement, name, qualifying).unwrap_err();
    assert_eq!(refusal(&keys.attestation, &statement, &name, &[8; 32]), Refusal::Qualifying);
    assert_eq!(refusal(&keys.attestation, &statement, &name, &[9; 31]), Refusal::Qualifying);
    assert_eq!(refusal(&keys.attestation, &statement, &other, &[9; 32]), Refusal::Subject);
    assert_eq!(refusal(&keys.identity, &statement, &name, &[9; 32]), Refusal::KeyUse);
    let stranger = Emulator::new().boot().identity(&ORG).unwrap().attestation;
    assert_eq!(refusal(&stranger, &statement, &name, &[9; 32]), Refusal::Signature);
    let quote = tpm.quote(&ORG, PcrSet::BOOT, &[9; 32]).unwrap();
    assert_eq!(refusal(&keys.attestation, &quote, &name, &[9; 32]), Refusal::Subject);
}

#[test]
fn a_quote_tells_the_pcrs_and_no_byte_of_it_can_be_changed() {
    let mut tpm = Emulator::new().boot();
    let ak = tpm.identity(&ORG).unwrap().attestation;
    tpm.extend(11, &[1; 32]).unwrap();
    // 34 bytes of qualifying data are what every TPM takes.
    let statement = tpm.quote(&ORG, PcrSet::BOOT, &[5; 34]).unwrap();
    let quoted = check_quote(&ak, &statement, PcrSet::BOOT, &[5; 34]).unwrap();
    let values = tpm.read_pcrs(PcrSet::BOOT).unwrap();
    assert_eq!(values.iter().map(|(pcr, _)| *pcr).collect::<Vec<_>>(), [0, 2, 4, 7, 11, 12]);
    let mut hash = sha2::Sha256::default();
    values.iter().for_each(|(_, value)| sha2::Digest::update(&mut hash, value));
    assert_eq!(quoted.digest.as_slice(), sha2::Digest::finalize(hash).as_slice());

    assert_eq!(check_quote(&ak, &statement, PcrSet::one(11), &[5; 34]), Err(Refusal::Subject));
    assert_eq!(check_quote(&ak, &statement, PcrSet::BOOT, &[6; 34]), Err(Refusal::Qualifying));
    for at in 0..statement.attest.len() {
        let mut forged = statement.clone();
        forged.attest[at] ^= 0x80;
        assert_eq!(check_quote(&ak, &forged, PcrSet::BOOT, &[5; 34]), Err(Refusal::Signature), "byte {at}");
    }
    let certified = tpm.certify(&ORG, &[5; 34]).unwrap();
    assert_eq!(check_quote(&ak, &certified, PcrSet::BOOT, &[5; 34]), Err(Refusal::Subject));
}

#[test]
fn a_log_of_another_boot_is_refused() {
    let log = include_bytes!("../../../../fixtures/tpm/qemu-ovmf-uki.log");
    let mut tpm = Emulator::new().boot();
    let ak = tpm.identity(&ORG).unwrap().attestation;
    let statement = tpm.quote(&ORG, PcrSet::BOOT, &[]).unwrap();
    let quoted = check_quote(&ak, &statement, PcrSet::BOOT, &[]).unwrap();
    assert_eq!(Boot::read(log, &quoted), Err(BootFault::OtherBoot));
}

#[test]
fn a_replayed_boot_is_told_from_its_log() {
    let log = include_bytes!("../../../../fixtures/tpm/qemu-ovmf-uki.log");
    let read = slipway_tpm::EventLog::decode(log).unwrap();
    let mut tpm = Emulator::new().boot();
    for event in &read.events {
        tpm.extend(event.pcr.try_into().unwrap(), &event.digest).unwrap();
    }
    let ak = tpm.identity(&ORG).unwrap().attestation;
    let statement = tpm.quote(&ORG, PcrSet::BOOT, b"fresh").unwrap();
    let quoted = check_quote(&ak, &statement, PcrSet::BOOT, b"fresh").unwrap();
    let boot = Boot::read(log, &quoted).unwrap();
    assert_eq!(boot.secure_boot, Some(false));
    assert_eq!(boot.unknown_image(&boot.images.clone()), None);
    assert_eq!(boot.unknown_image(&boot.images[..2]), Some(boot.images[2]));
    let without = slipway_tpm::Quoted { pcrs: PcrSet::one(4), ..quoted };
    assert_eq!(Boot::read(log, &without), Err(BootFault::NotCovered));
}

#[test]
fn a_cleared_tpm_has_another_identity_and_another_chip_another_ek_and_both_are_told() {
    let emulator = Emulator::new();
    let mut tpm = emulator.boot();
    let facts = |tpm: &mut slipway_tpm::Tpm<_>| {
        let point = tpm.identity(&ORG).unwrap().identity.p256_point().unwrap();
        (tpm.ek().unwrap().public.hash(), point)
    };
    let (ek, identity) = facts(&mut tpm);
    assert_eq!(Change::between((&ek, &identity), (&ek, &identity)), Change::Same);
    tpm.clear().unwrap();
    let (ek_after, identity_after) = facts(&mut tpm);
    let change = Change::between((&ek, &identity), (&ek_after, &identity_after));
    assert_eq!(change, Change::Cleared);
    assert!(change.to_string().starts_with("the TPM was cleared"), "{change}");
    let (ek_other, identity_other) = facts(&mut Emulator::new().boot());
    let change = Change::between((&ek, &identity), (&ek_other, &identity_other));
    assert_eq!(change, Change::Replaced);
    assert!(change.to_string().starts_with("this is another TPM"), "{change}");
}

#[test]
fn a_disabled_tpm_and_an_owned_one_are_told_in_words_with_a_remedy() {
    // TPM2_HierarchyControl by the platform: the owner's hierarchy is disabled.
    let mut tpm = Emulator::new().boot_after(&["800200000020000001214000000c000000094000000900000100004000000100"]);
    assert_eq!(tpm.switches().unwrap().standing(), Standing::Disabled);
    let refused = tpm.identity(&ORG).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "TPM2_CreatePrimary: TPM_RC_HIERARCHY for handle 1 (the hierarchy is disabled, by the firmware's settings or by software)"
    );
    assert_eq!(refused.remedy(), Some("enable the TPM's hierarchies in the firmware's settings"));

    // TPM2_HierarchyChangeAuth: the owner's password is "x".
    let mut tpm = Emulator::new().boot_after(&["80020000001e000001294000000100000009400000090000010000000178"]);
    assert_eq!(tpm.switches().unwrap().standing(), Standing::Owned);
    let refused = tpm.identity(&ORG).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "TPM2_CreatePrimary: TPM_RC_BAD_AUTH for session 1 (the password is wrong: somebody has set one)"
    );
    assert!(refused.remedy().unwrap().starts_with("somebody owns this TPM"));
}
