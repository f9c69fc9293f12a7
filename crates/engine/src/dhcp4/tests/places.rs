//! Where clients are plugged in: relays and their option 82, switches that tell ports, links of several subnets.

use slipway_wire::AgentId;

use super::*;

/// Option 82 with a circuit id.
fn on_port(mut message: Message, port: &str) -> Message {
    let mut info = vec![1, u8::try_from(port.len()).unwrap()];
    info.extend(port.as_bytes());
    message.options.set(OptionCode::RELAY_INFO, info);
    message
}

fn id(text: &str) -> Option<AgentId> {
    text.parse().ok()
}

/// Two subnets of one shared network, of two addresses and of one; and one far away.
fn shared() -> Net {
    let shared = Some("rack".to_owned());
    let small = Subnet { pools: vec![(ip(100), ip(101))], shared: shared.clone(), ..subnet() };
    let far = |last| Ipv4Addr::new(10, 78, 0, last);
    let for_two = Reservation { who: Who::Machine(mac(2)), ip: far(20), hostname: None };
    let sibling = Subnet {
        network: far(0),
        pools: vec![(far(100), far(100))],
        routers: vec![far(254)],
        reservations: vec![for_two],
        shared,
        ..subnet()
    };
    Net::with(vec![small, sibling, far_subnet()])
}

const fn sibling(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 78, 0, last)
}

#[test]
fn a_full_subnet_of_a_shared_network_goes_on_in_the_next_one() {
    let mut net = shared();
    assert_eq!([3, 4, 5].map(|client| net.lease(client)), [ip(100), ip(101), sibling(100)]);
    assert_eq!(net.ask(&discover(6)).summary(), "silence: pool-empty");
    let ack = net.ask(&renew(5, sibling(100))).reply.unwrap();
    assert_eq!(ack.options.ip(OptionCode::ROUTER), Some(sibling(254)), "each subnet has its own parameters");
    net.ask(&release(3, ip(100)));
    assert_eq!(net.ask(&discover(5)).summary(), "OFFER 10.78.0.100", "who has an address keeps it");
    assert_eq!(net.ask(&discover(3)).summary(), "OFFER 10.77.0.100");
}

#[test]
fn everybody_on_a_shared_network_has_their_place_in_either_subnet() {
    let far = Ipv4Addr::new(10, 9, 0, 7);
    let rows = [
        ("a reservation in the second", discover(2), "OFFER 10.78.0.20"),
        (
            "a wish in the second",
            {
                let mut m = discover(1);
                m.options.set_ip(OptionCode::REQUESTED_IP, sibling(100));
                m
            },
            "OFFER 10.78.0.100",
        ),
        ("an address of the second, selected", select(1, sibling(100)), "ACK 10.78.0.100"),
        ("an address of the second, rebound aloud", renew(1, sibling(100)), "ACK 10.78.0.100"),
        ("an address of no pool", select(1, sibling(50)), "NAK"),
        ("one reserved for another", select(1, sibling(20)), "NAK"),
        ("another network's", select(1, far), "NAK"),
        ("another network's, rebound", renew(1, far), "NAK"),
        ("unknown, rebooting with an address of the second", reboot(1, sibling(100)), "silence: wrong-address"),
        ("through a relay in the second", Message { giaddr: sibling(1), ..discover(1) }, "OFFER 10.78.0.100"),
        (
            "through a relay in the second, an address of the first",
            Message { giaddr: sibling(1), ..select(1, ip(100)) },
            "ACK 10.77.0.100",
        ),
        ("through a relay elsewhere, an address of here", relayed(select(1, ip(100))), "NAK"),
        ("through a relay elsewhere, with a reservation here", relayed(discover(2)), "OFFER 10.9.0.100"),
    ];
    for (what, message, expected) in rows {
        assert_eq!(shared().ask_aloud(&message).summary(), expected, "{what}");
    }
}

#[test]
fn who_moves_to_another_network_of_ours_is_told_so_at_once() {
    let mut net = shared();
    assert_eq!(net.lease(1), ip(100));
    let moved = net.ask(&relayed(reboot(1, ip(100))));
    assert_eq!((moved.summary().as_str(), moved.to), ("NAK", Some(SocketAddrV4::new(RELAY, 67))));
    assert!(moved.reply.unwrap().wants_broadcast(), "the relay must not send it to the wrong address");
    assert_eq!(net.ask(&relayed(discover(1))).summary(), "OFFER 10.9.0.100");
    assert_eq!(net.ask(&discover(1)).summary(), "OFFER 10.77.0.100", "its lease here has not ended");
}

