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
    assert!(seen.entry.asked.ends_with("via fd88::1"), "{}", seen.entry.asked);
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
