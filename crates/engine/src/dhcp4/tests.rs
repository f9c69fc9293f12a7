//! A network in memory for the tests beside: one subnet, a desk, clients as the messages they send.

mod configured;
mod golden;
mod model;
mod places;
mod quirks;
mod recipes;
mod table;
mod traps;

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use core::time::Duration;

use slipway_wire::dhcp4::{Message, MessageType, OptionCode};
use slipway_wire::{Cpu, Field, MacAddr};

use super::*;
use crate::Timestamp;
use crate::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use crate::journal::{Entry, Outcome};
use crate::ladder::Ladders;
use crate::machine::Memories;
use crate::request::Exchange;
use crate::rules::{Boot, Path, Rule, Rules, Then, When};
use crate::subnet::{Reservation, Subnet, Who};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const LEASE: Duration = Duration::from_secs(3600);

/// The address of the served subnet that ends in this number.
fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, last)
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, last])
}

/// `10.77.0.0/24` with five addresses to give, 100-104, of which 104 is reserved for machine 9.
fn subnet() -> Subnet {
    Subnet {
        network: Ipv4Addr::new(10, 77, 0, 0),
        prefix: 24,
        pools: vec![(ip(100), ip(104))],
        routers: vec![ip(254)],
        dns: vec![ip(53)],
        domain: Some("lab.example".into()),
        ntp: vec![ip(123)],
        mtu: Some(1400),
        lease: LEASE,
        reservations: vec![Reservation { who: Who::Machine(mac(9)), ip: ip(104), hostname: Some("nine".into()) }],
        authoritative: true,
        shared: None,
    }
}

/// `10.9.0.0/24`, behind a relay.
fn far_subnet() -> Subnet {
    let far = |last| Ipv4Addr::new(10, 9, 0, last);
    let pools = vec![(far(100), far(199))];
    Subnet { network: far(0), pools, routers: vec![RELAY], reservations: Vec::new(), ..subnet() }
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
    let pi = Image {
        name: "pi".into(),
        kind: ImageKind::RaspberryPi,
        cpu: None,
        files: [("start4.elf".to_owned(), file)].into(),
        ..image.clone()
    };
    let loaders = ["undionly.kpxe", "snponly.efi", "ipxe.efi", "lpxelinux.0", "ldlinux.c32"];
    let loaders = loaders.map(|name| (name.to_owned(), file)).into();
    Catalog {
        images: [("debian".to_owned(), vec![image]), ("pi".to_owned(), vec![pi])].into(),
        loaders,
        ..Catalog::default()
    }
}

fn rules(then: Then) -> Rules {
    Rules { rules: vec![Rule { name: "everything".into(), when: When::default(), then, https: None, install: None }] }
}

/// Raspberry Pis boot their own files.
fn pi_rule() -> Vec<Rule> {
    let when = When { arch: vec![slipway_wire::ClientArch::RPIBOOT], ..When::default() };
    let then = Then::Boot(Boot { image: "pi".into(), version: None, path: Path::Auto, append: None });
    vec![Rule { name: "pis".into(), when, then, https: None, install: None }]
}

fn boot_debian() -> Rules {
    rules(Then::Boot(Boot { image: "debian".into(), version: None, path: Path::Auto, append: None }))
}

/// What a message led to.
#[derive(Debug)]
struct Seen {
    reply: Option<Message>,
    to: Option<SocketAddrV4>,
    data: Vec<u8>,
    entry: Entry,
    writes: Vec<Record>,
}

impl Seen {
    /// `ACK 10.77.0.100`, `NAK`, `silence: wrong-address`, `taken: …`.
    fn summary(&self) -> String {
        match (&self.reply, &self.entry.outcome) {
            (Some(reply), _) => {
                let kind = reply.options.message_type().unwrap();
                if reply.yiaddr.is_unspecified() { kind.to_string() } else { format!("{kind} {}", reply.yiaddr) }
            }
            (None, Outcome::Declined(why)) => format!("silence: {}", why.code()),
            (None, Outcome::Answered(what)) => format!("taken: {what}"),
            (None, outcome) => format!("fault: {outcome}"),
        }
    }
}

/// The server with its network.
struct Net {
    desk: Desk,
    rules: Rules,
    catalog: Catalog,
    machines: Memories,
    ladders: Ladders,
    now: Timestamp,
    exchange: Exchange,
    /// The server's own addresses on the link.
    networks: Vec<(Ipv4Addr, u8)>,
}

impl Net {
    fn new() -> Self {
        Self::with(vec![subnet(), far_subnet()])
    }

    fn with(subnets: Vec<Subnet>) -> Self {
        let now = Timestamp(1_000_000);
        let mut desk = Desk::default();
        desk.book_mut().arrange(subnets, &[SERVER], now);
        Self {
            desk,
            rules: boot_debian(),
            catalog: catalog(),
            machines: Memories::default(),
            ladders: Ladders::default(),
            now,
            exchange: Exchange::Dhcp,
            networks: vec![(SERVER, 24)],
        }
    }

