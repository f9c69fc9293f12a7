//! The DHCP plane on the loopback interface: its sockets, its group commit, its start and its end. What is answered is the engine's
//! business and tested there; answers to port 68 are for the lab.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use slipway_engine::catalog::{Catalog, Digest, FileRef};
use slipway_engine::journal::{Entry, Outcome};
use slipway_engine::rules::Rules;
use slipway_engine::subnet::Subnet;
use slipway_server::dhcp::{Error, Handle, Ports, spawn};
use slipway_server::journal::Journal;
use slipway_server::site::{Interface, Ipv6, Mode, SharedSite, Site, TftpSettings};
use slipway_store::Blobs;
use slipway_store::leases::{Embedded, LeaseStore, Memory};
use slipway_wire::MacAddr;
use slipway_wire::dhcp4::{Message, MessageType, OptionCode};

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ANY_PORTS: Ports = Ports { dhcp: 0, boot_server: 0, dhcp6: 0 };

struct World {
    site: SharedSite,
    journal: Journal,
    leases: Memory,
    handle: Handle,
    socket: UdpSocket,
    _data: tempfile::TempDir,
}

impl World {
    fn new(mode: Mode) -> Self {
        let data = tempfile::tempdir().unwrap();
        let site: SharedSite = Arc::new(ArcSwap::from_pointee(site(mode, data.path())));
        let (journal, leases) = (Journal::default(), Memory::default());
        let handle = spawn(ANY_PORTS, leases.clone(), site.clone(), journal.clone()).unwrap();
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { site, journal, leases, handle, socket, _data: data }
    }

    /// Sends this to one of the two ports: DHCP's (0) or the boot server's (1).
    fn send(&self, place: usize, message: &Message) {
        let port = self.handle.local_addrs("lo").unwrap()[place].port();
        self.socket.send_to(&message.encode(1472).unwrap(), (LOCAL, port)).unwrap();
    }

    /// The outcomes of this machine's messages, once there are so many: they are noted after the answers have left.
    fn outcomes(&self, client: u8, count: usize) -> Vec<Outcome> {
        loop {
            let entries = self.journal.machine(mac(client)).unwrap_or_default();
            if entries.len() >= count {
                return entries.iter().map(|entry| Entry::clone(entry).outcome).collect();
            }
            std::thread::yield_now();
        }
    }
}

fn site(mode: Mode, data: &std::path::Path) -> Site {
    let file = FileRef { digest: Digest([1; 32]), size: 4 };
    Site {
        interfaces: vec![Interface {
            name: "lo".into(),
            index: 1,
            mac: [0; 6],
            v4: vec![(LOCAL, 8)],
            v6: Vec::new(),
            mtu: 1500,
            mode,
            ipv6: Ipv6::default(),
        }],
        subnets: vec![subnet(20)],
        subnets6: Vec::new(),
        rules: Rules::zero_configuration(),
        catalog: Catalog { loaders: [("snponly.efi".to_owned(), file)].into(), ..Catalog::default() },
        blobs: Blobs::under(data),
        http_port: 8067,
        https: None,
        export: None,
        tftp: TftpSettings { blksize_max: 1468, single_port: false, allow: Vec::new() },
    }
}

