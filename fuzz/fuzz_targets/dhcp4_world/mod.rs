//! A server and its clients, played from the fuzzer's bytes, and what the clients were told.

mod dice;
mod reply;
mod site;

use dice::Dice;
use reply::check_reply;
use site::{GATE, SERVER, Site};
use slipway_engine::Timestamp;
use slipway_engine::dhcp4::{
    Book, ClientKey, Desk, Draft, Heard, Holder, Link, Policy, Record, Transmit, beside, classify, settle,
};
use slipway_engine::ladder::Ladders;
use slipway_engine::machine::Memories;
use slipway_engine::quirks::{Departure, departs};
use slipway_engine::request::{Exchange, Loader};
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::LazyLock;
use std::time::Duration;

/// Clients that the book may know: for each address its last holder, and whoever it is offered to.
const CLIENTS_MAX: usize = 2 * site::ADDRESSES;

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

pub struct World<'a> {
    dice: Dice<'a>,
    site: &'static Site,
    /// What is known of machines; the org changes it.
    machines: Memories,
    desk: Desk,
    now: Timestamp,
    /// What a restart finds.
    disk: HashMap<Ipv4Addr, Record>,
    /// Acknowledged leases that their clients still count on.
    leases: HashMap<Ipv4Addr, (ClientKey, Timestamp)>,
    /// Where each machine stands on its ladder.
    ladders: Ladders,
    /// What each client was offered last.
    offers: HashMap<[u8; 16], Ipv4Addr>,
}

