//! The operator's rules: which machine boots what. First match wins.

use core::net::IpAddr;
use std::sync::Arc;

use slipway_wire::{AgentId, ClientArch, Cpu, MacAddr};

use crate::answer::ServerAddr;
use crate::enrol::Enrol;
use crate::machine::Guard;
use crate::menu::Menu;
use crate::request::{BootRequest, Loader};
use crate::san::San;

/// All rules, in the order of the configuration file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Rules {
    /// First match wins; no match is `Why::NoRule`.
    pub rules: Vec<Rule>,
}

impl Rules {
    /// The rules of a site that nobody has described: every machine is offered the menu.
    #[must_use]
    pub fn zero_configuration() -> Self {
        Self {
            rules: vec![Rule {
                name: "default".to_owned(),
                when: When::default(),
                then: Then::Menu,
                https: None,
                install: None,
            }],
        }
    }

    /// What guards against this image installing again and again, if a rule says that it installs.
    #[must_use]
    pub fn installer(&self, image: &str) -> Option<Guard> {
        let gives = |rule: &&Rule| matches!(&rule.then, Then::Boot(boot) if boot.image == image);
        self.rules.iter().filter(gives).find_map(|rule| rule.install)
    }

    /// The circuit or remote id with this digest, among those that some rule looks at; what no rule looks at decides nothing.
    #[must_use]
    pub fn agent_id(&self, digest: u64) -> Option<&AgentId> {
        let looked_at = self.rules.iter().flat_map(|rule| rule.when.circuit_id.iter().chain(&rule.when.remote_id));
        looked_at.into_iter().find(|id| id.digest() == digest)
    }

    /// The first rule that matches. `server` is where the machine asked us: without a relay, it sits in our own network, and so
    /// a subnet is matched even while the machine has no address.
    #[must_use]
    pub fn first(&self, request: &BootRequest, server: ServerAddr) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.when.matches(request, server))
    }
}

/// One rule: when it matches, what then.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Its name in the journal and in `explain`.
    pub name: String,
    /// All given criteria must hold; a criterion that lists several values holds when one of them does.
    pub when: When,
    /// What a matching machine is given.
    pub then: Then,
    /// The port where UEFI HTTP Boot is sent to by `https`; none is plain HTTP. Only firmware: iPXE trusts the CAs it was built with,
    /// and a distribution's build does not trust ours.
    pub https: Option<u16>,
    /// The image installs a system, and this guards against that happening again and again.
    pub install: Option<Guard>,
}

/// A network in prefix notation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IpNet {
    /// The network's address (host bits zero).
    pub addr: IpAddr,
    /// Prefix length: 0-32 or 0-128.
    pub prefix: u8,
}

impl IpNet {
    /// Whether the network holds this address. A prefix that is longer than the address holds nothing.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.addr, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let differs = net.to_bits() ^ ip.to_bits();
                self.prefix <= 32 && differs.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let differs = net.to_bits() ^ ip.to_bits();
                self.prefix <= 128 && differs.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }
}

/// A rule's criteria. An empty list is no criterion.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct When {
    /// Hardware addresses.
    pub mac: Vec<MacAddr>,
    /// SMBIOS UUIDs.
    pub uuid: Vec<uuid::Uuid>,
    /// Architectures, as in option 93.
    pub arch: Vec<ClientArch>,
    /// Processor families.
    pub cpu: Vec<Cpu>,
    /// Asking programs.
    pub loader: Vec<Loader>,
    /// Networks that hold the client's address, or the relay's.
    pub subnet: Vec<IpNet>,
    /// Our interfaces.
    pub interface: Vec<String>,
    /// Relay addresses (`giaddr`).
    pub relay: Vec<IpAddr>,
    /// Circuit ids (option 82.1, DHCPv6's interface id), compared whole.
    pub circuit_id: Vec<AgentId>,
    /// Remote ids (option 82.2, DHCPv6's remote id without its enterprise number), compared whole.
    pub remote_id: Vec<AgentId>,
    /// User classes, compared whole.
    pub user_class: Vec<String>,
    /// UEFI (`true`) or BIOS (`false`).
    pub uefi: Option<bool>,
}

