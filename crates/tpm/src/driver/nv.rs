//! What a maker has left in the TPM's memory: the certificate of its endorsement key, and those above it.

use std::io;
use std::ops::RangeInclusive;

use super::{Authorisation, Result, Tpm, read};
use crate::command::{self, Entity, NvIndex};
use crate::error::TpmError;
use crate::template::EkKind;
use crate::{CommandCode, Handle, der};

/// How much of an NV index is read at a time, in bytes: every TPM gives so much.
const NV_CHUNK: u16 = 512;
/// The largest index that we read, in bytes.
const LARGEST_INDEX: u16 = 8192;
/// Where the certificates above the EK's are (EK Credential Profile §2.2.1.5.2).
const CHAIN: RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;
/// The longest chain that we read, in bytes.
const LONGEST_CHAIN: usize = 32 * 1024;
/// The most certificates of one.
const MOST_CERTIFICATES: usize = 8;

impl<T: FnMut(&[u8]) -> io::Result<Vec<u8>>> Tpm<T> {
    /// The maker's certificate for the EK of this kind, if it put one into the TPM.
    ///
    /// # Errors
    /// The TPM could not be reached, or its reply not be read. A refusal to read the index is the same as none.
    pub fn ek_certificate(&mut self, kind: EkKind) -> Result<Option<Vec<u8>>> {
        let contents = self.nv_contents(Handle(kind.certificate_index()))?;
        // Makers reserve more room than the certificate needs.
        Ok(contents.and_then(|contents| der::first(&contents).map(<[u8]>::to_vec)))
    }

    /// The certificates above the EK's that the maker put into the TPM, in their order: at most 8, out of 32 KiB. They are one after the
    /// other in indices that follow on each other, and one may begin in one index and end in the next. Few makers keep any there; whether they
    /// are worth anything is seen by [`check_ek_chain`](crate::check_ek_chain).
    ///
    /// # Errors
    /// The TPM could not be reached, or its reply not be read. A refusal to read an index is the same as none.
    pub fn ek_chain(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut contents = Vec::new();
        for index in CHAIN {
            match self.nv_contents(Handle(index))? {
                Some(part) if contents.len().saturating_add(part.len()) <= LONGEST_CHAIN => contents.extend(part),
                _ => break,
            }
        }
        Ok(der::sequences(&contents).take(MOST_CERTIFICATES).map(<[u8]>::to_vec).collect())
    }

    /// What is in an index; nothing where there is none, where it was never written, or is not for us.
    fn nv_contents(&mut self, handle: Handle) -> Result<Option<Vec<u8>>> {
        let index = match self.run(command::nv_read_public(handle), &mut []) {
            Ok(answer) => read(CommandCode::NV_READ_PUBLIC, command::decode_nv_public(&answer.parameters))?,
            Err(TpmError::Refused { .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        if !index.attributes.has(NvIndex::WRITTEN) || index.size > LARGEST_INDEX {
            return Ok(None);
        }
        match self.nv_read(&index) {
            Ok(contents) => Ok(Some(contents)),
            Err(TpmError::Refused { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    fn nv_read(&mut self, index: &NvIndex) -> Result<Vec<u8>> {
        let entity = Entity { handle: index.index, name: index.name.clone() };
        let by_itself = index.attributes.has(NvIndex::AUTH_READ);
        let authority = if by_itself { entity.clone() } else { Handle::OWNER.into() };
        let mut contents = Vec::new();
        let mut offset = 0;
        while offset < index.size {
            let size = NV_CHUNK.min(index.size.saturating_sub(offset));
            let ask = command::nv_read(authority.clone(), entity.clone(), size, offset);
            let answer = self.run(ask, &mut [Authorisation::Password])?;
            contents.extend_from_slice(read(CommandCode::NV_READ, command::decode_buffer(&answer.parameters))?);
            offset = offset.saturating_add(size);
        }
        Ok(contents)
    }
}
