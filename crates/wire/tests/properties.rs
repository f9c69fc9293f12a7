//! What holds for any bytes and for any message: no panic, no loss, one reading.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

mod common;

use common::message;
use proptest::prelude::*;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode, Options};
use slipway_wire::ipxe::IpxeOptions;
use slipway_wire::pxe::{VendorClass, VendorOptions};
use slipway_wire::tftp::{ErrorCode, Mode, Packet, RawOption, Request};
use slipway_wire::{MacAddr, SubOptions};

/// A plausible header, then anything: plain random bytes would hardly ever pass the cookie.
fn almost_a_message() -> impl Strategy<Value = Vec<u8>> {
    (message(), prop::collection::vec(any::<u8>(), 0..400), any::<prop::sample::Index>()).prop_map(
        |(message, noise, cut)| {
            let mut bytes = message.encode(usize::MAX).unwrap();
            bytes.truncate(240 + cut.index(bytes.len() - 239));
            bytes.extend(noise);
            bytes
        },
    )
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(1..=255u8, 0..40)
}

fn pairs() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let name = prop_oneof![Just(b"blksize".to_vec()), Just(b"TSIZE".to_vec()), prop::collection::vec(1..=255u8, 1..20)];
    prop::collection::vec((name, text()), 0..6)
}

fn raw(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<RawOption<'_>> {
    pairs.iter().map(|(name, value)| RawOption { name, value }).collect()
}

fn survives(packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    assert_eq!(Packet::decode(&bytes).as_ref(), Ok(packet), "{}", bytes.escape_ascii());
}

proptest! {
    #[test]
    fn a_message_survives_the_wire(message in message()) {
        let bytes = message.encode(usize::MAX).unwrap();
        prop_assert_eq!(bytes.len(), message.encoded_len());
        prop_assert!(bytes.len() >= 300);
        prop_assert_eq!(Message::decode(&bytes).unwrap(), message);
    }

    #[test]
    fn what_could_be_read_is_written_and_read_the_same(bytes in almost_a_message()) {
        let message = Message::decode(&bytes).unwrap();
        let _ = message.describe();
        let again = Message::decode(&message.encode(usize::MAX).unwrap()).unwrap();
        prop_assert_eq!(&again.options.iter().collect::<Vec<_>>().len(), &message.options.len());
        for (code, value) in message.options.iter() {
            prop_assert_eq!(again.options.get(code), Some(value));
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::decode(&bytes);
        let _ = Packet::decode(&bytes).map(|packet| packet.to_string());
        let _ = VendorOptions::decode(&bytes).map(|options| (options.menu(), options.boot_servers()));
        let _ = IpxeOptions::decode(&bytes).map(|options| options.features().count());
        let _ = VendorClass::parse(&bytes);
    }

    #[test]
    fn sub_options_survive_the_wire(list in prop::collection::vec((1..=254u8, text()), 0..8)) {
        let mut options = SubOptions::new();
        for (code, value) in &list {
            options.push(*code, value.clone());
        }
        prop_assert_eq!(SubOptions::decode(43, &options.encode()).unwrap(), options);
    }

    #[test]
    fn a_request_survives_the_wire(file in text(), mode in 0..4, pairs in pairs(), write in any::<bool>()) {
        let mode = [Mode::Octet, Mode::Netascii, Mode::Mail, Mode::Other(b"image")][usize::try_from(mode).unwrap()];
        let request = Request { file: &file, mode, options: raw(&pairs) };
        survives(&if write { Packet::Wrq(request) } else { Packet::Rrq(request) });
    }

    #[test]
    fn every_other_packet_survives_the_wire(
        number in any::<u16>(),
        data in prop::collection::vec(any::<u8>(), 0..1500),
        text in text(),
        pairs in pairs(),
    ) {
        survives(&Packet::Data { block: number, data: &data });
        survives(&Packet::Ack { block: number });
        survives(&Packet::Error { code: ErrorCode(number), text: &text });
        survives(&Packet::Oack(raw(&pairs)));
    }

    #[test]
    fn a_user_class_is_read_in_both_forms(classes in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..5)) {
        let prefixed: Vec<u8> =
            classes.iter().flat_map(|class| [&[u8::try_from(class.len()).unwrap()], class.as_slice()].concat()).collect();
        let mut options = Options::new();
        options.set(OptionCode::USER_CLASS, prefixed);
        prop_assert_eq!(options.user_classes(), classes);
    }
}

#[test]
fn a_raw_user_class_is_itself() {
    for raw in [&b"iPXE"[..], b"gPXE", b"\x04iPX", b"\x00", b"\x04iPXE\x00"] {
        let mut options = Options::new();
        options.set(OptionCode::USER_CLASS, raw);
        assert_eq!(options.user_classes(), [raw], "{}", raw.escape_ascii());
    }
}

#[test]
fn a_typed_reader_refuses_an_impossible_length() {
    let mut message = Message::request(1, MacAddr::default());
    for code in [1, 3, 6, 28, 50, 51, 53, 54, 57, 58, 59, 93, 94, 97] {
        message.options.set(OptionCode(code), [1; 5]);
    }
    message.options.set(OptionCode::CLIENT_ID, [1]);
    let options = Message::decode(&message.encode(600).unwrap()).unwrap();
    assert_eq!(options.faults.len(), 15, "each is named: {:?}", options.faults);
    let options = options.options;
    assert_eq!(options.message_type(), None::<MessageType>);
    assert_eq!((options.server_id(), options.requested_ip(), options.lease_time()), (None, None, None));
    assert_eq!((options.max_size(), options.client_nii(), options.machine_id()), (None, None, None));
    assert_eq!((options.client_id(), options.client_archs()), (None, vec![]));
    assert!(options.ips(OptionCode::ROUTER).is_empty());
    assert_eq!(options.get(OptionCode::SERVER_ID), Some([1; 5].as_slice()), "the raw value is kept");
}
