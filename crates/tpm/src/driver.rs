//! The steps that a machine takes with its TPM. Each loads what it needs, and flushes it again.
//!
//! At most three objects and one session are loaded at a time: what every TPM has room for, and what the kernel's resource
//! manager (`/dev/tpmrm0`) gives one process.

mod inventory;
mod nv;
mod sealing;

pub use inventory::{Change, Ek, Inventory, Standing, Switches};
pub use sealing::Sealed;

use std::io;

use zeroize::Zeroizing;

use crate::attest::Statement;
use crate::command::{self, Command, Entity, NoReply, Reply, StartSession};
use crate::error::TpmError;
use crate::session::{Authorisation, Doubt, open_reply, seal_command};
use crate::template::{self, EkKind};
use crate::wire::DecodeError;
use crate::{CommandCode, Credential, Handle, PcrSet, Public, ResponseCode, Symmetric};

/// A TPM behind a function that sends a command and returns the reply, each whole: `/dev/tpmrm0`, or an emulator's socket.
#[derive(Debug)]
pub struct Tpm<T> {
    transport: T,
}

/// The public parts of a machine's keys within one org.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdentityKeys {
    /// What signs for the machine.
    pub identity: Public,
    /// What states facts of the TPM (AK).
    pub attestation: Public,
}

/// An object in the TPM, until it is flushed.
struct Loaded {
    entity: Entity,
    public: Public,
}

type Result<R> = core::result::Result<R, TpmError>;

impl<T: FnMut(&[u8]) -> io::Result<Vec<u8>>> Tpm<T> {
    /// A TPM behind this function. Nothing is sent yet.
    pub const fn new(transport: T) -> Self {
        Self { transport }
    }

    /// What firmware does when the machine starts; only for a TPM that no firmware has started.
    ///
    /// # Errors
    /// The TPM's refusal. One that was started already is no error.
    pub fn start(&mut self) -> Result<()> {
        match self.run(command::startup(), &mut []) {
            Err(TpmError::Refused { code: ResponseCode::INITIALIZE, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// The machine's keys within an org: the same each time, until the TPM is cleared.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn identity(&mut self, org_id: &[u8; 16]) -> Result<IdentityKeys> {
        let identity = self.with(Handle::OWNER, &template::identity(org_id), |_, key| Ok(key.public.clone()))?;
        let attestation = self.with(Handle::OWNER, &template::attestation(org_id), |_, key| Ok(key.public.clone()))?;
        Ok(IdentityKeys { identity, attestation })
    }

    /// Signs a SHA-256 digest with the identity key: ECDSA, r and s of 32 bytes each.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn sign(&mut self, org_id: &[u8; 16], digest: &[u8; 32]) -> Result<[u8; 64]> {
        self.with(Handle::OWNER, &template::identity(org_id), |tpm, key| {
            let reply = tpm.run(command::sign(key.entity.clone(), digest), &mut [Authorisation::Password])?;
            read(CommandCode::SIGN, command::decode_signature(&reply.parameters))
        })
    }

    /// The AK's statement that the identity key is in the same TPM. `qualifying`: at most 34 bytes, for every TPM takes so many.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn certify(&mut self, org_id: &[u8; 16], qualifying: &[u8]) -> Result<Statement> {
        self.with(Handle::OWNER, &template::identity(org_id), |tpm, identity| {
            tpm.with(Handle::OWNER, &template::attestation(org_id), |tpm, ak| {
                let ask = command::certify(identity.entity.clone(), ak.entity.clone(), qualifying);
                let reply = tpm.run(ask, &mut [Authorisation::Password, Authorisation::Password])?;
                read(CommandCode::CERTIFY, command::decode_attest(&reply.parameters))
            })
        })
    }

    /// The AK's statement of what values these PCRs have. `qualifying`: at most 34 bytes.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn quote(&mut self, org_id: &[u8; 16], pcrs: PcrSet, qualifying: &[u8]) -> Result<Statement> {
        self.with(Handle::OWNER, &template::attestation(org_id), |tpm, ak| {
            let ask = command::quote(ak.entity.clone(), pcrs, qualifying);
            let reply = tpm.run(ask, &mut [Authorisation::Password])?;
            read(CommandCode::QUOTE, command::decode_attest(&reply.parameters))
        })
    }

