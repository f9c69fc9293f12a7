//! The DHCP unique identifier.

use core::fmt;

use uuid::Uuid;

use crate::MacAddr;

/// A DUID (RFC 8415 §11): what a client or server is known by, compared as bytes and read only for what else it may tell.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Duid(Box<[u8]>);

/// The longest that RFC 8415 §11.1 allows: type and 128 bytes.
const LONGEST: usize = 130;
const LLT: u16 = 1;
const LL: u16 = 3;
const UUID: u16 = 4;
const ETHERNET: u16 = 1;

impl Duid {
    /// The DUID of these bytes, type first: 3 to 130 of them.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (3..=LONGEST).contains(&bytes.len()).then(|| Self(bytes.into()))
    }

    /// A DUID of a UUID's 16 bytes (RFC 6355).
    #[must_use]
    pub fn of_uuid(uuid: [u8; 16]) -> Self {
        let mut bytes = UUID.to_be_bytes().to_vec();
        bytes.extend(uuid);
        Self(bytes.into())
    }

    /// Its bytes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The Ethernet address in a DUID-LLT or DUID-LL: one of the machine's, not always that of the card that speaks.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        let (kind, rest) = self.0.split_first_chunk::<2>()?;
        let (hardware, rest) = rest.split_first_chunk::<2>()?;
        let address = match u16::from_be_bytes(*kind) {
            LLT => rest.get(4..)?,
            LL => rest,
            _ => return None,
        };
        let is_ethernet = u16::from_be_bytes(*hardware) == ETHERNET;
        address.try_into().ok().map(MacAddr).filter(|_| is_ethernet)
    }

    /// The UUID in a firmware's DUID-UUID. RFC 6355 wants its bytes in the order of the text; firmware copies SMBIOS, whose first
    /// three fields are little-endian. None for bytes that are all the same: unset firmware.
    #[must_use]
    pub fn smbios_uuid(&self) -> Option<Uuid> {
        let (kind, rest) = self.0.split_first_chunk::<2>()?;
        let bytes: [u8; 16] = rest.try_into().ok()?;
        let [first, ..] = bytes;
        let blank = bytes.iter().all(|byte| *byte == first);
        (u16::from_be_bytes(*kind) == UUID && !blank).then(|| Uuid::from_bytes_le(bytes))
    }
}

impl fmt::Display for Duid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duid_tells_an_ethernet_address_only_where_it_has_one() {
        let mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
        for (bytes, told) in [
            ([&[0, 1, 0, 1, 9, 9, 9, 9][..], &mac].concat(), Some(MacAddr(mac))),
            ([&[0, 3, 0, 1][..], &mac].concat(), Some(MacAddr(mac))),
            ([&[0, 3, 0, 32][..], &mac].concat(), None),
            ([&[0, 3, 0, 1, 0, 0][..], &mac].concat(), None),
            ([&[0, 2, 0, 1][..], &mac].concat(), None),
            (vec![0, 3, 0, 1], None),
            (vec![0, 1, 0], None),
        ] {
            assert_eq!(Duid::new(&bytes).unwrap().mac(), told, "{bytes:02x?}");
        }
        assert_eq!((Duid::new(&[0, 1]), Duid::new(&[0; 131])), (None, None));
    }

    #[test]
    fn a_firmwares_uuid_is_read_in_the_order_of_smbios() {
        let uuid = Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
        assert_eq!(Duid::of_uuid(uuid.to_bytes_le()).smbios_uuid(), Some(uuid));
        assert_eq!(Duid::of_uuid([0xff; 16]).smbios_uuid(), None);
        assert_eq!(Duid::of_uuid(uuid.into_bytes()).mac(), None);
    }
}
