//! The parameters of replies.

use crate::wire::{DecodeError, Fault, Reader};
use crate::{Algorithm, Attributes, Handle, Name, PcrSet, Public};

use super::Property;

/// What `TPM2_Create` made: an object that only its TPM can load.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Created {
    /// Its private part, encrypted to its parent.
    pub private: Vec<u8>,
    /// Its public part.
    pub public: Public,
}

/// An index of the TPM's memory: `TPMS_NV_PUBLIC` (part 2 §13.5).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NvIndex {
    /// Its handle.
    pub index: Handle,
    /// `TPMA_NV`.
    pub attributes: Attributes,
    /// How many bytes it holds.
    pub size: u16,
    /// Its name.
    pub name: Name,
}

impl NvIndex {
    /// `TPMA_NV_OWNERREAD`: the owner may read it.
    pub const OWNER_READ: Attributes = Attributes(1 << 17);
    /// `TPMA_NV_AUTHREAD`: its own password reads it.
    pub const AUTH_READ: Attributes = Attributes(1 << 18);
    /// `TPMA_NV_WRITTEN`: it holds something.
    pub const WRITTEN: Attributes = Attributes(1 << 29);
}

/// A single `TPM2B_…` with nothing after it: random bytes, a certificate's part, an unsealed secret.
///
/// # Errors
/// It is cut short, or more follows.
pub fn decode_buffer(parameters: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(parameters);
    let bytes = reader.sized("TPM2B")?;
    reader.end("TPM2B")?;
    Ok(bytes)
}

/// A single SHA-256 digest.
///
/// # Errors
/// As [`decode_buffer`], or another length.
pub fn decode_digest(parameters: &[u8]) -> Result<[u8; 32], DecodeError> {
    let wrong = DecodeError { field: "TPM2B_DIGEST", at: 0, fault: Fault::Length };
    decode_buffer(parameters)?.try_into().map_err(|_| wrong)
}

/// The reply must begin with a handle.
///
/// # Errors
/// It does not.
pub fn decode_handle(handle: Option<Handle>) -> Result<Handle, DecodeError> {
    handle.ok_or(DecodeError { field: "responseHandle", at: 0, fault: Fault::Truncated })
}

/// `TPM2_CreatePrimary`: the public part and the name, which must belong to it.
///
/// # Errors
/// The first field that cannot be read, or a name that is another's.
pub fn decode_primary(parameters: &[u8]) -> Result<(Public, Name), DecodeError> {
    let mut reader = Reader::new(parameters);
    let public = Public::decode(reader.sized("outPublic")?)?;
    reader.sized("creationData")?;
    reader.sized("creationHash")?;
    ticket(&mut reader)?;
    named(reader, public)
}

/// `TPM2_ReadPublic`: the public part and the name, which must belong to it.
///
/// # Errors
/// The first field that cannot be read, or a name that is another's.
pub fn decode_public(parameters: &[u8]) -> Result<(Public, Name), DecodeError> {
    let mut reader = Reader::new(parameters);
    let public = Public::decode(reader.sized("outPublic")?)?;
    let wrong = reader.fault("name", Fault::Value);
    let name = Name(reader.sized("name")?.to_vec());
    reader.sized("qualifiedName")?;
    reader.end("TPM2_ReadPublic")?;
    if public.name().as_ref() == Some(&name) { Ok((public, name)) } else { Err(wrong) }
}

fn named(mut reader: Reader<'_>, public: Public) -> Result<(Public, Name), DecodeError> {
    let wrong = reader.fault("name", Fault::Value);
    let name = Name(reader.sized("name")?.to_vec());
    reader.end("name")?;
    if public.name().as_ref() == Some(&name) { Ok((public, name)) } else { Err(wrong) }
}

/// `TPM2_Create`.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_created(parameters: &[u8]) -> Result<Created, DecodeError> {
    let mut reader = Reader::new(parameters);
    let private = reader.sized("outPrivate")?.to_vec();
    let public = Public::decode(reader.sized("outPublic")?)?;
    reader.sized("creationData")?;
    reader.sized("creationHash")?;
    ticket(&mut reader)?;
    reader.end("TPM2_Create")?;
    Ok(Created { private, public })
}

/// `TPM2_Load` and `TPM2_LoadExternal`: the object's name.
///
/// # Errors
/// As [`decode_buffer`].
pub fn decode_loaded(parameters: &[u8]) -> Result<Name, DecodeError> {
    decode_buffer(parameters).map(|name| Name(name.to_vec()))
}

/// `TPM2_StartAuthSession`: the TPM's nonce.
///
/// # Errors
/// As [`decode_digest`].
pub fn decode_session(parameters: &[u8]) -> Result<[u8; 32], DecodeError> {
    decode_digest(parameters)
}

