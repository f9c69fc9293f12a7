//! The public part of an object (`TPMT_PUBLIC`, part 2 §12.2) and its name.

use crate::hash::{Hash, sha256};
use crate::wire::{DecodeError, Fault, Reader, Writer};
use crate::{Algorithm, Attributes, Curve};

/// The longest buffer in a public area that we read: an RSA-4096 modulus.
const LONGEST: usize = 512;

/// A cipher with which a storage key protects its children.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Symmetric {
    /// The cipher: [`Algorithm::NULL`] where there is none, and then the rest is 0.
    pub algorithm: Algorithm,
    /// The key's length in bits.
    pub bits: u16,
    /// The mode of operation.
    pub mode: Algorithm,
}

impl Symmetric {
    /// None: for keys that sign.
    pub const NULL: Self = Self { algorithm: Algorithm::NULL, bits: 0, mode: Algorithm::NULL };
    /// AES-128 in CFB mode, which every TPM has.
    pub const AES128_CFB: Self = Self { algorithm: Algorithm::AES, bits: 128, mode: Algorithm::CFB };
    /// AES-256 in CFB mode.
    pub const AES256_CFB: Self = Self { algorithm: Algorithm::AES, bits: 256, mode: Algorithm::CFB };

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let algorithm = Algorithm(reader.u16("TPMT_SYM_DEF_OBJECT.algorithm")?);
        if algorithm == Algorithm::NULL {
            return Ok(Self::NULL);
        }
        let bits = reader.u16("TPMT_SYM_DEF_OBJECT.keyBits")?;
        Ok(Self { algorithm, bits, mode: Algorithm(reader.u16("TPMT_SYM_DEF_OBJECT.mode")?) })
    }

    fn encode(self, writer: Writer) -> Writer {
        let writer = writer.u16(self.algorithm.0);
        if self.algorithm == Algorithm::NULL { writer } else { writer.u16(self.bits).u16(self.mode.0) }
    }
}

/// A signing or encryption scheme, or a key derivation, with its hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Scheme {
    /// The scheme: [`Algorithm::NULL`] where the key is not tied to one.
    pub algorithm: Algorithm,
    /// Its hash; [`Algorithm::NULL`] where it has none.
    pub hash: Algorithm,
}

impl Scheme {
    /// None in particular.
    pub const NULL: Self = Self { algorithm: Algorithm::NULL, hash: Algorithm::NULL };
    /// ECDSA with SHA-256.
    pub const ECDSA_SHA256: Self = Self { algorithm: Algorithm::ECDSA, hash: Algorithm::SHA256 };

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let unknown = reader.fault("scheme", Fault::Value);
        let algorithm = Algorithm(reader.u16("scheme")?);
        match algorithm {
            Algorithm::NULL | Algorithm::RSAES => Ok(Self { algorithm, hash: Algorithm::NULL }),
            Algorithm::ECDAA => Err(unknown),
            _ => Ok(Self { algorithm, hash: Algorithm(reader.u16("scheme.hashAlg")?) }),
        }
    }

    pub(crate) fn encode(self, writer: Writer) -> Writer {
        let writer = writer.u16(self.algorithm.0);
        if matches!(self.algorithm, Algorithm::NULL | Algorithm::RSAES) { writer } else { writer.u16(self.hash.0) }
    }
}

/// What kind of object it is, with what only this kind has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    /// An RSA key.
    Rsa {
        /// How it protects children.
        symmetric: Symmetric,
        /// What it is used for.
        scheme: Scheme,
        /// The modulus' length in bits.
        bits: u16,
        /// The public exponent; 0 stands for 65537.
        exponent: u32,
        /// The modulus, big-endian. In a template: what makes the key another one.
        modulus: Vec<u8>,
    },
    /// An elliptic curve key.
    Ecc {
        /// How it protects children.
        symmetric: Symmetric,
        /// What it is used for.
        scheme: Scheme,
        /// The curve.
        curve: Curve,
        /// The key derivation.
        kdf: Scheme,
        /// The point's x, big-endian, perhaps without its leading zeros. In a template: what makes the key another one.
        x: Vec<u8>,
        /// The point's y, likewise.
        y: Vec<u8>,
    },
    /// A data object, or an HMAC key.
    KeyedHash {
        /// What it is used for: none, for data.
        scheme: Scheme,
        /// A digest that stands for its private part.
        unique: Vec<u8>,
    },
}

/// The public part of an object. As decoded it encodes to the same bytes, so its name is what its TPM computes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Public {
    /// The hash of its name, its policy and its protection.
    pub name_algorithm: Algorithm,
    /// What it may do and how it was born.
    pub attributes: Attributes,
    /// The digest of the policy that opens it; empty for none.
    pub policy: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

