//! One outcome per packet: what feeds the log line, the metric and the machine's journey, so that they cannot disagree.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use slipway_wire::{ClientArch, MacAddr};

use crate::answer::{Answer, Lead};
use crate::ladder::Footing;
use crate::request::{Loader, Place};
use crate::{Timestamp, Why};

/// The protocol of an exchange.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Proto {
    /// DHCPv4 on port 67, as the server that gives addresses.
    Dhcp4,
    /// ProxyDHCP on port 67.
    Proxy4,
    /// The PXE boot server on port 4011.
    BootServer4,
    /// DHCPv6 on port 547.
    Dhcp6,
    /// Router discovery (ICMPv6).
    Router,
    /// TFTP.
    Tftp,
    /// HTTP.
    Http,
    /// HTTP over TLS, and the handshake before it.
    Https,
    /// The agent's report.
    Agent,
    /// Enrolment, local boot and recovery: the trust plane, and its TLS handshakes.
    Trust,
}

impl Proto {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp4 => "dhcp4",
            Self::Proxy4 => "proxy-dhcp4",
            Self::BootServer4 => "pxe-4011",
            Self::Dhcp6 => "dhcp6",
            Self::Router => "router",
            Self::Tftp => "tftp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Agent => "agent",
            Self::Trust => "trust",
        }
    }
}

/// One thing that happened, with its outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// In what protocol.
    pub proto: Proto,
    /// The machine, where the packet names it (DHCP, a script's query) or its address leads to it (TFTP, HTTP).
    pub mac: Option<MacAddr>,
    /// The machine's address, where it has one.
    pub ip: Option<IpAddr>,
    /// Its SMBIOS UUID, where it told.
    pub uuid: Option<uuid::Uuid>,
    /// Our interface.
    pub interface: String,
    /// What was asked, in one short line: `DISCOVER x64 UEFI pxe`, `RRQ image/debian/uki.efi blksize 1468 windowsize 4`.
    pub asked: String,
    /// The same in values, for the machine's journey.
    pub about: About,
    /// What came of it.
    pub outcome: Outcome,
}

/// What an entry tells a machine's journey: values, so that nobody has to read them out of the words.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum About {
    /// A DHCP message; the entry's protocol says to which of our services.
    Dhcp {
        /// The message.
        message: DhcpMessage,
        /// The program that asks.
        loader: Loader,
        /// Its architecture.
        arch: ClientArch,
        /// The relay that passed it on, if any.
        relay: Option<IpAddr>,
        /// Where the machine is plugged in, as far as relays and switches tell.
        place: Box<Place>,
        /// What it was told to load, if it was.
        boot: Option<Given>,
        /// Why it was told to load nothing, where it was given an address all the same.
        refused: Option<Why>,
    },
    /// A file's transfer, over TFTP or HTTP, ended one way or the other.
    File {
        /// The normalised path.
        path: String,
        /// Bytes of its content that were sent (TFTP: acknowledged).
        sent: u64,
        /// How long it took; the entry's time is its end.
        took: Duration,
        /// Whether the peer has the whole of what it asked for. Not so for HEAD, for a size probe, for a broken transfer.
        whole: bool,
    },
    /// A script for this machine was asked for; what it was given, if it was.
    Script(Option<Given>),
    /// A TLS handshake that failed. One that succeeds is no entry: the requests after it are.
    Handshake,
    /// The agent reported in from the booted system.
    Report,
    /// An installer said that it is done.
    Done,
    /// The machine spoke with the org: it enrols, proves itself at a boot, or says that it is well.
    Org,
    /// Nothing of a boot.
    #[default]
    Other,
}

/// What a machine was given, as its journey tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Given {
    /// The NBP's path, the URL, the root path of a network disk, or `script`.
    pub what: String,
    /// The rule that said so.
    pub rule: String,
    /// The image in the end, `name@version`, where there is one.
    pub image: Option<String>,
    /// Where on its ladder the machine was answered, if it has one: only a PXE ROM's has rungs.
    pub footing: Option<Footing>,
    /// What the machine's memory learns by it. Not kept in the journal's file.
    pub lead: Lead,
}

impl From<&Answer> for Given {
    fn from(answer: &Answer) -> Self {
        Self {
            what: answer.step.to_string(),
            rule: answer.rule.clone(),
            image: answer.image.clone(),
            footing: None,
            lead: answer.lead.clone(),
        }
    }
}

/// The DHCP messages that a journey tells apart.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum DhcpMessage {
    /// DHCPDISCOVER: a program starts from nothing.
    Discover,
    /// DHCPREQUEST: it took an offer, or asks port 4011.
    Request,
    /// Any other.
    Other,
}

/// What came of one packet (or of one transfer, for its last packet).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Answered, with the answer in one short line: `OFFER 10.0.0.5 image/debian/uki.efi`, `200 17301504 bytes in 1.20 s`.
    Answered(String),
    /// Declined, for a reason of the closed set.
    Declined(Why),
    /// The peer's fault: a packet that cannot be read, or a transfer that the peer gave up. Text names field and fault.
    Peer(String),
    /// Our fault or our machine's: store, socket, disk. Text says what to do.
    Ourselves(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(what) => f.write_str(what),
            Self::Declined(why) => write!(f, "declined ({}): {why}", why.code()),
            Self::Peer(fault) => write!(f, "peer's fault: {fault}"),
            Self::Ourselves(fault) => write!(f, "failed: {fault}"),
        }
    }
}
