//! A network in memory: one subnet, a desk, clients as the messages they send.

mod golden;
mod model;
mod recipes;

use core::net::{Ipv6Addr, SocketAddrV6};
use core::time::Duration;

use slipway_wire::dhcp6::{Duid, Ia, IaAddr, IaKind, Message, MessageType, OptionCode, Packet, Relay, StatusCode};
use slipway_wire::{Cpu, MacAddr};

use super::*;
use crate::Timestamp;
use crate::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use crate::dhcp4::Policy;
use crate::draft::settle;
use crate::journal::{Entry, Outcome};
use crate::ladder::Ladders;
use crate::machine::Memories;
use crate::rules::{Boot, Path, Rule, Rules, Then, When};
use crate::subnet::{Reservation6, Subnet6};

fn addr(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The address of the served subnet that ends in this number.
fn ip(last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last)
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, last])
}

fn duid(last: u8) -> Duid {
    Duid::new(&[0, 2, 0, 0, 0, 9, last]).unwrap()
}

fn server_id() -> Duid {
    Duid::of_uuid([7; 16])
}

/// `fd77::/64` with four addresses to give, 100-103, of which 103 is reserved for machine 9.
fn subnet() -> Subnet6 {
    Subnet6 {
        network: addr("fd77::"),
        prefix: 64,
        pools: vec![(ip(0x100), ip(0x101)), (ip(0x102), ip(0x103))],
        dns: vec![ip(0x53)],
        domains: vec!["lab.example".into()],
        lease: Duration::from_secs(3600),
        reservations: vec![Reservation6 { mac: mac(9), ip: ip(0x103) }],
        shared: None,
    }
}

/// `fd88::/64`, behind a relay.
fn far_subnet() -> Subnet6 {
    let pools = vec![(addr("fd88::100"), addr("fd88::ffff"))];
    Subnet6 { network: addr("fd88::"), pools, reservations: Vec::new(), ..subnet() }
}

fn catalog() -> Catalog {
    let file = FileRef { digest: Digest([7; 32]), size: 4096 };
    let image = Image {
        name: "debian".into(),
        version: "1".into(),
        kind: ImageKind::Uki,
        cpu: Some(Cpu::X64),
        cmdline: None,
        files: [Image::UKI, Image::LINUX, Image::INITRD].map(|name| (name.to_owned(), file)).into(),
    };
    let loaders = ["snponly.efi", "ipxe.efi"].map(|name| (name.to_owned(), file)).into();
    Catalog { images: [("debian".to_owned(), vec![image])].into(), loaders, ..Catalog::default() }
}

fn rules(then: Then) -> Rules {
    Rules { rules: vec![Rule { name: "everything".into(), when: When::default(), then, https: None, install: None }] }
}

/// What a message led to.
#[derive(Debug)]
struct Seen {
    packet: Option<Packet>,
    to: Option<SocketAddrV6>,
    entry: Entry,
    writes: Vec<Write>,
}

impl Seen {
    fn reply(&self) -> &Message {
        &self.packet.as_ref().unwrap().message
    }

    /// The addresses of the reply that live.
    fn ips(&self) -> Vec<Ipv6Addr> {
        let all: Vec<IaAddr> = self.reply().options.ias().flat_map(|ia| ia.addresses().collect::<Vec<_>>()).collect();
        all.into_iter().filter(|address| address.valid > 0).map(|address| address.ip).collect()
    }

    fn ia_status(&self) -> Option<StatusCode> {
        self.reply().options.ias().find_map(|ia| ia.options.status().map(|status| status.code))
    }

    /// `REPLY 1`, `REPLY NoBinding`, `silence: pool-empty`.
    fn summary(&self) -> String {
        match (&self.packet, &self.entry.outcome) {
            (Some(packet), _) => {
                let status = packet.message.options.status().map(|status| status.code).or(self.ia_status());
                let what = status.map_or_else(|| self.ips().len().to_string(), |code| code.to_string());
                format!("{} {what}", packet.message.kind)
            }
            (None, Outcome::Declined(why)) => format!("silence: {}", why.code()),
            (None, outcome) => format!("fault: {outcome}"),
        }
    }
}

