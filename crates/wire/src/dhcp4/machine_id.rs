//! Option 97: the machine's identity.

use crate::{DecodeError, Fault, Field};
use uuid::Uuid;

/// The machine identifier of every Raspberry Pi 3.
const RASPBERRY_PI_3: [u8; 16] = [0x44; 16];

/// Client machine identifier (option 97, RFC 4578 §2.3): a type byte, 0 in the field, and 16 bytes that should be the SMBIOS UUID.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct MachineId {
    /// The type byte; RFC 4578 defines 0 only.
    pub kind: u8,
    /// The identifier as on the wire: a GUID in SMBIOS (mixed-endian) order where it is one.
    pub bytes: [u8; 16],
}

impl MachineId {
    /// Reads the value of option 97: exactly 17 bytes.
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let refused = DecodeError::new(Field::Option(97), 0, Fault::Length);
        let (kind, rest) = data.split_first().ok_or(refused)?;
        Ok(Self { kind: *kind, bytes: rest.try_into().map_err(|_| refused)? })
    }

    /// The identifier of a machine with this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self { kind: 0, bytes: uuid.to_bytes_le() }
    }

    /// The value of option 97.
    #[must_use]
    pub fn encode(&self) -> [u8; 17] {
        let mut out = [self.kind; 17];
        for (to, from) in out.iter_mut().skip(1).zip(self.bytes) {
            *to = from;
        }
        out
    }

    /// The UUID in text order, as SMBIOS tools print it. None where the bytes identify no machine: 16 equal bytes (unset firmware
    /// says all 00 or ff, the Raspberry Pi 3 all 44), the Raspberry Pi 4's and 5's `RPi…` record, or a type other than 0.
    #[must_use]
    pub fn uuid(&self) -> Option<Uuid> {
        let [first, ..] = self.bytes;
        let blank = self.bytes.iter().all(|byte| *byte == first);
        (self.kind == 0 && !blank && !self.is_raspberry_pi()).then(|| Uuid::from_bytes_le(self.bytes))
    }

    /// Whether a Raspberry Pi's boot loader says this, which is no UUID: the 4's and 5's own record (`RPi4`, `RPi5`: board revision,
    /// MAC bits, serial), or what the 3's ROM fills in.
    #[must_use]
    pub fn is_raspberry_pi(&self) -> bool {
        self.bytes.starts_with(b"RPi") || self.is_raspberry_pi_3()
    }

    /// Whether the Raspberry Pi 3's boot ROM says this: it takes an offer as it is and never asks for it, and reads a menu's text
    /// with three blanks behind it.
    #[must_use]
    pub fn is_raspberry_pi_3(&self) -> bool {
        self.bytes == RASPBERRY_PI_3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guid_is_mixed_endian_on_the_wire() {
        let wire: [u8; 17] =
            [0, 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let id = MachineId::decode(&wire).unwrap();
        let uuid = id.uuid().unwrap();
        assert_eq!(uuid.to_string(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(MachineId::from_uuid(uuid), id);
        assert_eq!(id.encode(), wire);
    }

    #[test]
    fn what_identifies_no_machine_is_no_uuid() {
        let mut pi = [0; 16];
        pi[..4].copy_from_slice(b"RPi4");
        for (kind, bytes) in [(0, [0; 16]), (0, [0xff; 16]), (0, [0x44; 16]), (0, pi), (1, [1; 16])] {
            let id = MachineId { kind, bytes };
            assert_eq!(id.uuid(), None, "{kind} {bytes:02x?}");
            assert_eq!(id.is_raspberry_pi(), bytes == pi || bytes == RASPBERRY_PI_3);
            assert_eq!(id.is_raspberry_pi_3(), bytes == RASPBERRY_PI_3);
        }
    }

    #[test]
    fn any_other_length_is_refused() {
        for len in (0..40).filter(|len| *len != 17) {
            assert!(MachineId::decode(&vec![0; len]).is_err(), "{len}");
        }
    }
}
