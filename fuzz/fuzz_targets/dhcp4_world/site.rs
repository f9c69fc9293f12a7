//! The network of the game: two small subnets on our link, one behind a relay, and few clients, so that they get in each other's way.

use slipway_engine::Timestamp;
use slipway_engine::catalog::{Catalog, Digest, FileRef, Image, ImageKind};
use slipway_engine::enrol::{Enrol, Standing, State};
use slipway_engine::machine::{Aim, Change, Memories, Memory};
use slipway_engine::request::Loader;
use slipway_engine::rules::{Boot, Path, Rule, Rules, Then, When};
use slipway_engine::san::{Disk, Login, San, Target};
use slipway_engine::subnet::{Reservation, Subnet, Who};
use slipway_wire::dhcp4::{Message, OptionCode};
use slipway_wire::{Cpu, MacAddr};
use std::net::Ipv4Addr;
use std::time::Duration;

/// We, on the first subnet.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// We, on the second.
pub const GATE: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 1);
/// The relay.
pub const RELAY: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// Addresses in the pools and reservations of all plans together.
pub const ADDRESSES: usize = 4 + 2 + 3 + 1;

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 102);

pub struct Site {
    pub rules: Rules,
    pub catalog: Catalog,
    pub machines: Memories,
}

fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 0, 0, last])
}

/// The machine with a reservation, its two addresses in different plans.
fn reservations(plan: u8) -> Vec<Reservation> {
    let ip = if plan & 1 == 0 { Ipv4Addr::new(10, 77, 0, 50) } else { Ipv4Addr::new(10, 77, 0, 101) };
    vec![Reservation { who: Who::Machine(mac(1)), ip, hostname: Some("one".into()) }]
}

/// Whether these subnets give this address to this machine.
pub fn is_given(subnets: &[Subnet], ip: Ipv4Addr, mac: Option<MacAddr>) -> bool {
    let pooled = subnets.iter().flat_map(|subnet| &subnet.pools).any(|(first, last)| *first <= ip && ip <= *last);
    let owner = subnets.iter().flat_map(|subnet| &subnet.reservations).find(|reserved| reserved.ip == ip);
    match owner {
        Some(reserved) => mac.is_some_and(|mac| reserved.who == Who::Machine(mac)),
        None => pooled && ![ROUTER, SERVER, GATE, RELAY].contains(&ip),
    }
}

/// Any address that could matter.
pub fn address(n: u8) -> Ipv4Addr {
    match n >> 4 {
        0..=5 => Ipv4Addr::new(10, 77, 0, 98 + (n & 7)),
        6..=8 => Ipv4Addr::new(10, 78, 0, n & 3),
        9..=11 => Ipv4Addr::new(10, 9, 0, n & 7),
        12 => Ipv4Addr::new(10, 77, 0, 50),
        13 => SERVER,
        14 => Ipv4Addr::new(192, 168, 0, n),
        _ => [Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, ROUTER, GATE][usize::from(n & 3)],
    }
}

/// An empty message of one of the clients: six have Ethernet, sixteen another link, sixteen no hardware address at all.
pub fn client(who: u8, xid: u32) -> Message {
    let mut message = Message::request(xid, mac(who & 7));
    match who & 7 {
        6 => (message.htype, message.hlen, message.chaddr) = (32, 16, [who >> 3 & 15 | 16; 16]),
        7 => {
            (message.htype, message.hlen, message.chaddr) = (32, 0, [0; 16]);
            message.options.set(OptionCode::CLIENT_ID, [255, who >> 3 & 15]);
        }
        _ => {}
    }
    message.set_broadcast(who & 128 != 0);
    message
}

/// Gives the client a loader's voice.
pub fn speak_as(message: &mut Message, loader: u8) {
    let archs: [u16; 8] = [0, 7, 16, 6, 9, 11, 15, 0xffff];
    let arch = archs[usize::from(loader >> 3 & 7)];
    let class = match loader & 7 {
        0 | 1 => format!("PXEClient:Arch:{arch:05}:UNDI:003016"),
        2 => {
            message.options.set(OptionCode::USER_CLASS, b"iPXE");
            format!("PXEClient:Arch:{arch:05}:UNDI:003010")
        }
        3 => format!("HTTPClient:Arch:{arch:05}:UNDI:003001"),
        4 => "U-Boot.armv8".to_owned(),
        5 => "slipway-agent".to_owned(),
        6 => "PXEClient".to_owned(),
        _ => "MSFT 5.0".to_owned(),
    };
    message.options.set(OptionCode::VENDOR_CLASS, class);
    if loader & 64 == 0 {
        message.options.set_u16(OptionCode::CLIENT_ARCH, arch);
    }
}

