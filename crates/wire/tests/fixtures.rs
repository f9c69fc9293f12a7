//! Every packet under `fixtures/`, as real firmware sent it: what we read in it, and that no part of it makes us stumble.
//!
//! A fixture is `<name>.hex` and `<name>.txt`; the text after `Read:` is compared. `SLIPWAY_BLESS=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use slipway_wire::dhcp4::Message;
use slipway_wire::dhcp6;
use slipway_wire::tftp::Packet;
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures(protocol: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(protocol);
    let mut found: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "hex"))
        .map(|path| {
            let bytes = bytes(&fs::read_to_string(&path).unwrap());
            (path, bytes)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures in {}", folder.display());
    found
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn compare(path: &Path, read: &str) {
    let text = path.with_extension("txt");
    let told = fs::read_to_string(&text).unwrap_or_else(|error| panic!("{}: {error}", text.display()));
    let (origin, expected) = told.split_once("Read:\n").unwrap_or((told.as_str(), ""));
    assert!(origin.starts_with("Origin: "), "{}: a fixture says where it is from", text.display());
    if std::env::var_os("SLIPWAY_BLESS").is_some() {
        fs::write(&text, format!("{}\n\nRead:\n{read}", origin.trim_end())).unwrap();
    } else {
        assert_eq!(expected, read, "{} differs: SLIPWAY_BLESS=1 writes it anew", text.display());
    }
}

#[test]
fn every_dhcp_message_is_read_as_told() {
    for (path, bytes) in fixtures("dhcp4") {
        compare(&path, &Message::decode(&bytes).unwrap().describe());
    }
}

#[test]
fn every_dhcp_message_survives_a_round_trip() {
    for (path, bytes) in fixtures("dhcp4") {
        let message = Message::decode(&bytes).unwrap();
        let again = Message::decode(&message.encode(usize::MAX).unwrap()).unwrap();
        assert_eq!(again.options, message.options, "{}", path.display());
        assert_eq!(again.describe().lines().next(), message.describe().lines().next(), "{}", path.display());
    }
}

#[test]
fn every_truncation_of_a_dhcp_message_is_refused_or_named() {
    for (path, bytes) in fixtures("dhcp4") {
        let whole = Message::decode(&bytes).unwrap();
        for len in 0..bytes.len() {
            match Message::decode(&bytes[..len]) {
                Err(_) => assert!(len < 240, "{} cut to {len}", path.display()),
                Ok(cut) => {
                    assert!(len >= 240, "{} cut to {len}", path.display());
                    let same = cut.options == whole.options && cut.faults == whole.faults;
                    assert!(same || !cut.faults.is_empty(), "{} cut to {len} loses options silently", path.display());
                }
            }
        }
    }
}

#[test]
fn every_dhcpv6_packet_is_read_as_told_and_survives_a_round_trip() {
    for (path, bytes) in fixtures("dhcp6") {
        let packet = dhcp6::Packet::decode(&bytes).unwrap();
        compare(&path, &packet.describe());
        assert_eq!(packet.encode(), bytes, "{}", path.display());
    }
}

#[test]
fn every_truncation_of_a_dhcpv6_packet_is_refused_or_loses_options() {
    for (path, bytes) in fixtures("dhcp6") {
        let whole = dhcp6::Packet::decode(&bytes).unwrap();
        for len in 0..bytes.len() {
            match dhcp6::Packet::decode(&bytes[..len]) {
                Err(_) => assert!(len < 4, "{} cut to {len}", path.display()),
                Ok(cut) => {
                    let lost = cut.message.options.len() < whole.message.options.len();
                    assert!(lost, "{} cut to {len}", path.display());
                }
            }
        }
    }
}

#[test]
fn every_tftp_packet_is_read_as_told() {
    for (path, bytes) in fixtures("tftp") {
        let packet = Packet::decode(&bytes).unwrap();
        compare(&path, &format!("{packet}\n"));
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(again.len(), bytes.len(), "{}", path.display());
        assert_eq!(Packet::decode(&again).as_ref(), Ok(&packet), "{}", path.display());
    }
}

#[test]
fn every_truncation_of_a_tftp_request_is_refused_or_has_fewer_options() {
    for (path, bytes) in fixtures("tftp") {
        let Packet::Rrq(whole) = Packet::decode(&bytes).unwrap() else { continue };
        for len in 0..bytes.len() {
            match Packet::decode(&bytes[..len]) {
                Err(_) => {}
                Ok(Packet::Rrq(cut)) => {
                    assert_eq!((cut.file, cut.mode), (whole.file, whole.mode), "{} cut to {len}", path.display());
                    assert_eq!(cut.options, whole.options[..cut.options.len()], "{} cut to {len}", path.display());
                    assert!(cut.options.len() < whole.options.len(), "{} cut to {len}", path.display());
                }
                Ok(other) => panic!("{} cut to {len}: {other}", path.display()),
            }
        }
    }
}
