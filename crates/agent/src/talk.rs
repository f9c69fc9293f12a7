//! Conversations with the org's servers: what `slipway_trust::machine` asks for, done with this machine's key, TPM and connection.

use std::sync::Arc;

use slipway_tpm::{Credential, PcrSet};
use slipway_trust::frames::{Intent, Quote, Refused, TpmEvidence, Volume};
use slipway_trust::invite::Token;
use slipway_trust::key::SignatureBytes;
use slipway_trust::machine::{
    self, Admitted, Answered, BootProof, Challenged, Expect, Misled, NeedsActivation, Next, Proof, Running, Start,
    Stop, Waiting,
};
use slipway_trust::record::Inventory;
use slipway_trust::{Arch, Digest, InviteId, MachineId, OrgFacts, OrgId, Refusal};

use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::gateway::{Gateways, Line};
use crate::identity::{Identity, InTpm};
use crate::random;
use crate::tls::Expected;
use crate::tpm;

/// Why a conversation ended.
#[derive(Debug)]
pub(crate) struct Failure {
    /// At which step.
    pub(crate) step: Checkpoint,
    /// Why, in words.
    pub(crate) reason: String,
    /// What the server said, if it was the server.
    pub(crate) refused: Option<Refused>,
    /// Whether it stays as it is until a person does something.
    pub(crate) lasts: bool,
}

impl Failure {
    /// One that may pass.
    pub(crate) fn new(step: Checkpoint, reason: impl Into<String>) -> Self {
        Self { step, reason: reason.into(), refused: None, lasts: false }
    }

    /// One that a person must mend.
    pub(crate) fn lasting(step: Checkpoint, reason: impl Into<String>) -> Self {
        Self { lasts: true, ..Self::new(step, reason) }
    }

    /// The server said no.
    pub(crate) fn refusal(step: Checkpoint, refused: Refused) -> Self {
        let reason = format!("the server refuses ({}): {}", refused.why.code(), refused.why);
        Self { step, reason, lasts: !refused.why.passes(), refused: Some(refused) }
    }

    /// Whether the server refused, and so.
    pub(crate) fn is(&self, why: Refusal) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.why == why)
    }

    /// Whether it is worth trying again by itself.
    pub(crate) fn passes(&self) -> bool {
        !self.lasts
    }
}

fn stopped(step: Checkpoint) -> impl FnOnce(Stop) -> Failure {
    move |stop| match stop {
        Stop::Refused(refused) => Failure::refusal(step, refused),
        Stop::Misled(why) => Failure::new(step, why.to_string()),
    }
}

fn misled(step: Checkpoint) -> impl FnOnce(Misled) -> Failure {
    move |why| Failure::new(step, why.to_string())
}

fn here(step: Checkpoint) -> impl Fn(String) -> Failure {
    move |reason| Failure::new(step, reason)
}

/// Who speaks to whom.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) facts: OrgFacts,
    pub(crate) org: OrgId,
    pub(crate) arch: Arch,
    pub(crate) clock: Clock,
    /// The pin of the org's CA, from the image or from the invite.
    pub(crate) pin: Option<Digest>,
    pub(crate) gateways: Gateways,
    pub(crate) identity: Arc<Identity>,
}

impl Ends {
    /// Connects.
    pub(crate) fn connect(&self, step: Checkpoint) -> Result<Line, Failure> {
        let expected = Expected { org: self.org, pin: self.pin, clock: self.clock };
        self.gateways.connect(&expected, None).map_err(here(step))
    }

    fn start(&self, intent: Intent, invite: Option<InviteId>, machine: Option<MachineId>) -> Result<Start, String> {
        Ok(Start {
            org: self.org,
            intent,
            arch: self.arch,
            image_version: self.facts.version,
            invite,
            machine,
            nonce: random::bytes()?,
            reveal: random::bytes()?,
        })
    }

    /// M1 and M2.
    pub(crate) fn greet(
        &self,
        line: &mut Line,
        intent: Intent,
        invite: Option<InviteId>,
        machine: Option<MachineId>,
    ) -> Result<Challenged, Failure> {
        let step = if intent == Intent::Boot { Checkpoint::Gateway } else { Checkpoint::Invite };
        let (greeted, frame) = self.start(intent, invite, machine).map_err(here(step))?.hello();
        let reply = line.ask(&frame).map_err(here(step))?;
        greeted.on_challenge(&reply, &line.channel.exporter).map_err(stopped(step))
    }

    /// M3 to M6.
    pub(crate) fn prove(
        &self,
        line: &mut Line,
        challenged: Challenged,
        inventory: Inventory,
        token: Option<&Token>,
    ) -> Result<Waiting, Failure> {
        let step = Checkpoint::Identity;
        let tpm = self.identity.tpm().map(|tpm| evidence(tpm, &challenged.certify_qualifying())).transpose();
        let tpm = tpm.map_err(here(step))?;
        let proof = Proof { key: self.identity.public(), inventory, tpm, token, ca_spki: line.channel.ca };
        let needs = challenged.evidence(proof);
        let signature = self.sign(needs.message(), step)?;
        let (proving, frame) = needs.signed(signature).map_err(misled(step))?;
        match proving.on_reply(&line.ask(&frame).map_err(here(step))?).map_err(stopped(step))? {
            Next::Ticket(waiting) => Ok(*waiting),
            Next::Activate(activation) => {
                let tpm = self.identity.tpm().ok_or_else(|| Failure::new(step, "the server asks for a TPM"))?;
                let (secret, quote) = activate(tpm, &activation).map_err(here(step))?;
                let needs = activation.activated(&secret, quote);
                let signature = self.sign(needs.message(), step)?;
                let (proving, frame) = needs.signed(signature).map_err(misled(step))?;
                match proving.on_reply(&line.ask(&frame).map_err(here(step))?).map_err(stopped(step))? {
                    Next::Ticket(waiting) => Ok(*waiting),
                    Next::Activate(_) => Err(Failure::new(step, Misled::NotDue.to_string())),
                }
            }
        }
    }

