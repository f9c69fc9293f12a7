//! M1 out, M2 in.

use super::prove::{Proof, Proving};
use super::sign::NeedsSignature;
use super::stop::{Misled, Stop, read};
use crate::frames::{Ask, Challenge, Evidence, Hello, Intent, Reply, VERSION};
use crate::id::{Digest, InviteId, MachineId, OrgId, Time};
use crate::image::Arch;
use crate::key::{PublicKey, SignatureBytes};
use crate::seal::{Bound, Domain, Signed, signed_bytes};
use crate::transcript::Transcript;
use crate::{encode, words};

/// What a machine begins with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Its org.
    pub org: OrgId,
    /// What it wants.
    pub intent: Intent,
    /// Its processor.
    pub arch: Arch,
    /// The version of the image that runs.
    pub image_version: u64,
    /// The invite that it comes with.
    pub invite: Option<InviteId>,
    /// Who it is, if it knows.
    pub machine: Option<MachineId>,
    /// 32 random bytes.
    pub nonce: [u8; 32],
    /// 32 other random bytes: committed to now, revealed later.
    pub reveal: [u8; 32],
}

/// M1 is sent.
#[derive(Debug)]
pub struct Greeted {
    start: Start,
    transcript: Transcript,
}

/// M2 has come.
#[derive(Debug)]
pub struct Challenged {
    pub(crate) start: Start,
    pub(crate) challenge: Challenge,
    /// th2.
    pub(crate) transcript: Transcript,
    pub(crate) channel: [u8; 32],
}

/// PCRs that a quote must cover at least, so that the boot log's word on what was started counts.
const LEAST_PCRS: [u8; 2] = [4, 7];

impl Start {
    /// M1.
    #[must_use]
    pub fn hello(self) -> (Greeted, Vec<u8>) {
        let hello = Hello {
            versions: vec![VERSION],
            org: self.org,
            nonce: self.nonce,
            commitment: Digest::of(&self.reveal),
            image_version: self.image_version,
            arch: self.arch,
            intent: self.intent,
            invite: self.invite,
            machine: self.machine,
        };
        let frame = encode(&Signed::unsigned(encode(&Ask::Hello(hello))));
        let transcript = Transcript::new(&self.org).then(&frame);
        (Greeted { start: self, transcript }, frame)
    }
}

impl Greeted {
    /// M2, on this channel.
    ///
    /// # Errors
    /// The server refuses, or it is not believed.
    pub fn on_challenge(self, reply: &[u8], channel: &[u8; 32]) -> Result<Challenged, Stop> {
        let Reply::Challenge(challenge) = read(reply)? else { return Err(Misled::NotDue.into()) };
        if challenge.org != self.start.org {
            return Err(Misled::WrongOrg.into());
        }
        if !LEAST_PCRS.iter().all(|pcr| challenge.pcrs.contains(pcr)) {
            return Err(Misled::WeakQuote.into());
        }
        let transcript = self.transcript.then(reply);
        Ok(Challenged { start: self.start, challenge, transcript, channel: *channel })
    }
}

impl Challenged {
    /// What TPM2_Certify of the identity key must be bound to: SHA-256(th2 ‖ channel).
    #[must_use]
    pub fn certify_qualifying(&self) -> [u8; 32] {
        Digest::of_all(&[&self.transcript.hash().0, &self.channel]).0
    }

    /// What the quote for a boot must be bound to: SHA-256(quote nonce ‖ th2).
    #[must_use]
    pub fn quote_qualifying(&self) -> [u8; 32] {
        Digest::of_all(&[&self.challenge.quote_nonce, &self.transcript.hash().0]).0
    }

    /// The PCRs that a quote must cover (SHA-256 bank).
    #[must_use]
    pub fn pcrs(&self) -> &[u8] {
        &self.challenge.pcrs
    }

    /// The server's clock. It is not proof of the time.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.challenge.time
    }

    /// The six words that a person compares. `ca_spki` is the pin of the machine CA that this connection was checked with.
    #[must_use]
    pub fn words(&self, key: &PublicKey, ca_spki: &Digest) -> [&'static str; words::COUNT] {
        words::six(self.transcript.hash(), &self.start.reveal, key, ca_spki)
    }

    /// What the invite's key signs to say that the machine with this key holds it.
    #[must_use]
    pub fn invite_message(&self, key: &PublicKey) -> Vec<u8> {
        signed_bytes(Domain::InviteUse, self.bound(), &encode(key))
    }

    /// M3.
    #[must_use]
    pub fn evidence(self, proof: Proof<'_>) -> NeedsSignature<Proving> {
        let invite = proof.token.map(|token| -> SignatureBytes { token.key().sign(&self.invite_message(&proof.key)) });
        let evidence = Evidence {
            reveal: self.start.reveal,
            key: proof.key,
            inventory: proof.inventory.clone(),
            tpm: proof.tpm,
            invite,
        };
        let ek = evidence.tpm.as_ref().map(|tpm| Digest::of(&tpm.ek));
        let words = self.words(&proof.key, &proof.ca_spki).join(" ");
        let (th2, channel) = (*self.transcript.hash(), self.channel);
        let has_tpm = evidence.tpm.is_some();
        let proving = Proving {
            start: self.start,
            key: proof.key,
            ek,
            disks: proof.inventory.disks.into_iter().map(|disk| disk.id).collect(),
            words,
            ca_spki: proof.ca_spki,
            pcrs: self.challenge.pcrs,
            transcript: self.transcript,
            channel,
            activates: has_tpm,
        };
        NeedsSignature::new(proof.key, &Ask::Evidence(Box::new(evidence)), &th2, &channel, proving)
    }

    const fn bound(&self) -> Bound<'_> {
        Bound::Moment { transcript: self.transcript.hash(), channel: &self.channel }
    }
}
