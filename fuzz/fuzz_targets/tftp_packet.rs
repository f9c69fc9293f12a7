//! Any datagram to a TFTP port: read without panic, written and read the same; and the terms of any request are within its wishes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use slipway_engine::tftp::{Settings, negotiate};
use slipway_wire::tftp::{OptionKind, Packet};
use std::net::{IpAddr, Ipv4Addr};

const SETTINGS: Settings = Settings { blksize_max: 1468, mtu: 1500 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(packet) = Packet::decode(bytes) else { return };
    let _ = packet.to_string();
    let mut written = Vec::new();
    packet.encode(&mut written);
    assert!(written.len() <= bytes.len() + 1, "at most a NUL is added");
    assert_eq!(Packet::decode(&written).as_ref(), Ok(&packet));

    let Packet::Rrq(request) = packet else { return };
    let asked = request.known();
    let terms = negotiate(&request, 12345, IpAddr::V4(Ipv4Addr::LOCALHOST), SETTINGS);
    assert!((8..=1468).contains(&terms.blksize) && terms.windowsize > 0);
    for granted in &terms.oack {
        let wish = asked.iter().find(|wish| wish.name() == granted.name()).expect("only what was asked is granted");
        match (granted, wish) {
            (OptionKind::BlockSize(granted), OptionKind::BlockSize(wish)) => assert!(granted <= wish),
            (OptionKind::WindowSize(granted), OptionKind::WindowSize(wish)) => assert!(granted <= wish),
            (OptionKind::TransferSize(granted), _) => assert_eq!(*granted, 12345),
            (granted, wish) => assert_eq!(granted, wish),
        }
    }
    let mut oack = Vec::new();
    Packet::encode_oack(&terms.oack, &mut oack);
    assert_eq!(Packet::decode(&oack).expect("we read our OACK").granted(), terms.oack);
});