/// The server with its network.
struct Net {
    desk: Desk,
    rules: Rules,
    catalog: Catalog,
    now: Timestamp,
    disk_works: bool,
}

impl Net {
    fn new() -> Self {
        Self::with(vec![subnet(), far_subnet()])
    }

    fn with(subnets: Vec<Subnet6>) -> Self {
        let mut desk = Desk::default();
        desk.book_mut().arrange(subnets, &[ip(1)]);
        let rules = rules(Then::Boot(Boot { image: "debian".into(), version: None, path: Path::Auto, append: None }));
        Self { desk, rules, catalog: catalog(), now: Timestamp(1_000_000), disk_works: true }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn hear(&mut self, data: &[u8], from: SocketAddrV6) -> Seen {
        let server = server_id();
        let networks = [(addr("fe80::1"), 64), (ip(1), 64)];
        let link = Link { interface: "eth1", networks: &networks, server: &server, http_port: 8067 };
        let machines = Memories::default();
        let policy =
            Policy { rules: &self.rules, catalog: &self.catalog, machines: &machines, ladders: &Ladders::default() };
        let draft = self.desk.answer(Heard { data, from }, link, policy, self.now);
        let mut writes = Vec::new();
        let works = self.disk_works;
        let commit = |list: &[Write]| {
            writes = list.to_vec();
            if works { Ok(()) } else { Err("disk full") }
        };
        let settled = settle(vec![draft], commit).pop().unwrap();
        let packet = settled.reply.as_ref().map(|reply| Packet::decode(&reply.data).unwrap());
        if let Some(packet) = &packet {
            assert!(packet.message.faults.is_empty(), "{:?}", packet.message.faults);
        }
        Seen { packet, to: settled.reply.map(|reply| reply.to), entry: settled.entry, writes }
    }

    /// Hears a message of the machine with this number, from its link-local address.
    fn ask(&mut self, machine: u8, message: &Message) -> Seen {
        self.hear(&message.encode(), SocketAddrV6::new(link_local(machine), 546, 0, 3))
    }

    /// The same through a relay on `fd88::/64`.
    fn ask_from_afar(&mut self, message: &Message, told: Option<MacAddr>) -> Seen {
        self.hear_relayed(&relayed(message.clone(), told))
    }

    fn hear_relayed(&mut self, packet: &Packet) -> Seen {
        self.hear(&packet.encode(), SocketAddrV6::new(addr("fd88::1"), 547, 0, 0))
    }

    /// SOLICIT and REQUEST.
    fn lease(&mut self, machine: u8) -> Ipv6Addr {
        let offered = self.ask(machine, &solicit(machine)).ips();
        let given = self.ask(machine, &about(machine, MessageType::REQUEST, &offered)).ips();
        assert_eq!(given, offered);
        given[0]
    }
}

/// A message in the envelope of the relay on `fd88::/64`, which may tell the client's card.
fn relayed(message: Message, told: Option<MacAddr>) -> Packet {
    let mut relay = Relay {
        kind: MessageType::RELAY_FORWARD,
        hops: 0,
        link: addr("fd88::1"),
        peer: addr("fe80::abcd"),
        options: slipway_wire::dhcp6::Options::new(),
    };
    relay.options.push(OptionCode::INTERFACE_ID, *b"port 7");
    if let Some(mac) = told {
        relay.options.push(OptionCode::LINK_LAYER_ADDRESS, [&[0, 1], &mac.0[..]].concat());
    }
    Packet { relays: vec![relay], message }
}

/// The address that firmware makes from its card.
fn link_local(machine: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5054, 0xff, 0xfe00, machine.into())
}

fn solicit(machine: u8) -> Message {
    message(machine, MessageType::SOLICIT, &[])
}

/// A message for our server about these addresses.
fn about(machine: u8, kind: MessageType, ips: &[Ipv6Addr]) -> Message {
    let mut message = message(machine, kind, ips);
    message.options.push(OptionCode::SERVER_ID, server_id().as_bytes());
    message
}

