//! Who holds which address until when: the record that outlives the process, and the client it names.

use core::fmt;
use core::net::Ipv6Addr;

use slipway_wire::dhcp6::{Duid, IaKind};

use crate::Timestamp;

/// What a lease is known by (RFC 8415 §12): one client may hold several, and a UEFI firmware does when a router advertisement makes
/// its IPv6 stack ask for an address beside its boot driver.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientKey {
    /// The client.
    pub duid: Duid,
    /// Its number for the identity association.
    pub iaid: u32,
    /// The association's kind: numbers are counted for each kind apart.
    pub kind: IaKind,
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            IaKind::NonTemporary => "na",
            IaKind::Temporary => "ta",
        };
        write!(f, "{}/{kind}/{:08x}", self.duid, self.iaid)
    }
}

/// What is durable about one address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// The address.
    pub ip: Ipv6Addr,
    /// Who holds it.
    pub holder: Holder,
    /// Until when.
    pub until: Timestamp,
}

/// Who has an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Holder {
    /// A client, by a lease that it was told of.
    Client(ClientKey),
    /// A stranger: a client declined the address because somebody else answered for it.
    Stranger,
}

/// One change to make durable. Later ones about the same address replace earlier ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// The address is taken.
    Put(Record),
    /// The address is free. Unlike DHCPv4's, former leases are not kept: a client's address follows from what it is known by, and
    /// so comes back without being remembered, and a network of 2^64 addresses must not fill the disk with strangers.
    Drop(Ipv6Addr),
}

impl Record {
    /// Whether this client holds the address.
    #[must_use]
    pub fn is_of(&self, client: &ClientKey) -> bool {
        matches!(&self.holder, Holder::Client(holder) if holder == client)
    }
}
