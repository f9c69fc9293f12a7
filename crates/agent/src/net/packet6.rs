//! Between the DHCPv6 client's words and messages on the wire.

use std::time::Duration;

use slipway_wire::MacAddr;
use slipway_wire::dhcp6::{Duid, Ia, IaAddr, IaKind, Message, MessageType, OptionCode};

use super::packet::REPORT_PATH;
use crate::dhcp6::{Heard, Say};

/// What the agent calls itself in option 15, an element of a list: a Slipway server answers it with the URL to report to.
const USER_CLASS: &[u8] = b"\0\x0dslipway-agent";
/// Our one association.
const IAID: u32 = 1;

/// Our DUID-LL: an initramfs remembers nothing, and its card stays.
fn client_id(mac: MacAddr) -> Vec<u8> {
    [&[0, 3, 0, 1], &mac.0[..]].concat()
}

/// A message to all servers.
pub(super) fn encode(say: &Say, mac: MacAddr, elapsed: Duration) -> Vec<u8> {
    let (kind, xid) = match say {
        Say::Solicit { xid } => (MessageType::SOLICIT, *xid),
        Say::Request { xid, .. } => (MessageType::REQUEST, *xid),
    };
    let mut message = Message::new(kind, xid);
    let options = &mut message.options;
    options.push(OptionCode::CLIENT_ID, client_id(mac));
    let mut ia = Ia::new(IaKind::NonTemporary, IAID);
    if let Say::Request { ip, server, .. } = say {
        options.push(OptionCode::SERVER_ID, server.as_bytes());
        ia.push(&IaAddr { ip: *ip, preferred: 0, valid: 0 });
    }
    options.push_ia(&ia);
    options.push(OptionCode::OPTION_REQUEST, OptionCode::BOOT_FILE_URL.0.to_be_bytes());
    let hundredths = u16::try_from(elapsed.as_millis() / 10).unwrap_or(u16::MAX);
    options.push(OptionCode::ELAPSED_TIME, hundredths.to_be_bytes());
    options.push(OptionCode::USER_CLASS, USER_CLASS);
    message.encode()
}

/// A server's message to us, as far as the client cares; anything else is nothing.
pub(super) fn decode(bytes: &[u8], mac: MacAddr) -> Option<Heard> {
    let message = Message::decode(bytes).ok()?;
    let is_reply = match message.kind {
        MessageType::ADVERTISE => false,
        MessageType::REPLY => true,
        _ => return None,
    };
    let options = &message.options;
    if options.client_id() != Duid::new(&client_id(mac)) {
        return None;
    }
    let ia = options.ias().find(|ia| ia.iaid == IAID);
    let url = options.boot_file_url().and_then(|url| core::str::from_utf8(url).ok());
    Some(Heard {
        is_reply,
        xid: message.xid,
        server: options.server_id()?,
        ip: ia.and_then(|ia| ia.addresses().find(|address| address.valid > 0)).map(|address| address.ip),
        report_url: url.filter(|url| url.ends_with(REPORT_PATH)).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    const MAC: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
    const IP: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x77);

    #[test]
    fn a_request_names_the_address_and_the_server_and_says_who_asks() {
        let server = Duid::of_uuid([1; 16]);
        let say = Say::Request { xid: 7, ip: IP, server: server.clone() };
        let message = Message::decode(&encode(&say, MAC, Duration::from_secs(700))).unwrap();
        assert_eq!((message.kind, message.xid, message.faults.len()), (MessageType::REQUEST, 7, 0));
        assert_eq!(message.options.server_id(), Some(server));
        assert_eq!(message.options.client_id().and_then(|duid| duid.mac()), Some(MAC));
        assert_eq!(message.options.user_classes(), [b"slipway-agent"]);
        assert_eq!(message.options.ias().next().unwrap().addresses().next().unwrap().ip, IP);
    }

    fn reply() -> Message {
        let mut message = Message::new(MessageType::REPLY, 7);
        let mut ia = Ia::new(IaKind::NonTemporary, IAID);
        ia.push(&IaAddr { ip: IP, preferred: 60, valid: 60 });
        let options = &mut message.options;
        options.push(OptionCode::BOOT_FILE_URL, *b"http://[fd77::1]:8067/agent/report");
        options.push(OptionCode::CLIENT_ID, client_id(MAC));
        options.push(OptionCode::SERVER_ID, Duid::of_uuid([1; 16]).as_bytes()).push_ia(&ia);
        message
    }

    #[test]
    fn a_reply_is_understood_and_another_clients_is_not() {
        let heard = decode(&reply().encode(), MAC).unwrap();
        assert_eq!((heard.is_reply, heard.xid, heard.ip), (true, 7, Some(IP)));
        assert_eq!(heard.report_url.as_deref(), Some("http://[fd77::1]:8067/agent/report"));
        assert_eq!(decode(&reply().encode(), MacAddr([2; 6])), None);
        for len in 0..4 {
            assert_eq!(decode(&reply().encode()[..len], MAC), None, "cut at {len}");
        }
    }
}
