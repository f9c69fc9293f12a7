//! Where an answer goes.

use core::net::{Ipv4Addr, SocketAddrV4};

use slipway_wire::dhcp4::{Message, MessageType};

use crate::request::Exchange;

/// The port that servers and relays listen on.
const SERVER_PORT: u16 = 67;
/// The port that clients listen on.
const CLIENT_PORT: u16 = 68;

/// Where the answer of this kind to this request goes (rfc2131#4.1, and what firmware made of it).
#[must_use]
pub fn destination(request: &Message, from: SocketAddrV4, kind: MessageType, exchange: Exchange) -> SocketAddrV4 {
    let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT);
    let client = request.ciaddr;
    match exchange {
        // To the very port that asked: edk2 uses 4011 itself, iPXE 68.
        Exchange::BootServer if !from.ip().is_unspecified() => from,
        _ if !request.giaddr.is_unspecified() => SocketAddrV4::new(request.giaddr, SERVER_PORT),
        // Whatever address the client may have had, another server is about to give it one.
        Exchange::ProxyDhcp => everybody,
        // rfc2131#4.1: a NAK without relay is broadcast, the client's address being wrong.
        _ if kind == MessageType::NAK => everybody,
        _ if !client.is_unspecified() => SocketAddrV4::new(client, CLIENT_PORT),
        // A client without address cannot answer ARP. Firmware that clears the broadcast flag takes a broadcast all the same
        // (seen: OVMF, iPXE, U-Boot), so that is what everybody gets.
        _ => everybody,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_wire::MacAddr;

    #[test]
    fn answers_go_where_the_client_can_hear_them() {
        let (relay, client) = (Ipv4Addr::new(10, 9, 0, 1), Ipv4Addr::new(10, 0, 0, 5));
        let none = Ipv4Addr::UNSPECIFIED;
        let from = SocketAddrV4::new(client, 4011);
        let rows = [
            ("a relay, whatever else", relay, client, MessageType::ACK, Exchange::Dhcp, "10.9.0.1:67"),
            ("a NAK through a relay", relay, none, MessageType::NAK, Exchange::Dhcp, "10.9.0.1:67"),
            ("a renewal", none, client, MessageType::ACK, Exchange::Dhcp, "10.0.0.5:68"),
            ("a NAK to a renewal", none, client, MessageType::NAK, Exchange::Dhcp, "255.255.255.255:68"),
            ("a client without address", none, none, MessageType::OFFER, Exchange::Dhcp, "255.255.255.255:68"),
            ("a proxy offer", none, client, MessageType::OFFER, Exchange::ProxyDhcp, "255.255.255.255:68"),
            ("a relayed proxy offer", relay, none, MessageType::OFFER, Exchange::ProxyDhcp, "10.9.0.1:67"),
            ("the boot server", none, client, MessageType::ACK, Exchange::BootServer, "10.0.0.5:4011"),
        ];
        for (what, giaddr, ciaddr, kind, exchange, expected) in rows {
            for flags in [0, 0x8000] {
                let request = Message { giaddr, ciaddr, flags, ..Message::request(1, MacAddr([2; 6])) };
                assert_eq!(destination(&request, from, kind, exchange).to_string(), expected, "{what}");
            }
        }
    }
}
