//! Between the DHCP client's words and messages on the wire.

use std::net::Ipv4Addr;
use std::time::Duration;

use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{MIN_PAYLOAD, Message, MessageType, Op, OptionCode};

use crate::dhcp::{Heard, Kind, Say};

/// What the agent calls itself in option 60: a Slipway server answers it with the URL to report to.
const VENDOR_CLASS: &[u8] = b"slipway-agent";
/// The end of every report URL: other servers' boot files are not mistaken for one.
pub(super) const REPORT_PATH: &str = "/agent/report";

/// A message to everybody, with the broadcast flag: without an address we hear no unicast.
pub(super) fn encode(say: Say, mac: MacAddr, elapsed: Duration) -> Vec<u8> {
    let (kind, xid) = match say {
        Say::Discover { xid } => (MessageType::DISCOVER, xid),
        Say::Request { xid, .. } => (MessageType::REQUEST, xid),
    };
    let mut message = Message::request(xid, mac);
    message.set_broadcast(true);
    message.secs = u16::try_from(elapsed.as_secs()).unwrap_or(u16::MAX);
    let options = &mut message.options;
    options.set_message_type(kind);
    if let Say::Request { ip, server, .. } = say {
        options.set_ip(OptionCode::REQUESTED_IP, ip);
        options.set_ip(OptionCode::SERVER_ID, server);
    }
    let wanted =
        [OptionCode::SUBNET_MASK, OptionCode::ROUTER, OptionCode::DNS, OptionCode::LEASE_TIME, OptionCode::BOOT_FILE];
    options.set(OptionCode::PARAMETER_LIST, wanted.map(|code| code.0).to_vec());
    options.set_u16(OptionCode::MAX_SIZE, 1472);
    options.set(OptionCode::VENDOR_CLASS, VENDOR_CLASS);
    // A few short options: this always fits.
    message.encode(MIN_PAYLOAD).unwrap_or_default()
}

/// A server's message to this interface, as far as the client cares; anything else is nothing.
pub(super) fn decode(bytes: &[u8], mac: MacAddr) -> Option<Heard> {
    let message = Message::decode(bytes).ok()?;
    if message.op != Op::REPLY || message.mac() != Some(mac) {
        return None;
    }
    let kind = match message.options.message_type()? {
        MessageType::OFFER => Kind::Offer,
        MessageType::ACK => Kind::Ack,
        MessageType::NAK => Kind::Nak,
        _ => return None,
    };
    let boot_file = message.options.boot_file().unwrap_or_else(|| message.file_name());
    let url = core::str::from_utf8(boot_file).ok();
    let url = url.map(|url| url.trim_end_matches('\0')).filter(|url| url.ends_with(REPORT_PATH));
    Some(Heard {
        kind,
        xid: message.xid,
        ip: message.yiaddr,
        server: message.options.server_id().unwrap_or(message.siaddr),
        prefix: message.options.ip(OptionCode::SUBNET_MASK).and_then(prefix_of),
        router: message.options.ips(OptionCode::ROUTER).first().copied(),
        seconds: message.options.lease_time(),
        report_url: url.map(str::to_owned),
    })
}

/// The prefix length of a mask, if it is one.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let ones = bits.leading_ones();
    (bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    #[test]
    fn a_request_names_the_address_and_the_server() {
        let ip = Ipv4Addr::new(10, 0, 0, 77);
        let server = Ipv4Addr::new(10, 0, 0, 2);
        let bytes = encode(Say::Request { xid: 7, ip, server }, MAC, Duration::from_secs(70_000));
        let message = Message::decode(&bytes).unwrap();
        assert_eq!(message.options.message_type(), Some(MessageType::REQUEST));
        assert_eq!((message.options.requested_ip(), message.options.server_id()), (Some(ip), Some(server)));
        assert_eq!(message.options.vendor_class(), Some(VENDOR_CLASS));
        assert!(message.wants_broadcast());
        assert_eq!((message.xid, message.secs, message.mac()), (7, u16::MAX, Some(MAC)));
    }

    fn offer() -> Message {
        let mut message = Message::reply_to(&Message::request(7, MAC));
        message.yiaddr = Ipv4Addr::new(10, 0, 0, 77);
        message.siaddr = Ipv4Addr::new(10, 0, 0, 2);
        message.options.set_message_type(MessageType::OFFER);
        message.options.set_ip(OptionCode::SUBNET_MASK, Ipv4Addr::new(255, 255, 240, 0));
        message.options.set_u32(OptionCode::LEASE_TIME, 600);
        message.options.set(OptionCode::BOOT_FILE, *b"http://10.0.0.2:8067/agent/report");
        message
    }

    #[test]
    fn an_offer_is_understood() {
        let heard = decode(&offer().encode(MIN_PAYLOAD).unwrap(), MAC).unwrap();
        assert_eq!((heard.kind, heard.xid, heard.prefix), (Kind::Offer, 7, Some(20)));
        assert_eq!((heard.server, heard.seconds), (Ipv4Addr::new(10, 0, 0, 2), Some(600)));
        assert_eq!(heard.report_url.as_deref(), Some("http://10.0.0.2:8067/agent/report"));
    }

    #[test]
    fn another_servers_boot_file_is_no_report_url() {
        let mut message = offer();
        message.options.set(OptionCode::BOOT_FILE, *b"http://10.0.0.3/boot.ipxe");
        assert_eq!(decode(&message.encode(MIN_PAYLOAD).unwrap(), MAC).unwrap().report_url, None);
    }

    #[test]
    fn what_is_not_for_this_interface_is_not_heard() {
        let mut request = offer();
        request.op = Op::REQUEST;
        assert_eq!(decode(&request.encode(MIN_PAYLOAD).unwrap(), MAC), None);
        assert_eq!(decode(&offer().encode(MIN_PAYLOAD).unwrap(), MacAddr([2; 6])), None);
        let bytes = offer().encode(MIN_PAYLOAD).unwrap();
        for length in 0..240 {
            assert_eq!(decode(&bytes[..length], MAC), None, "cut at {length}");
        }
    }

    #[test]
    fn a_mask_with_holes_is_no_mask() {
        assert_eq!(prefix_of(Ipv4Addr::new(255, 0, 255, 0)), None);
        assert_eq!(prefix_of(Ipv4Addr::UNSPECIFIED), Some(0));
        assert_eq!(prefix_of(Ipv4Addr::BROADCAST), Some(32));
    }
}
