//! The DHCPv6 plane on the loopback interface: its socket, the group commit that it shares, its coming and going.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slipway_engine::catalog::Catalog;
use slipway_engine::rules::Rules;
use slipway_engine::subnet::Subnet6;
use slipway_server::dhcp::{Handle, Ports, spawn};
use slipway_server::journal::Journal;
use slipway_server::site::{Interface, Ipv6, Mode, SharedSite, Site, TftpSettings};
use slipway_store::Blobs;
use slipway_store::leases::{LeaseStore, Memory};
use slipway_wire::dhcp6::{Ia, IaKind, Message, MessageType, OptionCode, Options, Packet, Relay};

const LOCAL: Ipv6Addr = Ipv6Addr::LOCALHOST;
const ANY_PORTS: Ports = Ports { dhcp: 0, boot_server: 0, dhcp6: 0 };

fn site(data: &std::path::Path, dhcp: bool) -> Site {
    let network: Ipv6Addr = "fd77::".parse().unwrap();
    let pools = vec![("fd77::100".parse().unwrap(), "fd77::1ff".parse().unwrap())];
    let lease = Duration::from_secs(600);
    Site {
        interfaces: vec![Interface {
            name: "lo".into(),
            index: 1,
            mac: [0; 6],
            v4: Vec::new(),
            v6: vec![(LOCAL, 128)],
            mtu: 1500,
            mode: Mode::Off,
            ipv6: Ipv6 { dhcp, ..Ipv6::default() },
        }],
        subnets: Vec::new(),
        subnets6: vec![Subnet6 {
            network,
            prefix: 64,
            pools,
            dns: Vec::new(),
            domains: Vec::new(),
            lease,
            reservations: Vec::new(),
            shared: None,
        }],
        rules: Rules::zero_configuration(),
        catalog: Catalog::default(),
        blobs: Blobs::under(data),
        http_port: 8067,
        https: None,
        export: None,
        tftp: TftpSettings { blksize_max: 1468, single_port: false, allow: Vec::new() },
    }
}

/// A relay on `fd77::/64` that may not use port 547 and says so: its answers come back to it.
fn ask(handle: &Handle, socket: &UdpSocket, message: Message) -> Packet {
    let mut options = Options::new();
    options.push(OptionCode::RELAY_PORT, [0, 0]).push(OptionCode::INTERFACE_ID, *b"it");
    options.push(OptionCode::LINK_LAYER_ADDRESS, [0, 1, 2, 0, 0, 0, 0, 1]);
    let (link, peer) = ("fd77::1".parse().unwrap(), "fe80::9".parse().unwrap());
    let relay = Relay { kind: MessageType::RELAY_FORWARD, hops: 0, link, peer, options };
    let port = handle.local_addr6("lo").unwrap().port();
    socket.send_to(&Packet { relays: vec![relay], message }.encode(), (LOCAL, port)).unwrap();
    let mut bytes = [0; 1500];
    let (len, from) = socket.recv_from(&mut bytes).unwrap();
    assert_eq!(from, SocketAddr::from((LOCAL, port)));
    Packet::decode(&bytes[..len]).unwrap()
}

fn message(kind: MessageType) -> Message {
    let mut message = Message::new(kind, 7);
    message.options.push(OptionCode::CLIENT_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
    message.options.push_ia(&Ia::new(IaKind::NonTemporary, 1));
    message
}

#[test]
fn an_address_goes_through_a_relay_and_is_in_the_store_before_its_reply_leaves() {
    let data = tempfile::tempdir().unwrap();
    let site: SharedSite = Arc::new(ArcSwap::from_pointee(site(data.path(), true)));
    let (journal, leases) = (Journal::default(), Memory::default());
    let handle = spawn(ANY_PORTS, leases.clone(), site.clone(), journal.clone()).unwrap();
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();

    let offer = ask(&handle, &socket, message(MessageType::SOLICIT));
    assert_eq!(offer.message.kind, MessageType::ADVERTISE);
    assert_eq!(offer.relays[0].options.get(OptionCode::INTERFACE_ID), Some(&b"it"[..]));
    assert!(leases.restore6().unwrap().is_empty());
    let server = offer.message.options.get(OptionCode::SERVER_ID).unwrap().to_vec();
    let mut request = message(MessageType::REQUEST);
    request.options.push(OptionCode::SERVER_ID, server.clone());
    let reply = ask(&handle, &socket, request.clone());
    let given = reply.message.options.ias().next().unwrap().addresses().next().unwrap().ip;
    assert_eq!(leases.restore6().unwrap().iter().map(|record| record.ip).collect::<Vec<_>>(), [given]);
    handle.shutdown();

    let handle = spawn(ANY_PORTS, leases.clone(), site, journal.clone()).unwrap();
    let again = ask(&handle, &socket, request);
    assert_eq!(again.message.options.get(OptionCode::SERVER_ID), Some(server.as_slice()), "we are the same");
    assert_eq!(again.message.options.ias().next().unwrap().addresses().next().unwrap().ip, given);
    handle.shutdown();
    let asked: Vec<String> =
        journal.machine("02:00:00:00:00:01".parse().unwrap()).unwrap().iter().map(|e| e.asked.clone()).collect();
    assert_eq!(
        asked,
        ["SOLICIT os via fd77::1 circuit it", "REQUEST os via fd77::1 circuit it", "REQUEST os via fd77::1 circuit it"]
    );
}

#[test]
fn a_reload_opens_and_closes_the_socket() {
    let data = tempfile::tempdir().unwrap();
    let shared: SharedSite = Arc::new(ArcSwap::from_pointee(site(data.path(), false)));
    let mut handle = spawn(ANY_PORTS, Memory::default(), shared, Journal::default()).unwrap();
    assert_eq!(handle.local_addr6("lo"), None);
    assert_eq!(handle.adopt(&site(data.path(), true)), Vec::<String>::new());
    assert!(handle.local_addr6("lo").is_some());
    assert_eq!(handle.adopt(&site(data.path(), false)), Vec::<String>::new());
    assert_eq!(handle.local_addr6("lo"), None);
    handle.shutdown();
}
