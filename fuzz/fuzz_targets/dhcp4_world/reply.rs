//! What must hold for every answer, whoever it is for: read from its bytes.

use super::site::{GATE, SERVER};
use slipway_engine::dhcp4::{Transmit, classify};
use slipway_engine::quirks::{Departure, departs};
use slipway_engine::request::{Exchange, Loader};
use slipway_wire::dhcp4::{Message, MessageType, Op, OptionCode, RelayInfo, reply_limit};
use slipway_wire::{DecodeError, Field};
use std::net::SocketAddrV4;

/// The first byte of the options.
const OPTIONS_AT: usize = 240;

/// Reads and checks an answer.
pub fn check_reply(asked: &Message, reply: &Transmit, exchange: Exchange, mtu: u16) -> Message {
    let data = &reply.data;
    let info = asked.options.relay_info();
    // The relay takes its words out again: they count for the link alone.
    let words = info.map_or(0, |info| info.0.len() + 2 * info.0.len().div_ceil(255).max(1));
    let link = if words == 0 { usize::MAX } else { reply_limit(Some(u16::MAX), mtu) };
    let limit = (reply_limit(asked.options.max_size(), mtu) + words).min(link);
    assert!((300..=limit).contains(&data.len()), "{} bytes, {limit} are allowed", data.len());
    let told = Message::decode(data).expect("an answer can be read");
    // What is echoed byte for byte may be as odd as it came.
    let odd = |fault: &&DecodeError| {
        !matches!(fault.field, Field::Option(code) if code == OptionCode::MACHINE_ID.0)
            && !matches!(fault.field, Field::SubOption(code, _) if code == OptionCode::RELAY_INFO.0)
    };
    assert_eq!(told.faults.iter().find(odd), None);
    assert_eq!((told.op, told.xid, told.htype, told.hlen), (Op::REPLY, asked.xid, asked.htype, asked.hlen));
    assert_eq!((told.chaddr, told.giaddr), (asked.chaddr, asked.giaddr));
    let stand_in = info.and_then(RelayInfo::server_override).filter(|_| !asked.giaddr.is_unspecified());
    assert_eq!((told.options.server_id(), reply.from), (Some(stand_in.unwrap_or(SERVER)), SERVER));
    check_area(&data[OPTIONS_AT..], told.options.relay_info().is_some());
    match told.options.relay_info() {
        None if info.is_some() => assert!(words + 300 > limit || told.options.get(OptionCode::DNS).is_none()),
        echo => assert_eq!(echo, info),
    }
    if exchange != Exchange::BootServer && !asked.giaddr.is_unspecified() {
        assert_eq!(reply.to, SocketAddrV4::new(asked.giaddr, 67));
    }
    check_lease(&told, exchange);
    check_boot(asked, &told, exchange);
    told
}

/// The options end with END and nothing but zeros after it; what the relay added comes last, after everything else.
fn check_area(mut area: &[u8], relay_info: bool) {
    let mut codes = Vec::new();
    loop {
        match area {
            [0, rest @ ..] => area = rest,
            [255, rest @ ..] => {
                assert!(rest.iter().all(|byte| *byte == 0), "nothing follows END");
                break;
            }
            [code, len, rest @ ..] => {
                codes.push(*code);
                area = rest.get(usize::from(*len)..).expect("an option ends within the message");
            }
            _ => panic!("no END"),
        }
    }
    let relay = OptionCode::RELAY_INFO.0;
    assert_eq!(relay_info, codes.contains(&relay));
    let first = codes.iter().position(|code| *code == relay).unwrap_or(codes.len());
    assert!(codes[first..].iter().all(|code| *code == relay), "{codes:?}");
    assert!(!codes.contains(&OptionCode::OVERLOAD.0), "ROMs misread it");
}

/// An address comes with its terms, and terms only with an address.
fn check_lease(told: &Message, exchange: Exchange) {
    let options = &told.options;
    let given = !told.yiaddr.is_unspecified();
    assert_eq!(given, options.lease_time().is_some());
    if given {
        assert!(options.lease_time() >= Some(60) && options.has(OptionCode::SUBNET_MASK), "edk2 wants a mask");
    }
    if exchange != Exchange::Dhcp {
        assert!(!given && !options.has(OptionCode::SUBNET_MASK) && !options.has(OptionCode::ROUTER));
    }
}

/// A boot file is named wherever somebody looks for it, and no firmware gets what would confuse it.
fn check_boot(asked: &Message, told: &Message, exchange: Exchange) {
    let request = classify(asked, exchange, "eth1");
    let loader = request.loader;
    let (class, vendor) = (told.options.vendor_class(), told.options.get(OptionCode::VENDOR));
    if told.options.has(OptionCode::ROOT_PATH) {
        assert!(told.file_name().is_empty() && !told.options.has(OptionCode::BOOT_FILE));
        let listed = asked.options.parameter_list().contains(&OptionCode::ROOT_PATH.0);
        return assert!(loader == Loader::Ipxe || (loader == Loader::Os && listed), "{loader} takes no root path");
    }
    let Some(file) = told.options.boot_file() else {
        assert!(told.file_name().is_empty());
        return match (class, vendor) {
            (None, None) => {
                assert!(told.siaddr.is_unspecified());
                assert_eq!(exchange, Exchange::Dhcp, "nothing else is told there");
            }
            (Some(b"PXEClient"), Some([6, 1, 7, 255])) => {
                assert!(told.siaddr.is_unspecified());
                assert!(departs(&request, Departure::CancelledBoot), "{loader} does not go to its own disk by this");
            }
            (Some(b"PXEClient"), Some(_)) => assert!(departs(&request, Departure::RaspberryPiMenu), "{loader}"),
            told => panic!("{loader} is told {told:?} and no boot file"),
        };
    };
    if file.ends_with(b"/local-boot") {
        assert!(told.siaddr.is_unspecified() && class == Some(b"HTTPClient") && vendor.is_none());
        return assert!(departs(&request, Departure::MissingFile), "{loader} does not go to its own disk by this");
    }
    assert_ne!(loader, Loader::Os);
    assert_ne!(told.options.message_type(), Some(MessageType::NAK));
    assert!([SERVER, GATE].contains(&told.siaddr), "our address in the client's own network, or the one that answers");
    assert!(file.len() > 127 || told.file_name() == file);
    assert_eq!(told.options.get(OptionCode::MACHINE_ID), asked.options.get(OptionCode::MACHINE_ID));
    let wanted: Option<&[u8]> = match loader {
        Loader::UefiHttp => Some(b"HTTPClient"),
        Loader::Agent => Some(b"slipway-agent"),
        Loader::Pxe | Loader::Ipxe if exchange != Exchange::Dhcp => Some(b"PXEClient"),
        // A ROM that ignores the usual offer is made another.
        Loader::Pxe => class.filter(|class| class == b"PXEClient"),
        _ => None,
    };
    assert_eq!(class, wanted, "{loader}");
    assert!(vendor.is_none_or(|vendor| vendor.ends_with(&[255])));
    let whole = vendor.is_none_or(|vendor| vendor == [6, 1, 8, 255] && class == Some(b"PXEClient"));
    assert!(whole || exchange != Exchange::Dhcp, "edk2 would go to port 4011");
}
