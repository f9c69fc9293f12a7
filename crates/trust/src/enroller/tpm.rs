//! What a TPM proves: that the identity key is in it, that it is the one with that endorsement key, and what booted.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use slipway_tpm::{Boot, EkPublic, Entropy, PcrSet, Public, Statement};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::hello::PCRS;
use super::proven::Proven;
use crate::assurance::Assurance;
use crate::frames::{Activate, Activated, Quote, TpmEvidence};
use crate::id::Digest;
use crate::image::Role;
use crate::key::PublicKey;
use crate::node::{Fresh, Known, Started, View};
use crate::record::TpmFacts;
use crate::refusal::Refusal;

/// M3's part of a TPM's proof, and what M5 must bring.
#[derive(Debug)]
pub(crate) struct TpmProof {
    pub(crate) activate: Activate,
    facts: TpmFacts,
    ak: Public,
    secret: Zeroizing<[u8; 32]>,
}

/// Checks what can be checked of M3: the identity key is the machine's, it and the AK were made in a TPM that keeps them, and the AK says that
/// the identity key is beside it. That the AK is beside the endorsement key is what M4 asks.
pub(crate) fn check(
    evidence: &TpmEvidence,
    key: &PublicKey,
    qualifying: &Digest,
    view: &View<'_>,
    fresh: &Fresh,
) -> Result<TpmProof, Refusal> {
    let bad = |_| Refusal::BadEvidence;
    let ek = EkPublic::decode(&evidence.ek).map_err(|_| Refusal::BadEvidence)?;
    // One key has one name: bytes that are written otherwise would pass by the deny list.
    if ek.encode() != evidence.ek {
        return Err(Refusal::BadEvidence);
    }
    let ek_digest = Digest(ek.hash());
    if view.registry.denied(&ek_digest).is_some() {
        return Err(Refusal::Revoked);
    }
    let ak = Public::decode(&evidence.ak).map_err(|_| Refusal::BadEvidence)?;
    let ak_name = slipway_tpm::check_ak(&ak).map_err(bad)?;
    let identity = Public::decode(&evidence.identity).map_err(|_| Refusal::BadEvidence)?;
    let point = slipway_tpm::check_identity(&identity).map_err(bad)?;
    if PublicKey::p256(&point) != Some(*key) {
        return Err(Refusal::BadEvidence);
    }
    let name = identity.name().ok_or(Refusal::BadEvidence)?;
    let statement = Statement { attest: evidence.certified.clone(), signature: evidence.signature };
    slipway_tpm::check_certify(&ak, &statement, &name, &qualifying.0).map_err(bad)?;
    let secret = Zeroizing::new(fresh.activation);
    let entropy = Entropy(fresh.entropy);
    let credential =
        slipway_tpm::make_credential(&ek, &ak_name, &secret, &entropy).map_err(|_| Refusal::BadEvidence)?;
    let activate = Activate { blob: credential.blob, secret: credential.secret, quote_nonce: fresh.quote_nonce };
    let chain = maker(&ek, evidence, view)?;
    let (ak_public, ek_public) = (evidence.ak.clone(), evidence.ek.clone());
    let facts = TpmFacts { ek: ek_digest, ak: ak_public, chain, secure_boot: None, ek_public };
    Ok(TpmProof { activate, facts, ak, secret })
}

/// The maker that vouches for the TPM. A TPM without a certificate, or with one of a maker that we do not know, is known by its key alone; a
/// certificate for another key is a lie.
fn maker(ek: &EkPublic, evidence: &TpmEvidence, view: &View<'_>) -> Result<Option<String>, Refusal> {
    let certificates: Vec<Vec<u8>> = evidence.certificates.iter().map(|one| one.to_vec()).collect();
    let Some((leaf, above)) = certificates.split_first() else { return Ok(None) };
    match slipway_tpm::check_ek_chain(ek, leaf, above, view.tpm_roots, view.now.0) {
        Ok(root) => {
            let root = view.tpm_roots.get(root).map(|root| Digest::of(root));
            Ok(root.map(|digest| format!("root {digest}")))
        }
        Err(slipway_tpm::ChainFault::OtherKey) => Err(Refusal::BadEvidence),
        Err(_) => Ok(None),
    }
}

impl TpmProof {
    /// Checks M5: the secret, then what booted.
    pub(crate) fn finish(
        self,
        activated: &Activated,
        th4: &Digest,
        proven: &Proven,
        view: &View<'_>,
    ) -> Result<(TpmFacts, Assurance), Refusal> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice()).map_err(|_| Refusal::Internal)?;
        mac.update(&th4.0);
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        if !bool::from(expected.ct_eq(&activated.proof)) {
            return Err(Refusal::BadEvidence);
        }
        let qualifying = Digest::of_all(&[&self.activate.quote_nonce, &th4.0]);
        let running = (Role::Bootstrap, proven.hello.image_version);
        let boot = check_boot(&activated.quote, &self.ak, &qualifying, running, 0, view)?;
        let known = self.facts.chain.is_some() || is_listed(&self.facts.ek, view);
        let assurance = if known { Assurance::TpmBoot } else { Assurance::Tpm };
        Ok((TpmFacts { secure_boot: boot, ..self.facts }, assurance))
    }
}

fn is_listed(ek: &Digest, view: &View<'_>) -> bool {
    view.registry.ek_list().is_some_and(|list| list.entries.iter().any(|entry| entry.ek == *ek))
}

/// Checks what booted: the log is what the TPM quotes, each program in it is allowed, and the last image is the one that says to run. `floor`
/// is the lowest preboot version. Tells whether Secure Boot was on.
pub(crate) fn check_boot(
    quote: &Quote,
    ak: &Public,
    qualifying: &Digest,
    running: (Role, u64),
    floor: u64,
    view: &View<'_>,
) -> Result<Option<bool>, Refusal> {
    let statement = Statement { attest: quote.attest.clone(), signature: quote.signature };
    let pcrs: PcrSet = PCRS.into_iter().collect();
    let quoted = slipway_tpm::check_quote(ak, &statement, pcrs, &qualifying.0).map_err(|_| Refusal::BadEvidence)?;
    let boot = Boot::read(&quote.log, &quoted).map_err(|_| Refusal::BadBootLog)?;
    let (mut last, mut kernel): (Option<&Known>, Option<Digest>) = (None, None);
    for digest in &boot.images {
        let digest = Digest(*digest);
        // Many images hold the same kernel: it is looked for only in the one that was started just before it, and once. A second time it was
        // not the image that started it, but whoever the image has returned to, with parts of his own.
        if kernel.take() == Some(digest) {
            continue;
        }
        match view.images.started(view.org, &digest, floor).ok_or(Refusal::BadBootLog)? {
            Started::Loader => {}
            Started::Image(known) => (last, kernel) = (Some(known), known.manifest.kernel_authenticode),
        }
    }
    let manifest = &last.ok_or(Refusal::BadBootLog)?.manifest;
    let parts = manifest.pcr11.is_none_or(|pcr11| pcr11.0 == boot.pcr11);
    let same = (manifest.role, manifest.version) == running;
    if parts && same && boot.is_unaltered() { Ok(boot.secure_boot) } else { Err(Refusal::BadBootLog) }
}
