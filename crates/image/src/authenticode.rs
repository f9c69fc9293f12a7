//! Signatures of PE images, as Secure Boot checks them (Microsoft "Windows Authenticode Portable Executable Signature Format"; UEFI
//! 2.10 §32): which bytes are hashed, the PKCS#7 structure around the hash, and where it stands in the file.
//!
//! Pure: whoever has the key is asked for the RSA signature of some bytes, and whoever has a cryptographic library checks it.

use sha2::{Digest as _, Sha256};

use crate::bytes::{index, slice, u16_at, u32_at};
use crate::der::{self, CONTEXT_0, Element, INTEGER, OCTET_STRING, OID, SEQUENCE, SET};
use crate::pe::{Pe, PeError, checksum};

/// Why an image cannot be signed, or its signatures not be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AuthenticodeError {
    /// Not a PE image.
    #[error("not a PE image: {0}")]
    Pe(PeError),
    /// Its header has no place for a certificate table.
    #[error("its header has no place for signatures (fewer than 5 data directories)")]
    NoPlace,
    /// The certificate table is not where its header says, or not at the end of the file.
    #[error("its table of signatures is damaged: it does not lie at the end of the file")]
    Table,
    /// A file that a 32-bit offset cannot reach the end of.
    #[error("it is too large")]
    TooLarge,
    /// What is to be put into the signature as its signer is no certificate.
    #[error("the signer's certificate cannot be read")]
    Certificate,
}

/// 1.2.840.113549.1.7.2, `signedData`.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// 1.2.840.113549.1.7.1, `data`.
const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
/// 1.2.840.113549.1.9.3, `contentType`.
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
/// 1.2.840.113549.1.9.4, `messageDigest`.
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
/// 1.2.840.113549.1.1.1, `rsaEncryption`.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// 2.16.840.1.101.3.4.2.1, `id-sha256`.
const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
/// 1.3.6.1.4.1.311.2.1.4, `SPC_INDIRECT_DATA_OBJID`.
const INDIRECT_DATA: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x04];
/// 1.3.6.1.4.1.311.2.1.15, `SPC_PE_IMAGE_DATA_OBJID`.
const PE_IMAGE_DATA: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x01, 0x0f];

/// Which data directory names the certificate table.
const DIRECTORY: usize = 4;
/// `WIN_CERTIFICATE`: length, revision 2.0, type "PKCS#7 signed data".
const CERTIFICATE_HEADER: usize = 8;
const REVISION: u16 = 0x0200;
const PKCS_SIGNED_DATA: u16 = 0x0002;

/// Where the parts are that are not hashed.
#[derive(Clone, Copy, Debug)]
struct Gaps {
    /// The optional header's checksum: 4 bytes.
    checksum: usize,
    /// The directory's entry of the certificate table: 8 bytes.
    entry: usize,
    /// Where the certificate table begins: the end of the file without one.
    table: usize,
}

impl Gaps {
    fn find(image: &[u8]) -> Result<Self, AuthenticodeError> {
        let pe = Pe::parse(image).map_err(AuthenticodeError::Pe)?;
        let (first, count) = pe.layout.directories;
        let entry = first.saturating_add(DIRECTORY * 8);
        if index(count) <= DIRECTORY {
            return Err(AuthenticodeError::NoPlace);
        }
        let at = u32_at(image, entry).ok_or(AuthenticodeError::NoPlace)?;
        let size = u32_at(image, entry.saturating_add(4)).ok_or(AuthenticodeError::NoPlace)?;
        let checksum = pe.layout.optional.saturating_add(64);
        let headers =
            pe.sections.iter().map(|section| index(section.raw_offset).saturating_add(index(section.raw_size)));
        let sections_end = headers.max().unwrap_or(0).max(entry.saturating_add(8));
        let table = match (index(at), index(size)) {
            (_, 0) => image.len(),
            (at, size) if at >= sections_end && at.checked_add(size) == Some(image.len()) => at,
            _ => return Err(AuthenticodeError::Table),
        };
        Ok(Self { checksum, entry, table })
    }
}