impl Public {
    /// Reads a `TPMT_PUBLIC`.
    ///
    /// # Errors
    /// The first field that is cut short, unknown or impossible, or bytes that follow.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let unknown = reader.fault("TPMT_PUBLIC.type", Fault::Value);
        let kind = Algorithm(reader.u16("TPMT_PUBLIC.type")?);
        let name_algorithm = Algorithm(reader.u16("TPMT_PUBLIC.nameAlg")?);
        let attributes = Attributes(reader.u32("TPMT_PUBLIC.objectAttributes")?);
        let policy = reader.sized_at_most("TPMT_PUBLIC.authPolicy", 64)?.to_vec();
        let kind = match kind {
            Algorithm::RSA => Kind::Rsa {
                symmetric: Symmetric::decode(&mut reader)?,
                scheme: Scheme::decode(&mut reader)?,
                bits: reader.u16("TPMS_RSA_PARMS.keyBits")?,
                exponent: reader.u32("TPMS_RSA_PARMS.exponent")?,
                modulus: reader.sized_at_most("TPM2B_PUBLIC_KEY_RSA", LONGEST)?.to_vec(),
            },
            Algorithm::ECC => Kind::Ecc {
                symmetric: Symmetric::decode(&mut reader)?,
                scheme: Scheme::decode(&mut reader)?,
                curve: Curve(reader.u16("TPMS_ECC_PARMS.curveID")?),
                kdf: Scheme::decode(&mut reader)?,
                x: reader.sized_at_most("TPMS_ECC_POINT.x", LONGEST)?.to_vec(),
                y: reader.sized_at_most("TPMS_ECC_POINT.y", LONGEST)?.to_vec(),
            },
            Algorithm::KEYED_HASH => Kind::KeyedHash {
                scheme: Scheme::decode(&mut reader)?,
                unique: reader.sized_at_most("TPMT_PUBLIC.unique", LONGEST)?.to_vec(),
            },
            _ => return Err(unknown),
        };
        reader.end("TPMT_PUBLIC")?;
        Ok(Self { name_algorithm, attributes, policy, kind })
    }

    /// Reads a `TPM2B_PUBLIC`: the same after its size in two bytes.
    ///
    /// # Errors
    /// As [`Public::decode`], or a size that is not that of the rest.
    pub fn decode_sized(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let public = reader.sized("TPM2B_PUBLIC")?;
        reader.end("TPM2B_PUBLIC")?;
        Self::decode(public)
    }

    /// Writes a `TPMT_PUBLIC`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = |kind: Algorithm| {
            Writer::new().u16(kind.0).u16(self.name_algorithm.0).u32(self.attributes.0).sized(&self.policy)
        };
        match &self.kind {
            Kind::Rsa { symmetric, scheme, bits, exponent, modulus } => {
                scheme.encode(symmetric.encode(head(Algorithm::RSA))).u16(*bits).u32(*exponent).sized(modulus)
            }
            Kind::Ecc { symmetric, scheme, curve, kdf, x, y } => {
                let writer = scheme.encode(symmetric.encode(head(Algorithm::ECC))).u16(curve.0);
                kdf.encode(writer).sized(x).sized(y)
            }
            Kind::KeyedHash { scheme, unique } => scheme.encode(head(Algorithm::KEYED_HASH)).sized(unique),
        }
        .done()
    }

    /// Its name: the algorithm and the digest of its encoding (part 1 §16). Nothing for a hash that we do not know.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        let digest = Hash::of(self.name_algorithm)?.digest(&[&self.encode()]);
        Some(Name(Writer::new().u16(self.name_algorithm.0).bytes(&digest).done()))
    }

    /// SHA-256 of its encoding: for an EK, the identity of its TPM.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        sha256(&[&self.encode()])
    }

    /// The point of a P-256 key as x and y of 32 bytes each; nothing for other keys.
    #[must_use]
    pub fn p256_point(&self) -> Option<[u8; 64]> {
        let Kind::Ecc { curve: Curve::P256, x, y, .. } = &self.kind else { return None };
        let mut point = [0; 64];
        let (left, right) = point.split_at_mut(32);
        pad(x, left)?;
        pad(y, right)?;
        Some(point)
    }
}

/// Writes a big-endian number into a field, with zeros before it; nothing if it does not fit.
pub(crate) fn pad(number: &[u8], field: &mut [u8]) -> Option<()> {
    let zeros = field.len().checked_sub(number.len())?;
    field.get_mut(zeros..)?.copy_from_slice(number);
    Some(())
}

/// What a TPM calls an object: an algorithm and a digest of its public part. It cannot be forged.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Name(pub Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template;
    use proptest::prelude::*;

    fn samples() -> Vec<Public> {
        let org = [7; 16];
        let keys =
            [template::identity(&org), template::attestation(&org), template::storage(), template::sealed(&[1; 32])];
        keys.into_iter().chain(template::EkKind::ALL.map(template::EkKind::template)).collect()
    }

    #[test]
    fn a_public_part_is_read_as_it_was_written_and_refused_at_every_other_length() {
        for public in samples() {
            let bytes = public.encode();
            assert_eq!(Public::decode(&bytes), Ok(public));
            for length in 0..bytes.len() {
                assert!(Public::decode(&bytes[..length]).is_err(), "cut to {length}");
            }
            assert_eq!(Public::decode(&[&bytes[..], &[0]].concat()).unwrap_err().fault, Fault::Trailing);
        }
    }

    proptest! {
        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(which in 0_usize..7, changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..6)) {
            let all = samples();
            let mut bytes = all[which % all.len()].encode();
            for (at, value) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = value;
            }
            if let Ok(public) = Public::decode(&bytes) {
                prop_assert_eq!(public.encode(), bytes);
            }
        }
    }
}
