//! M3 and M5 out, M4 and M6 in.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::greet::Start;
use super::sign::{NeedsSignature, Sent};
use super::stop::{Misled, Stop, read};
use super::wait::Waiting;
use crate::frames::{Activate, Activated, Ask, Quote, Reply, TpmEvidence};
use crate::id::Digest;
use crate::invite::Token;
use crate::key::PublicKey;
use crate::record::Inventory;
use crate::transcript::Transcript;

/// What a machine proves itself with.
#[derive(Debug)]
pub struct Proof<'a> {
    /// Its identity key.
    pub key: PublicKey,
    /// What it says of itself.
    pub inventory: Inventory,
    /// What its TPM says, with [`super::Challenged::certify_qualifying`] under the certification.
    pub tpm: Option<TpmEvidence>,
    /// The secret invite that the hello named.
    pub token: Option<&'a Token>,
    /// The pin of the machine CA that this connection was checked with.
    pub ca_spki: Digest,
}

/// M3 or M5 is sent.
#[derive(Debug)]
pub struct Proving {
    pub(crate) start: Start,
    pub(crate) key: PublicKey,
    pub(crate) ek: Option<Digest>,
    pub(crate) disks: Vec<String>,
    pub(crate) words: String,
    pub(crate) ca_spki: Digest,
    pub(crate) pcrs: Vec<u8>,
    pub(crate) transcript: Transcript,
    pub(crate) channel: [u8; 32],
    /// Whether M4 is due.
    pub(crate) activates: bool,
}

/// What follows on a proof.
#[derive(Debug)]
pub enum Next {
    /// The TPM must show that it has the endorsement key.
    Activate(Box<NeedsActivation>),
    /// There is a ticket.
    Ticket(Box<Waiting>),
}

/// M4 has come: the TPM must open a secret.
#[derive(Debug)]
pub struct NeedsActivation {
    proving: Proving,
    activate: Activate,
}

impl Sent for Proving {
    fn sent(&mut self, frame: &[u8]) {
        self.transcript.sent(frame);
    }
}

impl Proving {
    /// M4 or M6.
    ///
    /// # Errors
    /// The server refuses, or it is not believed.
    pub fn on_reply(self, reply: &[u8]) -> Result<Next, Stop> {
        match read(reply)? {
            Reply::Activate(activate) if self.activates => {
                let proving = Self { transcript: self.transcript.then(reply), activates: false, ..self };
                Ok(Next::Activate(Box::new(NeedsActivation { proving, activate })))
            }
            Reply::Ticket(told) if !self.activates => Ok(Next::Ticket(Box::new(Waiting::new(self, told)))),
            _ => Err(Misled::NotDue.into()),
        }
    }
}

impl NeedsActivation {
    /// TPM2B_ID_OBJECT's contents, for TPM2_ActivateCredential.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.activate.blob
    }

    /// TPM2B_ENCRYPTED_SECRET's contents, for TPM2_ActivateCredential.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.activate.secret
    }

    /// What the quote must be bound to: SHA-256(quote nonce ‖ th4).
    #[must_use]
    pub fn quote_qualifying(&self) -> [u8; 32] {
        Digest::of_all(&[&self.activate.quote_nonce, &self.proving.transcript.hash().0]).0
    }

    /// The PCRs that the quote must cover (SHA-256 bank).
    #[must_use]
    pub fn pcrs(&self) -> &[u8] {
        &self.proving.pcrs
    }

    /// M5, with the secret that the TPM has opened.
    #[must_use]
    pub fn activated(self, secret: &[u8; 32], quote: Quote) -> NeedsSignature<Proving> {
        let (th4, channel) = (*self.proving.transcript.hash(), self.proving.channel);
        // HMAC takes keys of every length, so this cannot fail.
        let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
            mac.update(&th4.0);
            <[u8; 32]>::from(mac.finalize().into_bytes())
        });
        let activated = Activated { proof: mac.unwrap_or_default(), quote };
        NeedsSignature::new(self.proving.key, &Ask::Activated(activated), &th4, &channel, self.proving)
    }
}
