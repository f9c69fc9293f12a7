//! The boot part of answers, by the recipes that were tried on real firmware: exactly these options, in this order.

use super::*;
use crate::san::{Disk, Initiator, Login, San, Target};
use slipway_wire::ClientArch;

/// A client of this class, architecture and, if any, user class.
fn client(class: &str, arch: Option<ClientArch>, ipxe: bool) -> Message {
    let mut message = discover(1);
    message.options.set(OptionCode::VENDOR_CLASS, class);
    arch.map(|arch| message.options.set(OptionCode::CLIENT_ARCH, arch.0.to_be_bytes()));
    if ipxe {
        message.options.set(OptionCode::USER_CLASS, b"iPXE");
    }
    message.options.set(OptionCode::MACHINE_ID, b"\0\x33\x22\x11\0\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff");
    message
}

fn bios() -> Message {
    client("PXEClient:Arch:00000:UNDI:002001", Some(ClientArch::BIOS), false)
}

fn uefi() -> Message {
    client("PXEClient:Arch:00007:UNDI:003016", Some(ClientArch::X64_UEFI), false)
}

fn http() -> Message {
    client("HTTPClient:Arch:00016:UNDI:003001", Some(ClientArch::X64_UEFI_HTTP), false)
}

fn ipxe() -> Message {
    client("PXEClient:Arch:00007:UNDI:003010", Some(ClientArch::X64_UEFI), true)
}

fn agent() -> Message {
    client("slipway-agent", None, false)
}

fn codes(reply: &Message) -> Vec<u8> {
    reply.options.iter().map(|(code, _)| code.0).collect()
}

fn get(reply: &Message, code: OptionCode) -> String {
    String::from_utf8_lossy(reply.options.get(code).unwrap_or_default()).into_owned()
}

const SCRIPT: &str =
    "http://10.77.0.1:8067/boot.ipxe?mac=52-54-00-00-00-01&uuid=00112233-4455-6677-8899-aabbccddeeff&arch=7";

#[test]
fn where_we_give_the_address_everything_is_in_one_answer() {
    let lease = [53, 54, 51, 58, 59, 1, 3, 6, 15];
    let rows: [(&str, Message, &[u8], &str); 5] = [
        ("a", bios(), &[66, 67, 97], "loader/undionly.kpxe"),
        ("a", uefi(), &[66, 67, 97], "image/debian/uki.efi"),
        ("d", http(), &[60, 67, 97], "http://10.77.0.1:8067/image/debian/uki.efi"),
        ("e", ipxe(), &[67, 97, 175], SCRIPT),
        ("agent", agent(), &[60, 67, 97], "http://10.77.0.1:8067/agent/report"),
    ];
    for (recipe, message, boot, file) in rows {
        let mut net = Net::new();
        let offer = net.ask(&message).reply.unwrap();
        assert_eq!(codes(&offer), [&lease[..], boot].concat(), "recipe {recipe}");
        assert_eq!(get(&offer, OptionCode::BOOT_FILE), file, "recipe {recipe}");
        assert_eq!(String::from_utf8_lossy(offer.file_name()), file, "the header says the same");
        assert_eq!((offer.siaddr, offer.yiaddr, offer.server_name()), (SERVER, ip(100), &b""[..]));
        assert_eq!(offer.options.get(OptionCode::MACHINE_ID), message.options.get(OptionCode::MACHINE_ID));

        let mut request = message.clone();
        request.options.set_message_type(MessageType::REQUEST);
        request.options.set_ip(OptionCode::REQUESTED_IP, offer.yiaddr).set_ip(OptionCode::SERVER_ID, SERVER);
        let mut ack = net.ask(&request).reply.unwrap();
        ack.options.set_message_type(MessageType::OFFER);
        assert_eq!(ack, offer, "the ACK repeats the offer");
    }
}

