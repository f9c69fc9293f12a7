//! Where an answer departs from the plain protocol, for which firmware, and how we know: one table.
//!
//! An answer asks [`departs`] and never looks at a firmware itself, so that the table is the whole truth.

use slipway_wire::ClientArch;

use crate::request::{BootRequest, Exchange, Loader};

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
    /// Option 175 is `b0 01 01`: wait for no ProxyDHCP offer.
    NoProxyWait,
    /// Option 66 repeats the server's address as text.
    ServerAsText,
    /// The header's server name is filled.
    ServerName,
    /// No DHCPNAK, whatever it asks for.
    NoNak,
    /// No offer without an address: it would be taken for a whole one.
    NoProxyOffer,
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
    /// What goes wrong otherwise, and where that was seen or read.
    pub because: &'static str,
}

/// Every departure that this program makes.
pub const TABLE: &[Quirk] = &[
    Quirk {
        who: "any PXE or iPXE client beside another DHCP server",
        when: |r| matches!(r.loader, Loader::Pxe | Loader::Ipxe) && !gives_address(r),
        departure: Departure::SayPxeClient,
        because: "PXE 2.1: an offer without address is a ProxyDHCP offer only with it (seen: OVMF, SeaBIOS with iPXE)",
    },
    Quirk {
        who: "BIOS PXE ROMs beside another DHCP server",
        when: |r| r.loader == Loader::Pxe && r.arch == ClientArch::BIOS && r.exchange == Exchange::ProxyDhcp,
        departure: Departure::UseThisBootFile,
        because: "without 43.6 they turn to port 4011 or give up (seen: iPXE as SeaBIOS ROM); UEFI gets none: vendor ROMs mishandle it",
    },
    Quirk {
        who: "UEFI HTTP Boot",
        when: |r| r.loader == Loader::UefiHttp,
        departure: Departure::SayHttpClient,
        because: "edk2 never considers an offer without it (seen: OVMF 2022.11; HttpBootDhcp4.c)",
    },
    Quirk {
        who: "our agent",
        when: |r| r.loader == Loader::Agent,
        departure: Departure::SaySlipwayAgent,
        because: "beside another DHCP server it tells our offer from that server's by it",
    },
    Quirk {
        who: "iPXE that we give the address",
        when: |r| r.loader == Loader::Ipxe && gives_address(r),
        departure: Departure::NoProxyWait,
        because: "otherwise it waits 2-3 s for a ProxyDHCP offer (seen: 4 ms with it)",
    },
    Quirk {
        who: "PXE ROMs that we give the address",
        when: |r| r.loader == Loader::Pxe && gives_address(r),
        departure: Departure::ServerAsText,
        because: "siaddr says the same; no ROM that was tried minds it (seen: OVMF, SeaBIOS with iPXE)",
    },
    Quirk {
        who: "clients of port 4011",
        when: |r| r.exchange == Exchange::BootServer,
        departure: Departure::ServerName,
        because: "BOOTP's place for the server that answers; no ROM that was tried minds it (seen: OVMF, iPXE)",
    },
    Quirk {
        who: "every boot loader",
        when: |r| !matches!(r.loader, Loader::Os),
        departure: Departure::NoNak,
        because: "edk2 aborts the whole boot on a NAK (seen: PXE-E07); silence makes it ask again",
    },
    Quirk {
        who: "U-Boot beside another DHCP server",
        when: |r| r.loader == Loader::UBoot,
        departure: Departure::NoProxyOffer,
        because: "it takes the first offer that it hears, and would be without an address (from its protocol, not tried)",
    },
];

/// Whether the answer to this request departs from the plain one in this way.
#[must_use]
pub fn departs(request: &BootRequest, departure: Departure) -> bool {
    TABLE.iter().any(|quirk| quirk.departure == departure && (quirk.when)(request))
}

const fn gives_address(request: &BootRequest) -> bool {
    matches!(request.exchange, Exchange::Dhcp)
}