#[test]
fn a_client_is_sent_to_our_address_in_its_own_subnet() {
    let mut net = shared();
    net.networks = vec![(SERVER, 24), (sibling(1), 24)];
    let first = net.ask(&pxe(discover(1))).reply.unwrap();
    let second = net.ask(&pxe(discover(2))).reply.unwrap();
    assert_eq!((first.siaddr, first.yiaddr), (SERVER, ip(100)));
    assert_eq!((second.siaddr, second.yiaddr), (sibling(1), sibling(20)));
    assert_eq!(second.options.get(OptionCode::TFTP_SERVER), Some(&b"10.78.0.1"[..]));
    assert_eq!(second.options.server_id(), Some(SERVER), "who we are is one address");
}

#[test]
fn an_address_is_kept_for_whatever_is_plugged_in_at_a_port() {
    let port = |circuit: &str, remote: Option<&str>, last| Reservation {
        who: Who::Port { circuit_id: id(circuit), remote_id: remote.and_then(id) },
        ip: ip(last),
        hostname: Some(format!("port-{last}")),
    };
    let reservations = vec![port("eth1", None, 11), port("eth2", Some("0x0007"), 12), port("eth2", None, 102)];
    let mut net = Net::with(vec![Subnet { reservations, ..subnet() }]);
    let both = |message: Message| {
        let mut message = on_port(message, "eth2");
        message.options.set(OptionCode::RELAY_INFO, [1, 4, b'e', b't', b'h', b'2', 2, 2, 0, 7]);
        message
    };
    assert_eq!(net.ask(&on_port(discover(1), "eth1")).summary(), "OFFER 10.77.0.11");
    let ack = net.ask(&on_port(select(1, ip(11)), "eth1"));
    assert_eq!(ack.summary(), "ACK 10.77.0.11");
    assert_eq!(ack.reply.unwrap().options.host_name(), Some(&b"port-11"[..]));
    assert_eq!(net.ask(&both(discover(3))).summary(), "OFFER 10.77.0.12", "the most particular goes first");
    assert_eq!(net.ask(&on_port(discover(4), "eth2")).summary(), "OFFER 10.77.0.102");
    assert_eq!(net.ask(&on_port(discover(5), "eth3")).summary(), "OFFER 10.77.0.100", "another port");
    assert_eq!(net.ask(&discover(6)).summary(), "OFFER 10.77.0.101", "no port");
    assert_eq!(net.ask(&select(6, ip(11))).summary(), "NAK", "nor may it grab one's");
    assert_eq!(net.ask(&renew(1, ip(11))).summary(), "ACK 10.77.0.11", "a renewal by unicast tells no port");
    assert_eq!(net.ask(&renew(6, ip(11))).summary(), "NAK");
    assert_eq!(
        net.ask(&on_port(renew(1, ip(11)), "eth3")).summary(),
        "NAK",
        "who has moved to another port has its address no more"
    );
    assert_eq!(net.ask(&on_port(discover(7), "eth1")).summary(), "OFFER 10.77.0.103", "as long as another has it");
    net.ask(&release(1, ip(11)));
    assert_eq!(net.ask(&on_port(discover(7), "eth1")).summary(), "OFFER 10.77.0.11", "a machine in its place");
}

#[test]
fn a_rule_that_names_a_port_is_for_that_port_alone() {
    let mut net = Net::new();
    let mut rule = boot_debian().rules.remove(0);
    rule.when = When { circuit_id: vec![id("eth1").unwrap()], ..When::default() };
    net.rules = Rules { rules: vec![rule] };
    for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp] {
        net.exchange = exchange;
        let here = net.ask(&relayed(on_port(pxe(discover(1)), "eth1")));
        assert!(here.reply.unwrap().options.boot_file().is_some());
        assert!(here.entry.asked.ends_with("pxe via 10.9.0.1 circuit eth1"), "{}", here.entry.asked);
        let switch = net.ask(&on_port(pxe(discover(1)), "eth1"));
        assert!(switch.reply.unwrap().options.boot_file().is_some(), "a switch tells ports and is no relay");
        for other in [relayed(on_port(pxe(discover(2)), "eth10")), relayed(pxe(discover(2))), pxe(discover(2))] {
            let seen = net.ask(&other);
            assert!(seen.reply.is_none_or(|reply| reply.options.boot_file().is_none()), "{}", seen.entry.asked);
        }
    }
}