fn message(machine: u8, kind: MessageType, ips: &[Ipv6Addr]) -> Message {
    let mut message = Message::new(kind, 0x0012_3456);
    message.options.push(OptionCode::CLIENT_ID, duid(machine).as_bytes());
    let mut ia = Ia::new(IaKind::NonTemporary, 1);
    for ip in ips {
        ia.push(&IaAddr { ip: *ip, preferred: 0, valid: 0 });
    }
    message.options.push_ia(&ia);
    message
}

#[test]
fn an_address_is_offered_given_extended_and_given_back() {
    let mut net = Net::new();
    let offer = net.ask(1, &solicit(1));
    assert_eq!((offer.summary().as_str(), offer.writes.len()), ("ADVERTISE 1", 0));
    assert_eq!(offer.reply().options.preference(), Some(255));
    assert!(net.desk.book().is_empty(), "an offer takes nothing");
    let ip = offer.ips()[0];
    let given = net.ask(1, &about(1, MessageType::REQUEST, &[ip]));
    let until = net.now.plus(Duration::from_secs(3600));
    let holder = Holder::Client(ClientKey { duid: duid(1), iaid: 1, kind: IaKind::NonTemporary });
    assert_eq!(given.writes, [Write::Put(Record { ip, holder, until })]);
    assert_eq!(given.reply().options.preference(), None);
    let ia = given.reply().options.ias().next().unwrap();
    assert_eq!((ia.t1, ia.t2, ia.addresses().next().unwrap().valid), (1800, 2880, 3600));
    assert_eq!(given.reply().options.ips(OptionCode::DNS), [super::tests::ip(0x53)]);
    net.wait(1800);
    assert_eq!(net.ask(1, &about(1, MessageType::RENEW, &[ip])).ips(), [ip]);
    net.wait(3000);
    assert_eq!(net.ask(1, &message(1, MessageType::REBIND, &[ip])).ips(), [ip]);
    let back = net.ask(1, &about(1, MessageType::RELEASE, &[ip]));
    assert_eq!((back.summary().as_str(), back.writes), ("REPLY Success", vec![Write::Drop(ip)]));
    assert!(net.desk.book().is_empty());
    assert_eq!(net.ask(1, &about(1, MessageType::RELEASE, &[ip])).ia_status(), Some(StatusCode::NO_BINDING));
}

#[test]
fn a_reply_goes_to_the_client_port_on_the_link_that_the_question_came_from() {
    let mut net = Net::new();
    assert_eq!(net.ask(1, &solicit(1)).to, Some(SocketAddrV6::new(link_local(1), 546, 0, 3)));
}

#[test]
fn messages_are_held_against_the_rules_of_the_rfc() {
    let mut net = Net::new();
    let lease = net.lease(1);
    let other = |kind| {
        let mut message = message(1, kind, &[lease]);
        message.options.push(OptionCode::SERVER_ID, Duid::of_uuid([8; 16]).as_bytes());
        message
    };
    let mut anonymous = Message::new(MessageType::SOLICIT, 1);
    anonymous.options.push_ia(&Ia::new(IaKind::NonTemporary, 1));
    let mut prefixes = Message::new(MessageType::SOLICIT, 1);
    prefixes.options.push(OptionCode::CLIENT_ID, duid(1).as_bytes()).push(OptionCode::IA_PD, [0; 12]);
    for (what, message, expected) in [
        ("a SOLICIT for a server", about(1, MessageType::SOLICIT, &[]), "silence: not-for-us"),
        ("a SOLICIT of nobody", anonymous, "silence: not-for-us"),
        ("a SOLICIT for prefixes", prefixes, "silence: not-for-us"),
        ("a REQUEST for no server", message(1, MessageType::REQUEST, &[]), "silence: not-for-us"),
        ("a REQUEST for another server", other(MessageType::REQUEST), "silence: other-server"),
        ("a RENEW for another server", other(MessageType::RENEW), "silence: other-server"),
        ("a REBIND for a server", about(1, MessageType::REBIND, &[lease]), "silence: not-for-us"),
        ("a CONFIRM of what fits", message(1, MessageType::CONFIRM, &[lease]), "REPLY Success"),
        ("a CONFIRM of what does not", message(1, MessageType::CONFIRM, &[addr("fd99::1")]), "REPLY NotOnLink"),
        ("a CONFIRM of nothing", message(1, MessageType::CONFIRM, &[]), "silence: not-for-us"),
        ("a RENEW of what is another's", about(2, MessageType::RENEW, &[lease]), "REPLY NoBinding"),
        ("a RENEW of another network's", about(1, MessageType::RENEW, &[addr("fd99::1")]), "REPLY NoBinding"),
        ("a REBIND of what is another's", message(2, MessageType::REBIND, &[lease]), "silence: wrong-address"),
        ("a DECLINE of what is another's", about(2, MessageType::DECLINE, &[lease]), "REPLY Success"),
        ("a REPLY", about(1, MessageType::REPLY, &[lease]), "silence: not-for-us"),
    ] {
        let expected = if what.contains("of nothing") { "silence: no-subnet" } else { expected };
        assert_eq!(net.ask(1, &message).summary(), expected, "{what}");
    }
    let journal = net.hear(&[1, 2], SocketAddrV6::new(link_local(1), 546, 0, 3)).entry;
    assert!(matches!(journal.outcome, Outcome::Peer(_)), "{:?}", journal.outcome);
}

