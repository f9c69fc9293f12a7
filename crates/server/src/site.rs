//! What every answer depends on that does not change from packet to packet.

mod build;
mod networks;
mod secrets;

pub use build::{Built, Exported, Facts, NoSite, build, check};

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use slipway_engine::catalog::Catalog;
use slipway_engine::ra::Ra;
use slipway_engine::rules::{IpNet, Rules};
use slipway_engine::subnet::{Subnet, Subnet6};
use slipway_store::Blobs;

use crate::tls::Own;

/// One immutable picture of the site: configuration, interfaces and catalog. A reload or a change of the image store replaces it
/// whole, so that one packet never sees half of a change.
#[derive(Clone, Debug)]
pub struct Site {
    /// Our interfaces that are served.
    pub interfaces: Vec<Interface>,
    /// The networks we give addresses in.
    pub subnets: Vec<Subnet>,
    /// The IPv6 networks that we give addresses or parameters in.
    pub subnets6: Vec<Subnet6>,
    /// Which machine boots what.
    pub rules: Rules,
    /// What there is to serve.
    pub catalog: Catalog,
    /// Where the catalog's files are.
    pub blobs: Blobs,
    /// Port of the HTTP boot server.
    pub http_port: u16,
    /// HTTPS, if it is served.
    pub https: Option<HttpsSettings>,
    /// A folder of the operator's own, served read-only beside the namespace (TFTP and HTTP), if any.
    pub export: Option<PathBuf>,
    /// TFTP's settings.
    pub tftp: TftpSettings,
}

/// What the operator can set of HTTPS.
#[derive(Clone, Debug)]
pub struct HttpsSettings {
    /// Its port.
    pub port: u16,
    /// Names by which machines ask for this server, beside its addresses.
    pub names: Vec<String>,
    /// The operator's own certificate, in place of those by our CA.
    pub own: Option<Own>,
}

/// What the operator can set of TFTP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TftpSettings {
    /// Upper bound of `blksize`: 512-65464. The path's MTU bounds it too.
    pub blksize_max: u16,
    /// Answer from port 69 itself instead of a port per worker, for firewalls that know no TFTP.
    pub single_port: bool,
    /// Networks that are served beside those of our interfaces and subnets.
    pub allow: Vec<IpNet>,
}

/// A network interface and what we do on it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's index.
    pub index: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its IPv4 addresses with prefix length, primary first.
    pub v4: Vec<(Ipv4Addr, u8)>,
    /// Its IPv6 addresses with prefix length, link-local included.
    pub v6: Vec<(Ipv6Addr, u8)>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// What we do on it.
    pub mode: Mode,
    /// What we do on it about IPv6.
    pub ipv6: Ipv6,
}

/// What we do about IPv6 on an interface, besides serving files.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ipv6 {
    /// Whether we answer DHCPv6.
    pub dhcp: bool,
    /// What we tell hosts that look for a router.
    pub ra: Ra,
}

/// What we do about DHCP on an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// Give addresses and boot answers.
    Dhcp,
    /// Give boot answers only; somebody else gives addresses.
    Proxy,
    /// Neither: serve files only.
    Off,
}

/// The site as the planes share it.
pub type SharedSite = Arc<ArcSwap<Site>>;
