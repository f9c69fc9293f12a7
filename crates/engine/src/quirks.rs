//! Where an answer departs from the plain protocol, for which firmware, and how we know: one table. And how a request is read that
//! does not say what it means: another.
//!
//! An answer asks [`departs`] and never looks at a firmware itself, so that the table is the whole truth. Each row names a packet under
//! `fixtures/` that gets it and one that does not; a test walks the rows, and holds docs/quirks.md against them.

mod readings;
mod table;

use crate::ladder::Rung;
use crate::request::{BootRequest, Exchange};

pub use readings::{READINGS, Reading};
pub use table::TABLE;

/// A departure from the plain answer.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Departure {
    /// Option 60 says `PXEClient`.
    SayPxeClient,
    /// Option 60 says `HTTPClient`.
    SayHttpClient,
    /// Option 60 says `slipway-agent`.
    SaySlipwayAgent,
    /// Option 43 is `06 01 08 ff`: use the boot file of this packet, discover nothing (PXE 2.1, discovery control bit 3).
    UseThisBootFile,
    /// Sent to its own disk, it is offered a PXE boot without any server: option 60, and option 43 `06 01 07 ff`.
    CancelledBoot,
    /// Sent to its own disk, it is offered the URL of a file that is not there.
    MissingFile,
    /// Option 175 is `b0 01 01`: wait for no ProxyDHCP offer.
    NoProxyWait,
    /// Option 66 repeats the server's address as text.
    ServerAsText,
    /// The header's server name is filled.
    ServerName,
    /// Option 43 is the menu that a Raspberry Pi's boot loader looks for, its text with three blanks behind it for a Pi 3.
    RaspberryPiMenu,
    /// An offer is a lease already.
    OfferIsLease,
    /// No DHCPNAK, whatever it asks for.
    NoNak,
    /// No offer without an address: it would be taken for a whole one.
    NoProxyOffer,
    /// Not the loader that the firmware is given as a rule, but the next that would do.
    OtherLoader,
}

impl Departure {
    /// What is different, in the words of docs/quirks.md.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::SayPxeClient => "option 60 `PXEClient`",
            Self::SayHttpClient => "option 60 `HTTPClient`",
            Self::SaySlipwayAgent => "option 60 `slipway-agent`",
            Self::UseThisBootFile => "option 43 `06 01 08 ff`",
            Self::CancelledBoot => "to its disk: option 43 `06 01 07 ff`",
            Self::MissingFile => "to its disk: a URL of nothing",
            Self::NoProxyWait => "option 175 `b0 01 01`",
            Self::ServerAsText => "option 66",
            Self::ServerName => "header `sname`",
            Self::RaspberryPiMenu => "option 43 with the menu `Raspberry Pi Boot`",
            Self::OfferIsLease => "the offer is a lease",
            Self::NoNak => "no NAK",
            Self::NoProxyOffer => "no ProxyDHCP offer",
            Self::OtherLoader => "another loader",
        }
    }
}

/// One row: who, what, and the source of our knowledge.
#[derive(Debug)]
pub struct Quirk {
    /// The firmware as people know it.
    pub who: &'static str,
    /// Whether a request is one of that firmware's.
    pub when: fn(&BootRequest) -> bool,
    /// What is different for it.
    pub departure: Departure,
    /// What goes wrong otherwise.
    pub because: &'static str,
    /// Where that was seen, read or told.
    pub source: &'static str,
    /// A packet that gets it.
    pub seen: Packet,
    /// Its nearest neighbour, which does not.
    pub unlike: Packet,
}

/// A packet under `fixtures/`, in the exchange in which it comes.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// Its folder and name, without `.hex`.
    pub fixture: &'static str,
    /// Where it is heard.
    pub exchange: Exchange,
    /// Where its sender stands on its ladder.
    pub rung: Rung,
}

impl Packet {
    /// Where we give the address.
    const fn dhcp(fixture: &'static str) -> Self {
        Self { fixture, exchange: Exchange::Dhcp, rung: Rung::Plain }
    }

    /// Where another server gives the address.
    const fn beside(fixture: &'static str) -> Self {
        Self { fixture, exchange: Exchange::ProxyDhcp, rung: Rung::Plain }
    }

    /// On port 4011.
    const fn boot_server(fixture: &'static str) -> Self {
        Self { fixture, exchange: Exchange::BootServer, rung: Rung::Plain }
    }

    const fn on(self, rung: Rung) -> Self {
        Self { rung, ..self }
    }
}

/// Whether the answer to this request departs from the plain one in this way.
#[must_use]
pub fn departs(request: &BootRequest, departure: Departure) -> bool {
    TABLE.iter().any(|quirk| quirk.departure == departure && (quirk.when)(request))
}

#[cfg(test)]
mod tests;
