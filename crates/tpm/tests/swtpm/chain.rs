//! The maker's word for an endorsement key.

use std::slice::from_ref;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PublicKeyData,
};
use slipway_tpm::{ChainFault, EkKind, EkPublic, check_ek_chain, ek_of_certificate};

use crate::emulator::Emulator;

/// A day in 2030.
const NOW: u64 = 1_900_000_000;
const YEAR: u64 = 365 * 86_400;

#[test]
fn the_certificates_of_swtpm_lead_to_its_makers_root() {
    let emulator = Emulator::certified();
    let mut tpm = emulator.boot();
    let (root, issuer) = emulator.maker();
    let inventory = tpm.inventory().unwrap();
    assert_eq!(inventory.ek.public.kind(), EkKind::Rsa2048);
    let other = Maker::new().root();
    for kind in [EkKind::Rsa2048, EkKind::P384] {
        let ek = tpm.ek_public(kind).unwrap();
        let certificate = tpm.ek_certificate(kind).unwrap().unwrap();
        let check = |roots: &[Vec<u8>], now| check_ek_chain(&ek, &certificate, from_ref(&issuer), roots, now);
        assert_eq!(check(from_ref(&root), NOW), Ok(0), "{}", kind.name());
        assert_eq!(ek_of_certificate(&certificate).unwrap().hash(), ek.hash(), "{}", kind.name());
        assert_eq!(check(&[other.clone(), root.clone()], NOW), Ok(1));
        assert_eq!(check(from_ref(&other), NOW), Err(ChainFault::UnknownIssuer));
        assert_eq!(check(&[], NOW), Err(ChainFault::UnknownIssuer));
        assert_eq!(check(from_ref(&root), 1_000_000_000), Err(ChainFault::NotYetValid));
        assert_eq!(check(&[vec![0x30, 0]], NOW), Err(ChainFault::Root(0)));
        assert_eq!(check_ek_chain(&ek, &certificate, &[], from_ref(&root), NOW), Err(ChainFault::UnknownIssuer));
    }
    assert_eq!(tpm.ek_certificate(EkKind::P256).unwrap(), None);
}