/// The digest that a signature of this image states. Every byte counts but the checksum, the place that names the signatures, and the
/// signatures themselves. The standard goes section by section in the order of the file and takes what lies behind them last; in an
/// image whose sections follow each other without gaps, as firmware's tools write them, that is the order of the file.
///
/// # Errors
/// It is no PE image, or its table of signatures is damaged.
pub fn digest(image: &[u8]) -> Result<[u8; 32], AuthenticodeError> {
    let Gaps { checksum, entry, table } = Gaps::find(image)?;
    let mut hash = Sha256::new();
    let after = |at: usize, length: usize| at.saturating_add(length);
    for part in [0..checksum, after(checksum, 4)..entry, after(entry, 8)..table] {
        hash.update(image.get(part).unwrap_or_default());
    }
    Ok(hash.finalize().into())
}

/// Puts a signature behind those that an image has. `make` is given the digest of the image, and makes the PKCS#7 structure.
///
/// # Errors
/// As [`digest`]; or the image would be too large, or `make` fails.
pub fn sign<E: From<AuthenticodeError>>(
    image: &[u8],
    make: impl FnOnce(&[u8; 32]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let mut signed = image.to_vec();
    let Gaps { checksum: sum_at, entry, table } = Gaps::find(image)?;
    if table == image.len() {
        // The table stands on a multiple of 8; what fills up to it is part of what is signed.
        signed.resize(image.len().next_multiple_of(8), 0);
    }
    let table = if table == image.len() { signed.len() } else { table };
    let pkcs7 = make(&digest(&signed)?)?;
    let length = pkcs7.len().saturating_add(CERTIFICATE_HEADER);
    let too_large = |_| E::from(AuthenticodeError::TooLarge);
    signed.extend(u32::try_from(length).map_err(too_large)?.to_le_bytes());
    signed.extend(REVISION.to_le_bytes());
    signed.extend(PKCS_SIGNED_DATA.to_le_bytes());
    signed.extend(pkcs7);
    signed.resize(signed.len().next_multiple_of(8), 0);
    let size = u32::try_from(signed.len().saturating_sub(table)).map_err(too_large)?;
    put(&mut signed, entry, &u32::try_from(table).map_err(too_large)?.to_le_bytes());
    put(&mut signed, entry.saturating_add(4), &size.to_le_bytes());
    let sum = checksum(&signed, sum_at);
    put(&mut signed, sum_at, &sum.to_le_bytes());
    Ok(signed)
}

/// The image without its signatures. Linux takes a kernel for kexec only with a single one.
///
/// # Errors
/// As [`digest`].
pub fn unsigned(image: &[u8]) -> Result<Vec<u8>, AuthenticodeError> {
    let Gaps { checksum: sum_at, entry, table } = Gaps::find(image)?;
    let mut bare = image.get(..table).unwrap_or(image).to_vec();
    put(&mut bare, entry, &[0; 8]);
    let sum = checksum(&bare, sum_at);
    put(&mut bare, sum_at, &sum.to_le_bytes());
    Ok(bare)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at.saturating_add(value.len())) {
        place.copy_from_slice(value);
    }
}