#[test]
fn who_is_sent_to_its_own_disk_is_told_so_in_its_firmwares_own_way() {
    let rows: [(&str, Message, &[u8], &str); 3] = [
        ("UEFI PXE", uefi(), &[6, 1, 7, 255], ""),
        ("UEFI HTTP Boot", http(), &[], "http://10.77.0.1:8067/local-boot"),
        ("BIOS", bios(), &[], ""),
    ];
    for (who, message, vendor, file) in rows {
        let mut net = Net::new();
        net.rules = rules(Then::Local);
        let seen = net.ask(&message);
        assert_eq!(seen.summary(), "OFFER 10.77.0.100", "{who}");
        let offer = seen.reply.unwrap();
        assert_eq!(offer.options.get(OptionCode::VENDOR).unwrap_or_default(), vendor, "{who}");
        assert_eq!(get(&offer, OptionCode::BOOT_FILE), file, "{who}");
        assert_eq!(offer.file_name(), b"", "{who}");
        let mut beside = Net::beside();
        beside.rules = rules(Then::Local);
        assert_eq!(beside.ask(&message).summary(), "silence: local-boot", "{who}");
    }
}

#[test]
fn beside_another_server_an_offer_has_no_address_and_says_what_it_is() {
    let rows: [(&str, Message, &[u8], &str, &str); 5] = [
        ("b, BIOS", bios(), &[53, 54, 60, 43, 67, 97], "PXEClient", "loader/undionly.kpxe"),
        ("b, UEFI", uefi(), &[53, 54, 60, 67, 97], "PXEClient", "image/debian/uki.efi"),
        ("d", http(), &[53, 54, 60, 67, 97], "HTTPClient", "http://10.77.0.1:8067/image/debian/uki.efi"),
        ("e", ipxe(), &[53, 54, 60, 67, 97], "PXEClient", SCRIPT),
        ("agent", agent(), &[53, 54, 60, 67, 97], "slipway-agent", "http://10.77.0.1:8067/agent/report"),
    ];
    for (recipe, message, expected, class, file) in rows {
        let seen = Net::beside().ask(&message);
        let offer = seen.reply.unwrap();
        assert_eq!(codes(&offer), expected, "recipe {recipe}");
        assert_eq!(get(&offer, OptionCode::VENDOR_CLASS), class, "recipe {recipe}");
        assert_eq!(get(&offer, OptionCode::BOOT_FILE), file, "recipe {recipe}");
        assert_eq!((offer.siaddr, offer.yiaddr), (SERVER, Ipv4Addr::UNSPECIFIED));
        assert!(offer.wants_broadcast(), "there is no address to send it to");
        assert_eq!(seen.to, Some(SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)));
        assert_eq!(seen.writes, [], "nothing to remember");
    }
    let offer = Net::beside().ask(&bios()).reply.unwrap();
    assert_eq!(offer.options.get(OptionCode::VENDOR), Some(&[6, 1, 8, 255][..]));
}

#[test]
fn beside_another_server_only_who_boots_and_discovers_is_answered() {
    for (message, expected) in [
        (discover(1), "silence: not-netboot"),
        (pxe(select(1, ip(100))), "silence: not-for-us"),
        (pxe(inform(1, ip(100))), "silence: not-for-us"),
        (client("U-Boot.armv8", None, false), "silence: unserved-loader"),
        (client("PXEClient:Arch:00004:UNDI:002001", Some(ClientArch(4)), false), "silence: unknown-arch"),
    ] {
        assert_eq!(Net::beside().ask(&message).summary(), expected);
    }
}

#[test]
fn the_boot_server_acknowledges_to_the_port_that_asked() {
    for kind in [MessageType::REQUEST, MessageType::DISCOVER, MessageType::INFORM] {
        let mut net = Net { exchange: Exchange::BootServer, ..Net::new() };
        let mut message = Message { ciaddr: ip(150), ..uefi() };
        message.options.set_message_type(kind);
        message.options.set(OptionCode::VENDOR, [71, 4, 0x80, 0, 0, 0, 255]);
        let from = SocketAddrV4::new(ip(150), 4011);
        let seen = net.hear(&message.encode(1472).unwrap(), from, SERVER);
        assert_eq!(seen.to, Some(from));
        let ack = seen.reply.unwrap();
        assert_eq!(codes(&ack), [53, 54, 60, 43, 67, 97]);
        assert_eq!(ack.options.message_type(), Some(MessageType::ACK));
        assert_eq!(
            ack.options.get(OptionCode::VENDOR),
            Some(&[71, 4, 0x80, 0, 0, 0, 255][..]),
            "the boot item, echoed"
        );
        assert_eq!((ack.ciaddr, ack.yiaddr, ack.siaddr), (ip(150), Ipv4Addr::UNSPECIFIED, SERVER));
        assert_eq!((ack.server_name(), ack.file_name()), (&b"10.77.0.1"[..], &b"image/debian/uki.efi"[..]));
    }
}