#[test]
fn the_certificates_above_are_read_from_the_tpm_across_its_indices() {
    let emulator = Emulator::certified();
    let (root, issuer) = emulator.maker();
    // The maker's two, the first cut in the middle, erased memory between them, and room that was reserved and not needed.
    let (left, right) = issuer.split_at(issuer.len() / 2);
    let second = [right, &[0xff; 9], &root, &[0; 30]].concat();
    let mut commands = write_index(0x01c0_0100, left);
    commands.extend(write_index(0x01c0_0101, &second));
    // Nothing leads to it.
    commands.extend(write_index(0x01c0_0103, &root));
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let mut tpm = emulator.boot_after(&commands);
    let chain = tpm.ek_chain().unwrap();
    assert_eq!(chain, [issuer, root.clone()]);
    let (ek, certificate) = (tpm.ek_public(EkKind::Rsa2048).unwrap(), tpm.ek_certificate(EkKind::Rsa2048).unwrap());
    assert_eq!(check_ek_chain(&ek, &certificate.unwrap(), &chain, from_ref(&root), NOW), Ok(0));
    // A root that the TPM brings along is none that anybody trusts.
    let none = check_ek_chain(&ek, &tpm.ek_certificate(EkKind::Rsa2048).unwrap().unwrap(), &chain, &[], NOW);
    assert_eq!(none, Err(ChainFault::UnknownIssuer));
    assert_eq!(Emulator::certified().boot().ek_chain().unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn what_is_no_certificate_above_an_ek_is_passed_over_and_no_more_is_read_than_may_be() {
    let some = |count: usize| vec![[0x30, 2, 5, 0]; count].concat();
    for (contents, wanted) in [
        (vec![0; 600], 0),
        ([some(1), vec![0xa0; 40]].concat(), 1),
        (vec![0x30, 0x82, 0xff, 0xff, 1], 0),
        (some(200), 8),
    ] {
        let commands = write_index(0x01c0_0100, &contents);
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        assert_eq!(Emulator::new().boot_after(&commands).ek_chain().unwrap().len(), wanted, "{contents:02x?}");
    }
}

/// What a maker does: an index that anybody may read (TPM2_NV_DefineSpace), with these contents (TPM2_NV_Write).
fn write_index(index: u32, contents: &[u8]) -> Vec<String> {
    const PASSWORD: &str = "00000009400000090000000000";
    const OWNER: &str = "40000001";
    let command = |code: u32, rest: String| format!("8002{:08x}{code:08x}{rest}", 10 + rest.len() / 2);
    // Name by SHA-256; the owner writes, the owner and its own password read, and no failure locks anything.
    let public = format!("{index:08x}000b02060002{:04x}{:04x}", 0, contents.len());
    let define = format!("{OWNER}{PASSWORD}0000{:04x}{public}", public.len() / 2);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let write = |(nth, part): (usize, &[u8])| {
        let (size, offset) = (part.len(), nth * 512);
        command(0x137, format!("{OWNER}{index:08x}{PASSWORD}{size:04x}{}{offset:04x}", hex(part)))
    };
    [command(0x12a, define)].into_iter().chain(contents.chunks(512).enumerate().map(write)).collect()
}

#[test]
fn a_certificate_of_another_tpm_proves_nothing() {
    let (mine, yours) = (Emulator::certified(), Emulator::certified());
    let certificate = yours.boot().inventory().unwrap().ek.certificate.unwrap();
    let (root, issuer) = yours.maker();
    for kind in EkKind::ALL {
        let ek = mine.boot().ek_public(kind).unwrap();
        assert_eq!(
            check_ek_chain(&ek, &certificate, from_ref(&issuer), from_ref(&root), NOW),
            Err(ChainFault::OtherKey)
        );
    }
}

#[test]
fn expired_and_misused_certificates_and_changed_ones_are_refused() {
    let ek = Emulator::new().boot().ek_public(EkKind::P256).unwrap();
    let maker = Maker::new();
    let root = maker.root();
    let check = |certificate: &[u8], now| check_ek_chain(&ek, certificate, &[], from_ref(&root), now);
    let good = maker.certify(&ek, Some(EK_USAGE));
    assert_eq!(check(&good, NOW), Ok(0));
    assert_eq!(ek_of_certificate(&good).unwrap().hash(), ek.hash());
    assert_eq!(ek_of_certificate(&maker.certify(&ek, None)), Err(ChainFault::Usage));
    assert_eq!(ek_of_certificate(&root), Err(ChainFault::Usage), "a maker's own certificate is no TPM's");
    assert_eq!(check(&good, NOW + 20 * YEAR), Err(ChainFault::Expired));
    assert_eq!(check(&maker.certify(&ek, None), NOW), Err(ChainFault::Usage));
    // A platform certificate's usage is not an endorsement certificate's.
    assert_eq!(check(&maker.certify(&ek, Some(&[2, 23, 133, 8, 2])), NOW), Err(ChainFault::Usage));
    for at in 0..good.len() {
        assert!(check(&good[..at], NOW).is_err(), "cut to {at}");
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(check(&changed, NOW).is_err(), "byte {at}");
    }
}

const EK_USAGE: &[u64] = &[2, 23, 133, 8, 1];

/// A maker of TPMs.
struct Maker {
    key: KeyPair,
}

impl Maker {
    fn new() -> Self {
        Self { key: KeyPair::generate().unwrap() }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, "a maker of TPMs");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(2060, 1, 1);
        params
    }

    fn root(&self) -> Vec<u8> {
        self.params().self_signed(&self.key).unwrap().der().to_vec()
    }

    /// A certificate as EKs have it: no subject, the facts in a critical alternative name.
    fn certify(&self, ek: &EkPublic, usage: Option<&[u64]>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        // SEQUENCE { [4] { SEQUENCE { SET { SEQUENCE { 2.23.133.2.1, UTF8String "id:1" } } } } }
        let names = b"\x30\x17\xa4\x15\x30\x13\x31\x11\x30\x0f\x06\x05\x67\x81\x05\x02\x01\x0c\x06id:001";
        let mut name = CustomExtension::from_oid_content(&[2, 5, 29, 17], names.to_vec());
        name.set_criticality(true);
        params.custom_extensions = vec![name];
        params.extended_key_usages =
            usage.map(|oid| ExtendedKeyUsagePurpose::Other(oid.to_vec())).into_iter().collect();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let issuer = Issuer::new(self.params(), &self.key);
        params.signed_by(&Point::of(ek), &issuer).unwrap().der().to_vec()
    }
}

struct Point(Vec<u8>);

impl Point {
    fn of(ek: &EkPublic) -> Self {
        Self([&[4], ek.public().p256_point().unwrap().as_slice()].concat())
    }
}

impl PublicKeyData for Point {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