/// The PKCS#7 structures of an image's signatures, in order. Other kinds of certificates in the table are passed over.
///
/// # Errors
/// It is no PE image, or its table of signatures is damaged.
pub fn signatures(image: &[u8]) -> Result<Vec<&[u8]>, AuthenticodeError> {
    let mut at = match Gaps::find(image) {
        Ok(gaps) => gaps.table,
        Err(AuthenticodeError::NoPlace) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    while at < image.len() {
        let length = u32_at(image, at).map(index).filter(|length| *length > CERTIFICATE_HEADER);
        let length = length.ok_or(AuthenticodeError::Table)?;
        let content = slice(image, at.saturating_add(CERTIFICATE_HEADER), length.saturating_sub(CERTIFICATE_HEADER));
        let content = content.ok_or(AuthenticodeError::Table)?;
        if u16_at(image, at.saturating_add(6)) == Some(PKCS_SIGNED_DATA) {
            // What fills up to a multiple of 8 may have been counted in.
            found.push(Element::expect(content, SEQUENCE).map_or(content, |(element, _)| element.whole));
        }
        at = at.saturating_add(length.next_multiple_of(8));
    }
    Ok(found)
}

/// What a signature states: the digest of an image, and the bytes that are signed for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Statement<'a> {
    /// The image's digest by SHA-256, if it is by that.
    pub sha256: Option<[u8; 32]>,
    /// What a PKCS#7 library is to check the signature of.
    pub content: &'a [u8],
}

/// Reads what a signature states. None if it is not about an image.
#[must_use]
pub fn statement(pkcs7: &[u8]) -> Option<Statement<'_>> {
    let (info, _) = Element::expect(pkcs7, SEQUENCE)?;
    let (kind, rest) = Element::expect(info.content, OID)?;
    let (wrapped, _) = Element::expect(rest, CONTEXT_0)?;
    let (signed, _) = Element::expect(wrapped.content, SEQUENCE)?;
    let mut parts = signed.children().skip(2);
    let content = parts.next().filter(|_| kind.content == SIGNED_DATA)?;
    let (kind, rest) = Element::expect(content.content, OID)?;
    let (wrapped, _) = Element::expect(rest, CONTEXT_0)?;
    let (indirect, _) = Element::expect(wrapped.content, SEQUENCE).filter(|_| kind.content == INDIRECT_DATA)?;
    let digest_info = indirect.children().nth(1)?;
    let (algorithm, rest) = Element::expect(digest_info.content, SEQUENCE)?;
    let (digest, _) = Element::expect(rest, OCTET_STRING)?;
    let is_sha256 = Element::expect(algorithm.content, OID).is_some_and(|(oid, _)| oid.content == SHA256);
    let sha256 = if is_sha256 { digest.content.try_into().ok() } else { None };
    Some(Statement { sha256, content: indirect.content })
}

/// Makes the PKCS#7 structure that signs an image with this digest. The same key and digest make the same bytes. `sign` is given what
/// is to be signed with RSA (PKCS#1 v1.5, SHA-256).
///
/// # Errors
/// The certificate cannot be read, or `sign` fails.
pub fn signed_image<E: From<AuthenticodeError>>(
    digest: &[u8; 32],
    certificate: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let content = indirect_data(digest);
    // Without the tag and length around it: so says PKCS#7 of a content that is no plain data.
    let inner = Element::read(&content).map_or(&[][..], |(element, _)| element.content);
    let attribute = |oid: &[u8], value: Vec<u8>| {
        der::element(SEQUENCE, &[&der::element(OID, &[oid]), &der::element(SET, &[&value])])
    };
    let attributes = vec![
        attribute(CONTENT_TYPE, der::element(OID, &[INDIRECT_DATA])),
        attribute(MESSAGE_DIGEST, der::element(OCTET_STRING, &[&Sha256::digest(inner)])),
    ];
    // They are signed as a SET, and stand in the structure as [0].
    let signature = sign(&der::set_of(SET, attributes.clone()))?;
    let content =
        der::element(SEQUENCE, &[&der::element(OID, &[INDIRECT_DATA]), &der::element(CONTEXT_0, &[&content])]);
    let data = signed_data(&content, certificate, &der::set_of(CONTEXT_0, attributes), &signature)?;
    Ok(der::element(SEQUENCE, &[&der::element(OID, &[SIGNED_DATA]), &der::element(CONTEXT_0, &[&data])]))
}

