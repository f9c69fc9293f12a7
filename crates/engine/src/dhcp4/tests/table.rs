//! Each message in each state of its client, as rows.

use super::*;

/// What a row does before the message that counts.
type Before = fn(&mut Net);

const fn nothing(_: &mut Net) {}

fn leased(net: &mut Net) {
    assert_eq!(net.lease(1), ip(100));
}

fn offered(net: &mut Net) {
    assert_eq!(net.ask(&discover(1)).summary(), "OFFER 10.77.0.100");
}

fn released(net: &mut Net) {
    leased(net);
    net.ask(&release(1, ip(100)));
}

fn expired(net: &mut Net) {
    leased(net);
    net.wait(LEASE.as_secs() + 1);
}

fn leased_to_another(net: &mut Net) {
    assert_eq!(net.lease(2), ip(100));
}

fn both_leased(net: &mut Net) {
    leased(net);
    assert_eq!(net.lease(2), ip(101));
}

fn full(net: &mut Net) {
    (2..6).for_each(|client| _ = net.lease(client));
}

fn declined(net: &mut Net) {
    leased(net);
    net.ask(&decline(1, ip(100)));
}

fn other_server(message: Message) -> Message {
    let mut message = message;
    message.options.set_ip(OptionCode::SERVER_ID, ip(2));
    message
}

fn wishing(message: Message, wish: Ipv4Addr) -> Message {
    let mut message = message;
    message.options.set_ip(OptionCode::REQUESTED_IP, wish);
    message
}

