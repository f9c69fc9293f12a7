//! The boot request, normalised: what a machine said about itself, whatever protocol it said it in.

use core::fmt;
use core::net::IpAddr;
use slipway_wire::{ClientArch, MacAddr};

/// The program that asks: it decides what kind of answer can be understood.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Loader {
    /// No boot loader at all: an operating system's DHCP client.
    Os,
    /// A PXE ROM (BIOS) or UEFI's PXE driver: wants a network boot program (NBP) over TFTP.
    Pxe,
    /// UEFI HTTP Boot: wants a URL.
    UefiHttp,
    /// iPXE, in ROM or chainloaded: wants a script.
    Ipxe,
    /// U-Boot.
    UBoot,
    /// Our own agent in an initramfs (option 60 `slipway-agent`): wants to know where to report in.
    Agent,
}

impl Loader {
    /// The name in configuration, journal and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Pxe => "pxe",
            Self::UefiHttp => "uefi-http",
            Self::Ipxe => "ipxe",
            Self::UBoot => "u-boot",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The exchange in which the machine asks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Exchange {
    /// DHCP on port 67 where we give the address too.
    Dhcp,
    /// ProxyDHCP on port 67: another server gives the address.
    ProxyDhcp,
    /// The PXE boot server on port 4011.
    BootServer,
    /// A script asked for over HTTP (or TFTP).
    Script,
}

/// What a machine said about itself, and where we heard it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BootRequest {
    /// How it asks.
    pub exchange: Exchange,
    /// Who asks.
    pub loader: Loader,
    /// Its architecture: option 93, else the digits in option 60, else BIOS.
    pub arch: ClientArch,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Its SMBIOS UUID in text order, where it told (option 97 or a script's query).
    pub uuid: Option<uuid::Uuid>,
    /// Our interface that heard it.
    pub interface: String,
    /// The relay that passed it on (`giaddr`), if any.
    pub relay: Option<IpAddr>,
    /// The address the machine has or is being given, where known: what subnet matches look at.
    pub client_ip: Option<IpAddr>,
    /// User class (option 77), undecoded from its RFC 3004 length prefix where it has one.
    pub user_class: Option<String>,
    /// Vendor class (option 60).
    pub vendor_class: Option<String>,
}