impl Site {
    /// A disk by its root path.
    fn disk() -> Then {
        let target = Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{mac}").expect("it is a root path");
        let disk = Disk { name: "disk1".into(), target, initiator: None, keep: true, login: Login::Own };
        Then::San(Box::new(San { disk, path: Path::Direct, boot: None }))
    }

    /// Eight plans; the leases' time is the same in all.
    pub fn subnets(plan: u8) -> Vec<Subnet> {
        let subnet = |a: u8, b: u8, pool: (u8, u8)| Subnet {
            network: Ipv4Addr::new(10, a, b, 0),
            prefix: 24,
            pools: vec![(Ipv4Addr::new(10, a, b, pool.0), Ipv4Addr::new(10, a, b, pool.1))],
            routers: vec![Ipv4Addr::new(10, a, b, 102)],
            dns: vec![Ipv4Addr::new(10, a, b, 53), Ipv4Addr::new(10, a, b, 54)],
            domain: Some("lab.example".into()),
            ntp: vec![SERVER],
            mtu: Some(1400),
            lease: Duration::from_secs(3600),
            reservations: Vec::new(),
            authoritative: plan & 2 == 0,
            shared: (plan & 4 != 0 && a != 9).then(|| "rack".to_owned()),
        };
        let mut first = subnet(77, 0, (100, 103));
        first.reservations = reservations(plan);
        let far = subnet(9, 0, (3, 5));
        match plan & 3 {
            3 => vec![first, far],
            _ => vec![first, subnet(78, 0, (2, 3)), far],
        }
    }

    pub fn new() -> Self {
        let file = FileRef { digest: Digest([7; 32]), size: 4096 };
        let image = |name: &str, cpu, kind, files: &[&str]| {
            let files = files.iter().map(|file_name| ((*file_name).to_owned(), file)).collect();
            let image = Image { name: name.into(), version: "1".into(), kind, cpu: Some(cpu), cmdline: None, files };
            (name.to_owned(), vec![image])
        };
        let images = [
            image("uki", Cpu::X64, ImageKind::Uki, &[Image::UKI, Image::LINUX, Image::INITRD]),
            image("kernel", Cpu::Arm64, ImageKind::Linux, &[Image::LINUX]),
        ];
        let names = ["undionly.kpxe", "snponly.efi", "ipxe-arm64.efi"];
        let catalog = Catalog {
            images: images.into(),
            loaders: names.map(|name| (name.to_owned(), file)).into(),
            ..Catalog::default()
        };
        let boot =
            |image: &str| Then::Boot(Boot { image: image.into(), version: None, path: Path::Auto, append: None });
        let rule = |name: &str, when, then| Rule { name: name.into(), when, then, https: None, install: None };
        let rules = vec![
            rule("ignored", When { mac: vec![mac(2)], ..When::default() }, Then::Ignore),
            rule("local", When { mac: vec![mac(3)], ..When::default() }, Then::Local),
            rule("menu", When { mac: vec![mac(4)], loader: vec![Loader::Ipxe], ..When::default() }, Then::Menu),
            rule("disk", When { mac: vec![mac(5)], ..When::default() }, Self::disk()),
            rule("org", When { mac: vec![mac(0), mac(1)], ..When::default() }, Self::enrol()),
            rule("arm", When { cpu: vec![Cpu::Arm64], ..When::default() }, boot("kernel")),
            rule("all", When::default(), boot("uki")),
        ];
        let mut machines = Memories::default();
        let local = Change::Boot { aim: Aim::Local, once: false };
        machines.put(mac(5), Memory::default().after(local, Timestamp(1)));
        Self { rules: Rules { rules }, catalog, machines }
    }

    /// What the org decides about.
    fn enrol() -> Then {
        let boot = Boot { image: "uki".into(), version: None, path: Path::Auto, append: None };
        Then::Enrol(Box::new(Enrol { boot, open_discovery: false, recover_after: Enrol::RECOVER_AFTER }))
    }
}

/// The org says where two machines stand, or time passes for them.
pub fn org_says(machines: &mut Memories, word: u8, now: Timestamp) {
    let states = [State::Asking, State::Awaited, State::Enrolled, State::Suspended, State::Revoked];
    let who = mac(word & 1);
    let standings = machines.standings_mut();
    match word >> 1 & 15 {
        0 => standings.set_window(word & 64 != 0),
        1 => drop(standings.sent(who, now)),
        2 => drop(standings.tick(now)),
        3 => standings.put(who, None),
        n => {
            let state = states[usize::from(n) % states.len()];
            standings.put(who, Some(Standing { state, uuid: None, heard: now }));
        }
    }
}