#[test]
fn a_pad_follows_the_boot_file_and_the_end_is_marked() {
    for message in [bios(), uefi(), http(), ipxe()] {
        for mut net in [Net::new(), Net::beside()] {
            let data = net.ask(&message).data;
            let options = &data[240..];
            let mut at = 0;
            while options[at] != 67 {
                at += if options[at] == 0 { 1 } else { 2 + usize::from(options[at + 1]) };
            }
            let after = at + 2 + usize::from(options[at + 1]);
            assert_eq!(options[after], 0, "edk2 ends the name in place, over whatever follows");
            assert!(options[after..].contains(&255), "edk2 drops what has no END");
            assert!((300..=548).contains(&data.len()), "{} bytes", data.len());
        }
    }
}

#[test]
fn ipxe_is_known_before_its_firmware_is() {
    let mut options = bios();
    options.options.set(OptionCode::IPXE, [0x13, 1, 1]);
    let mut rfc3004 = uefi();
    rfc3004.options.set(OptionCode::USER_CLASS, b"\x04iPXE");
    for message in [ipxe(), options, rfc3004] {
        let offer = Net::new().ask(&message).reply.unwrap();
        assert!(get(&offer, OptionCode::BOOT_FILE).starts_with("http://10.77.0.1:8067/boot.ipxe?"));
    }
}

#[test]
fn the_architecture_is_option_93_then_the_class_then_bios() {
    for (class, arch, expected) in [
        ("PXEClient:Arch:00000:UNDI:002001", Some(ClientArch::X64_UEFI), ClientArch::X64_UEFI),
        ("PXEClient:Arch:00007:UNDI:003016", None, ClientArch::X64_UEFI),
        ("PXEClient", None, ClientArch::BIOS),
    ] {
        let request = classify(&client(class, arch, false), Exchange::Dhcp, "eth1");
        assert_eq!(request.arch, expected, "{class}");
    }
}

#[test]
fn a_relay_gets_its_own_words_back_last_and_may_name_the_subnet() {
    let mut message = relayed(uefi());
    let info = [1, 2, b'p', b'1', 5, 4, 10, 77, 0, 0];
    message.options.set(OptionCode::RELAY_INFO, info);
    let seen = Net::new().ask(&message);
    assert_eq!(seen.to, Some(SocketAddrV4::new(RELAY, 67)));
    let offer = seen.reply.unwrap();
    assert_eq!(offer.yiaddr, ip(100), "sub-option 5 goes before the relay's address");
    assert_eq!(offer.giaddr, RELAY);
    assert_eq!(offer.options.iter().last(), Some((OptionCode::RELAY_INFO, &info[..])));

    let mut message = relayed(discover(1));
    message.options.set(OptionCode(118), ip(0).octets());
    assert_eq!(Net::new().ask(&message).summary(), "OFFER 10.77.0.100", "option 118 does the same");
}

#[test]
fn a_system_gets_what_it_lists_and_its_identifier_back() {
    let mut message = discover(9);
    message.options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 12, 15, 26, 28, 42]);
    message.options.set(OptionCode::CLIENT_ID, [255, 1, 2, 3]);
    let offer = Net::new().ask(&message).reply.unwrap();
    assert_eq!(codes(&offer), [53, 54, 51, 58, 59, 1, 3, 6, 15, 12, 42, 28, 26, 61]);
    assert_eq!(get(&offer, OptionCode::HOST_NAME), "nine");
    assert_eq!(offer.options.ip(OptionCode::BROADCAST), Some(ip(255)));
    assert_eq!(offer.options.get(OptionCode::CLIENT_ID), Some(&[255, 1, 2, 3][..]));
}