fn subnet(first: u8) -> Subnet {
    Subnet {
        network: Ipv4Addr::new(127, 0, 0, 0),
        prefix: 8,
        pools: vec![(Ipv4Addr::new(127, 7, 0, first), Ipv4Addr::new(127, 7, 0, first + 9))],
        routers: Vec::new(),
        dns: Vec::new(),
        domain: None,
        ntp: Vec::new(),
        mtu: None,
        lease: Duration::from_secs(600),
        reservations: Vec::new(),
        shared: None,
        authoritative: true,
    }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// A message through a relay that nobody listens at: its answers have somewhere to go.
fn message(client: u8, kind: MessageType) -> Message {
    let mut message = Message { giaddr: LOCAL, ..Message::request(7, mac(client)) };
    message.options.set_message_type(kind);
    message
}

fn request(client: u8, last: u8) -> Message {
    let mut message = message(client, MessageType::REQUEST);
    message
        .options
        .set_ip(OptionCode::SERVER_ID, LOCAL)
        .set_ip(OptionCode::REQUESTED_IP, Ipv4Addr::new(127, 7, 0, last));
    message
}

fn pxe(mut message: Message) -> Message {
    message.options.set(OptionCode::VENDOR_CLASS, b"PXEClient:Arch:00007:UNDI:003016");
    message
}

#[test]
fn the_boot_server_answers_to_the_port_that_asked() {
    let world = World::new(Mode::Proxy);
    world.send(1, &pxe(Message { giaddr: Ipv4Addr::UNSPECIFIED, ciaddr: LOCAL, ..message(1, MessageType::REQUEST) }));
    let mut bytes = [0; 1500];
    let (len, from) = world.socket.recv_from(&mut bytes).unwrap();
    assert_eq!(from, SocketAddr::from((LOCAL, world.handle.local_addrs("lo").unwrap()[1].port())));
    let ack = Message::decode(&bytes[..len]).unwrap();
    assert_eq!(ack.options.message_type(), Some(MessageType::ACK));
    assert_eq!(ack.options.boot_file(), Some(&b"loader/snponly.efi"[..]));
    world.handle.shutdown();
}

#[test]
fn a_lease_is_in_the_store_before_its_ack_is_noted_and_outlives_the_server() {
    let world = World::new(Mode::Dhcp);
    world.send(0, &message(1, MessageType::DISCOVER));
    assert_eq!(world.outcomes(1, 1)[0], Outcome::Answered("OFFER 127.7.0.20".into()));
    world.send(0, &request(1, 20));
    assert_eq!(world.outcomes(1, 2)[1], Outcome::Answered("ACK 127.7.0.20".into()));
    let records = world.leases.restore().unwrap();
    assert_eq!(records.iter().map(|record| record.ip).collect::<Vec<_>>(), [Ipv4Addr::new(127, 7, 0, 20)]);
    world.handle.shutdown();

    let handle = spawn(ANY_PORTS, world.leases.clone(), world.site.clone(), world.journal.clone()).unwrap();
    let world = World { handle, ..world };
    world.send(0, &message(2, MessageType::DISCOVER));
    assert_eq!(world.outcomes(2, 1)[0], Outcome::Answered("OFFER 127.7.0.21".into()));
    world.handle.shutdown();
}

#[test]
fn a_disk_that_fails_costs_the_ack_and_says_so() {
    let world = World::new(Mode::Dhcp);
    world.leases.set_failing(true);
    world.send(0, &request(1, 20));
    let outcome = world.outcomes(1, 1)[0].to_string();
    assert!(outcome.starts_with("failed: not answered, because it could not be made durable"), "{outcome}");
    world.leases.set_failing(false);
    world.send(0, &request(1, 20));
    assert_eq!(world.outcomes(1, 2)[1], Outcome::Answered("ACK 127.7.0.20".into()));
    world.handle.shutdown();
}

#[test]
fn a_new_site_changes_mode_and_subnets_and_keeps_the_leases() {
    let world = World::new(Mode::Dhcp);
    let put = |change: &dyn Fn(&mut Site)| {
        let mut site = Site::clone(&world.site.load());
        change(&mut site);
        world.site.store(Arc::new(site));
    };
    world.send(0, &request(1, 20));
    assert_eq!(world.outcomes(1, 1)[0], Outcome::Answered("ACK 127.7.0.20".into()));
    put(&|site| site.subnets = vec![Subnet { pools: vec![subnet(20).pools[0], subnet(40).pools[0]], ..subnet(40) }]);
    world.send(0, &request(2, 20));
    let outcome = world.outcomes(2, 1)[0].to_string();
    assert!(outcome.starts_with("NAK (wrong-address)"), "{outcome}");
    world.send(0, &request(2, 45));
    assert_eq!(world.outcomes(2, 2)[1], Outcome::Answered("ACK 127.7.0.45".into()));
    put(&|site| site.interfaces[0].mode = Mode::Proxy);
    world.send(0, &message(3, MessageType::DISCOVER));
    assert!(world.outcomes(3, 1)[0].to_string().contains("not-netboot"));
    world.handle.shutdown();
}

#[test]
fn interfaces_come_and_go_while_it_runs() {
    let mut world = World::new(Mode::Off);
    assert_eq!(world.handle.local_addrs("lo"), None);
    let data = tempfile::tempdir().unwrap();
    let served = site(Mode::Proxy, data.path());
    assert_eq!(world.handle.adopt(&served), Vec::<String>::new());
    assert!(world.handle.local_addrs("lo").is_some());
    let mut missing = served.interfaces[0].clone();
    (missing.name, missing.index) = ("nosuch0".into(), 4711);
    let faults = world.handle.adopt(&Site { interfaces: vec![missing], ..served });
    assert_eq!(faults.len(), 1);
    assert!(faults[0].starts_with("cannot listen for DHCP on interface nosuch0: "), "{faults:?}");
    assert_eq!(world.handle.local_addrs("lo"), None, "it is served no more");
    world.handle.shutdown();
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_the_interface() {
    let world = World::new(Mode::Dhcp);
    let taken = world.handle.local_addrs("lo").unwrap()[0].port();
    let ports = Ports { dhcp: taken, boot_server: 0, dhcp6: 0 };
    let error = spawn(ports, Memory::default(), world.site.clone(), world.journal.clone()).unwrap_err();
    assert!(matches!(&error, Error::Socket { interface, .. } if interface == "lo"), "{error:?}");
    world.handle.shutdown();
}

#[test]
fn many_leases_share_commits_and_all_are_on_disk() {
    let data = tempfile::tempdir().unwrap();
    let mut site = site(Mode::Dhcp, data.path());
    site.subnets[0].pools = vec![(Ipv4Addr::new(127, 8, 0, 1), Ipv4Addr::new(127, 8, 0, 200))];
    let site: SharedSite = Arc::new(ArcSwap::from_pointee(site));
    let (journal, store) = (Journal::default(), Embedded::open(data.path()).unwrap());
    let handle = spawn(ANY_PORTS, store, site, journal.clone()).unwrap();
    let port = handle.local_addrs("lo").unwrap()[0].port();
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    for client in 1..=150 {
        let mut message = request(client, 0);
        message.options.set_ip(OptionCode::REQUESTED_IP, Ipv4Addr::new(127, 8, 0, client));
        socket.send_to(&message.encode(1472).unwrap(), (LOCAL, port)).unwrap();
    }
    while journal.histories().len() < 150 {
        std::thread::yield_now();
    }
    handle.shutdown();
    assert_eq!(Embedded::open(data.path()).unwrap().restore().unwrap().len(), 150);
}
