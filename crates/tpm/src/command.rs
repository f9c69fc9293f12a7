//! Commands as bytes (part 3 of the specification), and their replies.
//!
//! A [`Command`] is a value: what it asks, of which handles, and how many of these must be authorised. How they are
//! authorised is added when it is sent.

mod object;
mod policy;
mod read;
mod reply;

pub use object::{
    activate_credential, certify, create, create_primary, evict_control, flush_context, load, load_external,
    read_public, sign, unseal, verify_signature,
};
pub use policy::{StartSession, policy_authorize, policy_get_digest, policy_pcr, policy_secret, start_auth_session};
pub use read::{
    Property, clear, get_algorithms, get_capability, get_random, nv_read, nv_read_public, pcr_extend, pcr_read, quote,
    startup,
};
pub use reply::{
    Created, NvIndex, decode_algorithms, decode_attest, decode_buffer, decode_created, decode_digest, decode_handle,
    decode_loaded, decode_nv_public, decode_pcrs, decode_primary, decode_properties, decode_public, decode_session,
    decode_signature, decode_ticket,
};

use crate::wire::{DecodeError, Fault, Reader, Writer, count};
use crate::{CommandCode, Handle, Name, ResponseCode};

const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
/// What a TPM 1.2 answers with: `TPM_TAG_RSP_COMMAND`.
const TPM12_REPLY: u16 = 0x00c4;

/// Something with a handle, under the name by which authorisations know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entity {
    /// Its handle now.
    pub handle: Handle,
    /// Its name: for an object that of its public part, else the handle itself (part 1 §16).
    pub name: Name,
}

impl From<Handle> for Entity {
    fn from(handle: Handle) -> Self {
        Self { handle, name: Name(handle.0.to_be_bytes().to_vec()) }
    }
}

/// What is asked of a TPM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command {
    /// Which command.
    pub code: CommandCode,
    /// What it is about.
    pub handles: Vec<Entity>,
    /// How many of the handles, from the first, must be authorised.
    pub authorised: usize,
    /// Whether its reply begins with a handle.
    pub makes_handle: bool,
    /// Its parameters, encoded.
    pub parameters: Vec<u8>,
}

impl Command {
    /// A command without handles.
    #[must_use]
    pub const fn new(code: CommandCode, parameters: Vec<u8>) -> Self {
        Self { code, handles: Vec::new(), authorised: 0, makes_handle: false, parameters }
    }

    /// About this, to be authorised.
    #[must_use]
    fn authorised(mut self, entity: impl Into<Entity>) -> Self {
        self.handles.push(entity.into());
        self.authorised = self.handles.len();
        self
    }

    /// About this, freely.
    #[must_use]
    fn about(mut self, entity: impl Into<Entity>) -> Self {
        self.handles.push(entity.into());
        self
    }

    const fn making_handle(mut self) -> Self {
        self.makes_handle = true;
        self
    }

    /// The bytes that the TPM is sent. `authorisations` is the encoded authorisation area without its size, empty for none.
    #[must_use]
    pub(crate) fn encode(&self, authorisations: &[u8]) -> Vec<u8> {
        let mut rest = Writer::new().u32(self.code.0);
        for entity in &self.handles {
            rest = rest.u32(entity.handle.0);
        }
        let tag = if authorisations.is_empty() {
            NO_SESSIONS
        } else {
            rest = rest.u32(count(authorisations.len())).bytes(authorisations);
            SESSIONS
        };
        let rest = rest.bytes(&self.parameters).done();
        Writer::new().u16(tag).u32(count(rest.len().saturating_add(6))).bytes(&rest).done()
    }
}

/// What came back from a TPM that did as it was asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply<'a> {
    /// The new object or session, where the command makes one.
    pub handle: Option<Handle>,
    /// Its parameters, still encoded, and still encrypted where a session encrypts them.
    pub parameters: &'a [u8],
    /// What the sessions say, still encoded.
    pub(crate) authorisations: &'a [u8],
}

/// Why a reply holds no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoReply {
    /// The TPM refused.
    Refused(ResponseCode),
    /// It cannot be read.
    Unreadable(DecodeError),
}

impl From<DecodeError> for NoReply {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error)
    }
}

impl<'a> Reply<'a> {
    /// Reads the reply to a command.
    ///
    /// # Errors
    /// The TPM's refusal, or the first field that cannot be read.
    pub fn decode(bytes: &'a [u8], makes_handle: bool) -> Result<Self, NoReply> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u16("tag")?;
        let size = reader.u32("responseSize")?;
        let code = ResponseCode(reader.u32("responseCode")?);
        if tag == TPM12_REPLY {
            return Err(NoReply::Refused(ResponseCode::BAD_TAG));
        }
        if size != count(bytes.len()) {
            return Err(reader.fault("responseSize", Fault::Length).into());
        }
        if code.0 != 0 {
            return Err(NoReply::Refused(code));
        }
        let handle = if makes_handle { Some(Handle(reader.u32("responseHandle")?)) } else { None };
        match tag {
            NO_SESSIONS => Ok(Self { handle, parameters: reader.rest(), authorisations: &[] }),
            SESSIONS => {
                let size = usize::try_from(reader.u32("parameterSize")?).unwrap_or(usize::MAX);
                let parameters = reader.take("parameters", size)?;
                Ok(Self { handle, parameters, authorisations: reader.rest() })
            }
            _ => Err(reader.fault("tag", Fault::Value).into()),
        }
    }
}