    /// M7, on a connection of its own.
    pub(crate) fn poll(&self, waiting: &mut Waiting, expect: &Expect<'_>) -> Result<Answered, Failure> {
        let step = Checkpoint::Approval;
        let mut line = self.connect(step)?;
        let needs = waiting.poll(&line.channel.exporter);
        let signature = self.sign(needs.message(), step)?;
        let ((), frame) = needs.signed(signature).map_err(misled(step))?;
        waiting.on_reply(&line.ask(&frame).map_err(here(step))?, expect).map_err(misled(step))
    }

    /// M10, on a connection of its own.
    pub(crate) fn installed(
        &self,
        waiting: &mut Waiting,
        sha256: Digest,
        entry: Option<String>,
    ) -> Result<(), Failure> {
        let step = Checkpoint::Rebooting;
        let mut line = self.connect(step)?;
        let needs = waiting.installed(sha256, entry, &line.channel.exporter);
        let signature = self.sign(needs.message(), step)?;
        let ((), frame) = needs.signed(signature).map_err(misled(step))?;
        machine::on_noted(&line.ask(&frame).map_err(here(step))?).map_err(stopped(step))
    }

    /// M11 and M12.
    pub(crate) fn boot(
        &self,
        line: &mut Line,
        challenged: Challenged,
        boot: Booting,
        running: &Running<'_>,
    ) -> Result<Admitted, Failure> {
        let step = Checkpoint::Identity;
        let quote = self.identity.tpm().map(|tpm| quote(tpm, challenged.pcrs(), &challenged.quote_qualifying()));
        let Booting { machine, confirm, generation, counter, volume } = boot;
        let (key, ca_spki) = (self.identity.public(), line.channel.ca);
        let quote = quote.transpose().map_err(here(step))?;
        let proof = BootProof { key, machine, confirm, quote, generation, counter, volume, ca_spki };
        let needs = challenged.boot(proof);
        let signature = self.sign(needs.message(), step)?;
        let (booting, frame) = needs.signed(signature).map_err(misled(step))?;
        booting.on_material(&line.ask(&frame).map_err(here(step))?, running).map_err(stopped(step))
    }

    fn sign(&self, message: &[u8], step: Checkpoint) -> Result<SignatureBytes, Failure> {
        self.identity.sign(message).map_err(here(step))
    }
}

/// What a preboot says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Booting {
    pub(crate) machine: MachineId,
    pub(crate) confirm: Option<[u8; 32]>,
    pub(crate) generation: Option<Digest>,
    pub(crate) counter: u64,
    pub(crate) volume: Option<Volume>,
}

/// What the TPM says of itself and of the identity key.
fn evidence(tpm: &InTpm, qualifying: &[u8; 32]) -> Result<TpmEvidence, String> {
    let org = tpm.org().0;
    tpm.with_chip(|chip| {
        let (ek, keys, statement) = (chip.ek()?, chip.identity(&org)?, chip.certify(&org, qualifying)?);
        Ok(TpmEvidence {
            ek: ek.public.encode(),
            certificates: ek.certificate.into_iter().map(Into::into).collect(),
            ak: keys.attestation.encode(),
            identity: keys.identity.encode(),
            certified: statement.attest,
            signature: statement.signature,
        })
    })
}

/// Opens the credential of M4, and quotes.
fn activate(tpm: &InTpm, activation: &NeedsActivation) -> Result<(zeroize::Zeroizing<[u8; 32]>, Quote), String> {
    let credential = Credential { blob: activation.blob().to_vec(), secret: activation.secret().to_vec() };
    let secret = activate_secret(tpm, &credential)?;
    Ok((secret, quote(tpm, activation.pcrs(), &activation.quote_qualifying())?))
}

/// The secret of a credential that was made for this TPM and its attestation key.
pub(crate) fn activate_secret(tpm: &InTpm, credential: &Credential) -> Result<zeroize::Zeroizing<[u8; 32]>, String> {
    let org = tpm.org().0;
    tpm.with_chip(|chip| {
        let kind = chip.ek()?.public.kind();
        chip.activate(kind, &org, credential)
    })
}

fn quote(tpm: &InTpm, pcrs: &[u8], qualifying: &[u8; 32]) -> Result<Quote, String> {
    let org = tpm.org().0;
    let pcrs: PcrSet = pcrs.iter().copied().collect();
    let statement = tpm.with_chip(|chip| chip.quote(&org, pcrs, qualifying))?;
    Ok(Quote { attest: statement.attest, signature: statement.signature, log: tpm::event_log() })
}