    /// Opens a credential that was made for this TPM's EK and the AK within this org.
    ///
    /// # Errors
    /// The TPM's refusal: `TPM_RC_INTEGRITY` and `TPM_RC_VALUE` where the credential is for another TPM or another key.
    pub fn activate(
        &mut self,
        kind: EkKind,
        org_id: &[u8; 16],
        credential: &Credential,
    ) -> Result<Zeroizing<[u8; 32]>> {
        self.with_ek(kind, |tpm, ek| {
            tpm.with(Handle::OWNER, &template::attestation(org_id), |tpm, ak| {
                let ask = command::activate_credential(
                    ak.entity.clone(),
                    ek.entity.clone(),
                    &credential.blob,
                    &credential.secret,
                );
                let reply = if kind == EkKind::P384 {
                    // EKs of the high range are used with their password, which is empty.
                    tpm.run(ask, &mut [Authorisation::Password, Authorisation::Password])?
                } else {
                    tpm.in_endorsement_policy(ask)?
                };
                let secret = command::decode_digest(&reply.parameters).map(Zeroizing::new);
                read(CommandCode::ACTIVATE_CREDENTIAL, secret)
            })
        })
    }

    /// The values of PCRs of the SHA-256 bank, rising.
    ///
    /// # Errors
    /// The TPM's refusal, or the bank is switched off.
    pub fn read_pcrs(&mut self, pcrs: PcrSet) -> Result<Vec<(u8, [u8; 32])>> {
        let mut values: Vec<(u8, [u8; 32])> = Vec::new();
        // A reply holds up to eight.
        while let Some(rest) = Some(left(pcrs, &values)).filter(|rest| *rest != PcrSet::NONE) {
            let reply = self.run(command::pcr_read(rest), &mut [])?;
            let some = read(CommandCode::PCR_READ, command::decode_pcrs(&reply.parameters))?;
            if some.is_empty() {
                return Err(TpmError::NoBank);
            }
            values.extend(some);
        }
        Ok(values)
    }

