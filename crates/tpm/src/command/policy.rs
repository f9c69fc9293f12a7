//! Commands about sessions and policies.

use super::{Command, Entity};
use crate::wire::Writer;
use crate::{Algorithm, CommandCode, Handle, PcrSet, Symmetric};

/// What kind of session is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StartSession {
    /// The loaded key that the salt is encrypted to; [`Handle::NULL`] for an unsalted session.
    pub salt_key: Handle,
    /// The salt, encrypted; empty for none.
    pub salt: Vec<u8>,
    /// The caller's nonce.
    pub nonce: [u8; 32],
    /// A policy session, not an HMAC session.
    pub policy: bool,
    /// How it encrypts parameters; [`Symmetric::NULL`] where it does not.
    pub symmetric: Symmetric,
}

/// `TPM2_StartAuthSession` (§11.1), with SHA-256, bound to nothing.
#[must_use]
pub fn start_auth_session(start: &StartSession) -> Command {
    let kind = if start.policy { 0x01 } else { 0x00 };
    let mut parameters = Writer::new().sized(&start.nonce).sized(&start.salt).u8(kind).u16(start.symmetric.algorithm.0);
    if start.symmetric != Symmetric::NULL {
        parameters = parameters.u16(start.symmetric.bits).u16(start.symmetric.mode.0);
    }
    let parameters = parameters.u16(Algorithm::SHA256.0).done();
    Command::new(CommandCode::START_AUTH_SESSION, parameters).about(start.salt_key).about(Handle::NULL).making_handle()
}

/// `TPM2_PolicySecret` (§23.4): whoever authorises `entity` meets this part of the policy, in this session alone.
#[must_use]
pub fn policy_secret(entity: impl Into<Entity>, session: Handle) -> Command {
    let parameters = Writer::new().sized(&[]).sized(&[]).sized(&[]).u32(0).done();
    Command::new(CommandCode::POLICY_SECRET, parameters).authorised(entity).about(session)
}

/// `TPM2_PolicyPCR` (§23.7): with the values that these PCRs have now.
#[must_use]
pub fn policy_pcr(session: Handle, pcrs: PcrSet) -> Command {
    let parameters = pcrs.encode(Writer::new().sized(&[])).done();
    Command::new(CommandCode::POLICY_PCR, parameters).about(session)
}

/// `TPM2_PolicyAuthorize` (§23.16): what was met so far is a policy that this key approved. `key` is its name, `ticket` what
/// `TPM2_VerifySignature` gave.
#[must_use]
pub fn policy_authorize(session: Handle, approved: &[u8; 32], reference: &[u8], key: &[u8], ticket: &[u8]) -> Command {
    let parameters = Writer::new().sized(approved).sized(reference).sized(key).bytes(ticket).done();
    Command::new(CommandCode::POLICY_AUTHORIZE, parameters).about(session)
}

/// `TPM2_PolicyGetDigest` (§23.11): what was met so far.
#[must_use]
pub fn policy_get_digest(session: Handle) -> Command {
    Command::new(CommandCode::POLICY_GET_DIGEST, Vec::new()).about(session)
}
