//! DHCPv6 codec: what must hold for any bytes and any message, and what dhcproto thinks of the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use std::net::Ipv6Addr;

use dhcproto::v6::{self, DhcpOption};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;
use slipway_wire::dhcp6::{
    ENTERPRISE_INTEL, Ia, IaAddr, IaKind, Message, MessageType, OptionCode, Options, Packet, RELAYS_MAX, Relay, Status,
    StatusCode, VendorClass6,
};
use slipway_wire::{ClientArch, Fault, Field, MacAddr};

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What OVMF sends when it starts HTTP Boot, put together by hand from its capture.
fn solicit() -> Message {
    let mut message = Message::new(MessageType::SOLICIT, 0x00ab_cdef);
    let duid = [&[0, 4][..], &[0x11; 8], &[0x22; 8]].concat();
    let options = &mut message.options;
    options.push(OptionCode::CLIENT_ID, duid).push(OptionCode::ELAPSED_TIME, [0, 0]);
    options.push_ia(&Ia { t1: u32::MAX, t2: u32::MAX, ..Ia::new(IaKind::NonTemporary, 7) });
    options.push(OptionCode::OPTION_REQUEST, [0, 59, 0, 60, 0, 23, 0, 16]);
    options.push(OptionCode::CLIENT_NII, [1, 3, 0]).push(OptionCode::CLIENT_ARCH, [0, 16]);
    let class = VendorClass6::encode(ENTERPRISE_INTEL, b"HTTPClient:Arch:00016:UNDI:003000");
    options.push(OptionCode::VENDOR_CLASS, class);
    message
}

fn relayed(message: Message, times: u8) -> Packet {
    let relay = |hops: u8| {
        let mut options = Options::new();
        options.push(OptionCode::INTERFACE_ID, [hops, 9]);
        options.push(OptionCode::LINK_LAYER_ADDRESS, [0, 1, 2, 0, 0, 0, 0, 5]);
        Relay { kind: MessageType::RELAY_FORWARD, hops, link: ip("fd88::1"), peer: ip("fe80::1"), options }
    };
    Packet { relays: (0..times).rev().map(relay).collect(), message }
}

#[test]
fn what_firmware_says_of_itself_is_read() {
    let message = Message::decode(&solicit().encode()).unwrap();
    assert_eq!(message, solicit());
    let options = &message.options;
    assert_eq!(options.client_archs(), [ClientArch(16)]);
    let class = options.vendor_class().unwrap();
    assert_eq!((class.enterprise, class.classes), (343, vec![&b"HTTPClient:Arch:00016:UNDI:003000"[..]]));
    assert_eq!(options.requested().len(), 4);
    let ia = options.ias().next().unwrap();
    assert_eq!((ia.kind, ia.iaid, ia.t1), (IaKind::NonTemporary, 7, u32::MAX));
}

#[test]
fn the_vendor_class_of_http_boot_has_the_bytes_that_edk2_wants() {
    assert_eq!(VendorClass6::encode(ENTERPRISE_INTEL, b"HTTPClient"), *b"\0\0\x01\x57\0\x0aHTTPClient");
}

#[test]
fn a_reply_goes_back_through_the_relays_that_the_request_came_by() {
    let request = Packet::decode(&relayed(solicit(), 2).encode()).unwrap();
    assert_eq!(request, relayed(solicit(), 2));
    let reply = request.reply(Message::new(MessageType::ADVERTISE, 5));
    let again = Packet::decode(&reply.encode()).unwrap();
    assert_eq!(again, reply);
    let told: Vec<_> = reply.relays.iter().map(|relay| (relay.kind, relay.hops, relay.link, relay.peer)).collect();
    let envelope = |hops| (MessageType::RELAY_REPLY, hops, ip("fd88::1"), ip("fe80::1"));
    assert_eq!(told, [envelope(1), envelope(0)]);
    let ids: Vec<_> = reply.relays.iter().map(|relay| relay.options.iter().collect::<Vec<_>>()).collect();
    assert_eq!(ids[0], [(OptionCode::INTERFACE_ID, &[1, 9][..])], "the interface id and nothing else");
}

