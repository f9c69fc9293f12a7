//! DHCPv4 codec: what must hold for any message.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use slipway_wire::dhcp4::{Message, MessageType, OptionCode};
use slipway_wire::{DecodeError, Fault, Field, MacAddr};
use std::net::Ipv4Addr;

fn discover() -> Message {
    let mut message = Message::request(0xdead_beef, MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]));
    message
        .options
        .set_message_type(MessageType::DISCOVER)
        .set(OptionCode::VENDOR_CLASS, *b"PXEClient:Arch:00007:UNDI:003016");
    message
}

#[test]
fn a_reply_has_the_shape_that_firmware_wants() {
    let request = discover();
    let mut reply = Message::reply_to(&request);
    reply.options.set_message_type(MessageType::OFFER);
    reply.options.set(OptionCode::RELAY_INFO, [1, 1, 9]);
    reply.options.set(OptionCode::TFTP_SERVER, *b"10.0.0.1").set(OptionCode::BOOT_FILE, *b"a.efi");
    reply.options.set_ip(OptionCode::SERVER_ID, Ipv4Addr::new(10, 0, 0, 1));
    let bytes = reply.encode(548).unwrap();
    let expected =
        [&[53, 1, 2, 66, 8][..], b"10.0.0.1\0\x43\x05a.efi\0", &[54, 4, 10, 0, 0, 1, 82, 3, 1, 1, 9, 255, 0]].concat();
    assert_eq!(bytes[240..240 + expected.len()], expected, "PAD after 66 and 67, option 82 last, END");
    assert_eq!(bytes.len(), 300);
    assert_eq!(bytes.len(), reply.encoded_len());
    let again = Message::decode(&bytes).unwrap();
    assert_eq!(again.faults, []);
    assert_eq!(again.mac(), request.mac());
}

#[test]
fn a_message_that_does_not_fit_is_not_sent() {
    let mut message = discover();
    message.options.set(OptionCode::IPXE, vec![7; 600]);
    let needed = message.encoded_len();
    let refused = message.encode(548).unwrap_err();
    assert_eq!((refused.needed, refused.limit), (needed, 548));
    let bytes = message.encode(needed).unwrap();
    assert_eq!(bytes.len(), needed);
    assert_eq!(Message::decode(&bytes).unwrap(), message, "600 bytes travel in three instances and are joined");
}

#[test]
fn sloppiness_is_tolerated_and_named() {
    let message = discover();
    let bytes = message.encode(548).unwrap();
    let end = bytes.iter().rposition(|byte| *byte == 255).unwrap();
    let cut = Message::decode(&bytes[..end]).unwrap();
    assert_eq!(cut.options, message.options);
    assert_eq!(cut.faults, [DecodeError::new(Field::OptionArea, end, Fault::Unterminated)]);
    let cut = Message::decode(&bytes[..end - 5]).unwrap();
    assert_eq!(cut.options.message_type(), Some(MessageType::DISCOVER));
    assert_eq!(cut.faults, [DecodeError::new(Field::Option(60), 243, Fault::Truncated)]);
}

#[test]
fn overloaded_fields_are_read_in_order() {
    let mut bytes = discover().encode(548).unwrap();
    bytes.truncate(240);
    bytes.extend([53, 1, 1, 52, 1, 3, 12, 1, b'a', 255]);
    bytes[108..114].copy_from_slice(&[12, 1, b'b', 52, 1, 1]);
    bytes[114] = 255;
    bytes[44..48].copy_from_slice(&[12, 1, b'c', 255]);
    let message = Message::decode(&bytes).unwrap();
    assert_eq!(message.options.host_name(), Some(b"abc".as_slice()));
    assert_eq!((message.file_name(), message.server_name()), (b"".as_slice(), b"".as_slice()));
    assert_eq!(message.faults, []);
    assert!(!message.options.has(OptionCode::OVERLOAD));
}
