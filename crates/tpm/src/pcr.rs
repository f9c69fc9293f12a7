//! Which platform configuration registers (PCRs) of the SHA-256 bank.

use core::fmt;

use crate::Algorithm;
use crate::wire::{DecodeError, Fault, Reader, Writer};

/// A set of PCRs of the SHA-256 bank, which every TPM 2.0 of a PC has: bit n is PCR n, 0 to 23.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct PcrSet(u32);

impl PcrSet {
    /// None.
    pub const NONE: Self = Self(0);
    /// What a machine's boot is judged by: firmware and its settings (0, 2), what was booted (4), Secure Boot (7), the parts
    /// of a UKI (11) and what was given to it from outside (12).
    pub const BOOT: Self = Self(1 << 0 | 1 << 2 | 1 << 4 | 1 << 7 | 1 << 11 | 1 << 12);

    /// One PCR; none if there is none of this number.
    #[must_use]
    pub const fn one(pcr: u8) -> Self {
        if pcr < 24 { Self(1 << pcr) } else { Self(0) }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether this one is among them.
    #[must_use]
    pub const fn has(self, pcr: u8) -> bool {
        pcr < 24 && self.0 & (1 << pcr) != 0
    }

    /// Their numbers, rising, as they are hashed in a quote.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..24).filter(move |pcr| self.has(*pcr))
    }

    /// A `TPML_PCR_SELECTION` of one bank.
    pub(crate) fn encode(self, writer: Writer) -> Writer {
        let [low, middle, high, _] = self.0.to_le_bytes();
        writer.u32(1).u16(Algorithm::SHA256.0).u8(3).bytes(&[low, middle, high])
    }

    /// Reads a `TPML_PCR_SELECTION` that names no PCR of another bank.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut all = Self::NONE;
        let banks = reader.u32("TPML_PCR_SELECTION.count")?;
        if banks > 16 {
            return Err(reader.fault("TPML_PCR_SELECTION.count", Fault::Value));
        }
        for _ in 0..banks {
            let foreign = reader.fault("TPMS_PCR_SELECTION", Fault::Value);
            let hash = Algorithm(reader.u16("TPMS_PCR_SELECTION.hash")?);
            let size = reader.u8("TPMS_PCR_SELECTION.sizeofSelect")?;
            let bits = reader.take("TPMS_PCR_SELECTION.pcrSelect", usize::from(size))?;
            let mut set = [0; 4];
            for (nth, byte) in bits.iter().enumerate() {
                match set.get_mut(nth) {
                    Some(place) if nth < 3 => *place = *byte,
                    _ if *byte == 0 => {}
                    _ => return Err(foreign),
                }
            }
            let set = Self(u32::from_le_bytes(set));
            if hash != Algorithm::SHA256 && set != Self::NONE {
                return Err(foreign);
            }
            all = all.and(set);
        }
        Ok(all)
    }
}

impl FromIterator<u8> for PcrSet {
    fn from_iter<I: IntoIterator<Item = u8>>(pcrs: I) -> Self {
        pcrs.into_iter().fold(Self::NONE, |set, pcr| set.and(Self::one(pcr)))
    }
}

impl fmt::Display for PcrSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.iter().map(|pcr| pcr.to_string()).collect();
        write!(f, "PCR {}", numbers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_read_as_it_was_written_and_of_the_sha_256_bank_alone() {
        let set: PcrSet = [0, 7, 11, 23, 24, 200].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7, 11, 23]);
        let bytes = set.encode(Writer::new()).done();
        assert_eq!(bytes, [0, 0, 0, 1, 0, 0x0b, 3, 0x81, 0x08, 0x80]);
        assert_eq!(PcrSet::decode(&mut Reader::new(&bytes)), Ok(set));
        assert!((0..bytes.len()).all(|length| PcrSet::decode(&mut Reader::new(&bytes[..length])).is_err()));
        let sha1 = [0, 0, 0, 1, 0, 0x04, 3, 0x81, 0x08, 0x80];
        assert!(PcrSet::decode(&mut Reader::new(&sha1)).is_err());
        let beyond = [0, 0, 0, 1, 0, 0x0b, 4, 0x81, 0x08, 0x80, 1];
        assert!(PcrSet::decode(&mut Reader::new(&beyond)).is_err());
    }
}