/// Makes the bare `SignedData` that signs these bytes from outside: what an authenticated variable's update begins with (UEFI 2.10
/// §8.2.2, where the content is left out and there are no attributes).
///
/// # Errors
/// The certificate cannot be read, or `sign` fails.
pub fn signed_bytes<E: From<AuthenticodeError>>(
    bytes: &[u8],
    certificate: &[u8],
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let content = der::element(SEQUENCE, &[&der::element(OID, &[DATA])]);
    Ok(signed_data(&content, certificate, &[], &sign(bytes)?)?)
}

fn signed_data(
    content: &[u8],
    certificate: &[u8],
    attributes: &[u8],
    signature: &[u8],
) -> Result<Vec<u8>, AuthenticodeError> {
    let version = der::element(INTEGER, &[&[1]]);
    let sha256 = algorithm(SHA256);
    let signer = der::element(
        SEQUENCE,
        &[
            &version,
            &issuer_and_serial(certificate).ok_or(AuthenticodeError::Certificate)?,
            &sha256,
            attributes,
            &algorithm(RSA),
            &der::element(OCTET_STRING, &[signature]),
        ],
    );
    let parts: [&[u8]; 5] = [
        &version,
        &der::element(SET, &[&sha256]),
        content,
        &der::element(CONTEXT_0, &[certificate]),
        &der::element(SET, &[&signer]),
    ];
    Ok(der::element(SEQUENCE, &parts))
}

fn algorithm(oid: &[u8]) -> Vec<u8> {
    der::element(SEQUENCE, &[&der::element(OID, &[oid]), &[0x05, 0x00]])
}

/// `SpcIndirectDataContent`: "this is the digest of a PE image".
fn indirect_data(digest: &[u8; 32]) -> Vec<u8> {
    // No flags; of the file's name the standard wants this text.
    let obsolete: Vec<u8> = "<<<Obsolete>>>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let file = der::element(CONTEXT_0, &[&der::element(0xa2, &[&der::element(0x80, &[&obsolete])])]);
    let data = der::element(SEQUENCE, &[&[0x03, 0x01, 0x00], &file]);
    let data = der::element(SEQUENCE, &[&der::element(OID, &[PE_IMAGE_DATA]), &data]);
    let digest = der::element(SEQUENCE, &[&algorithm(SHA256), &der::element(OCTET_STRING, &[digest])]);
    der::element(SEQUENCE, &[&data, &digest])
}