impl When {
    /// Whether every given criterion holds.
    #[must_use]
    pub fn matches(&self, request: &BootRequest, server: ServerAddr) -> bool {
        let place = request.client_ip.or(request.place.link).or(request.relay).unwrap_or(server.ip);
        holds(&self.mac, |mac| *mac == request.mac)
            && holds(&self.uuid, |uuid| Some(*uuid) == request.uuid)
            && holds(&self.arch, |arch| *arch == request.arch)
            && holds(&self.cpu, |cpu| Some(*cpu) == request.arch.cpu())
            && holds(&self.loader, |loader| *loader == request.loader)
            && holds(&self.subnet, |net| net.contains(place))
            && holds(&self.interface, |interface| *interface == request.interface)
            && holds(&self.relay, |relay| Some(*relay) == request.relay)
            && holds(&self.circuit_id, |id| Some(id) == request.place.circuit_id.as_ref())
            && holds(&self.remote_id, |id| Some(id) == request.place.remote_id.as_ref())
            && holds(&self.user_class, |class| Some(class) == request.user_class.as_ref())
            && self.uefi.is_none_or(|uefi| uefi == request.arch.is_uefi())
    }
}

fn holds<T>(wanted: &[T], is_it: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(is_it)
}

/// What a matching machine is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Then {
    /// Boot an image.
    Boot(Boot),
    /// A network disk.
    San(Box<San>),
    /// iPXE with a menu of every image that this machine can run.
    Menu,
    /// iPXE with a menu of the operator's own.
    Choose(Arc<Menu>),
    /// What the org says of the machine decides: the image in which it enrols or recovers, its own disk, or nothing.
    Enrol(Box<Enrol>),
    /// Boot from the machine's own disk.
    Local,
    /// Say nothing at all.
    Ignore,
}

/// An image to boot, and how.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Boot {
    /// The image's name in the store.
    pub image: String,
    /// A version of it; none is the newest.
    pub version: Option<String>,
    /// Which way to take where several lead there.
    pub path: Path,
    /// Text to put after the image's own command line.
    pub append: Option<String>,
}