/// `TPM2_VerifySignature`: a ticket, whole as it came.
///
/// # Errors
/// It cannot be read, or more follows.
pub fn decode_ticket(parameters: &[u8]) -> Result<&[u8], DecodeError> {
    let mut reader = Reader::new(parameters);
    ticket(&mut reader)?;
    reader.end("TPMT_TK")?;
    Ok(parameters)
}

fn ticket(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    reader.u16("TPMT_TK.tag")?;
    reader.u32("TPMT_TK.hierarchy")?;
    reader.sized_at_most("TPMT_TK.digest", 64)?;
    Ok(())
}

/// `TPM2_Certify` and `TPM2_Quote`: the statement, and its signature by a P-256 key.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_attest(parameters: &[u8]) -> Result<crate::Statement, DecodeError> {
    let mut reader = Reader::new(parameters);
    let attest = reader.sized("TPM2B_ATTEST")?.to_vec();
    let signature = crate::attest::signature(&mut reader)?;
    reader.end("TPMT_SIGNATURE")?;
    Ok(crate::Statement { attest, signature })
}

/// `TPM2_Sign` by a P-256 key: r and s.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_signature(parameters: &[u8]) -> Result<[u8; 64], DecodeError> {
    crate::attest::decode_signature(parameters)
}

/// `TPM2_GetCapability`, asked for properties: each with its value. Of algorithms, each with its attributes, see
/// [`decode_algorithms`].
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_properties(parameters: &[u8]) -> Result<Vec<(Property, u32)>, DecodeError> {
    let mut reader = capability(parameters, 6)?;
    let count = reader.u32("TPML_TAGGED_TPM_PROPERTY.count")?;
    let mut found = Vec::new();
    for _ in 0..count {
        let property = Property(reader.u32("TPMS_TAGGED_PROPERTY.property")?);
        found.push((property, reader.u32("TPMS_TAGGED_PROPERTY.value")?));
    }
    reader.end("TPMS_CAPABILITY_DATA")?;
    Ok(found)
}

/// `TPM2_GetCapability`, asked for algorithms.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_algorithms(parameters: &[u8]) -> Result<Vec<Algorithm>, DecodeError> {
    let mut reader = capability(parameters, 0)?;
    let count = reader.u32("TPML_ALG_PROPERTY.count")?;
    let mut found = Vec::new();
    for _ in 0..count {
        found.push(Algorithm(reader.u16("TPMS_ALG_PROPERTY.alg")?));
        reader.u32("TPMS_ALG_PROPERTY.algProperties")?;
    }
    reader.end("TPMS_CAPABILITY_DATA")?;
    Ok(found)
}

fn capability(parameters: &[u8], wanted: u32) -> Result<Reader<'_>, DecodeError> {
    let mut reader = Reader::new(parameters);
    reader.u8("moreData")?;
    let other = reader.fault("TPMS_CAPABILITY_DATA.capability", Fault::Value);
    if reader.u32("TPMS_CAPABILITY_DATA.capability")? == wanted { Ok(reader) } else { Err(other) }
}

/// `TPM2_NV_ReadPublic`.
///
/// # Errors
/// The first field that cannot be read.
pub fn decode_nv_public(parameters: &[u8]) -> Result<NvIndex, DecodeError> {
    let mut reader = Reader::new(parameters);
    let mut inside = Reader::new(reader.sized("TPM2B_NV_PUBLIC")?);
    let name = Name(reader.sized("nvName")?.to_vec());
    reader.end("TPM2_NV_ReadPublic")?;
    let index = Handle(inside.u32("TPMS_NV_PUBLIC.nvIndex")?);
    inside.u16("TPMS_NV_PUBLIC.nameAlg")?;
    let attributes = Attributes(inside.u32("TPMS_NV_PUBLIC.attributes")?);
    inside.sized("TPMS_NV_PUBLIC.authPolicy")?;
    let size = inside.u16("TPMS_NV_PUBLIC.dataSize")?;
    inside.end("TPMS_NV_PUBLIC")?;
    Ok(NvIndex { index, attributes, size, name })
}

/// `TPM2_PCR_Read`: which were read, and their values in rising order.
///
/// # Errors
/// The first field that cannot be read, or not as many values as PCRs.
pub fn decode_pcrs(parameters: &[u8]) -> Result<Vec<(u8, [u8; 32])>, DecodeError> {
    let mut reader = Reader::new(parameters);
    reader.u32("pcrUpdateCounter")?;
    let pcrs = PcrSet::decode(&mut reader)?;
    let wrong = reader.fault("TPML_DIGEST.count", Fault::Value);
    let count = usize::try_from(reader.u32("TPML_DIGEST.count")?).unwrap_or(usize::MAX);
    if count != pcrs.iter().count() {
        return Err(wrong);
    }
    let values = pcrs.iter().map(|pcr| Ok((pcr, reader.sized_array("TPM2B_DIGEST")?))).collect::<Result<_, _>>()?;
    reader.end("TPM2_PCR_Read")?;
    Ok(values)
}