/// `IssuerAndSerialNumber` of a certificate.
fn issuer_and_serial(certificate: &[u8]) -> Option<Vec<u8>> {
    let (whole, _) = Element::expect(certificate, SEQUENCE)?;
    let (to_be_signed, _) = Element::expect(whole.content, SEQUENCE)?;
    let mut parts = to_be_signed.children().skip_while(|part| part.tag == CONTEXT_0);
    let serial = parts.next().filter(|part| part.tag == INTEGER)?;
    let issuer = parts.nth(1).filter(|part| part.tag == SEQUENCE)?;
    Some(der::element(SEQUENCE, &[issuer.whole, serial.whole]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The smallest PE32+ image that has a place for signatures: headers of 512 bytes, one section of 512.
    fn program() -> Vec<u8> {
        let mut image = vec![0; 1024];
        let mut set = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        set(0, b"MZ");
        set(0x3c, &[0x40]);
        set(0x40, b"PE\0\0");
        set(0x44, &[0x64, 0x86, 1, 0]);
        set(0x54, &[240, 0]);
        set(0x58, &[0x0b, 2]);
        set(0x58 + 68, &[10]);
        set(0x58 + 108, &[16]);
        set(0x148, b".text");
        set(0x148 + 8, &[0, 2, 0, 0, 0, 16, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0]);
        set(512, &[7; 512]);
        image
    }

    /// A certificate of some issuer and serial number, as far as anybody here looks.
    fn certificate() -> Vec<u8> {
        let version = der::element(CONTEXT_0, &[&[2, 1, 2]]);
        let name = der::element(SEQUENCE, &[b"NAME"]);
        let tbs = der::element(SEQUENCE, &[&version, &[2, 1, 42], &algorithm(SHA256), &name]);
        der::element(SEQUENCE, &[&tbs])
    }

    fn signed(image: &[u8]) -> Vec<u8> {
        let make = |digest: &[u8; 32]| signed_image::<AuthenticodeError>(digest, &certificate(), |_| Ok(vec![9; 256]));
        sign(image, make).unwrap()
    }

    #[test]
    fn what_is_signed_does_not_change_by_being_signed() {
        let (image, once) = (program(), signed(&program()));
        let twice = signed(&once);
        let stated = |image: &[u8]| digest(image).unwrap();
        assert!(stated(&image) == stated(&once) && stated(&once) == stated(&twice));
        assert_eq!(once.len() % 8, 0);
        assert_eq!(&once[0x58 + 112 + 32..][..4], &1024_u32.to_le_bytes(), "where the table is");
        let found = signatures(&twice).unwrap();
        assert_eq!((found.len(), found[0]), (2, found[1]));
        let statement = statement(found[0]).unwrap();
        assert_eq!(statement.sha256, Some(stated(&image)));
        let mut other = image.clone();
        other[600] ^= 1;
        assert_ne!(stated(&other), stated(&image));
    }

    #[test]
    fn an_image_is_filled_up_to_a_multiple_of_8_before_it_is_signed() {
        let mut image = program();
        image.extend(b"abc");
        let signed = signed(&image);
        assert_eq!(&signed[1024..1032], b"abc\0\0\0\0\0");
        let found = signatures(&signed).unwrap();
        assert_eq!(statement(found[0]).unwrap().sha256, Some(digest(&signed).unwrap()));
        assert_ne!(digest(&signed), digest(&image));
    }

    #[test]
    fn what_cannot_be_signed_says_why() {
        assert!(matches!(digest(b"MZ"), Err(AuthenticodeError::Pe(_))));
        let mut small = program();
        small[0x58 + 108] = 4;
        assert_eq!(digest(&small), Err(AuthenticodeError::NoPlace));
        assert_eq!(signatures(&small), Ok(vec![]));
        let mut cut = signed(&program());
        cut.pop();
        assert_eq!((digest(&cut), signatures(&cut)), (Err(AuthenticodeError::Table), Err(AuthenticodeError::Table)));
        let make = |digest: &[u8; 32]| signed_image::<AuthenticodeError>(digest, b"no certificate", |_| Ok(vec![]));
        assert_eq!(sign(&program(), make), Err(AuthenticodeError::Certificate));
    }

    #[test]
    fn every_truncation_of_a_signed_image_is_refused_or_read_within_its_bounds() {
        let signed = signed(&program());
        for length in 0..signed.len() {
            let _ = digest(&signed[..length]);
            let _ = signatures(&signed[..length]);
        }
        let pkcs7 = signatures(&signed).unwrap()[0];
        for length in 0..pkcs7.len() {
            assert_eq!(statement(&pkcs7[..length]), None, "cut at {length}");
        }
    }

    #[test]
    fn an_image_loses_its_signatures_and_keeps_its_digest() {
        let image = signed(&program());
        let bare = unsigned(&image).unwrap();
        assert_eq!(signatures(&bare).unwrap(), [[]; 0]);
        assert_eq!(digest(&bare).unwrap(), digest(&image).unwrap());
        assert_eq!(signed(&bare), image);
        assert_eq!(unsigned(&bare).unwrap(), bare);
    }

    proptest! {
        #[test]
        fn no_change_of_a_signed_image_makes_reading_panic(at in 0_usize..2000, value: u8) {
            let mut image = signed(&program());
            if let Some(byte) = image.get_mut(at) {
                *byte = value;
            }
            let _ = digest(&image);
            if let Ok(found) = signatures(&image) {
                found.into_iter().for_each(|pkcs7| _ = statement(pkcs7));
            }
        }
    }
}