/// The way from firmware to image.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Path {
    /// The firmware loads the image itself where it can; else shim and GRUB do, which Secure Boot lets pass, where they are
    /// installed; else iPXE.
    #[default]
    Auto,
    /// Only the firmware itself.
    Direct,
    /// Through iPXE always.
    Ipxe,
    /// Through shim and GRUB always.
    Shim,
    /// On a BIOS through pxelinux.
    Pxelinux,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::Rung;
    use crate::request::{Exchange, Place};

    fn id(text: &str) -> Option<AgentId> {
        text.parse().ok()
    }

    fn ids(texts: &[&str]) -> Vec<AgentId> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn request() -> BootRequest {
        BootRequest {
            exchange: Exchange::Dhcp,
            loader: Loader::Pxe,
            arch: ClientArch::X64_UEFI,
            mac: MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]),
            uuid: Some(uuid::Uuid::from_u128(7)),
            interface: "eth1".into(),
            relay: None,
            place: Place { circuit_id: id("eth7"), remote_id: id("0x0004"), link: None },
            client_ip: Some([10, 77, 0, 100].into()),
            user_class: Some("blue".into()),
            vendor_class: None,
            rung: Rung::Plain,
        }
    }

    fn server() -> ServerAddr {
        ServerAddr { ip: [10, 77, 0, 1].into(), http_port: 8067, https: false }
    }

    fn net(text: &str) -> IpNet {
        let (addr, prefix) = text.split_once('/').unwrap();
        IpNet { addr: addr.parse().unwrap(), prefix: prefix.parse().unwrap() }
    }

    #[test]
    fn each_criterion_holds_for_one_of_its_values_and_fails_for_none() {
        let any = When::default;
        let other = MacAddr([2; 6]);
        for (what, holds, when) in [
            ("nothing asked", true, any()),
            ("mac", true, When { mac: vec![other, request().mac], ..any() }),
            ("another mac", false, When { mac: vec![other], ..any() }),
            ("uuid", true, When { uuid: vec![uuid::Uuid::from_u128(7)], ..any() }),
            ("another uuid", false, When { uuid: vec![uuid::Uuid::from_u128(8)], ..any() }),
            ("arch", true, When { arch: vec![ClientArch::X64_UEFI], ..any() }),
            ("another arch", false, When { arch: vec![ClientArch::BIOS, ClientArch::EBC], ..any() }),
            ("cpu", true, When { cpu: vec![Cpu::X64], ..any() }),
            ("another cpu", false, When { cpu: vec![Cpu::Arm64], ..any() }),
            ("loader", true, When { loader: vec![Loader::Ipxe, Loader::Pxe], ..any() }),
            ("another loader", false, When { loader: vec![Loader::Ipxe], ..any() }),
            ("subnet", true, When { subnet: vec![net("192.168.0.0/16"), net("10.77.0.0/24")], ..any() }),
            ("another subnet", false, When { subnet: vec![net("10.77.1.0/24"), net("fd00::/8")], ..any() }),
            ("interface", true, When { interface: vec!["eth1".into()], ..any() }),
            ("another interface", false, When { interface: vec!["eth10".into()], ..any() }),
            ("a relay where there is none", false, When { relay: vec![[10, 77, 0, 1].into()], ..any() }),
            ("circuit id", true, When { circuit_id: ids(&["eth0", "eth7"]), ..any() }),
            ("part of the circuit id", false, When { circuit_id: ids(&["eth"]), ..any() }),
            ("remote id", true, When { remote_id: ids(&["0x0004"]), ..any() }),
            ("the circuit id's value for a remote id", false, When { remote_id: ids(&["eth7"]), ..any() }),
            ("user class", true, When { user_class: vec!["blue".into()], ..any() }),
            ("part of the user class", false, When { user_class: vec!["blu".into()], ..any() }),
            ("uefi", true, When { uefi: Some(true), ..any() }),
            ("bios", false, When { uefi: Some(false), ..any() }),
            ("one of two fails", false, When { uefi: Some(true), loader: vec![Loader::Ipxe], ..any() }),
        ] {
            assert_eq!(when.matches(&request(), server()), holds, "{what}");
        }
    }

    #[test]
    fn a_machine_without_an_address_is_where_its_relay_is_or_else_where_we_heard_it() {
        let here = When { subnet: vec![net("10.77.0.0/24")], ..When::default() };
        let unborn = BootRequest { client_ip: None, ..request() };
        assert!(here.matches(&unborn, server()));
        let relayed = BootRequest { relay: Some([10, 88, 0, 1].into()), ..unborn };
        assert!(!here.matches(&relayed, server()));
        let there = When { subnet: vec![net("10.88.0.0/16")], relay: vec![[10, 88, 0, 1].into()], ..When::default() };
        assert!(there.matches(&relayed, server()));
        let link = Some([10, 77, 0, 0].into());
        let named = BootRequest { place: Place { link, ..Place::default() }, ..relayed };
        assert!(here.matches(&named, server()), "its relay names the machine's network");
        let untold = BootRequest { place: Place::default(), ..named };
        assert!(!When { circuit_id: ids(&["eth7"]), ..When::default() }.matches(&untold, server()));
    }

    #[test]
    fn a_network_holds_its_own_addresses_only() {
        for (network, ip, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("10.1.2.3/32", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.2", false),
            ("10.1.2.3/33", "10.1.2.3", false),
            ("0.0.0.0/0", "::1", false),
            ("fd00:1::/32", "fd00:1:ffff::9", true),
            ("fd00:1::/32", "fd00:2::9", false),
            ("::/0", "2001:db8::1", true),
        ] {
            assert_eq!(net(network).contains(ip.parse().unwrap()), holds, "{ip} in {network}");
        }
    }

    #[test]
    fn the_first_match_wins() {
        let rule = |name: &str, uefi, then| Rule {
            name: name.into(),
            when: When { uefi, ..When::default() },
            then,
            https: None,
            install: None,
        };
        let rules = Rules {
            rules: vec![
                rule("bios", Some(false), Then::Local),
                rule("uefi", Some(true), Then::Ignore),
                rule("all", None, Then::Menu),
            ],
        };
        assert_eq!(rules.first(&request(), server()).map(|rule| rule.name.as_str()), Some("uefi"));
        assert_eq!(Rules::default().first(&request(), server()), None);
        let menu = Rules::zero_configuration();
        assert_eq!(menu.first(&request(), server()).map(|rule| &rule.then), Some(&Then::Menu));
    }
}
