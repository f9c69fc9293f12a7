//! Who holds which address until when: the record that outlives the process, and the client it names.

use core::fmt;
use core::net::Ipv4Addr;

use slipway_wire::MacAddr;

use crate::Timestamp;

/// What a client is known by.
///
/// The hardware address comes first and the client identifier (option 61) only stands in where there is none: a PXE ROM, iPXE and
/// the operating system of one machine send three different identifiers and must get one address, and two ROMs of one machine send
/// the same one (`00` + UUID) and must get two. RFC 2131 §4.2 prefers the identifier; booting machines taught otherwise.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ClientKey {
    /// An Ethernet address (`htype` 1).
    Ethernet(MacAddr),
    /// Another link's address: its `htype` and `chaddr`, 1-16 bytes.
    Hardware(u8, Box<[u8]>),
    /// No hardware address at all (InfiniBand, RFC 4390): option 61 as it stands, 1-255 bytes.
    Id(Box<[u8]>),
}

impl ClientKey {
    /// The key of these fields of a message; `None` where neither names the client.
    #[must_use]
    pub fn new(htype: u8, chaddr: &[u8], client_id: Option<&[u8]>) -> Option<Self> {
        if chaddr.iter().any(|&byte| byte != 0) {
            return Some(match (htype, <[u8; 6]>::try_from(chaddr)) {
                (1, Ok(octets)) => Self::Ethernet(MacAddr(octets)),
                _ => Self::Hardware(htype, chaddr.into()),
            });
        }
        client_id.filter(|id| !id.is_empty()).map(|id| Self::Id(id.into()))
    }

    /// The Ethernet address, where that is what the client is known by.
    #[must_use]
    pub const fn mac(&self) -> Option<MacAddr> {
        match self {
            Self::Ethernet(mac) => Some(*mac),
            Self::Hardware(..) | Self::Id(_) => None,
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        match self {
            Self::Ethernet(mac) => mac.fmt(f),
            Self::Hardware(htype, chaddr) => {
                write!(f, "hw{htype}:")?;
                hex(f, chaddr)
            }
            Self::Id(id) => {
                f.write_str("id:")?;
                hex(f, id)
            }
        }
    }
}

/// What is durable about one address. There is one record per address, and a later one replaces it: no order of lost and repeated
/// writes can leave an address with two holders.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The address.
    pub ip: Ipv4Addr,
    /// Who holds it, or held it last.
    pub holder: Holder,
    /// Until when. In the past, the record is a memory: the address is free, and goes to its former holder first.
    pub until: Timestamp,
}

/// Who has an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// A client, by a lease that was acknowledged.
    Client(ClientKey),
    /// A stranger: a client declined the address because somebody else answered for it.
    Stranger,
}

impl Record {
    /// Whether the address is taken at this time.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.until > now
    }

    /// Whether this client holds the address, or held it last.
    #[must_use]
    pub fn is_of(&self, client: &ClientKey) -> bool {
        matches!(&self.holder, Holder::Client(holder) if holder == client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_identifiers_of_one_machine_are_one_client() {
        let chaddr = [0x52, 0x54, 0, 0, 0, 1];
        let rom = ClientKey::new(1, &chaddr, Some(&[0; 17]));
        let ipxe = ClientKey::new(1, &chaddr, Some(&[1, 0x52, 0x54, 0, 0, 0, 1]));
        assert_eq!(rom, ipxe);
        assert_eq!(rom, ClientKey::new(1, &chaddr, None));
    }

    #[test]
    fn a_client_without_hardware_address_is_known_by_its_identifier() {
        assert_eq!(ClientKey::new(32, &[], Some(&[255, 1])), Some(ClientKey::Id([255, 1].into())));
        assert_eq!(ClientKey::new(32, &[], None), None);
        assert_eq!(ClientKey::new(1, &[0; 6], None), None);
    }
}
