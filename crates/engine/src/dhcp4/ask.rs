//! A datagram as a question: who asks, in what exchange, for what.

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use slipway_wire::ClientArch;
use slipway_wire::dhcp4::{HTYPE_ETHERNET, Message, MessageType, Op, OptionCode, RelayInfo};
use slipway_wire::pxe::{ClassFamily, VendorClass};

use super::lease::ClientKey;
use super::plan::{Asker, mask};
use crate::answer::ServerAddr;
use crate::catalog::Catalog;
use crate::ladder::{Footing, Ladders, Rung};
use crate::machine::Memories;
use crate::request::{BootRequest, Exchange, Loader, Place};
use crate::rules::Rules;
use crate::{Timestamp, Why};

/// Option 60 of our own agent.
pub const AGENT_CLASS: &[u8] = b"slipway-agent";

/// Option 118: the subnet that the client wants an address in (RFC 3011).
const SUBNET_SELECTION: OptionCode = OptionCode(118);

/// A datagram as it was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// Who sent it.
    pub from: SocketAddrV4,
    /// Where it was sent to: one of our addresses, or a broadcast.
    pub to: Ipv4Addr,
}

/// Where it was heard, and as whom we answer there.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// What we are there: [`Exchange::Dhcp`] and [`Exchange::ProxyDhcp`] on port 67, [`Exchange::BootServer`] on 4011.
    pub exchange: Exchange,
    /// Our interface.
    pub interface: &'a str,
    /// Its IPv4 addresses with prefix length, primary first.
    pub networks: &'a [(Ipv4Addr, u8)],
    /// Its MTU in bytes.
    pub mtu: u16,
    /// Our address towards the client: option 54, `siaddr`, and the source of the answer.
    pub server: Ipv4Addr,
    /// All our addresses, on whatever interface.
    pub ours: &'a [Ipv4Addr],
    /// Port of the HTTP boot server.
    pub http_port: u16,
}

/// What the boot part of an answer follows from.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Which machine boots what.
    pub rules: &'a Rules,
    /// What there is to serve.
    pub catalog: &'a Catalog,
    /// What is remembered of machines.
    pub machines: &'a Memories,
    /// Where those stand that asked lately.
    pub ladders: &'a Ladders,
}

/// A question that deserves a decision.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) message: Message,
    pub(super) kind: MessageType,
    pub(super) client: ClientKey,
    /// What it says about itself. A client without Ethernet address has an all-zero one here and is never booted.
    pub(super) boot: BootRequest,
    /// Where its sender stands on its ladder, if it has one.
    pub(super) footing: Option<Footing>,
    pub(super) heard: Heard<'a>,
    pub(super) link: Link<'a>,
}

/// The state that a REQUEST tells of its client (RFC 2131 §4.3.2), with the address it wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wants {
    /// It takes the offer of this server.
    Select { ip: Ipv4Addr, server: Ipv4Addr },
    /// It has rebooted and remembers an address.
    Reboot { ip: Ipv4Addr },
    /// It extends its lease with us.
    Renew { ip: Ipv4Addr },
    /// It extends its lease with anybody.
    Rebind { ip: Ipv4Addr },
}

impl Wants {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Select { .. } => "selecting",
            Self::Reboot { .. } => "init-reboot",
            Self::Renew { .. } => "renewing",
            Self::Rebind { .. } => "rebinding",
        }
    }
}

impl<'a> Ask<'a> {
    /// The question in a message, or why it is none.
    pub(super) fn new(message: Message, heard: Heard<'a>, link: Link<'a>) -> Result<Self, Why> {
        let kind = message.options.message_type().filter(|_| message.op == Op::REQUEST).ok_or(Why::NotForUs)?;
        let chaddr = message.chaddr.get(..usize::from(message.hlen)).unwrap_or_default();
        let client = ClientKey::new(message.htype, chaddr, message.options.client_id()).ok_or(Why::NotForUs)?;
        if message.htype == HTYPE_ETHERNET && message.hlen != 6 {
            return Err(Why::NotForUs);
        }
        let boot = classify(&message, link.exchange, link.interface);
        Ok(Self { message, kind, client, boot, footing: None, heard, link })
    }

    /// The question, to be answered by the kind of offer that this machine takes.
    pub(super) fn on_its_ladder(mut self, policy: Policy<'_>, now: Timestamp) -> Self {
        let worked = policy.machines.of(self.boot.mac, self.boot.uuid).offers.as_ref();
        let xid = self.message.xid;
        self.footing = match (self.kind, self.link.exchange) {
            (MessageType::DISCOVER, Exchange::Dhcp | Exchange::ProxyDhcp) => {
                policy.ladders.stand(&self.boot, xid, worked, now)
            }
            _ => policy.ladders.stays(&self.boot, xid, worked),
        };
        self.boot.rung = self.footing.map_or(Rung::Plain, |footing| footing.rung);
        self
    }

    /// Where a client with this address finds our files.
    pub(super) fn server(&self, client: Option<Ipv4Addr>) -> ServerAddr {
        ServerAddr { ip: IpAddr::V4(self.near(client)), http_port: self.link.http_port, https: false }
    }

    /// The relay that passed it on.
    pub(super) fn relay(&self) -> Option<Ipv4Addr> {
        given(self.message.giaddr)
    }

    pub(super) fn client_ip(&self) -> Option<Ipv4Addr> {
        given(self.message.ciaddr)
    }

    /// Whether it was sent to us alone.
    pub(super) fn is_unicast(&self) -> bool {
        self.link.ours.contains(&self.heard.to)
    }

