//! Replies as messages and as datagrams.

use core::net::SocketAddrV6;

use slipway_wire::dhcp6::{CLIENT_PORT, Message, MessageType, OptionCode, SERVER_PORT};

use super::Transmit;
use super::ask::Ask;
use super::boot::{Boot, put_boot};
use crate::subnet::Subnet6;

/// What every reply of this kind has: the boot part first, then who answers whom.
pub(super) fn start(ask: &Ask<'_>, kind: MessageType, boot: Option<&Boot>) -> Message {
    let mut reply = Message::new(kind, ask.message().xid);
    if let Some(boot) = boot {
        put_boot(&mut reply, ask, boot);
    }
    let options = &mut reply.options;
    // rfc8415#18.3.10: byte for byte, whatever we made of it.
    if let Some(client) = ask.message().options.get(OptionCode::CLIENT_ID) {
        options.push(OptionCode::CLIENT_ID, client);
    }
    options.push(OptionCode::SERVER_ID, ask.link.server.as_bytes());
    if kind == MessageType::ADVERTISE {
        // The highest: the client asks at once instead of waiting for other offers (12 ms instead of 5 s with OVMF).
        options.push(OptionCode::PREFERENCE, [255]);
    }
    reply
}

/// Puts the subnet's parameters into a reply.
pub(super) fn put_subnet(reply: &mut Message, subnet: &Subnet6) {
    let options = &mut reply.options;
    options.push_ips(OptionCode::DNS, &subnet.dns).push_domains(OptionCode::DOMAIN_SEARCH, &subnet.domains);
}

/// The reply as a datagram: back the way that the question came.
pub(super) fn finish(reply: Message, ask: &Ask<'_>) -> Transmit {
    let from = ask.heard.from;
    let port = match ask.packet.relays.first() {
        None => CLIENT_PORT,
        // rfc8357#5.3: a relay that cannot have port 547 says so.
        Some(relay) if relay.options.has(OptionCode::RELAY_PORT) => from.port(),
        Some(_) => SERVER_PORT,
    };
    let to = SocketAddrV6::new(*from.ip(), port, 0, from.scope_id());
    Transmit { data: ask.packet.reply(reply).encode(), to }
}