#[test]
fn a_relay_tells_the_address_of_its_client() {
    let packet = relayed(solicit(), 1);
    assert_eq!(packet.relays[0].options.link_layer_address(), Some(MacAddr([2, 0, 0, 0, 0, 5])));
    let mut other = Options::new();
    other.push(OptionCode::LINK_LAYER_ADDRESS, [0, 32, 2, 0, 0, 0, 0, 5]);
    assert_eq!(other.link_layer_address(), None, "InfiniBand");
}

#[test]
fn more_relays_than_the_rfc_allows_are_refused() {
    let most = u8::try_from(RELAYS_MAX).unwrap();
    assert!(Packet::decode(&relayed(solicit(), most).encode()).is_ok());
    let refused = Packet::decode(&relayed(solicit(), most + 1).encode()).unwrap_err();
    assert_eq!((refused.field, refused.fault), (Field::Hops, Fault::Value));
}

#[test]
fn an_envelope_without_content_is_refused() {
    let mut bytes = vec![12, 0];
    bytes.extend([0; 32]);
    assert_eq!(Packet::decode(&bytes).unwrap_err().field, Field::Option6(9));
}

#[test]
fn every_truncation_is_refused_or_named() {
    for packet in [Packet::direct(solicit()), relayed(solicit(), 2)] {
        let bytes = packet.encode();
        for len in 0..bytes.len() {
            match Packet::decode(&bytes[..len]) {
                Err(_) => {}
                Ok(cut) => {
                    assert!(packet.relays.is_empty(), "an envelope that is cut is refused");
                    let lost = cut.message.options.len() < packet.message.options.len();
                    let ends_on_an_option = {
                        let mut whole = packet.message.clone();
                        whole.options = cut.message.options.clone();
                        whole.encode().len() == len
                    };
                    assert!(lost && (ends_on_an_option || !cut.message.faults.is_empty()), "cut to {len}");
                }
            }
        }
    }
}

#[test]
fn an_impossible_length_is_named_and_the_typed_reader_says_nothing() {
    let mut message = Message::new(MessageType::SOLICIT, 1);
    for code in [1, 2, 3, 4, 6, 7, 8, 13, 16, 23, 61, 62] {
        message.options.push(OptionCode(code), if code == 7 { vec![1, 1] } else { vec![1] });
    }
    let message = Message::decode(&message.encode()).unwrap();
    assert_eq!(message.faults.len(), 12, "{:?}", message.faults);
    let options = &message.options;
    assert_eq!((options.client_id(), options.server_id(), options.preference()), (None, None, None));
    assert_eq!((options.ias().count(), options.status(), options.vendor_class()), (0, None, None));
    assert!(options.client_archs().is_empty() && options.ips(OptionCode::DNS).is_empty());
    assert_eq!(options.get(OptionCode::SERVER_ID), Some([1].as_slice()), "the raw value is kept");
}

#[test]
fn a_user_class_is_read_in_both_forms() {
    for (value, classes) in [
        (&b"\0\x04iPXE"[..], vec![&b"iPXE"[..]]),
        (b"\0\x04iPXE\0\x02ab", vec![b"iPXE", b"ab"]),
        (b"iPXE", vec![b"iPXE"]),
        (b"\0\x05iPXE", vec![b"\0\x05iPXE"]),
        (b"", vec![]),
    ] {
        let mut options = Options::new();
        options.push(OptionCode::USER_CLASS, value);
        assert_eq!(options.user_classes(), classes, "{}", value.escape_ascii());
    }
}

