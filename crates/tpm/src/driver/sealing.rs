//! A secret that opens only for approved images on this TPM: [`crate::policy`] tells when.

use std::io;

use zeroize::Zeroizing;

use super::{Answer, Authorisation, Loaded, Result, Tpm, read};
use crate::command::{self, Entity};
use crate::error::{Closed, TpmError};
use crate::policy::{APPROVED, Approval, PolicyKey, approval_digest, approval_holds, sealed_policy};
use crate::session::{Hidden, Salted, Salting};
use crate::wire::{DecodeError, Fault, Reader, Writer};
use crate::{CommandCode, Entropy, Handle, PcrSet, Public, ResponseCode, template};

/// The first byte of a sealed blob: its layout.
const VERSION: u8 = 1;
/// The longest private part that we keep, in bytes: that of a secret of 128 bytes is half as long.
const LONGEST_PRIVATE: usize = 512;

/// A sealed secret as it is kept outside of the TPM. Nothing in it is secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    /// PCR 7 when it was sealed, so that it can be told in words why it stays closed.
    pub pcr7: [u8; 32],
    /// Its private part, encrypted to the TPM's storage root.
    pub private: Vec<u8>,
    /// Its public part.
    pub public: Public,
}

impl Sealed {
    /// Reads a blob.
    ///
    /// # Errors
    /// The first field that is cut short, unknown or too long, or bytes that follow.
    pub fn decode(bytes: &[u8]) -> core::result::Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let unknown = reader.fault("version", Fault::Value);
        if reader.u8("version")? != VERSION {
            return Err(unknown);
        }
        let pcr7 = reader.array("pcr7")?;
        let private = reader.sized_at_most("TPM2B_PRIVATE", LONGEST_PRIVATE)?.to_vec();
        let public = Public::decode(reader.sized("TPM2B_PUBLIC")?)?;
        reader.end("sealed")?;
        Ok(Self { pcr7, private, public })
    }

    /// Writes a blob.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().u8(VERSION).bytes(&self.pcr7).sized(&self.private).sized(&self.public.encode()).done()
    }
}

impl<T: FnMut(&[u8]) -> io::Result<Vec<u8>>> Tpm<T> {
    /// Seals a secret of at most 128 bytes for images that this key approves, while PCR 7 is what it is now. The secret
    /// crosses the bus encrypted. `entropy` is 64 fresh random bytes.
    ///
    /// # Errors
    /// The TPM's refusal, a policy key that is none, or `entropy` that must be drawn anew.
    pub fn seal(&mut self, secret: &[u8], key: &PolicyKey, entropy: &Entropy) -> Result<Vec<u8>> {
        let pcr7 = self.read_pcrs(PcrSet::one(7))?.first().map(|(_, value)| *value).ok_or(TpmError::NoBank)?;
        let policy = sealed_policy(key, &pcr7).ok_or(Closed::OtherPolicyKey)?;
        self.with(Handle::OWNER, &template::storage(), |tpm, root| {
            tpm.in_salted(root, false, entropy, |tpm, session| {
                let ask = command::create(root.entity.clone(), &template::sealed(&policy), secret);
                let answer = tpm.run(ask, &mut [Authorisation::Salted(session, Hidden::Command)])?;
                let created = read(CommandCode::CREATE, command::decode_created(&answer.parameters))?;
                Ok(Sealed { pcr7, private: created.private, public: created.public }.encode())
            })
        })
    }

    /// Opens a sealed secret, which crosses the bus encrypted. `entropy` is 64 fresh random bytes.
    ///
    /// # Errors
    /// [`TpmError::Closed`] with the reason, the TPM's refusal, or `entropy` that must be drawn anew.
    pub fn unseal(
        &mut self,
        blob: &[u8],
        key: &PolicyKey,
        approval: &Approval,
        entropy: &Entropy,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let sealed = Sealed::decode(blob).map_err(Closed::Unreadable)?;
        if sealed_policy(key, &sealed.pcr7).is_none_or(|policy| policy.as_slice() != sealed.public.policy) {
            return Err(Closed::OtherPolicyKey.into());
        }
        if !approval_holds(key, approval) {
            return Err(Closed::ApprovalSignature.into());
        }
        let (key_name, ticket) = self.ticket(key, approval)?;
        self.with(Handle::OWNER, &template::storage(), |tpm, root| {
            tpm.with_sealed(root, &sealed, |tpm, object| {
                tpm.in_salted(root, true, entropy, |tpm, session| {
                    let approved = (&approval.policy, key.reference.as_slice(), key_name.as_slice(), ticket.as_slice());
                    tpm.meet(session.handle, approved, &sealed)?;
                    let answer = tpm.run(command::unseal(object), &mut [Authorisation::Salted(session, Hidden::Reply)]);
                    let answer = answer.map_err(|error| closed(error, ResponseCode::POLICY_FAIL, Closed::Pcr7))?;
                    let secret = read(CommandCode::UNSEAL, command::decode_buffer(&answer.parameters))?;
                    Ok(Zeroizing::new(secret.to_vec()))
                })
            })
        })
    }