impl<'a> World<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let now = Timestamp(1_700_000_000_000);
        let site = LazyLock::force(&SITE);
        let mut world = Self {
            dice: Dice(bytes),
            site,
            machines: site.machines.clone(),
            desk: Desk::default(),
            now,
            disk: HashMap::new(),
            leases: HashMap::new(),
            ladders: Ladders::default(),
            offers: HashMap::new(),
        };
        world.arrange(0);
        world
    }

    pub fn run(mut self) {
        while !self.dice.is_empty() {
            let step = self.dice.byte();
            self.pass(step >> 4);
            match step & 15 {
                0 => self.arrange(self.dice.peek()),
                1 => self.restart(),
                3 => site::org_says(&mut self.machines, self.dice.byte(), self.now),
                2 => {
                    let data = self.dice.take_some();
                    self.hear(data);
                }
                _ => {
                    let message = self.message();
                    let mut data = message.encode(usize::MAX).expect("no limit was given");
                    self.dice.spoil(&mut data);
                    self.hear(&data);
                }
            }
        }
        self.check_size();
    }

    /// Lets time pass; the clock may be set back too.
    fn pass(&mut self, step: u8) {
        let seconds = [0, 0, 0, 0, 0, 0, 1, 15, 16, 59, 61, 600, 1800, 3599, 3600];
        self.now = match seconds.get(usize::from(step)) {
            Some(seconds) => self.now.plus(Duration::from_secs(*seconds)),
            None => Timestamp(self.now.0.saturating_sub(900_000)),
        };
        self.leases.retain(|_, (_, until)| *until > self.now);
    }

    fn arrange(&mut self, plan: u8) {
        self.desk.book_mut().arrange(Site::subnets(plan), &[SERVER, GATE], self.now);
    }

    fn restart(&mut self) {
        let mut book = Book::new();
        book.restore(self.disk.values().cloned(), self.now);
        self.desk = Desk::new(book);
        self.arrange(self.dice.peek());
    }

    /// What a client could send: any type with any of the fields that decide.
    fn message(&mut self) -> Message {
        let dice = &mut self.dice;
        let (kind, who, has) = (dice.byte(), dice.byte(), dice.byte());
        let mut message = site::client(who, u32::from(kind) << 8 | u32::from(has));
        let offered = self.offers.get(&message.chaddr).copied();
        let kind = match kind & 7 {
            0 | 1 => MessageType::DISCOVER,
            2..=4 => MessageType::REQUEST,
            5 => MessageType::DECLINE,
            6 => MessageType::RELEASE,
            _ => MessageType(kind >> 3),
        };
        message.options.set_message_type(kind);
        let mut address = || offered.filter(|_| dice.byte() < 128).unwrap_or_else(|| site::address(dice.byte()));
        if has & 1 != 0 {
            message.options.set_ip(OptionCode::REQUESTED_IP, address());
        }
        if has & 2 != 0 {
            message.ciaddr = address();
        }
        if has & 4 != 0 {
            message.options.set_ip(OptionCode::SERVER_ID, SERVER);
        }
        if has & 8 != 0 {
            message.giaddr = site::RELAY;
        }
        if has & 16 != 0 {
            site::speak_as(&mut message, dice.byte());
        }
        if has & 32 != 0 {
            dice.put_options(&mut message);
        }
        message
    }

    fn hear(&mut self, data: &[u8]) {
        let how = self.dice.byte();
        let exchange = match how & 7 {
            6 => Exchange::ProxyDhcp,
            7 => Exchange::BootServer,
            _ => Exchange::Dhcp,
        };
        let mtu = if how & 8 == 0 { 1500 } else { u16::from(self.dice.byte()) << 4 };
        let to = if how & 16 == 0 { Ipv4Addr::BROADCAST } else { SERVER };
        let disk_works = how >> 5 != 7;
        let heard = Heard { data, from: SocketAddrV4::new(site::address(how), 68), to };
        let networks = [(SERVER, 24), (GATE, 24)];
        let ours = [SERVER, GATE];
        let link = Link {
            exchange,
            interface: "eth1",
            networks: &networks,
            mtu,
            server: SERVER,
            ours: &ours,
            http_port: 8067,
        };
        let policy = Policy {
            rules: &self.site.rules,
            catalog: &self.site.catalog,
            machines: &self.machines,
            ladders: &self.ladders,
        };
        let draft = match exchange {
            Exchange::Dhcp => self.desk.answer(heard, link, policy, self.now),
            _ => beside(heard, link, policy, self.now),
        };
        let Ok(asked) = Message::decode(data) else {
            assert!(!draft.needs_commit());
            return assert_eq!(self.settle(draft, disk_works).1, None);
        };
        let (writes, reply) = self.settle(draft, disk_works);
        self.check_writes(&asked, exchange, &writes);
        let Some(reply) = reply else { return };
        let told = check_reply(&asked, &reply, exchange, mtu);
        assert!(writes.is_empty() || disk_works, "an answer that is not durable");
        let request = classify(&asked, exchange, "eth1");
        if self.machines.standings().is_revoked(request.mac, request.uuid) {
            assert_eq!(told.options.get(OptionCode::BOOT_FILE), None, "a revoked machine is given a boot file");
        }
        self.take(&asked, &told, exchange, &writes);
    }

    /// What the draft wanted to write, and the answer.
    fn settle(&mut self, draft: Draft, disk_works: bool) -> (Vec<Record>, Option<Transmit>) {
        let mut writes = Vec::new();
        let settled = settle(vec![draft], |records| {
            writes = records.to_vec();
            if disk_works { Ok(()) } else { Err("full") }
        });
        if disk_works {
            self.disk.extend(writes.iter().map(|record| (record.ip, record.clone())));
        }
        let [settled] = <[_; 1]>::try_from(settled).expect("one draft, one outcome");
        self.ladders.heed(&settled.entry, None);
        let _ = (settled.entry.outcome.to_string(), settled.entry.asked);
        (writes, settled.reply)
    }

    /// No write takes an address from a client that counts on it, but by that client's own word.
    fn check_writes(&mut self, asked: &Message, exchange: Exchange, writes: &[Record]) {
        let Some(asker) = key(asked) else { return assert!(writes.is_empty()) };
        for record in writes {
            assert_eq!(exchange, Exchange::Dhcp);
            if let Some((holder, until)) = self.leases.get_mut(&record.ip) {
                assert_eq!(*holder, asker, "{} is leased until {until:?}, and written: {record:?}", record.ip);
                // It gave the address back, or asked for less time; whether the answer reaches it or not.
                *until = record.until.min(*until);
            }
        }
        self.leases.retain(|_, (_, until)| *until > self.now);
    }

    /// The client takes the answer in.
    fn take(&mut self, asked: &Message, told: &Message, exchange: Exchange, writes: &[Record]) {
        let kind = told.options.message_type();
        let request = classify(asked, exchange, "eth1");
        let loader = request.loader;
        let client = key(asked).expect("nobody else is answered");
        let ip = told.yiaddr;
        if ip.is_unspecified() {
            assert!(kind != Some(MessageType::NAK) || loader == Loader::Os, "edk2 ends its boot on a NAK");
            return assert!(writes.is_empty() && kind != Some(MessageType::OFFER) || exchange != Exchange::Dhcp);
        }
        assert_eq!(exchange, Exchange::Dhcp);
        assert!(site::is_given(self.desk.book().subnets(), ip, client.mac()), "{ip} is nobody's to give to {client}");
        if let Some((holder, _)) = self.leases.get(&ip) {
            assert_eq!(*holder, client, "{ip} is another's");
        }
        if kind == Some(MessageType::OFFER) {
            self.offers.insert(asked.chaddr, ip);
            if !departs(&request, Departure::OfferIsLease) {
                return assert!(writes.is_empty(), "an offer promises nothing");
            }
        } else {
            assert_eq!(kind, Some(MessageType::ACK));
        }
        let seconds = told.options.lease_time().expect("a lease has an end");
        let until = self.now.plus(Duration::from_secs(seconds.into()));
        let holder = Holder::Client(client.clone());
        let durable = writes.iter().any(|record| record.ip == ip && record.holder == holder && record.until >= until);
        assert!(durable, "acknowledged: {ip} until {until:?}; written: {writes:?}");
        self.leases.insert(ip, (client, until));
    }

    /// The book remembers no client without an address that it holds or was the last to hold, however many asked.
    fn check_size(&self) {
        let book = format!("{:?}", self.desk.book());
        let (_, clients) = book.split_once("clients: {").expect("a book has clients");
        let (clients, _) = clients.split_once("}, due").expect("and days");
        let known = ["Ethernet(", "Hardware(", "Id("].map(|name| clients.matches(name).count()).iter().sum::<usize>();
        assert!(known <= CLIENTS_MAX, "{known} clients in {book}");
    }
}

fn key(message: &Message) -> Option<ClientKey> {
    ClientKey::new(message.htype, message.chaddr.get(..usize::from(message.hlen))?, message.options.client_id())
}