#[test]
fn a_client_is_one_lease_for_each_of_its_associations() {
    let mut net = Net::new();
    let mut both = solicit(1);
    both.options.push_ia(&Ia::new(IaKind::NonTemporary, 2)).push_ia(&Ia::new(IaKind::Temporary, 1));
    let offered = net.ask(1, &both).ips();
    assert_eq!(offered.len(), 3, "each has an address of its own: {offered:?}");
    let mut request = about(1, MessageType::REQUEST, &[]);
    request.options.push_ia(&Ia::new(IaKind::NonTemporary, 2)).push_ia(&Ia::new(IaKind::Temporary, 1));
    assert_eq!(net.ask(1, &request).ips(), offered);
    assert_eq!(net.ask(2, &solicit(2)).summary(), "silence: pool-empty", "the fourth address is reserved");
    let refused = net.ask(2, &about(2, MessageType::REQUEST, &[]));
    assert_eq!((refused.summary().as_str(), refused.writes.len()), ("REPLY NoAddrsAvail", 0));
    net.wait(3601);
    let seen = net.ask(2, &about(2, MessageType::REQUEST, &[]));
    let dropped = seen.writes.iter().filter(|write| matches!(write, Write::Drop(_))).count();
    assert_eq!((seen.summary().as_str(), dropped >= 2), ("REPLY 1", true), "what ended leaves the disk too");
}

#[test]
fn a_client_gets_the_same_address_again_though_nobody_remembers_it() {
    let (mut net, mut other) = (Net::new(), Net::new());
    let first = net.lease(1);
    net.ask(1, &about(1, MessageType::RELEASE, &[first]));
    net.wait(100_000);
    assert_eq!((net.lease(1), other.lease(1)), (first, first));
}

#[test]
fn a_reservation_belongs_to_its_machine_and_to_each_of_its_programs_in_turn() {
    let mut net = Net::new();
    assert_eq!(net.lease(9), ip(0x103));
    let wish = net.ask(1, &about(1, MessageType::REQUEST, &[ip(0x103)]));
    assert_ne!(wish.ips(), [ip(0x103)], "it is not everybody's");
    // The booted system has another DUID, and the firmware gave nothing back.
    let mut system = message(5, MessageType::SOLICIT, &[]);
    assert_eq!(net.ask(9, &system).ips(), [ip(0x103)]);
    system = about(5, MessageType::REQUEST, &[ip(0x103)]);
    assert_eq!(net.ask(9, &system).ips(), [ip(0x103)]);
    // Two associations of one program are two addresses.
    let mut second = solicit(5);
    second.options.push_ia(&Ia::new(IaKind::NonTemporary, 2));
    assert_eq!(net.ask(9, &second).ips().len(), 2);
}

