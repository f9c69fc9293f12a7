//! The desk beside a naive model of what its clients were told, under any order of messages, waits, full disks and restarts.

use proptest::prelude::*;
use std::collections::BTreeMap;

use super::*;

const CLIENTS: u8 = 6;
/// The client with a reservation, and its address.
const RESERVED: (u8, Ipv4Addr) = (6, Ipv4Addr::new(10, 77, 0, 103));

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Op {
    Discover(u8),
    /// Takes the offer that the client got last.
    Select(u8),
    /// Asks for an address that it was perhaps never offered.
    Grab(u8, u8),
    Renew(u8),
    Rebind(u8),
    Reboot(u8),
    Release(u8),
    Decline(u8),
    ChooseOther(u8),
    Wait(u64),
    /// The process dies; what was durable remains.
    Restart,
    Disk {
        full: bool,
    },
    /// Answers leave, and reach nobody; or do again.
    Wire {
        cut: bool,
    },
    Rearrange,
}

fn ops() -> impl Strategy<Value = Op> {
    let client = 1..=CLIENTS;
    prop_oneof![
        6 => client.clone().prop_map(Op::Discover),
        6 => client.clone().prop_map(Op::Select),
        2 => (client.clone(), 100..=105u8).prop_map(|(client, last)| Op::Grab(client, last)),
        3 => client.clone().prop_map(Op::Renew),
        1 => client.clone().prop_map(Op::Rebind),
        2 => client.clone().prop_map(Op::Reboot),
        1 => client.clone().prop_map(Op::Release),
        1 => client.clone().prop_map(Op::Decline),
        1 => client.prop_map(Op::ChooseOther),
        2 => prop_oneof![1u64..20, 500u64..4000].prop_map(Op::Wait),
        2 => Just(Op::Restart),
        1 => any::<bool>().prop_map(|full| Op::Disk { full }),
        1 => any::<bool>().prop_map(|cut| Op::Wire { cut }),
        1 => Just(Op::Rearrange),
    ]
}

/// What clients believe, by the answers that reached them, and the disk.
struct World {
    net: Net,
    disk: BTreeMap<Ipv4Addr, Record>,
    full: bool,
    cut: bool,
    /// Acknowledged leases.
    leases: BTreeMap<u8, (Ipv4Addr, Timestamp)>,
    /// Offers that are not yet answered: they hold for at least ten seconds, as long as the process lives.
    offers: BTreeMap<u8, (Ipv4Addr, Timestamp)>,
    other: bool,
}

impl World {
    fn new() -> Self {
        let (disk, leases, offers) = Default::default();
        Self { net: Net::with(vec![pool()]), disk, full: false, cut: false, leases, offers, other: false }
    }

    fn lease(&self, client: u8) -> Option<Ipv4Addr> {
        self.leases.get(&client).filter(|(_, until)| *until > self.net.now).map(|(ip, _)| *ip)
    }

    fn ask(&mut self, message: &Message, aloud: bool) -> String {
        let to = if message.ciaddr.is_unspecified() || aloud { Ipv4Addr::BROADCAST } else { SERVER };
        let draft = self.net.draft(&message.encode(1472).unwrap(), SocketAddrV4::new(message.ciaddr, 68), to);
        let settled = settle(vec![draft], |records| {
            if self.full {
                return Err("full");
            }
            self.disk.extend(records.iter().map(|record| (record.ip, record.clone())));
            Ok(())
        });
        let reply = settled.into_iter().next().unwrap().reply;
        let reply = reply.filter(|_| !self.cut);
        let Some(reply) = reply.map(|reply| Message::decode(&reply.data).unwrap()) else { return "silence".into() };
        self.told(message.chaddr[5], &reply)
    }

    /// An answer reached its client: nobody else may have been told the same.
    fn told(&mut self, client: u8, reply: &Message) -> String {
        let (ip, now) = (reply.yiaddr, self.net.now);
        match reply.options.message_type() {
            Some(MessageType::OFFER) => {
                self.nobody_else_has(client, ip);
                // Only a reservation takes a client away from the address it has.
                let kept = self.lease(client).is_none_or(|mine| mine == ip) || (client, ip) == RESERVED;
                assert!(kept, "client {client} has a lease and is offered {ip}");
                self.offers.insert(client, (ip, now.plus(Duration::from_secs(10))));
                format!("OFFER {ip}")
            }
            Some(MessageType::ACK) => {
                self.nobody_else_has(client, ip);
                let seconds = reply.options.lease_time().unwrap();
                self.leases.insert(client, (ip, now.plus(Duration::from_secs(seconds.into()))));
                self.offers.remove(&client);
                format!("ACK {ip}")
            }
            _ => {
                self.leases.remove(&client);
                "NAK".into()
            }
        }
    }