#[test]
fn a_reply_that_is_too_large_loses_what_can_be_spared() {
    let servers: Vec<Ipv4Addr> = (1..=60).map(ip).collect();
    let domain = Some("d".repeat(250));
    let crowded = Subnet { dns: servers.clone(), ntp: servers, domain, ..subnet() };
    let mut net = Net::with(vec![crowded]);
    let mut message = uefi();
    message.options.set(OptionCode::PARAMETER_LIST, [42]);
    let seen = net.ask(&message);
    assert!(seen.data.len() <= 548, "{}", seen.data.len());
    let offer = seen.reply.unwrap();
    assert_eq!(codes(&offer), [53, 54, 51, 58, 59, 1, 3, 67, 97], "the boot file and the mask remain");
    message.options.set_u16(OptionCode::MAX_SIZE, 1472);
    let offer = net.ask(&message).reply.unwrap();
    assert!(codes(&offer).starts_with(&[53, 54, 51, 58, 59, 1, 3, 6, 15, 42]), "who takes more gets all");
}

/// A rule that gives a disk by root path.
fn san_rules() -> Rules {
    let disk = Disk {
        name: "disk1".into(),
        target: Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{mac}").unwrap(),
        initiator: Initiator::new("iqn.2026-01.example:node-{mac}"),
        keep: true,
        login: Login::Own,
    };
    rules(Then::San(Box::new(San { disk, path: Path::Direct, boot: None })))
}

#[test]
fn a_root_path_goes_to_ipxe_and_to_whoever_lists_it_and_no_boot_file_with_it() {
    let lease = [53, 54, 51, 58, 59, 1, 3, 6, 15];
    let mut edk2 = discover(1);
    edk2.options.set(OptionCode::PARAMETER_LIST, [1, 3, 6, 17]);
    let mut linux = discover(1);
    linux.options.set(OptionCode::PARAMETER_LIST, [1, 3, 6]);
    let rows: [(&str, Message, &[u8]); 4] = [
        ("iPXE", ipxe(), &[97, 17, 203, 175]),
        ("firmware's iSCSI driver", edk2, &[17, 203]),
        ("a system that does not ask", linux, &[]),
        ("PXE, which takes none", uefi(), &[]),
    ];
    for (who, message, boot) in rows {
        let mut net = Net { rules: san_rules(), ..Net::new() };
        let seen = net.ask(&message);
        let offer = seen.reply.unwrap();
        assert_eq!(codes(&offer), [&lease[..], boot].concat(), "{who}");
        assert_eq!((offer.options.boot_file(), offer.file_name()), (None, &b""[..]), "{who}");
        if !boot.is_empty() {
            assert_eq!(get(&offer, OptionCode::ROOT_PATH), "iscsi:10.77.0.5::::iqn.2026-01.example:52-54-00-00-00-01");
            assert_eq!(get(&offer, OptionCode::ISCSI_INITIATOR), "iqn.2026-01.example:node-52-54-00-00-00-01");
        }
    }
    let mut net = Net { rules: san_rules(), ..Net::new() };
    let offer = net.ask(&ipxe()).reply.unwrap();
    assert_eq!(offer.options.get(OptionCode::IPXE), Some(&[0x08, 1, 1, 0xb0, 1, 1][..]), "keep-san, no-pxedhcp");
    let seen = net.ask(&uefi());
    assert!(seen.entry.outcome.to_string().contains("nothing to boot (cannot-attach)"), "{:?}", seen.entry.outcome);
}

#[test]
fn beside_another_server_ipxe_gets_a_root_path_and_a_system_gets_nothing() {
    let mut net = Net { rules: san_rules(), ..Net::beside() };
    assert_eq!(codes(&net.ask(&ipxe()).reply.unwrap()), [53, 54, 60, 97, 17, 203, 175]);
    let mut system = discover(1);
    system.options.set(OptionCode::PARAMETER_LIST, [17]);
    assert_eq!(net.ask(&system).summary(), "silence: not-netboot");
}
