//! Boot answers, in the very form that firmware wants them (seen with OVMF 2022.11 and iPXE).

use super::*;
use slipway_wire::dhcp6::{ENTERPRISE_INTEL, Options, VendorClass6};

/// The same from a firmware: its vendor class and architecture.
fn firmware(mut message: Message, class: &str, arch: u8) -> Message {
    message.options.push(OptionCode::VENDOR_CLASS, VendorClass6::encode(ENTERPRISE_INTEL, class.as_bytes()));
    message.options.push(OptionCode::CLIENT_ARCH, [0, arch]).push(OptionCode::CLIENT_NII, [1, 3, 0]);
    message
}

fn http(message: Message) -> Message {
    firmware(message, "HTTPClient:Arch:00016:UNDI:003000", 16)
}

fn pxe(message: Message) -> Message {
    firmware(message, "PXEClient:Arch:00007:UNDI:003000", 7)
}

fn ipxe(mut message: Message) -> Message {
    message.options.push(OptionCode::USER_CLASS, *b"\0\x04iPXE");
    pxe(message)
}

fn url(options: &Options) -> Option<String> {
    options.boot_file_url().map(|url| String::from_utf8_lossy(url).into_owned())
}

fn stateless(machine: u8) -> Message {
    let mut message = Message::new(MessageType::INFORMATION_REQUEST, 7);
    message.options.push(OptionCode::CLIENT_ID, duid(machine).as_bytes());
    message
}

#[test]
fn http_boot_gets_its_url_and_its_own_vendor_class() {
    let mut net = Net::new();
    for message in [http(solicit(1)), http(about(1, MessageType::REQUEST, &[])), http(stateless(1))] {
        let seen = net.ask(1, &message);
        let options = &seen.reply().options;
        assert_eq!(url(options).as_deref(), Some("http://[fd77::1]:8067/image/debian/uki.efi"));
        assert_eq!(options.get(OptionCode::VENDOR_CLASS), Some(&b"\0\0\x01\x57\0\x0aHTTPClient"[..]));
        let encoded = seen.packet.as_ref().unwrap().encode();
        let end = encoded.windows(7).position(|part| part == b"uki.efi").unwrap() + 7;
        assert_eq!(encoded[end], 0, "edk2 looks for the end of the URL with strlen");
    }
}

#[test]
fn pxe_gets_a_tftp_url_and_neither_vendor_class_nor_parameters() {
    let mut net = Net::new();
    let seen = net.ask(1, &pxe(solicit(1)));
    let options = &seen.reply().options;
    assert_eq!(url(options).as_deref(), Some("tftp://[fd77::1]/image/debian/uki.efi"));
    assert!(!options.has(OptionCode::VENDOR_CLASS) && !options.has(OptionCode::BOOT_FILE_PARAMETERS));
    assert_eq!(options.iter().next().map(|(code, _)| code), Some(OptionCode::BOOT_FILE_URL), "an option follows it");
    assert_eq!(seen.entry.mac, Some(mac(1)), "known by the address that it speaks from");
}

#[test]
fn ipxe_gets_its_script_whatever_else_it_says() {
    let mut net = Net::new();
    let options = net.ask(1, &ipxe(solicit(1))).reply().options.clone();
    let wanted = "http://[fd77::1]:8067/boot.ipxe?mac=52-54-00-00-00-01";
    assert!(url(&options).unwrap().starts_with(wanted), "{options:?}");
    assert!(!options.has(OptionCode::VENDOR_CLASS));
}

#[test]
fn our_agent_is_told_where_to_report() {
    let mut net = Net::new();
    let mut message = solicit(1);
    message.options.push(OptionCode::USER_CLASS, *b"\0\x0dslipway-agent");
    let seen = net.ask(1, &message);
    assert_eq!(url(&seen.reply().options).as_deref(), Some("http://[fd77::1]:8067/agent/report"));
}

#[test]
fn an_operating_system_gets_an_address_and_nothing_to_boot() {
    let mut net = Net::new();
    let seen = net.ask(1, &solicit(1));
    assert_eq!((seen.summary().as_str(), url(&seen.reply().options)), ("ADVERTISE 1", None));
    let dns = net.ask(1, &stateless(1));
    assert_eq!(dns.reply().options.ips(OptionCode::DNS), [ip(0x53)]);
    assert_eq!(dns.reply().options.get(OptionCode::DOMAIN_SEARCH), Some(&b"\x03lab\x07example\0"[..]));
    assert!(dns.ips().is_empty());
    let mut nobody = stateless(1);
    nobody.options = Options::new();
    assert_eq!(net.ask(1, &nobody).summary(), "REPLY 0", "a client may keep its name to itself");
}

#[test]
fn an_ignored_machine_gets_nothing_at_all() {
    let mut net = Net::new();
    net.rules = rules(Then::Ignore);
    for message in [http(solicit(1)), http(about(1, MessageType::REQUEST, &[])), http(stateless(1))] {
        let seen = net.ask(1, &message);
        assert_eq!((seen.summary().as_str(), seen.writes.len()), ("silence: ignored", 0));
    }
}

