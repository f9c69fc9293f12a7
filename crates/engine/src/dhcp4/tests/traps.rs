//! Every captured packet in each of our modes, and on each rung: what every answer to firmware has, and what none of them has.

use super::golden::{fixtures, net, to_us};
use super::*;
use crate::request::Loader;

/// What is asked, and what is answered, if it is.
struct Exchanged {
    name: String,
    asked: Message,
    loader: Loader,
    exchange: Exchange,
    reply: Message,
    data: Vec<u8>,
}

fn exchanged() -> Vec<Exchanged> {
    let mut all = Vec::new();
    for (path, bytes) in fixtures() {
        for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp, Exchange::BootServer] {
            let asked = to_us(Message::decode(&bytes).unwrap());
            let to = if asked.giaddr.is_unspecified() { Ipv4Addr::BROADCAST } else { SERVER };
            let from = SocketAddrV4::new(asked.ciaddr, 68);
            let seen = net(exchange, &asked).hear(&asked.encode(1472).unwrap(), from, to);
            let loader = classify(&asked, exchange, "eth1").loader;
            let name = format!("{} in {exchange:?}", path.file_stem().unwrap().to_str().unwrap());
            if let Some(reply) = seen.reply {
                all.push(Exchanged { name, asked, loader, exchange, reply, data: seen.data });
            }
        }
    }
    assert!(all.len() > 50, "{}", all.len());
    all
}

fn boots(seen: &Exchanged) -> bool {
    seen.reply.options.has(OptionCode::BOOT_FILE)
}

#[test]
fn every_answer_ends_and_is_neither_too_short_nor_too_long() {
    for Exchanged { name, asked, data, .. } in exchanged() {
        let end = data.iter().rposition(|byte| *byte != 0);
        assert_eq!(end.map(|end| data[end]), Some(255), "{name}: edk2 drops what has no END");
        let most = usize::from(asked.options.max_size().unwrap_or(576)).clamp(576, 1472);
        assert!((300..=most).contains(&data.len()), "{name}: {} bytes", data.len());
    }
}

#[test]
fn server_and_file_are_told_in_every_place_where_somebody_looks() {
    for seen in exchanged().iter().filter(|seen| boots(seen)) {
        let (name, reply) = (&seen.name, &seen.reply);
        assert_eq!(reply.siaddr, SERVER, "{name}");
        let option = reply.options.get(OptionCode::BOOT_FILE).unwrap();
        assert!(reply.file_name() == option || option.len() > 127, "{name}: shim and U-Boot read the header only");
        assert!(!option.is_empty() && option.len() <= 255, "{name}");
        for absent in [OptionCode(13), OptionCode(52)] {
            assert!(!reply.options.has(absent), "{name}: option {} is trusted or misread", absent.0);
        }
    }
}

#[test]
fn who_is_told_pxeclient_or_43_and_how() {
    for seen in exchanged().iter().filter(|seen| boots(seen)) {
        let (name, options) = (&seen.name, &seen.reply.options);
        let class = options.get(OptionCode::VENDOR_CLASS);
        let expected: Option<&[u8]> = match (seen.loader, seen.exchange) {
            (Loader::UefiHttp, _) => Some(b"HTTPClient"),
            (Loader::Agent, _) => Some(b"slipway-agent"),
            (Loader::Pxe | Loader::Ipxe, Exchange::ProxyDhcp | Exchange::BootServer) => Some(b"PXEClient"),
            _ => continue,
        };
        assert_eq!(class, expected, "{name}");
    }
    for seen in exchanged() {
        let (name, options) = (&seen.name, &seen.reply.options);
        let pi = seen.asked.options.machine_id().is_some_and(|id| id.is_raspberry_pi());
        if seen.exchange == Exchange::Dhcp && seen.loader == Loader::Pxe && !pi {
            assert!(!options.has(OptionCode::VENDOR_CLASS), "{name}: edk2 would go to port 4011 (PXE-E16)");
        }
        // 43.6 without bit 3 and without a menu is edk2's "boot from the local disk" (PXE-E21).
        if let Some(vendor) = options.get(OptionCode::VENDOR) {
            assert_eq!(vendor.last(), Some(&255), "{name}: 43 ends as the options do");
            assert!(!vendor.starts_with(&[6, 1]) || vendor[2] & 8 != 0 || vendor.len() > 4, "{name}: {vendor:?}");
        }
    }
}

#[test]
fn no_boot_loader_is_told_no() {
    for seen in exchanged().iter().filter(|seen| seen.loader != Loader::Os) {
        assert_ne!(seen.reply.options.message_type(), Some(MessageType::NAK), "{}: PXE-E07", seen.name);
    }
    // Two machines race for one address: who comes second hears nothing, and asks again.
    let mut net = Net::new();
    let offered = net.ask(&pxe(discover(1))).reply.unwrap().yiaddr;
    net.wait(17);
    assert_eq!(net.ask(&pxe(select(2, offered))).summary(), format!("ACK {offered}"));
    assert_eq!(net.ask(&pxe(select(1, offered))).summary(), "silence: wrong-address");
    assert_eq!(net.ask(&select(3, offered)).summary(), "NAK", "a system starts again at once when told");
}

#[test]
fn the_ack_gives_what_the_offer_promised_with_mask_and_server() {
    for seen in exchanged().iter().filter(|seen| seen.exchange == Exchange::Dhcp && seen.loader == Loader::Pxe) {
        let options = &seen.reply.options;
        assert_eq!(options.server_id(), Some(SERVER), "{}", seen.name);
        assert!(options.ip(OptionCode::SUBNET_MASK).is_some_and(|mask| !mask.is_unspecified()), "{}", seen.name);
        assert!(!seen.reply.yiaddr.is_unspecified(), "{}", seen.name);
    }
}
