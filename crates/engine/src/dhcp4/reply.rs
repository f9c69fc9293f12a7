//! Replies as messages: what every reply has, what a lease adds, and how all that fits.

use core::net::Ipv4Addr;

use slipway_wire::dhcp4::{EncodeError, Message, MessageType, OptionCode, reply_limit};

use super::ask::Ask;
use super::draft::Transmit;
use super::grant::{Grant, asks_for};
use super::plan::{Plan, SubnetIndex, broadcast, mask};
use super::route::destination;
use crate::request::{Exchange, Loader};
use crate::subnet::Subnet;

/// What goes first when a reply is too large, the least needed first.
const SPARED: [OptionCode; 8] = [
    OptionCode::NTP,
    OptionCode::BROADCAST,
    OptionCode::MTU,
    OptionCode::DOMAIN_NAME,
    OptionCode::TFTP_SERVER,
    OptionCode::HOST_NAME,
    OptionCode::DNS,
    // rfc3046#2.2: "If a server is unable to copy a full Relay Agent Information field into a response, it SHALL send the response
    // without the Relay Information Field".
    OptionCode::RELAY_INFO,
];

/// What every reply of this kind has.
pub(super) fn start(ask: &Ask<'_>, kind: MessageType) -> Message {
    let mut reply = Message::reply_to(&ask.message);
    reply.options.set_message_type(kind).set_ip(OptionCode::SERVER_ID, ask.server_id());
    match ask.link.exchange {
        // A ProxyDHCP offer names no address that it could be sent to, and says so.
        Exchange::ProxyDhcp => reply.set_broadcast(true),
        Exchange::BootServer => reply.ciaddr = ask.message.ciaddr,
        // rfc2131#4.3.2: a NAK through a relay is broadcast by it, the client's address being wrong.
        Exchange::Dhcp if kind == MessageType::NAK && ask.relay().is_some() => reply.set_broadcast(true),
        // rfc2131#4.3.1, table 3: an ACK repeats the client's address.
        Exchange::Dhcp if kind == MessageType::ACK => reply.ciaddr = ask.message.ciaddr,
        Exchange::Dhcp | Exchange::Script => {}
    }
    reply
}

/// Puts an address and its terms into a reply (rfc2131#4.3.1, table 3).
pub(super) fn put_grant(reply: &mut Message, grant: &Grant) {
    reply.yiaddr = grant.ip;
    let seconds = grant.seconds;
    reply.options.set_u32(OptionCode::LEASE_TIME, seconds);
    // rfc2131#4.4.5: the usual half and seven eighths.
    reply.options.set_u32(OptionCode::RENEWAL_TIME, seconds / 2);
    reply.options.set_u32(OptionCode::REBINDING_TIME, seconds - seconds / 8);
}

/// Puts the subnet's parameters into a reply. The mask is always there: edk2 gives up on an ACK without one.
pub(super) fn put_subnet(reply: &mut Message, ask: &Ask<'_>, plan: &Plan, index: SubnetIndex, ip: Ipv4Addr) {
    let Some(subnet) = plan.subnet(index) else { return };
    let options = &mut reply.options;
    options.set_ip(OptionCode::SUBNET_MASK, mask(subnet.prefix));
    options.set_ips(OptionCode::ROUTER, &subnet.routers).set_ips(OptionCode::DNS, &subnet.dns);
    if let Some(domain) = &subnet.domain {
        options.set(OptionCode::DOMAIN_NAME, domain.as_bytes());
    }
    let reservation = plan.reservation(ask.asker(), index).filter(|reservation| reservation.ip == ip);
    if let Some(hostname) = reservation.and_then(|reservation| reservation.hostname.as_ref()) {
        options.set(OptionCode::HOST_NAME, hostname.as_bytes());
    }
    put_wished(reply, ask, subnet);
}

/// What only those get who list it: more than this confuses a ROM, and costs room.
fn put_wished(reply: &mut Message, ask: &Ask<'_>, subnet: &Subnet) {
    let options = &mut reply.options;
    if asks_for(ask, OptionCode::NTP) {
        options.set_ips(OptionCode::NTP, &subnet.ntp);
    }
    if asks_for(ask, OptionCode::BROADCAST) {
        options.set_ip(OptionCode::BROADCAST, broadcast(subnet));
    }
    if let Some(mtu) = subnet.mtu.filter(|_| asks_for(ask, OptionCode::MTU)) {
        options.set_u16(OptionCode::MTU, mtu);
    }
}

/// The reply as a datagram for this client, and whether it gives the relay its own words back.
///
/// # Errors
/// When it does not fit even without what can be spared.
pub(super) fn finish(mut reply: Message, ask: &Ask<'_>, kind: MessageType) -> Result<(Transmit, Echo), EncodeError> {
    let options = &ask.message.options;
    // rfc6842#3. Boot loaders do without: their recipes were tried as they are.
    if let Some(id) = options.client_id().filter(|_| ask.boot.loader == Loader::Os) {
        reply.options.set(OptionCode::CLIENT_ID, id);
    }
    let mut limit = reply_limit(options.max_size(), ask.link.mtu);
    // rfc3046#2.2: byte for byte, and last. The relay takes it out before the client sees the reply, so it counts for the link alone.
    if let Some(info) = options.relay_info() {
        reply.options.set(OptionCode::RELAY_INFO, info.0);
        let length = info.0.len().saturating_add(2 * info.0.len().div_ceil(255).max(1));
        limit = limit.saturating_add(length).min(reply_limit(Some(u16::MAX), ask.link.mtu));
    }
    let mut spared = SPARED.into_iter();
    let data = loop {
        match reply.encode(limit) {
            Ok(data) => break data,
            Err(error) => _ = reply.options.remove(spared.next().ok_or(error)?),
        }
    };
    let echo = match options.relay_info() {
        Some(_) if !reply.options.has(OptionCode::RELAY_INFO) => Echo::TooLarge,
        _ => Echo::Whole,
    };
    let to = destination(&ask.message, ask.heard.from, kind, ask.link.exchange);
    Ok((Transmit { data, to, from: ask.link.server }, echo))
}

/// Whether a relay gets its own words back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Echo {
    /// All of them, be it none.
    Whole,
    /// None, because there is no room (rfc3046#2.2).
    TooLarge,
}
