//! The rows of the quirk table, seen in answers to the packets that they name.

use super::golden::{net, read, to_us};
use super::*;
use crate::ladder::{Ground, Ignored, Worked};
use crate::machine::Change;
use crate::quirks::{Departure, Packet, TABLE};
use crate::request::Loader;

/// What is answered to a packet of a row, if anything.
fn answer(packet: Packet, departure: Departure) -> (Message, Seen) {
    let mut asked = to_us(Message::decode(&read(packet.fixture)).unwrap());
    if departure == Departure::NoNak {
        // What nobody is given: a system is told so.
        asked.options.set_ip(OptionCode::REQUESTED_IP, ip(250));
    }
    let request = classify(&asked, packet.exchange, "eth1");
    let mut net = net(packet.exchange, &asked);
    if matches!(departure, Departure::CancelledBoot | Departure::MissingFile) {
        net.rules = rules(Then::Local);
    }
    if let Some(ground) =
        Ground::of(request.loader, request.arch, packet.exchange).filter(|_| packet.rung != Default::default())
    {
        let worked = Worked { ground, rung: packet.rung, because: Ignored::AskedAgain, since: net.now };
        let memory = crate::machine::Memory::NOTHING.after(Change::Offers(Some(worked)), net.now);
        net.machines.put(request.mac, memory);
    }
    let to = if asked.ciaddr.is_unspecified() { Ipv4Addr::BROADCAST } else { SERVER };
    let seen = net.hear(&asked.encode(1472).unwrap(), SocketAddrV4::new(asked.ciaddr, 68), to);
    (asked, seen)
}

/// Whether an answer shows the departure.
fn shows(departure: Departure, seen: &Seen) -> bool {
    let Some(reply) = &seen.reply else { return matches!(departure, Departure::NoNak | Departure::NoProxyOffer) };
    let says = |code, value: &[u8]| reply.options.get(code) == Some(value);
    match departure {
        Departure::SayPxeClient => says(OptionCode::VENDOR_CLASS, b"PXEClient"),
        Departure::SayHttpClient => says(OptionCode::VENDOR_CLASS, b"HTTPClient"),
        Departure::SaySlipwayAgent => says(OptionCode::VENDOR_CLASS, b"slipway-agent"),
        Departure::UseThisBootFile => says(OptionCode::VENDOR, &[6, 1, 8, 255]),
        Departure::CancelledBoot => says(OptionCode::VENDOR, &[6, 1, 7, 255]),
        Departure::MissingFile => says(OptionCode::BOOT_FILE, b"http://10.77.0.1:8067/local-boot"),
        Departure::NoProxyWait => says(OptionCode::IPXE, &[0xb0, 1, 1]),
        Departure::ServerAsText => says(OptionCode::TFTP_SERVER, b"10.77.0.1"),
        Departure::ServerName => reply.server_name() == b"10.77.0.1",
        Departure::NoNak => reply.options.message_type() != Some(MessageType::NAK),
        Departure::NoProxyOffer => false,
        Departure::RaspberryPiMenu => {
            let menu = reply.options.get(OptionCode::VENDOR).unwrap_or_default();
            menu.windows(17).any(|part| part == b"Raspberry Pi Boot")
        }
        Departure::OfferIsLease => !seen.writes.is_empty(),
        Departure::OtherLoader => reply.file_name() == b"loader/snponly.efi",
    }
}

#[test]
fn each_departure_is_in_the_answer_to_its_packet_and_not_in_the_neighbours() {
    for row in TABLE {
        assert!(shows(row.departure, &answer(row.seen, row.departure).1), "{}: {:?}", row.who, row.departure);
        let (asked, seen) = answer(row.unlike, row.departure);
        let silent_all_the_same =
            seen.reply.is_none() && classify(&asked, row.unlike.exchange, "").loader == Loader::Os;
        assert!(
            silent_all_the_same || !shows(row.departure, &seen),
            "{}: {:?} for the neighbour",
            row.who,
            row.departure
        );
    }
}

#[test]
fn a_rom_that_ignores_the_usual_offer_is_made_the_next_and_its_ack_is_like_it() {
    let mut net = Net::new();
    let xid = |xid| Message { xid, ..pxe(discover(1)) };
    let told = |seen: &Seen| {
        let reply = seen.reply.as_ref().unwrap();
        (reply.options.has(OptionCode::VENDOR_CLASS), reply.options.has(OptionCode::VENDOR))
    };
    for (wait, expected) in [(0, (false, false)), (4, (false, false)), (8, (true, false)), (16, (true, false))] {
        net.wait(wait);
        assert_eq!(told(&net.ask(&xid(1))), expected);
    }
    net.wait(60);
    let seen = net.ask(&xid(2));
    assert_eq!(told(&seen), (true, true));
    assert_eq!(
        seen.entry.outcome.to_string(),
        "OFFER 10.77.0.100 image/debian/uki.efi, now offered as this-file: it started anew without having taken the offer"
    );
    let taken = net.ask(&pxe(select(1, ip(100))));
    assert_eq!(told(&taken), (true, true), "the ACK is like the offer");
    assert!(taken.entry.outcome.to_string().ends_with(", offered as this-file"), "{}", taken.entry.outcome);
    assert_eq!(told(&net.ask(&pxe(discover(2)))), (false, false), "another machine is made the usual one");
}