    fn beside() -> Self {
        Self { exchange: Exchange::ProxyDhcp, ..Self::new() }
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn draft(&mut self, data: &[u8], from: SocketAddrV4, to: Ipv4Addr) -> Draft {
        let heard = Heard { data, from, to };
        let link = Link {
            exchange: self.exchange,
            interface: "eth1",
            networks: &self.networks,
            mtu: 1500,
            server: SERVER,
            ours: &[SERVER, Ipv4Addr::new(10, 78, 0, 1)],
            http_port: 8067,
        };
        let (machines, ladders) = (&self.machines, &self.ladders);
        let policy = Policy { rules: &self.rules, catalog: &self.catalog, machines, ladders };
        match self.exchange {
            Exchange::Dhcp => self.desk.answer(heard, link, policy, self.now),
            _ => beside(heard, link, policy, self.now),
        }
    }

    /// Hears these bytes, with a disk that works.
    fn hear(&mut self, data: &[u8], from: SocketAddrV4, to: Ipv4Addr) -> Seen {
        let draft = self.draft(data, from, to);
        let mut writes = Vec::new();
        let commit = |records: &[Record]| {
            writes = records.to_vec();
            Ok::<(), &str>(())
        };
        let settled = settle(vec![draft], commit).pop().unwrap();
        self.ladders.heed(&settled.entry, None);
        let reply = settled.reply.as_ref().map(|reply| Message::decode(&reply.data).unwrap());
        if let Some(reply) = &reply {
            // What a relay said is given back as it was.
            let ours: Vec<_> =
                reply.faults.iter().filter(|fault| !matches!(fault.field, Field::SubOption(82, _))).collect();
            assert!(ours.is_empty(), "{ours:?}");
        }
        let to = settled.reply.as_ref().map(|reply| reply.to);
        let data = settled.reply.map(|reply| reply.data).unwrap_or_default();
        Seen { reply, to, data, entry: settled.entry, writes }
    }

    /// Hears a message as its client sends it: broadcast without an address, to us alone with one, or through its relay.
    fn ask(&mut self, message: &Message) -> Seen {
        let client = message.ciaddr;
        let to = if client.is_unspecified() && message.giaddr.is_unspecified() { Ipv4Addr::BROADCAST } else { SERVER };
        let data = message.encode(usize::MAX).unwrap();
        self.hear(&data, SocketAddrV4::new(client, 68), to)
    }

    /// Hears a message that was broadcast, whatever its client's address.
    fn ask_aloud(&mut self, message: &Message) -> Seen {
        let data = message.encode(1472).unwrap();
        self.hear(&data, SocketAddrV4::new(message.ciaddr, 68), Ipv4Addr::BROADCAST)
    }

    /// DISCOVER and REQUEST.
    fn lease(&mut self, client: u8) -> Ipv4Addr {
        let offered = self.ask(&discover(client)).reply.unwrap().yiaddr;
        let seen = self.ask(&select(client, offered));
        assert_eq!(seen.summary(), format!("ACK {offered}"));
        offered
    }
}

fn message(client: u8, kind: MessageType) -> Message {
    let mut message = Message::request(0x1234_5678, mac(client));
    message.options.set_message_type(kind);
    message
}

fn discover(client: u8) -> Message {
    message(client, MessageType::DISCOVER)
}

fn select(client: u8, ip: Ipv4Addr) -> Message {
    let mut message = reboot(client, ip);
    message.options.set_ip(OptionCode::SERVER_ID, SERVER);
    message
}

fn reboot(client: u8, ip: Ipv4Addr) -> Message {
    let mut message = message(client, MessageType::REQUEST);
    message.options.set_ip(OptionCode::REQUESTED_IP, ip);
    message
}

fn renew(client: u8, ip: Ipv4Addr) -> Message {
    Message { ciaddr: ip, ..message(client, MessageType::REQUEST) }
}

fn release(client: u8, ip: Ipv4Addr) -> Message {
    Message { ciaddr: ip, ..message(client, MessageType::RELEASE) }
}

fn decline(client: u8, ip: Ipv4Addr) -> Message {
    let mut message = message(client, MessageType::DECLINE);
    message.options.set_ip(OptionCode::REQUESTED_IP, ip).set_ip(OptionCode::SERVER_ID, SERVER);
    message
}

fn inform(client: u8, ip: Ipv4Addr) -> Message {
    Message { ciaddr: ip, ..message(client, MessageType::INFORM) }
}

fn relayed(message: Message) -> Message {
    Message { giaddr: RELAY, hops: 1, ..message }
}

/// The same from a UEFI PXE ROM.
fn pxe(mut message: Message) -> Message {
    message.options.set(OptionCode::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016");
    message.options.set(OptionCode::CLIENT_ARCH, [0, 7]);
    message
}

fn v4(ip: Option<IpAddr>) -> Option<Ipv4Addr> {
    ip.and_then(|ip| match ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    })
}
