//! Commands that make, load and use objects.

use super::{Command, Entity};
use crate::wire::Writer;
use crate::{CommandCode, Handle, Public};

/// A `TPM2B_SENSITIVE_CREATE` without a password, holding this much of its own.
fn sensitive(data: &[u8]) -> Writer {
    let inside = Writer::new().sized(&[]).sized(data).done();
    Writer::new().sized(&inside)
}

/// Outside information and PCRs at creation, which nobody here asks for.
fn no_creation_facts(writer: Writer) -> Vec<u8> {
    writer.sized(&[]).u32(0).done()
}

/// `TPM2_CreatePrimary` (§24.1): the key that this hierarchy makes of this template, always the same.
#[must_use]
pub fn create_primary(hierarchy: Handle, template: &Public) -> Command {
    let parameters = no_creation_facts(sensitive(&[]).sized(&template.encode()));
    Command::new(CommandCode::CREATE_PRIMARY, parameters).authorised(hierarchy).making_handle()
}

/// `TPM2_Create` (§12.1): an object under a parent, holding `data` where it is a data object.
#[must_use]
pub fn create(parent: Entity, template: &Public, data: &[u8]) -> Command {
    let parameters = no_creation_facts(sensitive(data).sized(&template.encode()));
    Command::new(CommandCode::CREATE, parameters).authorised(parent)
}

/// `TPM2_Load` (§12.2): an object back into its TPM. `private` is what `TPM2_Create` gave.
#[must_use]
pub fn load(parent: Entity, private: &[u8], public: &Public) -> Command {
    let parameters = Writer::new().sized(private).sized(&public.encode()).done();
    Command::new(CommandCode::LOAD, parameters).authorised(parent).making_handle()
}

/// `TPM2_LoadExternal` (§12.3): somebody else's public key, under the owner's hierarchy so that tickets can be made with it.
#[must_use]
pub fn load_external(public: &Public) -> Command {
    let parameters = Writer::new().u16(0).sized(&public.encode()).u32(Handle::OWNER.0).done();
    Command::new(CommandCode::LOAD_EXTERNAL, parameters).making_handle()
}

/// `TPM2_ReadPublic` (§12.4).
#[must_use]
pub fn read_public(object: Handle) -> Command {
    Command::new(CommandCode::READ_PUBLIC, Vec::new()).about(object)
}

/// `TPM2_ActivateCredential` (§12.5): opens a credential that was made for this EK and for this AK's name.
#[must_use]
pub fn activate_credential(ak: Entity, ek: Entity, blob: &[u8], secret: &[u8]) -> Command {
    let parameters = Writer::new().sized(blob).sized(secret).done();
    Command::new(CommandCode::ACTIVATE_CREDENTIAL, parameters).authorised(ak).authorised(ek)
}

/// `TPM2_Unseal` (§12.7).
#[must_use]
pub fn unseal(object: Entity) -> Command {
    Command::new(CommandCode::UNSEAL, Vec::new()).authorised(object)
}

/// `TPM2_Certify` (§18.2): the signer says that the object is in the same TPM. By the signer's own scheme.
#[must_use]
pub fn certify(object: Entity, signer: Entity, qualifying: &[u8]) -> Command {
    let parameters = Writer::new().sized(qualifying).u16(crate::Algorithm::NULL.0).done();
    Command::new(CommandCode::CERTIFY, parameters).authorised(object).authorised(signer)
}

/// `TPM2_Sign` (§20.5) of a SHA-256 digest by an unrestricted key, by its own scheme, with the empty ticket that goes with it.
#[must_use]
pub fn sign(key: Entity, digest: &[u8; 32]) -> Command {
    let writer = Writer::new().sized(digest).u16(crate::Algorithm::NULL.0);
    let parameters = writer.u16(TAG_HASHCHECK).u32(Handle::NULL.0).sized(&[]).done();
    Command::new(CommandCode::SIGN, parameters).authorised(key)
}

/// `TPM2_VerifySignature` (§20.1): a ticket, if the key signed this digest.
#[must_use]
pub fn verify_signature(key: Handle, digest: &[u8; 32], signature: &[u8; 64]) -> Command {
    let parameters = Writer::new().sized(digest).bytes(&crate::attest::encode_signature(signature)).done();
    Command::new(CommandCode::VERIFY_SIGNATURE, parameters).about(key)
}

/// `TPM2_FlushContext` (§28.4): forgets a loaded object or a session.
#[must_use]
pub fn flush_context(handle: Handle) -> Command {
    Command::new(CommandCode::FLUSH_CONTEXT, Writer::new().u32(handle.0).done())
}

/// `TPM2_EvictControl` (§28.5) by the owner: keeps a loaded object at this persistent handle, or evicts it from there.
#[must_use]
pub fn evict_control(object: Entity, persistent: Handle) -> Command {
    let parameters = Writer::new().u32(persistent.0).done();
    Command::new(CommandCode::EVICT_CONTROL, parameters).authorised(Handle::OWNER).about(object)
}

/// `TPM_ST_HASHCHECK`.
const TAG_HASHCHECK: u16 = 0x8024;
