//! A datagram as a question: who asks, from where, for what.

use core::net::{IpAddr, Ipv6Addr, SocketAddrV6};

use slipway_wire::dhcp6::{Duid, ENTERPRISE_INTEL, Message, MessageType, OptionCode, Packet};
use slipway_wire::pxe::{ClassFamily, VendorClass};
use slipway_wire::{ClientArch, MacAddr};

use super::plan::{Plan, SubnetIndex};
use crate::Why;
use crate::answer::ServerAddr;
use crate::ladder::Rung;
use crate::request::{BootRequest, Exchange, Loader, Place};

/// The user class (option 15) of our own agent.
pub const AGENT_CLASS: &[u8] = b"slipway-agent";

/// A datagram as it was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// Who sent it, with the scope of a link-local address.
    pub from: SocketAddrV6,
}

/// Where it was heard, and as whom we answer there.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// Our interface.
    pub interface: &'a str,
    /// Its IPv6 addresses with prefix length, link-local ones included.
    pub networks: &'a [(Ipv6Addr, u8)],
    /// Our DUID.
    pub server: &'a Duid,
    /// Port of the HTTP boot server.
    pub http_port: u16,
}

/// A question that deserves a decision.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) packet: Packet,
    pub(super) client: Option<Duid>,
    pub(super) mac: Option<MacAddr>,
    pub(super) boot: BootRequest,
    pub(super) heard: Heard<'a>,
    pub(super) link: Link<'a>,
}

impl<'a> Ask<'a> {
    /// The question in a packet, or why it is none: the rules of RFC 8415 §16.
    pub(super) fn new(packet: Packet, heard: Heard<'a>, link: Link<'a>) -> Result<Self, Why> {
        let options = &packet.message.options;
        let (client, server) = (options.client_id(), options.server_id());
        let names_server = match packet.message.kind {
            MessageType::SOLICIT | MessageType::CONFIRM | MessageType::REBIND => false,
            MessageType::REQUEST | MessageType::RENEW | MessageType::RELEASE | MessageType::DECLINE => true,
            MessageType::INFORMATION_REQUEST => server.is_some(),
            _ => return Err(Why::NotForUs),
        };
        let anonymous = client.is_none() && packet.message.kind != MessageType::INFORMATION_REQUEST;
        if anonymous || names_server != options.has(OptionCode::SERVER_ID) {
            return Err(Why::NotForUs);
        }
        if server.is_some_and(|server| server != *link.server) {
            return Err(Why::OtherServer);
        }
        let mac = mac_of(&packet, heard.from, client.as_ref());
        let relay = relay_of(&packet);
        let (relay, place) = (relay.map(IpAddr::V6), place_of(&packet));
        let boot = BootRequest { relay, place, ..classify(&packet.message, mac, link.interface) };
        Ok(Self { packet, client, mac, boot, heard, link })
    }

    pub(super) const fn kind(&self) -> MessageType {
        self.packet.message.kind
    }

    pub(super) const fn message(&self) -> &Message {
        &self.packet.message
    }

    /// The subnets of the link that the client sits on, best first (RFC 8415 §13.1): by the relay that is nearest to the client and
    /// names its link, else those of our own link; then the others of the same shared network. One with a reservation for the client
    /// goes before all.
    pub(super) fn subnets(&self, plan: &Plan) -> Vec<SubnetIndex> {
        let direct: Vec<SubnetIndex> = match self.boot.relay {
            Some(IpAddr::V6(link)) => plan.subnet_of(link).into_iter().collect(),
            _ => self.link.networks.iter().filter_map(|&(ip, _)| plan.subnet_of(ip)).collect(),
        };
        let siblings = direct.iter().flat_map(|&subnet| plan.link_of(subnet));
        let mut found: Vec<SubnetIndex> = Vec::new();
        for subnet in direct.iter().copied().chain(siblings) {
            if !found.contains(&subnet) {
                found.push(subnet);
            }
        }
        found.sort_by_key(|&subnet| plan.reservation(self.mac, subnet).is_none());
        found
    }