    /// An address in the network that the client sits in, as far as the message tells: link selection, then subnet selection, then
    /// the relay's own address. `None`: on our own link.
    pub(super) fn selector(&self) -> Option<Ipv4Addr> {
        let relay = self.relay()?;
        Some(link_of(&self.message).unwrap_or(relay))
    }

    /// Who we are to this client: our own address, or the one that its relay wants to be taken for us (rfc5107#4).
    pub(super) fn server_id(&self) -> Ipv4Addr {
        let overridden = self.message.options.relay_info().and_then(RelayInfo::server_override);
        overridden.filter(|_| self.relay().is_some()).unwrap_or(self.link.server)
    }

    /// Whether a message to this server is one to us.
    pub(super) fn is_for_us(&self, server: Ipv4Addr) -> bool {
        server == self.link.server || server == self.server_id()
    }

    /// Our address that a client with this one reaches best: one of its own network where we have it, else the one we answer from.
    pub(super) fn near(&self, client: Option<Ipv4Addr>) -> Ipv4Addr {
        let Some(client) = client else { return self.link.server };
        let beside = |&&(own, prefix): &&(Ipv4Addr, u8)| own & mask(prefix) == client & mask(prefix);
        let near: Vec<Ipv4Addr> = self.link.networks.iter().filter(beside).map(|&(own, _)| own).collect();
        match near.first() {
            Some(&first) if !near.contains(&self.link.server) => first,
            _ => self.link.server,
        }
    }

    /// The client as reservations know it.
    pub(super) const fn asker(&self) -> Asker<'_> {
        Asker { client: &self.client, place: &self.boot.place }
    }

    /// What a REQUEST wants (rfc2131#4.3.2, by its table of what each state fills in).
    pub(super) fn wants(&self) -> Option<Wants> {
        let options = &self.message.options;
        match (options.server_id(), options.requested_ip(), self.client_ip()) {
            (Some(server), Some(ip), None) => Some(Wants::Select { ip, server }),
            (None, Some(ip), None) => Some(Wants::Reboot { ip }),
            // A relayed renewal was broadcast by its client; RFC 2131 forbids 50 and 54 here, some clients send them all the same.
            (_, _, Some(ip)) if self.is_unicast() && self.relay().is_none() => Some(Wants::Renew { ip }),
            (_, _, Some(ip)) => Some(Wants::Rebind { ip }),
            (_, None, None) => None,
        }
    }
}

/// What a message says about its sender. The order of the tests matters: iPXE says `PXEClient` and a firmware's architecture too,
/// and answered by these it would load itself for ever.
#[must_use]
pub fn classify(message: &Message, exchange: Exchange, interface: &str) -> BootRequest {
    let options = &message.options;
    let class = options.vendor_class().map(VendorClass::parse);
    let user_classes = options.user_classes();
    let says_ipxe = user_classes.iter().any(|class| class.windows(4).any(|word| word == b"iPXE" || word == b"gPXE"));
    let loader = match class.map(|class| class.family) {
        _ if says_ipxe || options.has(OptionCode::IPXE) => Loader::Ipxe,
        Some(ClassFamily::Http) => Loader::UefiHttp,
        Some(ClassFamily::Pxe) => Loader::Pxe,
        Some(ClassFamily::UBoot) => Loader::UBoot,
        _ if options.vendor_class().is_some_and(|class| class.starts_with(AGENT_CLASS)) => Loader::Agent,
        _ => Loader::Os,
    };
    let digits = class.and_then(|class| class.arch);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = options.client_archs().first().copied().or(digits).unwrap_or(ClientArch::BIOS);
    // A Raspberry Pi's boot loader calls itself an x86 BIOS; its machine id gives it away.
    let is_pi = said == ClientArch::BIOS && options.machine_id().is_some_and(|id| id.is_raspberry_pi());
    // U-Boot, whatever it calls itself: UEFI has numbers of its own.
    let is_u_boot = matches!(said, ClientArch::ARM32_UBOOT | ClientArch::ARM64_UBOOT);
    let loader = if loader == Loader::Pxe && is_u_boot { Loader::UBoot } else { loader };
    BootRequest {
        exchange,
        loader: if message.mac().is_some() { loader } else { Loader::Os },
        arch: if is_pi { ClientArch::RPIBOOT } else { said },
        mac: message.mac().unwrap_or_default(),
        uuid: options.machine_id().and_then(|id| id.uuid()),
        interface: interface.to_owned(),
        relay: given(message.giaddr).map(IpAddr::V4),
        place: place(message),
        client_ip: given(message.ciaddr).map(IpAddr::V4),
        user_class: user_classes.first().map(|class| text(class)),
        vendor_class: options.vendor_class().map(text),
        rung: Rung::Plain,
    }
}

fn given(ip: Ipv4Addr) -> Option<Ipv4Addr> {
    Some(ip).filter(|ip| !ip.is_unspecified())
}

/// The network that a relay (RFC 3527) or a client (RFC 3011) names, where that is not the relay's own.
fn link_of(message: &Message) -> Option<Ipv4Addr> {
    let by_relay = message.options.relay_info().and_then(RelayInfo::link_selection);
    by_relay.or_else(|| message.options.ip(SUBNET_SELECTION).and_then(given))
}

/// Where the message's sender is plugged in. Switches tell their ports without being a relay (no `giaddr`); who names another network
/// must be one.
fn place(message: &Message) -> Place {
    let info = message.options.relay_info();
    let relay = given(message.giaddr);
    Place {
        link: relay.and_then(|relay| link_of(message).filter(|link| *link != relay)).map(IpAddr::V4),
        circuit_id: info.and_then(RelayInfo::circuit_id),
        remote_id: info.and_then(RelayInfo::remote_id),
    }
}