#[test]
fn every_message_in_every_state_gets_what_rfc_2131_and_firmware_want() {
    let far = Ipv4Addr::new(10, 9, 0, 7);
    let rows: Vec<(&str, Before, Message, &str)> = vec![
        ("a newcomer", nothing, discover(1), "OFFER 10.77.0.100"),
        ("one with a lease", leased, discover(1), "OFFER 10.77.0.100"),
        ("one that asks twice", offered, discover(1), "OFFER 10.77.0.100"),
        ("a second newcomer", offered, discover(2), "OFFER 10.77.0.101"),
        ("one that left", released, discover(1), "OFFER 10.77.0.100"),
        ("a newcomer, another having left", released, discover(2), "OFFER 10.77.0.101"),
        ("one whose lease is over", expired, discover(1), "OFFER 10.77.0.100"),
        ("one with a wish", nothing, wishing(discover(1), ip(102)), "OFFER 10.77.0.102"),
        ("one whose wish is taken", leased_to_another, wishing(discover(1), ip(100)), "OFFER 10.77.0.101"),
        ("one whose wish is no pool's", nothing, wishing(discover(1), ip(50)), "OFFER 10.77.0.100"),
        ("one whose wish is reserved", nothing, wishing(discover(1), ip(104)), "OFFER 10.77.0.100"),
        ("one with a reservation", nothing, discover(9), "OFFER 10.77.0.104"),
        ("a newcomer to a full pool", full, discover(1), "silence: pool-empty"),
        ("a reservation, the pool being full", full, discover(9), "OFFER 10.77.0.104"),
        ("one that declined", declined, discover(1), "OFFER 10.77.0.101"),
        ("a relayed one", nothing, relayed(discover(1)), "OFFER 10.9.0.100"),
        (
            "one of a relay we know nothing of",
            nothing,
            Message { giaddr: ip(1) & Ipv4Addr::new(9, 0, 0, 0), ..discover(1) },
            "silence: no-subnet",
        ),
        ("selecting our offer", offered, select(1, ip(100)), "ACK 10.77.0.100"),
        ("selecting without an offer that we remember", nothing, select(1, ip(101)), "ACK 10.77.0.101"),
        ("selecting another's", offered, other_server(select(1, ip(100))), "silence: other-server"),
        ("selecting too late", leased_to_another, select(1, ip(100)), "NAK"),
        ("a ROM selecting too late", leased_to_another, pxe(select(1, ip(100))), "silence: wrong-address"),
        ("selecting what was offered to another", offered, select(2, ip(100)), "NAK"),
        ("selecting what is reserved for another", nothing, select(1, ip(104)), "NAK"),
        ("selecting our own address", nothing, select(1, SERVER), "NAK"),
        ("selecting the router's", nothing, select(1, ip(254)), "NAK"),
        ("rebooting with its lease", leased, reboot(1, ip(100)), "ACK 10.77.0.100"),
        ("rebooting with its former lease", expired, reboot(1, ip(100)), "ACK 10.77.0.100"),
        ("rebooting with another address of ours", leased, reboot(1, ip(101)), "NAK"),
        ("rebooting with another network's", leased, reboot(1, far), "NAK"),
        ("rebooting unknown to us", nothing, reboot(1, ip(100)), "silence: wrong-address"),
        ("rebooting unknown to us from another network", nothing, reboot(1, Ipv4Addr::new(192, 168, 1, 5)), "NAK"),
        ("renewing", leased, renew(1, ip(100)), "ACK 10.77.0.100"),
        ("renewing what is another's", both_leased, renew(1, ip(101)), "NAK"),
        ("renewing what we forgot", nothing, renew(1, ip(102)), "ACK 10.77.0.102"),
        ("renewing what is no pool's", nothing, renew(1, ip(50)), "NAK"),
        ("renewing in no subnet of ours", nothing, renew(1, Ipv4Addr::new(192, 168, 1, 5)), "NAK"),
        (
            "renewing through a relay",
            |net| assert_eq!(net.ask(&relayed(discover(1))).summary(), "OFFER 10.9.0.100"),
            relayed(renew(1, Ipv4Addr::new(10, 9, 0, 100))),
            "ACK 10.9.0.100",
        ),
        ("releasing", leased, release(1, ip(100)), "taken: 10.77.0.100 released"),
        ("releasing another's", both_leased, release(1, ip(101)), "silence: wrong-address"),
        ("releasing what it does not have", nothing, release(1, ip(100)), "silence: wrong-address"),
        (
            "declining its lease",
            leased,
            decline(1, ip(100)),
            "taken: 10.77.0.100 is somebody else's, kept out of use for a while",
        ),
        (
            "declining its offer",
            offered,
            decline(1, ip(100)),
            "taken: 10.77.0.100 is somebody else's, kept out of use for a while",
        ),
        ("declining what it never had", nothing, decline(1, ip(100)), "silence: wrong-address"),
        ("declining what is another's", both_leased, decline(1, ip(101)), "silence: wrong-address"),
        ("declining another server's", leased, other_server(decline(1, ip(100))), "silence: other-server"),
        ("informing itself", nothing, inform(1, ip(50)), "ACK"),
        (
            "informing itself from a network of nobody: our parameters would be wrong there",
            nothing,
            inform(1, Ipv4Addr::new(192, 168, 1, 5)),
            "silence: no-subnet",
        ),
        ("informing itself without an address", nothing, message(1, MessageType::INFORM), "ACK"),
        ("informing itself from behind a router", nothing, inform(1, far), "ACK"),
        ("selecting an address that it was never offered beside the one it has", leased, select(1, ip(101)), "NAK"),
        ("renewing an address that it never had beside the one it has", leased, renew(1, ip(101)), "NAK"),
        (
            "rebooting behind a relay we know nothing of",
            leased,
            Message { giaddr: ip(1) & Ipv4Addr::new(9, 0, 0, 0), ..reboot(1, ip(100)) },
            "silence: no-subnet",
        ),
        ("a server's message", nothing, message(1, MessageType::OFFER), "silence: not-for-us"),
        ("a message of an unknown type", nothing, message(1, MessageType(77)), "silence: not-for-us"),
        ("a request for nothing", nothing, message(1, MessageType::REQUEST), "silence: not-for-us"),
    ];
    for (what, before, message, expected) in rows {
        let mut net = Net::new();
        before(&mut net);
        assert_eq!(net.ask(&message).summary(), expected, "{what}");
    }
}

#[test]
fn where_we_are_not_the_authority_nobody_is_told_no() {
    for message in [select(1, ip(100)), reboot(1, ip(101)), renew(1, ip(100)), reboot(1, Ipv4Addr::new(192, 168, 1, 5))]
    {
        let mut net = Net::with(vec![Subnet { authoritative: false, ..subnet() }]);
        leased_to_another(&mut net);
        assert_eq!(net.ask(&message).summary(), "silence: wrong-address");
    }
    let mut net = Net::with(vec![Subnet { authoritative: false, ..subnet() }]);
    assert_eq!(net.ask(&renew(1, ip(102))).summary(), "silence: wrong-address", "another server's client");
}

#[test]
fn rom_ipxe_and_system_of_one_machine_get_one_address() {
    let mut net = Net::new();
    let ids: [&[u8]; 3] = [&[0; 17], &[1, 0x52, 0x54, 0, 0, 0, 1], &[255, 0, 0, 0, 1, 0, 4, 7]];
    for id in ids {
        let with_id = |mut message: Message| {
            message.options.set(OptionCode::CLIENT_ID, id);
            message
        };
        assert_eq!(net.ask(&with_id(discover(1))).summary(), "OFFER 10.77.0.100");
        assert_eq!(net.ask(&with_id(select(1, ip(100)))).summary(), "ACK 10.77.0.100");
    }
}