    /// Where this client reaches our files: our address in its own subnet, else any that is not bound to the link.
    pub(super) fn server(&self, plan: &Plan) -> Option<ServerAddr> {
        let here = self.subnets(plan);
        let own = self.link.networks.iter().map(|&(ip, _)| ip).filter(|ip| !ip.is_unicast_link_local());
        let near = own.clone().find(|ip| plan.subnet_of(*ip).is_some_and(|subnet| here.contains(&subnet)));
        let ip = near.or_else(|| own.into_iter().next())?;
        Some(ServerAddr { ip: IpAddr::V6(ip), http_port: self.link.http_port, https: false })
    }
}

/// The address of the client's link, as the relay nearest to it tells.
fn relay_of(packet: &Packet) -> Option<Ipv6Addr> {
    let links = packet.relays.iter().rev().map(|relay| relay.link);
    links.into_iter().find(|link| !link.is_unspecified() && !link.is_unicast_link_local())
}

/// Where the client is plugged in: by the relay that is nearest to it and names the place.
fn place_of(packet: &Packet) -> Place {
    let nearest_first = || packet.relays.iter().rev();
    Place {
        link: None,
        circuit_id: nearest_first().find_map(|relay| relay.options.interface_id()),
        remote_id: nearest_first().find_map(|relay| relay.options.remote_id()),
    }
}

/// The card that speaks, as well as it can be known: told by the relay next to it (RFC 6939), or in the address that it speaks from;
/// else the one in its DUID, which may be another of the same machine.
fn mac_of(packet: &Packet, from: SocketAddrV6, client: Option<&Duid>) -> Option<MacAddr> {
    let nearest = packet.relays.last();
    let told = nearest.and_then(|relay| relay.options.link_layer_address());
    let speaks_from = nearest.map_or(*from.ip(), |relay| relay.peer);
    told.or_else(|| MacAddr::of_eui64(speaks_from)).or_else(|| client?.mac())
}

/// What a message says about its sender, in the same order as with DHCPv4: iPXE before the firmware that it speaks like.
#[must_use]
pub fn classify(message: &Message, mac: Option<MacAddr>, interface: &str) -> BootRequest {
    let options = &message.options;
    let vendor = options.vendor_class();
    let class = vendor.as_ref().and_then(|vendor| vendor.classes.first().copied());
    let parsed =
        vendor.as_ref().filter(|vendor| vendor.enterprise == ENTERPRISE_INTEL).and(class).map(VendorClass::parse);
    let user_classes = options.user_classes();
    let says = |word: &[u8]| user_classes.iter().any(|class| class.windows(word.len()).any(|part| part == word));
    let loader = match parsed.map(|class| class.family) {
        _ if says(b"iPXE") || says(b"gPXE") => Loader::Ipxe,
        Some(ClassFamily::Http) => Loader::UefiHttp,
        Some(ClassFamily::Pxe) => Loader::Pxe,
        Some(ClassFamily::UBoot) => Loader::UBoot,
        _ if user_classes.contains(&AGENT_CLASS) => Loader::Agent,
        _ => Loader::Os,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let digits = parsed.and_then(|class| class.arch);
    BootRequest {
        exchange: Exchange::Dhcp,
        // As with DHCPv4: a machine without a hardware address has no journey, and is not booted.
        loader: if mac.is_some() { loader } else { Loader::Os },
        arch: options.client_archs().first().copied().or(digits).unwrap_or(ClientArch::BIOS),
        mac: mac.unwrap_or_default(),
        // Firmware copies it out of SMBIOS as it is; what systems make of it is in another order, or another UUID altogether.
        uuid: options.client_id().filter(|_| loader != Loader::Os).and_then(|duid| duid.smbios_uuid()),
        interface: interface.to_owned(),
        relay: None,
        place: Place::default(),
        client_ip: None,
        user_class: user_classes.first().map(|class| text(class)),
        vendor_class: class.map(text),
        rung: Rung::Plain,
    }
}
