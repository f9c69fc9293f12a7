use super::*;
use crate::pcap::tests::udp;
use slipway_wire::dhcp4::{Message, OptionCode};
use std::time::Duration;

const CLIENT: &str = "10.77.0.100:1580";
const SERVER: &str = "10.77.0.1:69";
const TRANSFER: &str = "10.77.0.1:40000";

/// Packets a second apart, from the sender, port and content of each.
fn story(packets: &[(&str, &str, Vec<u8>)]) -> Story {
    let packet = |(number, (from, to, data)): (usize, &(&str, &str, Vec<u8>))| {
        let mut frame = udp(from, to, data);
        frame.at += Duration::from_secs(u64::try_from(number).unwrap());
        frame.packet().unwrap()
    };
    Story::of(&packets.iter().enumerate().map(packet).collect::<Vec<_>>())
}

fn rrq(options: &[u8]) -> Vec<u8> {
    [b"\0\x01linux.efi\0octet\0", options].concat()
}

fn data(block: u8, len: usize) -> Vec<u8> {
    [&[0, 3, 0, block][..], &vec![0; len]].concat()
}

fn ack(block: u8) -> Vec<u8> {
    vec![0, 4, 0, block]
}

fn windowed_transfer() -> Story {
    story(&[
        (CLIENT, SERVER, rrq(b"blksize\x008\0windowsize\x002\0")),
        (TRANSFER, CLIENT, b"\0\x06blksize\x008\0windowsize\x002\0".to_vec()),
        (CLIENT, TRANSFER, ack(0)),
        // Two blocks in one train.
        (TRANSFER, CLIENT, [data(1, 8), data(2, 8)].concat()),
        (CLIENT, TRANSFER, ack(2)),
        (TRANSFER, CLIENT, data(3, 5)),
        (CLIENT, TRANSFER, ack(3)),
    ])
}

#[test]
fn a_transfer_is_one_value_from_its_request_to_its_last_ack() {
    let story = windowed_transfer();
    let [transfer] = story.transfers() else { panic!("one transfer: {:?}", story.transfers()) };
    assert_eq!((transfer.file.as_str(), transfer.bytes, transfer.widest), ("linux.efi", 21, 2));
    assert_eq!(transfer.granted, [OptionKind::BlockSize(8), OptionKind::WindowSize(2)]);
    assert_eq!(transfer.end.duration_since(transfer.at).unwrap(), Duration::from_secs(6));
    assert_eq!(story.boot_file_loaded(), Some(transfer.end));
    assert_eq!(story.loaded(".efi").count(), 1);
    assert_eq!(story.loaded(".iso").count(), 0);
}

#[test]
fn a_size_probe_is_a_transfer_without_content_and_with_an_error() {
    let story = story(&[
        (CLIENT, SERVER, rrq(b"tsize\x000\0")),
        (TRANSFER, CLIENT, b"\0\x06tsize\x0021\0".to_vec()),
        (CLIENT, TRANSFER, b"\0\x05\0\x08User aborted the transfer\0".to_vec()),
    ]);
    let [probe] = story.transfers() else { panic!("one transfer") };
    assert_eq!((probe.bytes, probe.error.as_ref().map(|(_, code, _)| *code)), (0, Some(8)));
    assert_eq!(story.boot_file_loaded(), None);
}

#[test]
fn the_lines_tell_a_boot_in_order() {
    let mac = "52:54:00:77:00:01".parse().unwrap();
    let mut discover = Message::request(7, mac);
    discover.options.set_message_type(MessageType::DISCOVER);
    discover.options.set(OptionCode(60), b"PXEClient:Arch:00007".to_vec());
    discover.options.set(OptionCode(93), vec![0, 7]);
    let mut offer = Message::reply_to(&discover);
    offer.options.set_message_type(MessageType::OFFER);
    offer.yiaddr = "10.77.0.100".parse().unwrap();
    offer.set_file_name(b"linux.efi");
    let story = story(&[
        ("0.0.0.0:68", "255.255.255.255:67", discover.encode(1472).unwrap()),
        ("10.77.0.1:67", "255.255.255.255:68", offer.encode(1472).unwrap()),
        (CLIENT, SERVER, rrq(b"")),
        (SERVER, CLIENT, b"\0\x05\0\x01no such file\0".to_vec()),
    ]);
    insta::assert_snapshot!(format!("\n{}\n", story.lines().join("\n")), @r#"
       0.000  DISCOVER 52:54:00:77:00:01 0.0.0.0:68 > 255.255.255.255:67 arch=7 class=PXEClient:Arch:00007
       1.000  OFFER    52:54:00:77:00:01 10.77.0.1:67 > 255.255.255.255:68 yiaddr=10.77.0.100 file=linux.efi
       2.000  TFTP     52:54:00:01:02:03 10.77.0.100:1580 RRQ linux.efi | ERROR 1 "no such file" from 10.77.0.1
    "#);
    assert_eq!(story.of_machine(mac).dhcp().len(), 2);
}

#[test]
fn an_http_answer_belongs_to_its_request() {
    let tcp = |from: &str, to: &str, data: &[u8], len: usize| Packet {
        at: SystemTime::UNIX_EPOCH,
        source: MacAddr([0; 6]),
        destination: MacAddr([0; 6]),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        payload: Payload::Tcp { data: data.to_vec(), len, flags: 16 },
    };
    let (client, server) = ("10.77.0.100:1000", "10.77.0.1:8067");
    let story = Story::of(&[
        tcp(client, server, b"", 0),
        tcp(client, server, b"HEAD /image/a.efi HTTP/1.1\r\n", 28),
        tcp(server, client, b"HTTP/1.1 200 OK\r\n", 60),
        tcp(client, server, b"GET /image/a.efi?x=1 HTTP/1.1\r\n", 31),
        tcp(server, client, b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n", 54),
        tcp(server, client, b"", 1000),
        tcp(server, client, b"", 200),
    ]);
    let seen: Vec<_> =
        story.requests().iter().map(|r| (r.method.as_str(), r.target.as_str(), r.status, r.bytes)).collect();
    assert_eq!(seen, [("HEAD", "/image/a.efi", Some(200), 60), ("GET", "/image/a.efi?x=1", Some(206), 1054)]);
}