    /// Has the TPM verify an approval: the key's name and the ticket that says so.
    fn ticket(&mut self, key: &PolicyKey, approval: &Approval) -> Result<(Vec<u8>, Vec<u8>)> {
        let answer = self.run(command::load_external(&template::verifier(&key.point)), &mut [])?;
        let handle = read(CommandCode::LOAD_EXTERNAL, command::decode_handle(answer.handle))?;
        self.flushing(handle, |tpm| {
            let name = read(CommandCode::LOAD_EXTERNAL, command::decode_loaded(&answer.parameters))?;
            let digest = approval_digest(&approval.policy, &key.reference);
            let answer = tpm.run(command::verify_signature(handle, &digest, &approval.signature), &mut []);
            let answer = answer.map_err(|error| closed(error, ResponseCode::SIGNATURE, Closed::ApprovalSignature))?;
            let ticket = read(CommandCode::VERIFY_SIGNATURE, command::decode_ticket(&answer.parameters))?;
            Ok((name.0, ticket.to_vec()))
        })
    }

    /// Meets the policy of a sealed secret in a session: an approved PCR 11 with nothing in PCR 12, then PCR 7 as it was.
    fn meet(&mut self, session: Handle, approved: (&[u8; 32], &[u8], &[u8], &[u8]), sealed: &Sealed) -> Result<()> {
        let (policy, reference, key, ticket) = approved;
        self.run(command::policy_pcr(session, APPROVED), &mut [])?;
        if self.policy_digest(session)? != *policy {
            let outside = self.read_pcrs(PcrSet::one(12))?.iter().any(|(_, value)| *value != [0; 32]);
            return Err(if outside { Closed::Pcr12 } else { Closed::Pcr11 }.into());
        }
        self.run(command::policy_authorize(session, policy, reference, key, ticket), &mut [])?;
        self.run(command::policy_pcr(session, PcrSet::one(7)), &mut [])?;
        if self.policy_digest(session)?.as_slice() != sealed.public.policy {
            return Err(Closed::Pcr7.into());
        }
        Ok(())
    }

    fn policy_digest(&mut self, session: Handle) -> Result<[u8; 32]> {
        let answer = self.run(command::policy_get_digest(session), &mut [])?;
        read(CommandCode::POLICY_GET_DIGEST, command::decode_digest(&answer.parameters))
    }

    /// Loads a sealed object, works with it, and flushes it.
    fn with_sealed<R>(
        &mut self,
        root: &Loaded,
        sealed: &Sealed,
        work: impl FnOnce(&mut Self, Entity) -> Result<R>,
    ) -> Result<R> {
        let ask = command::load(root.entity.clone(), &sealed.private, &sealed.public);
        let answer = self.run(ask, &mut [Authorisation::Password]);
        let answer: Answer = answer.map_err(|error| closed(error, ResponseCode::INTEGRITY, Closed::OtherTpm))?;
        let handle = read(CommandCode::LOAD, command::decode_handle(answer.handle))?;
        self.flushing(handle, |tpm| {
            let name = read(CommandCode::LOAD, command::decode_loaded(&answer.parameters))?;
            work(tpm, Entity { handle, name })
        })
    }

    /// Opens a session whose secret only this TPM's storage root can read, works in it, and flushes it.
    fn in_salted<R>(
        &mut self,
        root: &Loaded,
        policy: bool,
        entropy: &Entropy,
        work: impl FnOnce(&mut Self, &mut Salted) -> Result<R>,
    ) -> Result<R> {
        let salting = Salting::new(&root.public, root.entity.handle, policy, entropy);
        let (salting, start) = salting.ok_or(TpmError::Entropy)?;
        let answer = self.run(command::start_auth_session(&start), &mut [])?;
        let handle = read(CommandCode::START_AUTH_SESSION, command::decode_handle(answer.handle))?;
        self.flushing(handle, |tpm| {
            let theirs = read(CommandCode::START_AUTH_SESSION, command::decode_session(&answer.parameters))?;
            work(tpm, &mut salting.open(handle, theirs))
        })
    }
}

/// A refusal of this code means that the secret stays closed, for this reason.
fn closed(error: TpmError, code: ResponseCode, reason: Closed) -> TpmError {
    match error.refusal() {
        Some(refusal) if refusal.bare() == code => reason.into(),
        _ => error,
    }
}