/// Where option 82 stands in a reply, and everything after it.
fn after_82(data: &[u8]) -> (Vec<u8>, &[u8]) {
    let (mut at, mut value) = (240, Vec::new());
    while data[at] != 255 {
        let (code, len) = (data[at], usize::from(data[at + 1]));
        at += match code {
            0 => 1,
            _ => {
                assert!(code == 82 || value.is_empty(), "option {code} follows option 82");
                if code == 82 {
                    value.extend(&data[at + 2..at + 2 + len]);
                }
                2 + len
            }
        };
    }
    (value, &data[at..])
}

#[test]
fn option_82_goes_back_byte_for_byte_and_last_whatever_it_holds() {
    let vendor = [9, 6, 0, 0, 0, 9, 1, 7];
    let odd = [
        ("two names", vec![1, 2, b'p', b'1', 2, 2, 0, 7]),
        ("sub-options we know nothing of", [&[6, 3, b'a', b'b', b'c'][..], &vendor, &[151, 1, 0]].concat()),
        ("cut short", vec![1, 200, b'p']),
        ("not even a length", vec![1]),
        ("nothing", vec![]),
        ("zeros and ends", vec![0, 0, 255, 255, 0]),
        ("more than one option can hold", [&[1, 250][..], &[7; 250], &[2, 250], &[8; 250]].concat()),
    ];
    for (what, info) in odd {
        for exchange in [Exchange::Dhcp, Exchange::ProxyDhcp] {
            for giaddr in [RELAY, Ipv4Addr::UNSPECIFIED] {
                let mut message = Message { giaddr, ..pxe(discover(1)) };
                message.options.set(OptionCode::RELAY_INFO, info.clone());
                let seen = Net { exchange, ..Net::new() }.ask(&message);
                let (echoed, end) = after_82(&seen.data);
                assert_eq!(echoed, info, "{what}");
                assert!(end[0] == 255 && end[1..].iter().all(|byte| *byte == 0), "{what}");
            }
        }
    }
    let mut cut = relayed(discover(1));
    cut.options.set(OptionCode::RELAY_INFO, [1, 200, b'p']);
    let asked = Net::new().ask(&cut).entry.asked;
    assert!(asked.contains("(tolerated: option 82.1 at byte ") && asked.ends_with("is cut short)"), "{asked}");
    let mut nak = relayed(on_port(select(1, ip(100)), "eth1"));
    nak.options.set_ip(OptionCode::SERVER_ID, SERVER);
    let seen = Net::new().ask(&nak);
    assert_eq!((seen.summary().as_str(), after_82(&seen.data).0.len()), ("NAK", 6), "a NAK must find its port too");
}

#[test]
fn the_relays_words_cost_its_client_nothing_and_give_way_where_there_is_no_room() {
    let servers: Vec<Ipv4Addr> = (1..=60).map(ip).collect();
    let mut net = Net::with(vec![Subnet { dns: servers, ..far_subnet() }]);
    let mut message = relayed(pxe(discover(1)));
    let alone = net.ask(&message).reply.unwrap();
    message.options.set(OptionCode::RELAY_INFO, [&[1, 200][..], &[7; 200]].concat());
    let beside = net.ask(&message);
    assert!(beside.data.len() > 548 && beside.data.len() <= 548 + 204, "{}", beside.data.len());
    let mut stripped = beside.reply.unwrap();
    stripped.options.remove(OptionCode::RELAY_INFO);
    assert_eq!(stripped.options, alone.options, "as if there had been no relay");

    message.options.set(OptionCode::RELAY_INFO, [[9, 253].as_slice(), &[7; 253]].concat().repeat(5));
    let seen = net.ask(&message);
    let offer = seen.reply.unwrap();
    assert!(!offer.options.has(OptionCode::RELAY_INFO) && offer.options.boot_file().is_some());
    assert!(seen.entry.outcome.to_string().contains("option 82, which does not fit"), "{}", seen.entry.outcome);
}

