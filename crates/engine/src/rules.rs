//! The operator's rules: which machine boots what. First match wins.

use core::net::IpAddr;
use slipway_wire::{ClientArch, Cpu, MacAddr};

use crate::request::Loader;

/// All rules, in the order of the configuration file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// First match wins; no match is `Why::NoRule`.
    pub rules: Vec<Rule>,
}

/// One rule: when it matches, what then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its name in the journal and in `explain`.
    pub name: String,
    /// All given criteria must hold; a criterion that lists several values holds when one of them does.
    pub when: When,
    /// What a matching machine is given.
    pub then: Then,
}

/// A network in prefix notation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IpNet {
    /// The network's address (host bits zero).
    pub addr: IpAddr,
    /// Prefix length: 0-32 or 0-128.
    pub prefix: u8,
}

/// A rule's criteria. An empty list is no criterion.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct When {
    /// Hardware addresses.
    pub mac: Vec<MacAddr>,
    /// SMBIOS UUIDs.
    pub uuid: Vec<uuid::Uuid>,
    /// Architectures, as in option 93.
    pub arch: Vec<ClientArch>,
    /// Processor families.
    pub cpu: Vec<Cpu>,
    /// Asking programs.
    pub loader: Vec<Loader>,
    /// Networks that hold the client's address, or the relay's.
    pub subnet: Vec<IpNet>,
    /// Our interfaces.
    pub interface: Vec<String>,
    /// Relay addresses (`giaddr`).
    pub relay: Vec<IpAddr>,
    /// User classes, compared whole.
    pub user_class: Vec<String>,
    /// UEFI (`true`) or BIOS (`false`).
    pub uefi: Option<bool>,
}

/// What a matching machine is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Then {
    /// Boot an image.
    Boot(Boot),
    /// iPXE with a menu of every image that this machine can run.
    Menu,
    /// Boot from the machine's own disk.
    Local,
    /// Say nothing at all.
    Ignore,
}

/// An image to boot, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Boot {
    /// The image's name in the store.
    pub image: String,
    /// A version of it; none is the newest.
    pub version: Option<String>,
    /// Which way to take where several lead there.
    pub path: Path,
    /// Text to put after the image's own command line.
    pub append: Option<String>,
}

/// The way from firmware to image.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Path {
    /// The firmware loads the image itself where it can, else iPXE does.
    #[default]
    Auto,
    /// Only the firmware itself.
    Direct,
    /// Through iPXE always.
    Ipxe,
}
