//! What one DHCP exchange costs the engine: decode, decide, encode, with an empty book and with one of fifty thousand leases.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark is test code")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use divan::{Bencher, black_box};
use slipway_engine::Timestamp;
use slipway_engine::catalog::Catalog;
use slipway_engine::dhcp4::{
    Book, ClientKey, Desk, Draft, Heard, Holder, Link, Policy, Record, Settled, beside, settle,
};
use slipway_engine::ladder::Ladders;
use slipway_engine::machine::Memories;
use slipway_engine::request::Exchange;
use slipway_engine::rules::Rules;
use slipway_engine::subnet::Subnet;
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const NOW: Timestamp = Timestamp(1_000_000_000);

fn main() {
    divan::main();
}

fn mac(number: u32) -> MacAddr {
    let [a, b, c, d] = number.to_be_bytes();
    MacAddr([2, 0, a, b, c, d])
}

/// A desk over `10.0.0.0/14` with so many live leases.
fn desk(leases: u32) -> Desk {
    let pools = vec![(Ipv4Addr::new(10, 1, 0, 0), Ipv4Addr::new(10, 3, 255, 254))];
    let subnet = Subnet {
        network: Ipv4Addr::new(10, 0, 0, 0),
        prefix: 14,
        pools,
        routers: vec![SERVER],
        dns: vec![SERVER],
        domain: None,
        ntp: Vec::new(),
        mtu: None,
        lease: Duration::from_secs(3600),
        reservations: Vec::new(),
        authoritative: true,
        shared: None,
    };
    let mut book = Book::new();
    let records = (0..leases).map(|number| Record {
        ip: Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number),
        holder: Holder::Client(ClientKey::Ethernet(mac(number))),
        until: NOW.plus(Duration::from_secs(1 + u64::from(number))),
    });
    book.restore(records, NOW);
    book.arrange(vec![subnet], &[SERVER], NOW);
    Desk::new(book)
}

fn message(client: u32, kind: MessageType, boots: bool) -> Message {
    let mut message = Message::request(client, mac(client));
    message.options.set_message_type(kind);
    if boots {
        message.options.set(OptionCode::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016");
    }
    message
}

fn with<T>(exchange: Exchange, data: &[u8], answer: impl FnOnce(Heard<'_>, Link<'_>, Policy<'_>) -> T) -> T {
    let heard = Heard { data, from: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), to: Ipv4Addr::BROADCAST };
    let networks = [(SERVER, 14)];
    let link = Link {
        exchange,
        interface: "eth1",
        networks: &networks,
        mtu: 1500,
        server: SERVER,
        ours: &[SERVER],
        http_port: 8067,
    };
    let (rules, catalog, machines) = (Rules::default(), Catalog::default(), Memories::default());
    answer(heard, link, Policy { rules: &rules, catalog: &catalog, machines: &machines, ladders: &Ladders::default() })
}

fn settled(draft: Draft) -> Settled {
    settle(vec![draft], |_| Ok::<(), &str>(())).pop().unwrap()
}

/// A newcomer's four messages, as two calls.
#[divan::bench(args = [0, 50_000])]
fn discover_and_request(bencher: Bencher<'_, '_>, leases: u32) {
    let mut desk = desk(leases);
    let mut client = 1_000_000;
    bencher.bench_local(|| {
        client += 1;
        let discover = message(client, MessageType::DISCOVER, false).encode(1472).unwrap();
        let offer =
            settled(with(Exchange::Dhcp, &discover, |heard, link, policy| desk.answer(heard, link, policy, NOW)));
        let offer = Message::decode(&offer.reply.unwrap().data).unwrap();
        let mut request = message(client, MessageType::REQUEST, false);
        request.options.set_ip(OptionCode::REQUESTED_IP, offer.yiaddr).set_ip(OptionCode::SERVER_ID, SERVER);
        let request = request.encode(1472).unwrap();
        black_box(settled(with(Exchange::Dhcp, &request, |heard, link, policy| desk.answer(heard, link, policy, NOW))));
        // It leaves again, so that the book stays as large as it was.
        let mut release = Message { ciaddr: offer.yiaddr, ..message(client, MessageType::RELEASE, false) };
        release.options.set_ip(OptionCode::SERVER_ID, SERVER);
        let release = release.encode(1472).unwrap();
        settled(with(Exchange::Dhcp, &release, |heard, link, policy| desk.answer(heard, link, policy, NOW)))
    });
}

#[divan::bench(args = [1, 50_000])]
fn renew(bencher: Bencher<'_, '_>, leases: u32) {
    let mut desk = desk(leases);
    let mut client = 0;
    bencher.bench_local(|| {
        client = (client + 1) % leases;
        let ip = Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + client);
        let data = Message { ciaddr: ip, ..message(client, MessageType::REQUEST, false) }.encode(1472).unwrap();
        settled(with(Exchange::Dhcp, &data, |heard, link, policy| desk.answer(heard, link, policy, NOW)))
    });
}

#[divan::bench]
fn proxy_offer(bencher: Bencher<'_, '_>) {
    let data = message(1, MessageType::DISCOVER, true).encode(1472).unwrap();
    bencher.bench_local(|| {
        settled(with(Exchange::ProxyDhcp, &data, |heard, link, policy| beside(heard, link, policy, NOW)))
    });
}