    fn nobody_else_has(&self, client: u8, ip: Ipv4Addr) {
        for other in (1..=CLIENTS).filter(|other| *other != client) {
            assert_ne!(self.lease(other), Some(ip), "client {other} leases {ip}, and client {client} is told it");
            let offer = self.offers.get(&other).filter(|(_, until)| *until > self.net.now);
            assert_ne!(
                offer.map(|(ip, _)| *ip),
                Some(ip),
                "client {other} was offered {ip}, and client {client} is told it"
            );
        }
    }

    /// A client with a lease asks for that address: it gets it, or nothing while the disk is full.
    fn confirm(&mut self, client: u8, message: &Message, aloud: bool) {
        let mine = self.lease(client);
        let told = self.ask(message, aloud);
        if let Some(ip) = mine {
            let expected = if self.full || self.cut { "silence".to_owned() } else { format!("ACK {ip}") };
            assert_eq!(told, expected, "client {client}'s lease was forgotten");
        }
    }

    /// Whoever selects an address has given up any other (rfc2131#4.4.1).
    fn leave_unless(&mut self, client: u8, ip: Ipv4Addr) {
        if self.lease(client) != Some(ip) {
            self.leases.remove(&client);
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Discover(client) => _ = self.ask(&discover(client), false),
            Op::Select(client) => {
                let Some((ip, until)) = self.offers.get(&client).copied() else { return };
                let held = until > self.net.now;
                self.leave_unless(client, ip);
                let told = self.ask(&select(client, ip), false);
                assert!(
                    !held || self.full || self.cut || told == format!("ACK {ip}"),
                    "offered {ip}, then told {told}"
                );
            }
            Op::Grab(client, last) => {
                self.leave_unless(client, ip(last));
                self.offers.remove(&client);
                self.ask(&select(client, ip(last)), false);
            }
            Op::Renew(client) | Op::Rebind(client) => {
                let Some(&(ip, _)) = self.leases.get(&client) else { return };
                self.confirm(client, &renew(client, ip), matches!(op, Op::Rebind(_)));
            }
            Op::Reboot(client) => {
                let Some(&(ip, _)) = self.leases.get(&client) else { return };
                self.confirm(client, &reboot(client, ip), false);
            }
            Op::Release(client) => {
                let Some((ip, _)) = self.leases.remove(&client) else { return };
                self.offers.remove(&client);
                self.ask(&release(client, ip), false);
            }
            Op::Decline(client) => {
                let Some((ip, _)) = self.leases.remove(&client) else { return };
                self.offers.remove(&client);
                self.ask(&decline(client, ip), false);
            }
            Op::ChooseOther(client) => {
                self.offers.remove(&client);
                let mut message = select(client, ip(77));
                message.options.set_ip(OptionCode::SERVER_ID, ip(2));
                self.ask(&message, false);
            }
            Op::Wait(seconds) => self.net.wait(seconds),
            Op::Restart => self.restart(),
            Op::Disk { full } => self.full = full,
            Op::Wire { cut } => self.cut = cut,
            Op::Rearrange => {
                self.other = !self.other;
                self.arrange();
            }
        }
    }

    fn restart(&mut self) {
        self.offers.clear();
        self.net.desk = Desk::default();
        self.net.desk.book_mut().restore(self.disk.values().cloned(), self.net.now);
        self.arrange();
    }

    fn arrange(&mut self) {
        let subnet = if self.other {
            Subnet { pools: vec![(ip(100), ip(101)), (ip(102), ip(103))], lease: LEASE / 2, ..pool() }
        } else {
            pool()
        };
        let now = self.net.now;
        self.net.desk.book_mut().arrange(vec![subnet], &[SERVER], now);
    }
}

/// Four addresses, one of them reserved for client 6; both of its arrangements hold them all.
fn pool() -> Subnet {
    let reservations = vec![Reservation { who: Who::Machine(mac(RESERVED.0)), ip: RESERVED.1, hostname: None }];
    Subnet { pools: vec![(ip(100), ip(103))], reservations, ..subnet() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]
    #[test]
    fn no_address_has_two_holders_and_no_acknowledged_lease_is_forgotten(ops in prop::collection::vec(ops(), 1..80)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
    }
}
