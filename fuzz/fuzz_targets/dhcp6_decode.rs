//! Any UDP payload to port 547: read without panic, what could be read is written and read the same; answered by a desk without
//! panic, with an answer that can be read and goes back through the same relays; and any payload to router discovery.
#![no_main]

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use slipway_engine::Timestamp;
use slipway_engine::catalog::Catalog;
use slipway_engine::dhcp4::Policy;
use slipway_engine::dhcp6::{Desk, Heard, Link};
use slipway_engine::draft::settle;
use slipway_engine::ladder::Ladders;
use slipway_engine::machine::Memories;
use slipway_engine::rules::Rules;
use slipway_engine::subnet::Subnet6;
use slipway_wire::dhcp6::{Duid, Packet};
use slipway_wire::ndp::Solicitation;

const OURS: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);

fuzz_target!(|bytes: &[u8]| {
    let _ = Solicitation::decode(bytes);
    let Ok(packet) = Packet::decode(bytes) else { return };
    let _ = packet.describe();
    let written = packet.encode();
    let again = Packet::decode(&written).expect("we read what we write");
    assert_eq!((&again.relays, &again.message.options), (&packet.relays, &packet.message.options));
    assert_eq!(again.encode(), written);
    answer(bytes, &packet);
});

fn answer(bytes: &[u8], asked: &Packet) {
    let network = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0);
    let pools = vec![(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, 0), Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, 7))];
    let (dns, domains, lease) = (vec![OURS], vec!["lab".into()], Duration::from_secs(600));
    let subnet = Subnet6 { network, prefix: 64, pools, dns, domains, lease, reservations: Vec::new(), shared: None };
    let mut desk = Desk::default();
    desk.book_mut().arrange(vec![subnet.clone()], &[OURS]);
    // A server that every message is for, so that all of them are looked at.
    let server = asked.message.options.server_id().unwrap_or_else(|| Duid::of_uuid([7; 16]));
    let networks = [(OURS, 64)];
    let link = Link { interface: "eth0", networks: &networks, server: &server, http_port: 80 };
    let (rules, catalog, machines) = (Rules::zero_configuration(), Catalog::default(), Memories::default());
    let policy = Policy { rules: &rules, catalog: &catalog, machines: &machines, ladders: &Ladders::default() };
    let from = SocketAddrV6::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, 1), 546, 0, 2);
    for at in [Timestamp(1), Timestamp(2), Timestamp(1_000_000)] {
        let draft = desk.answer(Heard { data: bytes, from }, link, policy, at);
        let settled = settle(vec![draft], |_| Ok::<(), &str>(()));
        for reply in settled.into_iter().filter_map(|settled| settled.reply) {
            let reply = Packet::decode(&reply.data).expect("we read what we answer");
            assert_eq!((reply.relays.len(), reply.message.xid), (asked.relays.len(), asked.message.xid));
            let given = reply.message.options.ias().flat_map(|ia| ia.addresses().collect::<Vec<_>>());
            assert!(given.filter(|address| address.valid > 0).all(|address| subnet.holds(address.ip)));
        }
        assert!(desk.book().len() <= 8, "no more leases than addresses");
    }
}