#[test]
fn firmware_tells_its_uuid_in_the_order_of_smbios() {
    let uuid = uuid::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let mut message = Message::new(MessageType::SOLICIT, 7);
    message.options.push(OptionCode::CLIENT_ID, Duid::of_uuid(uuid.to_bytes_le()).as_bytes());
    message.options.push_ia(&Ia::new(IaKind::NonTemporary, 1));
    assert_eq!(Net::new().ask(1, &message).entry.uuid, None, "a system's may be in any order");
    assert_eq!(Net::new().ask(1, &http(message)).entry.uuid, Some(uuid));
}

#[test]
fn through_a_relay_the_client_is_where_the_relay_heard_it() {
    let mut net = Net::new();
    let seen = net.ask_from_afar(&http(solicit(1)), Some(mac(1)));
    assert_eq!(seen.to, Some(SocketAddrV6::new(addr("fd88::1"), 547, 0, 0)));
    let packet = seen.packet.as_ref().unwrap();
    let [relay] = packet.relays.as_slice() else { panic!("{packet:?}") };
    assert_eq!((relay.kind, relay.peer), (MessageType::RELAY_REPLY, addr("fe80::abcd")));
    assert_eq!(relay.options.get(OptionCode::INTERFACE_ID), Some(&b"port 7"[..]), "echoed");
    assert!(!relay.options.has(OptionCode::LINK_LAYER_ADDRESS));
    assert!(far_subnet().holds(seen.ips()[0]), "{:?}", seen.ips());
    assert_eq!(seen.entry.mac, Some(mac(1)), "told by option 79");
    assert_eq!(url(&seen.reply().options).as_deref(), Some("http://[fd77::1]:8067/image/debian/uki.efi"));
    assert!(seen.entry.asked.ends_with("via fd88::1 circuit port 7"), "{}", seen.entry.asked);
    let unknown = net.ask_from_afar(&http(solicit(1)), None);
    assert_eq!((unknown.entry.mac, url(&unknown.reply().options)), (None, None), "no card, no boot; but an address");
}

#[test]
fn a_relay_on_an_unknown_link_is_told_nothing() {
    let mut net = Net::with(vec![subnet()]);
    assert_eq!(net.ask_from_afar(&http(solicit(1)), None).summary(), "silence: no-subnet");
    assert_eq!(net.ask_from_afar(&http(stateless(1)), None).summary(), "silence: no-subnet");
}

#[test]
fn where_there_are_only_reservations_others_get_parameters_alone() {
    let mut net = Net::with(vec![Subnet6 { pools: Vec::new(), ..subnet() }]);
    assert_eq!(net.ask(1, &http(solicit(1))).summary(), "silence: pool-empty");
    assert!(url(&net.ask(1, &http(stateless(1))).reply().options).is_some());
    assert_eq!(net.lease(9), ip(0x103));
}

#[test]
fn a_rule_goes_by_the_relays_interface_and_remote_id() {
    let id = |text: &str| text.parse().unwrap();
    for (circuit, remote, boots) in
        [("port 7", "0x0009", true), ("port 8", "0x0009", false), ("port 7", "0x0008", false)]
    {
        let mut net = Net::new();
        let when = When { circuit_id: vec![id(circuit)], remote_id: vec![id(remote)], ..When::default() };
        net.rules.rules[0].when = when;
        let mut packet = relayed(http(solicit(1)), Some(mac(1)));
        // rfc4649#3: an enterprise number, then what the relay calls the customer.
        packet.relays[0].options.push(OptionCode::REMOTE_ID, [0, 0, 0, 9, 0, 9]);
        let seen = net.hear_relayed(&packet);
        assert_eq!(url(&seen.reply().options).is_some(), boots, "{circuit} {remote}");
        assert!(seen.entry.asked.ends_with("via fd88::1 circuit port 7 remote 0x0009"), "{}", seen.entry.asked);
    }
}

#[test]
fn a_full_subnet_of_a_shared_network_goes_on_in_the_next_one() {
    let shared = Some("rack".to_owned());
    let other = |last: u16| Ipv6Addr::new(0xfd78, 0, 0, 0, 0, 0, 0, last);
    let sibling = Subnet6 {
        network: other(0),
        pools: vec![(other(1), other(1))],
        reservations: vec![Reservation6 { mac: mac(2), ip: other(0x20) }],
        shared: shared.clone(),
        ..subnet()
    };
    let small = Subnet6 { pools: vec![(ip(0x100), ip(0x100))], shared, ..subnet() };
    let mut net = Net::with(vec![small, sibling, far_subnet()]);
    assert_eq!([1, 3].map(|client| net.lease(client)), [ip(0x100), other(1)]);
    assert_eq!(net.ask(4, &solicit(4)).summary(), "silence: pool-empty");
    assert_eq!(net.lease(2), other(0x20), "a reservation in either goes before all");
}