#[test]
fn a_client_that_rebinds_is_answered_where_its_address_belongs() {
    let mut net = Net::new();
    leased(&mut net);
    assert_eq!(net.ask_aloud(&renew(1, ip(100))).summary(), "ACK 10.77.0.100");
    let moved = net.ask_aloud(&renew(1, Ipv4Addr::new(10, 9, 0, 100)));
    assert_eq!(moved.summary(), "NAK", "its address belongs behind the relay");
    assert_eq!(moved.to, Some(SocketAddrV4::new(Ipv4Addr::BROADCAST, 68)));
}

#[test]
fn an_offer_holds_its_address_for_sixteen_seconds_and_no_longer() {
    let mut net = Net::with(vec![Subnet { pools: vec![(ip(100), ip(100))], ..subnet() }]);
    offered(&mut net);
    net.wait(HOLD.as_secs() - 1);
    assert_eq!(net.ask(&discover(2)).summary(), "silence: pool-empty");
    net.wait(1);
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.100");
    assert_eq!(net.ask(&select(1, ip(100))).summary(), "NAK");
}

#[test]
fn choosing_another_server_frees_our_offer_at_once() {
    let mut net = Net::with(vec![Subnet { pools: vec![(ip(100), ip(100))], ..subnet() }]);
    offered(&mut net);
    net.ask(&other_server(select(1, ip(100))));
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.100");
}

#[test]
fn the_address_left_longest_ago_is_given_away_first() {
    let mut net = Net::new();
    full(&mut net);
    for client in [3, 5, 2, 4] {
        net.wait(1);
        net.ask(&release(client, ip(98 + client)));
    }
    assert_eq!(net.lease(1), ip(101));
    assert_eq!(net.ask(&discover(3)).summary(), "OFFER 10.77.0.103", "its own was given away");
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.100", "its own is still free");
}

#[test]
fn a_declined_address_comes_back_after_its_quarantine() {
    let mut net = Net::with(vec![Subnet { pools: vec![(ip(100), ip(100))], ..subnet() }]);
    declined(&mut net);
    assert_eq!(net.ask(&discover(2)).summary(), "silence: pool-empty");
    net.wait(QUARANTINE.as_secs());
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.100");
}

#[test]
fn a_client_may_ask_for_a_shorter_lease_but_not_for_a_longer_one() {
    for (wish, expected) in [(None, 3600), (Some(600), 600), (Some(5), 60), (Some(u32::MAX), 3600)] {
        let mut net = Net::new();
        let mut message = select(1, ip(100));
        wish.map(|wish| message.options.set_u32(OptionCode::LEASE_TIME, wish));
        let reply = net.ask(&message).reply.unwrap();
        assert_eq!(reply.options.lease_time(), Some(expected), "{wish:?}");
        assert_eq!(reply.options.array(OptionCode::RENEWAL_TIME).map(u32::from_be_bytes), Some(expected / 2));
    }
}

#[test]
fn a_change_of_subnets_keeps_the_leases() {
    let mut net = Net::new();
    both_leased(&mut net);
    let wider = Subnet { pools: vec![(ip(90), ip(110))], ..subnet() };
    net.desk.book_mut().arrange(vec![wider], &[SERVER], net.now);
    assert_eq!(net.ask(&renew(1, ip(100))).summary(), "ACK 10.77.0.100");
    assert_eq!(net.lease(3), ip(90));
    let reserved = Reservation { who: Who::Machine(mac(4)), ip: ip(100), hostname: None };
    net.desk.book_mut().arrange(vec![Subnet { reservations: vec![reserved], ..subnet() }], &[SERVER], net.now);
    assert_eq!(net.ask(&discover(4)).summary(), "OFFER 10.77.0.102", "its reservation is still leased to another");
    assert_eq!(net.ask(&renew(1, ip(100))).summary(), "NAK", "its address is now reserved for another");
    net.wait(LEASE.as_secs());
    assert_eq!(net.ask(&discover(4)).summary(), "OFFER 10.77.0.100");
}