#[test]
fn dhcproto_reads_a_whole_reply_as_we_mean_it() {
    let mut reply = Message::new(MessageType::REPLY, 0x0012_3456);
    let address = IaAddr { ip: ip("fd77::100"), preferred: 1800, valid: 3600 };
    let mut ia = Ia { t1: 900, t2: 1440, ..Ia::new(IaKind::NonTemporary, 7) };
    ia.push(&address).set_status(StatusCode::SUCCESS, "fine");
    let options = &mut reply.options;
    options.push(OptionCode::BOOT_FILE_URL, *b"http://[fd77::1]:8067/x.efi");
    options.push(OptionCode::CLIENT_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 5]).push(OptionCode::PREFERENCE, [255]);
    options.push_ia(&ia).push_ips(OptionCode::DNS, &[ip("fd77::53")]);
    options.push_domains(OptionCode::DOMAIN_SEARCH, &["lab.example".to_owned(), "x.".to_owned()]);
    options.push(OptionCode::STATUS, Status::encode(StatusCode::NO_BINDING, "none"));
    let theirs = v6::Message::from_bytes(&reply.encode()).unwrap();
    assert_eq!((theirs.msg_type(), theirs.xid()), (v6::MessageType::Reply, [0x12, 0x34, 0x56]));
    let opts: Vec<&DhcpOption> = theirs.opts().iter().collect();
    let has = |wanted: &dyn Fn(&DhcpOption) -> bool| assert!(opts.iter().any(|opt| wanted(opt)), "{opts:#?}");
    has(&|opt| matches!(opt, DhcpOption::Preference(255)));
    has(&|opt| matches!(opt, DhcpOption::DomainNameServers(ips) if *ips == [ip("fd77::53")]));
    has(&|opt| matches!(opt, DhcpOption::StatusCode(status) if status.status == v6::Status::NoBinding));
    has(&|opt| matches!(opt, DhcpOption::DomainSearchList(names) if names.len() == 2));
    has(&|opt| {
        match opt {
        DhcpOption::IANA(ia) => {
            (ia.id, ia.t1, ia.t2) == (7, 900, 1440)
                && ia.opts.iter().any(|opt| {
                    matches!(opt, DhcpOption::IAAddr(addr) if addr.addr == ip("fd77::100") && addr.valid_life == 3600)
                })
        }
        _ => false,
    }
    });
}

/// Codes that both read as plain bytes, or with an inner form that [`value`] keeps to.
const CODES: [u16; 12] = [1, 2, 7, 8, 18, 23, 59, 60, 62, 79, 112, 4000];

fn value(code: u16) -> BoxedStrategy<Vec<u8>> {
    let exactly = |len: usize| prop::collection::vec(any::<u8>(), len).boxed();
    match code {
        1 | 2 => prop::collection::vec(any::<u8>(), 1..100).prop_map(|rest| [vec![0, 2], rest].concat()).boxed(),
        7 => exactly(1),
        8 => exactly(2),
        62 => exactly(3),
        23 => (1..4usize).prop_flat_map(|n| prop::collection::vec(any::<u8>(), n * 16)).boxed(),
        _ => prop::collection::vec(any::<u8>(), 1..80).boxed(),
    }
}

fn message() -> impl Strategy<Value = Message> {
    let options = prop::collection::vec(prop::sample::select(CODES.to_vec()), 0..10).prop_flat_map(|codes| {
        codes.into_iter().map(|code| value(code).prop_map(move |value| (code, value))).collect::<Vec<_>>()
    });
    (1..=11u8, any::<u32>(), options).prop_map(|(kind, xid, list)| {
        let mut message = Message::new(MessageType(kind), xid);
        for (code, value) in list {
            message.options.push(OptionCode(code), value);
        }
        message
    })
}

proptest! {
    #[test]
    fn a_packet_survives_the_wire(message in message(), relays in 0..=4u8) {
        let packet = relayed(message, relays);
        prop_assert_eq!(Packet::decode(&packet.encode()).unwrap(), packet);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(head in 0..14u8, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = [&[head], rest.as_slice()].concat();
        if let Ok(packet) = Packet::decode(&bytes) {
            let _ = packet.describe();
            let again = Packet::decode(&packet.encode()).unwrap();
            prop_assert_eq!(again.message.options, packet.message.options);
        }
    }

    #[test]
    fn dhcproto_reads_what_we_write(message in message()) {
        let theirs = v6::Message::from_bytes(&message.encode()).unwrap();
        prop_assert_eq!(u8::from(theirs.msg_type()), message.kind.0);
        prop_assert_eq!(theirs.opts().iter().count(), message.options.len());
        let ours = Message::decode(&theirs.to_vec().unwrap()).unwrap();
        prop_assert!(ours.faults.is_empty());
        // dhcproto keeps its options sorted by their codes.
        let sorted = |message: &Message| {
            let mut list: Vec<_> = message.options.iter().map(|(code, value)| (code, value.to_vec())).collect();
            list.sort_by_key(|(code, _)| *code);
            list
        };
        prop_assert_eq!(sorted(&ours), sorted(&message));
    }
}