#[test]
fn a_relay_that_stands_in_for_us_is_named_as_the_server() {
    let info = [11, 4, 10, 9, 0, 1, 1, 1, b'p'];
    let with = |mut message: Message| {
        message.options.set(OptionCode::RELAY_INFO, info);
        message
    };
    let mut net = Net::new();
    let offer = net.ask(&with(relayed(pxe(discover(1))))).reply.unwrap();
    assert_eq!(offer.options.server_id(), Some(RELAY));
    assert_eq!(offer.siaddr, SERVER, "files come from us");
    for server in [RELAY, SERVER] {
        let mut request = with(relayed(reboot(1, offer.yiaddr)));
        request.options.set_ip(OptionCode::SERVER_ID, server);
        let ack = net.ask(&request);
        assert_eq!(ack.summary(), "ACK 10.9.0.100", "selecting {server}");
        assert_eq!(ack.reply.unwrap().options.server_id(), Some(RELAY));
    }
    let mut release = with(relayed(release(1, offer.yiaddr)));
    release.options.set_ip(OptionCode::SERVER_ID, RELAY);
    assert_eq!(net.ask(&release).summary(), "taken: 10.9.0.100 released");

    let direct = net.ask(&with(discover(1))).reply.unwrap();
    assert_eq!(direct.options.server_id(), Some(SERVER), "who is no relay cannot take our place");
    let mut request = relayed(reboot(1, offer.yiaddr));
    request.options.set_ip(OptionCode::SERVER_ID, RELAY);
    assert_eq!(net.ask(&request).summary(), "silence: other-server");
}

#[test]
fn what_else_a_client_leased_ends_by_time_and_not_before() {
    let mut net = Net::new();
    assert_eq!(net.lease(1), ip(100));
    let reserved = Reservation { who: Who::Machine(mac(1)), ip: ip(50), hostname: None };
    net.desk.book_mut().arrange(vec![Subnet { reservations: vec![reserved], ..subnet() }], &[SERVER], net.now);
    net.wait(60);
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    assert_eq!(net.ask(&discover(1)).summary(), "OFFER 10.77.0.50");
    let lost = net.draft(&select(1, ip(50)).encode(1472).unwrap(), from, Ipv4Addr::BROADCAST);
    assert_eq!(settle(vec![lost], |_| Err("the disk is full"))[0].reply, None);
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.101", "its first address is still its own");
    assert_eq!(net.ask(&renew(1, ip(100))).summary(), "ACK 10.77.0.100");
    assert_eq!(net.lease(1), ip(50));
    assert_eq!(net.ask(&discover(3)).summary(), "OFFER 10.77.0.102");
    net.wait(LEASE.as_secs());
    let free: Vec<String> = [4, 5].map(|client| net.ask(&discover(client)).summary()).into();
    assert_eq!(free, ["OFFER 10.77.0.101", "OFFER 10.77.0.102"], "never used before used once");
    assert_eq!(net.ask(&discover(6)).summary(), "OFFER 10.77.0.103");
    assert_eq!(net.ask(&discover(7)).summary(), "OFFER 10.77.0.104");
    assert_eq!(net.ask(&discover(8)).summary(), "OFFER 10.77.0.100", "its time is over");
}

#[test]
fn a_lease_that_the_operator_shortened_lasts_as_long_as_its_client_believes() {
    let mut net = Net::with(vec![Subnet { pools: vec![(ip(100), ip(100))], ..subnet() }]);
    assert_eq!(net.lease(1), ip(100));
    let short = Subnet { lease: Duration::from_secs(60), pools: vec![(ip(100), ip(100))], ..subnet() };
    net.desk.book_mut().arrange(vec![short], &[SERVER], net.now);
    // It renews, and the ACK that tells of the shorter time is lost.
    let ack = net.ask(&renew(1, ip(100)));
    assert_eq!(ack.reply.unwrap().options.lease_time(), Some(60));
    net.wait(LEASE.as_secs() - 1);
    assert_eq!(
        net.ask(&discover(2)).summary(),
        "silence: pool-empty",
        "it was promised an hour, and knows of no other"
    );
    net.wait(1);
    assert_eq!(net.ask(&discover(2)).summary(), "OFFER 10.77.0.100");
}
