//! A network of the scenario's own: LANs (bridges), and hosts (network namespaces) with a leg in one or more of them.
//!
//! Everything is made inside the network and mount namespace of the scenario's process, under a private `/run`: names never
//! clash with the machine's or with another scenario's, and all of it vanishes when that process ends, however it ends.

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use slipway_wire::MacAddr;

use crate::process::{Running, run};

/// One Ethernet segment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lan {
    bridge: String,
}

/// A computer on one or more LANs, without a disk or a kernel of its own: a network namespace.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    legs: Vec<Leg>,
    folder: PathBuf,
}

/// A host's network interface.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The name inside the host: `eth0`, `eth1`, … in the order of the host's addresses.
    pub interface: String,
    /// The LAN it is plugged into.
    pub lan: Lan,
    /// Its first IPv4 address, if it has one.
    pub ip: Option<Ipv4Addr>,
}

impl Lan {
    /// Makes the segment. `name` is at most nine letters: it also names the bridge and its capture.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn create(name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > 9 {
            bail!("a LAN's name has 1 to 9 letters: {name:?}");
        }
        ip(["link", "add", name, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"])?;
        // In promiscuous mode the bridge sees, and the capture on it, also what it passes from host to host.
        ip(["link", "set", name, "up", "promisc", "on"])?;
        Ok(Self { bridge: name.to_owned() })
    }

    /// The bridge's name in the scenario's own network namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.bridge
    }

    /// Makes a tap on this LAN for a virtual machine.
    ///
    /// # Errors
    /// The kernel refuses: most often `/dev/net/tun` may not be opened.
    pub(crate) fn tap(&self, name: &str) -> Result<()> {
        // That of a machine that was switched off is still there.
        if ip(["link", "show", "dev", name]).is_ok() {
            return Ok(());
        }
        ip(["tuntap", "add", "dev", name, "mode", "tap"])?;
        ip(["link", "set", name, "master", &self.bridge, "up"])
    }
}

impl Host {
    /// Makes the host. Each address is `address/length` of either family, or empty for a leg that is up but has none.
    pub(crate) fn create(name: &str, addresses: &[(&Lan, &str)], folder: PathBuf) -> Result<Self> {
        ip(["netns", "add", name])?;
        ip(["-n", name, "link", "set", "lo", "up"])?;
        let mut legs = Vec::new();
        for (number, (lan, address)) in addresses.iter().enumerate() {
            let interface = format!("eth{number}");
            let port = format!("{name}.{number}");
            if port.len() > 15 {
                bail!("a host's name has at most 13 letters: {name:?}");
            }
            ip(["link", "add", &port, "type", "veth", "peer", "name", &interface, "netns", name])?;
            ip(["link", "set", &port, "master", &lan.bridge, "up"])?;
            if address.contains(':') {
                // Without the probe for duplicates, which would take a second in which nothing answers.
                ip(["-n", name, "addr", "add", address, "dev", &interface, "nodad"])?;
            } else if !address.is_empty() {
                ip(["-n", name, "addr", "add", address, "dev", &interface])?;
            }
            ip(["-n", name, "link", "set", &interface, "up"])?;
            let ip = address.split('/').next().and_then(|text| text.parse().ok());
            legs.push(Leg { interface, lan: (*lan).clone(), ip });
        }
        Ok(Self { name: name.to_owned(), legs, folder })
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its interfaces.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// Its first IPv4 address.
    ///
    /// # Errors
    /// It has none.
    pub fn ip(&self) -> Result<Ipv4Addr> {
        self.legs.iter().find_map(|leg| leg.ip).with_context(|| format!("host {} has no address", self.name))
    }

    /// Its IPv4 address on a LAN.
    ///
    /// # Errors
    /// It has none there.
    pub fn address_on(&self, lan: &Lan) -> Result<Ipv4Addr> {
        let leg = self.legs.iter().find(|leg| leg.lan == *lan);
        leg.and_then(|leg| leg.ip).with_context(|| format!("host {} has no address on {}", self.name, lan.name()))
    }

    /// The hardware address of its interface `interface`.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn mac(&self, interface: &str) -> Result<MacAddr> {
        // Not from /sys, which shows the network of whoever mounted it.
        let shown = run(self.command("ip").args(["-brief", "link", "show", "dev", interface]))?;
        let mac = shown.split_whitespace().nth(2).and_then(|word| word.parse().ok());
        mac.with_context(|| format!("{}: no hardware address in {shown:?}", self.name))
    }

    /// A command that will run on this host.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.name)).arg("--").arg(program);
        command
    }

    /// Runs a short program on this host to its end and returns what it printed.
    ///
    /// # Errors
    /// It fails: its own words are in the error.
    pub fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        run(self.command(program).args(arguments))
    }

    /// Starts a program on this host that runs beside the scenario, with its output in `<host>-<name>.log`.
    ///
    /// # Errors
    /// It can't be started.
    pub fn start<S: AsRef<OsStr>>(
        &self,
        name: &str,
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Running> {
        let mut command = self.command(program);
        command.args(arguments);
        Running::start(&format!("{}-{name}", self.name), command, &self.folder)
    }

    /// Runs a closure on a thread that is on this host: sockets it opens are the host's.
    ///
    /// # Errors
    /// The thread can't enter the host, or the closure fails.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/run/netns/{}", self.name);
        std::thread::scope(|scope| {
            let thread = scope.spawn(move || {
                let namespace = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
                move_into_link_name_space(std::os::fd::AsFd::as_fd(&namespace), Some(LinkNameSpaceType::Network))?;
                work()
            });
            thread.join().unwrap_or_else(|_| bail!("the work on host {} panicked", self.name))
        })
    }

    /// Routes everything beyond the host's LANs through `router`.
    ///
    /// # Errors
    /// The router is not on one of its LANs.
    pub fn route_through(&self, router: Ipv4Addr) -> Result<()> {
        ip(["-n", &self.name, "route", "add", "default", "via", &router.to_string()])
    }

    /// Makes this host pass packets between its LANs.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn forward(&self) -> Result<()> {
        self.run("sh", ["-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"]).map(drop)
    }
}

fn ip<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<()> {
    run(Command::new("ip").args(words)).map(drop)
}