#[test]
fn a_declined_address_rests_and_only_its_holder_can_decline_it() {
    let mut net = Net::new();
    let lease = net.lease(1);
    net.ask(2, &about(2, MessageType::DECLINE, &[lease]));
    assert_eq!(net.ask(1, &about(1, MessageType::RENEW, &[lease])).ips(), [lease]);
    net.ask(1, &about(1, MessageType::DECLINE, &[lease]));
    let wish = about(1, MessageType::REQUEST, &[lease]);
    assert_ne!(net.ask(1, &wish).ips(), [lease]);
    net.wait(601);
    assert_eq!(net.ask(3, &about(3, MessageType::REQUEST, &[lease])).ips(), [lease]);
}

#[test]
fn what_is_not_durable_is_not_answered_and_not_given_to_others() {
    let mut net = Net::new();
    net.disk_works = false;
    let wanted = net.ask(1, &solicit(1)).ips();
    let seen = net.ask(1, &about(1, MessageType::REQUEST, &wanted));
    assert!(seen.packet.is_none() && matches!(seen.entry.outcome, Outcome::Ourselves(_)), "{:?}", seen.entry.outcome);
    net.disk_works = true;
    assert_ne!(net.ask(2, &about(2, MessageType::REQUEST, &wanted)).ips(), wanted);
    assert_eq!(net.ask(1, &about(1, MessageType::REQUEST, &wanted)).ips(), wanted);
}

#[test]
fn an_address_that_gives_way_to_another_stays_its_clients_until_it_ends() {
    let mut net = Net::new();
    let before = net.lease(1);
    let mut subnet = subnet();
    subnet.reservations.push(Reservation6 { mac: mac(1), ip: ip(0x555) });
    net.desk.book_mut().arrange(vec![subnet], &[ip(1)]);
    net.disk_works = false;
    assert!(net.ask(1, &about(1, MessageType::REQUEST, &[])).packet.is_none(), "it was not told of the new one");
    net.disk_works = true;
    assert_ne!(net.ask(2, &about(2, MessageType::REQUEST, &[before])).ips(), [before]);
    assert_eq!(net.ask(1, &about(1, MessageType::REQUEST, &[])).ips(), [ip(0x555)]);
}

#[test]
fn leases_outlive_the_process_and_ended_ones_do_not_come_back() {
    let mut net = Net::new();
    let lease = net.lease(1);
    let key = ClientKey { duid: duid(1), iaid: 1, kind: IaKind::NonTemporary };
    let live = Record { ip: lease, holder: Holder::Client(key.clone()), until: net.now.plus(Duration::from_secs(9)) };
    let ended = Record { ip: ip(0x555), holder: Holder::Client(key), until: Timestamp(5) };
    let mut again = Net::new();
    again.desk.book_mut().restore([live, ended], net.now);
    assert_eq!(again.desk.book().len(), 1);
    assert_ne!(again.ask(2, &about(2, MessageType::REQUEST, &[lease])).ips(), [lease]);
    assert_eq!(again.ask(1, &about(1, MessageType::RENEW, &[lease])).ips(), [lease]);
}

#[test]
fn a_client_without_lease_in_a_new_database_keeps_the_address_that_works() {
    let mut net = Net::new();
    assert_eq!(net.ask(1, &about(1, MessageType::RENEW, &[ip(0x101)])).ips(), [ip(0x101)]);
}

#[test]
fn an_identity_for_every_packet_is_bounded() {
    let wide = Subnet6 { pools: vec![(addr("fd77::1:0"), addr("fd77::ffff:ffff:ffff:ffff"))], ..subnet() };
    let mut net = Net::with(vec![wide]);
    for n in 0..LEASES_MAX {
        let mut duid = vec![0, 2, 0, 0, 0, 9];
        duid.extend(n.to_be_bytes());
        let client = ClientKey { duid: Duid::new(&duid).unwrap(), iaid: 1, kind: IaKind::NonTemporary };
        let ip = Ipv6Addr::from_bits(addr("fd77::2:0").to_bits() + u128::try_from(n).unwrap());
        let until = net.now.plus(Duration::from_secs(60));
        net.desk.book_mut().apply(&Write::Put(Record { ip, holder: Holder::Client(client), until }));
    }
    assert_eq!(net.ask(1, &solicit(1)).summary(), "silence: limited");
    net.wait(61);
    assert_eq!(net.ask(1, &solicit(1)).summary(), "ADVERTISE 1");
}