    /// Extends a PCR of the SHA-256 bank, so that what its value opened stays closed until the machine restarts.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn extend(&mut self, pcr: u8, digest: &[u8; 32]) -> Result<()> {
        self.run(command::pcr_extend(pcr, digest), &mut [Authorisation::Password]).map(drop)
    }

    /// Random bytes of the TPM's own, at most 32: to be mixed with others.
    ///
    /// # Errors
    /// The TPM's refusal.
    pub fn random(&mut self, count: u16) -> Result<Zeroizing<Vec<u8>>> {
        let reply = self.run(command::get_random(count), &mut [])?;
        let bytes = read(CommandCode::GET_RANDOM, command::decode_buffer(&reply.parameters))?;
        Ok(Zeroizing::new(bytes.to_vec()))
    }

    /// Ends all that belongs to the owner: every identity and every sealed secret.
    ///
    /// # Errors
    /// The TPM's refusal, where a lockout password is set or clearing is disabled.
    pub fn clear(&mut self) -> Result<()> {
        self.run(command::clear(), &mut [Authorisation::Password]).map(drop)
    }

    /// Runs one command whose first handles are authorised so.
    fn run(&mut self, mut command: Command, authorisations: &mut [Authorisation<'_>]) -> Result<Answer> {
        let code = command.code;
        let (bytes, sent) = seal_command(&mut command, authorisations).ok_or(TpmError::Entropy)?;
        let bytes = Zeroizing::new(bytes);
        let reply = self.ask(code, &bytes)?;
        let reply = Reply::decode(&reply, command.makes_handle).map_err(|no| match no {
            NoReply::Refused(refusal) => TpmError::Refused { command: code, code: refusal },
            NoReply::Unreadable(fault) => TpmError::Unreadable { command: code, fault },
        })?;
        let parameters = open_reply(&command, &reply, authorisations, &sent).map_err(|doubt| match doubt {
            Doubt::Unreadable(fault) => TpmError::Unreadable { command: code, fault },
            Doubt::Forged => TpmError::Forged { command: code },
        })?;
        Ok(Answer { handle: reply.handle, parameters })
    }

    /// Sends these bytes, and the same again where the TPM says that it could not begin: it does so before it first uses a key
    /// whose wrong passwords it counts (part 1 §19.8.3).
    fn ask(&mut self, command: CommandCode, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let mut left = 4_u8;
        loop {
            let reply = (self.transport)(bytes).map_err(|source| TpmError::Transport { command, source })?;
            let reply = Zeroizing::new(reply);
            left = left.saturating_sub(1);
            let refused = Reply::decode(&reply, false).err();
            if left == 0 || refused != Some(NoReply::Refused(ResponseCode::RETRY)) {
                return Ok(reply);
            }
        }
    }

    /// Makes a primary key, works with it, and flushes it.
    fn with<R>(
        &mut self,
        hierarchy: Handle,
        template: &Public,
        work: impl FnOnce(&mut Self, &Loaded) -> Result<R>,
    ) -> Result<R> {
        let ask = command::create_primary(hierarchy, template);
        let answer = self.run(ask, &mut [Authorisation::Password])?;
        let handle = read(CommandCode::CREATE_PRIMARY, command::decode_handle(answer.handle))?;
        self.flushing(handle, |tpm| {
            let (public, name) = read(CommandCode::CREATE_PRIMARY, command::decode_primary(&answer.parameters))?;
            work(tpm, &Loaded { entity: Entity { handle, name }, public })
        })
    }

    /// Works, then flushes this handle, whatever came of the work.
    fn flushing<R>(&mut self, handle: Handle, work: impl FnOnce(&mut Self) -> Result<R>) -> Result<R> {
        let result = work(self);
        let flushed = self.run(command::flush_context(handle), &mut []);
        result.and_then(|result| flushed.map(|_| result))
    }

    /// Opens a policy session without a secret, works in it, and flushes it.
    fn in_policy<R>(&mut self, work: impl FnOnce(&mut Self, Handle) -> Result<R>) -> Result<R> {
        // The nonce protects nothing here: without a salt nothing in this session is secret or authenticated.
        let start = StartSession {
            salt_key: Handle::NULL,
            salt: Vec::new(),
            nonce: [0; 32],
            policy: true,
            symmetric: Symmetric::NULL,
        };
        let answer = self.run(command::start_auth_session(&start), &mut [])?;
        let session = read(CommandCode::START_AUTH_SESSION, command::decode_handle(answer.handle))?;
        self.flushing(session, |tpm| work(tpm, session))
    }

    /// Runs a command whose second handle is an EK of the low range: its policy asks for the endorsement hierarchy's password.
    fn in_endorsement_policy(&mut self, ask: Command) -> Result<Answer> {
        self.in_policy(|tpm, session| {
            tpm.run(command::policy_secret(Handle::ENDORSEMENT, session), &mut [Authorisation::Password])?;
            tpm.run(ask, &mut [Authorisation::Password, Authorisation::Policy(session)])
        })
    }
}

/// A reply whose sessions were checked.
struct Answer {
    handle: Option<Handle>,
    parameters: Zeroizing<Vec<u8>>,
}

fn left(pcrs: PcrSet, values: &[(u8, [u8; 32])]) -> PcrSet {
    pcrs.iter().filter(|pcr| values.iter().all(|(known, _)| known != pcr)).collect()
}

fn read<R>(command: CommandCode, result: core::result::Result<R, DecodeError>) -> Result<R> {
    result.map_err(|fault| TpmError::Unreadable { command, fault })
}