#[test]
fn a_flood_of_strangers_does_not_keep_known_machines_out() {
    let wide = Subnet {
        pools: vec![(Ipv4Addr::new(10, 64, 0, 0), Ipv4Addr::new(10, 127, 255, 255))],
        network: Ipv4Addr::new(10, 64, 0, 0),
        prefix: 10,
        ..subnet()
    };
    let mut net = Net::with(vec![wide]);
    let mine = net.lease(1);
    let mut limited = 0;
    for stranger in 0..HOLDS_MAX + 10 {
        let [.., a, b] = u32::try_from(stranger).unwrap().to_be_bytes();
        let mut message = discover(0);
        message.chaddr[..6].copy_from_slice(&[2, 0, 0, 9, a, b]);
        limited += usize::from(net.ask(&message).summary() == "silence: limited");
    }
    assert_eq!(limited, 10);
    assert_eq!(net.ask(&discover(1)).summary(), format!("OFFER {mine}"));
    assert_eq!(net.ask(&discover(2)).summary(), "silence: limited");
    net.wait(HOLD.as_secs());
    assert!(net.ask(&discover(2)).summary().starts_with("OFFER"));
}

#[test]
fn an_answer_that_cannot_be_made_durable_does_not_leave() {
    let mut net = Net::new();
    let offer = net.draft(
        &discover(1).encode(1472).unwrap(),
        SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        Ipv4Addr::BROADCAST,
    );
    let ack = net.draft(
        &select(1, ip(100)).encode(1472).unwrap(),
        SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
        Ipv4Addr::BROADCAST,
    );
    assert!(!offer.needs_commit() && ack.needs_commit());
    let settled = settle(vec![offer, ack], |_| Err("the disk is full"));
    assert!(settled[0].reply.is_some(), "an offer needs no disk");
    assert_eq!(settled[1].reply, None);
    assert_eq!(
        settled[1].entry.outcome.to_string(),
        "failed: not answered, because it could not be made durable: the disk is full"
    );
    assert_eq!(net.ask(&select(1, ip(100))).summary(), "ACK 10.77.0.100", "the disk has room again");
}

#[test]
fn the_journal_says_who_asked_for_what_and_what_came_of_it() {
    let mut net = Net::new();
    leased(&mut net);
    let rows = [
        (pxe(discover(1)), "DISCOVER x64 UEFI pxe", "OFFER 10.77.0.100 image/debian/uki.efi"),
        (renew(1, ip(100)), "REQUEST renewing 10.77.0.100 os", "ACK 10.77.0.100"),
        (relayed(discover(2)), "DISCOVER os via 10.9.0.1", "OFFER 10.9.0.100"),
        (
            reboot(1, ip(101)),
            "REQUEST init-reboot 10.77.0.101 os",
            "NAK (wrong-address): the address asked for is not this client's",
        ),
    ];
    for (message, asked, outcome) in rows {
        let entry = net.ask(&message).entry;
        assert_eq!((entry.asked.as_str(), entry.outcome.to_string().as_str()), (asked, outcome));
    }
    let entry = net.ask(&renew(1, ip(100))).entry;
    assert_eq!((entry.mac, v4(entry.ip), entry.at), (Some(mac(1)), Some(ip(100)), net.now));
}

#[test]
fn what_cannot_be_read_is_the_peers_fault_at_every_length() {
    let mut net = Net::new();
    let whole = pxe(discover(1)).encode(1472).unwrap();
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    for len in 0..240 {
        let seen = net.hear(&whole[..len], from, Ipv4Addr::BROADCAST);
        assert!(seen.reply.is_none() && matches!(seen.entry.outcome, Outcome::Peer(_)), "{len}: {:?}", seen.entry);
    }
    let mut odd = discover(1);
    odd.hlen = 5;
    assert_eq!(net.ask(&odd).summary(), "silence: not-for-us");
}

#[test]
fn a_machine_to_ignore_gets_not_even_an_address_and_one_without_rule_gets_only_that() {
    let mut net = Net { rules: rules(Then::Ignore), ..Net::new() };
    assert_eq!(net.ask(&pxe(discover(1))).summary(), "silence: ignored");
    assert_eq!(net.ask(&discover(1)).summary(), "OFFER 10.77.0.100", "its operating system is no boot");
    net.rules = Rules::default();
    let seen = net.ask(&pxe(discover(1)));
    let reply = seen.reply.unwrap();
    assert_eq!((reply.siaddr, reply.file_name(), reply.options.boot_file()), (Ipv4Addr::UNSPECIFIED, &b""[..], None));
    assert_eq!(
        seen.entry.outcome.to_string(),
        "OFFER 10.77.0.100, nothing to boot (no-rule): no rule matches this machine"
    );
    net.rules = rules(Then::Local);
    assert!(net.ask(&pxe(discover(1))).reply.unwrap().options.boot_file().is_none());
}
