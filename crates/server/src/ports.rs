//! Who holds the ports that we need: asked when binding fails, answered with a process and a remedy.

use std::collections::BTreeMap;
use std::fs;

/// A transport and a port.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Port {
    /// UDP.
    Udp(u16),
    /// TCP, listening.
    Tcp(u16),
}

impl core::fmt::Display for Port {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Udp(port) => write!(f, "UDP port {port}"),
            Self::Tcp(port) => write!(f, "TCP port {port}"),
        }
    }
}

/// Sockets that hold one of the ports, found while we may still look into other processes: port, inode, holder.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    holders: BTreeMap<Port, String>,
}

impl Survey {
    /// Looks for holders of these ports. Whatever cannot be read is left out: this only makes an error message better.
    #[must_use]
    pub fn of(ports: &[Port]) -> Self {
        let mut inodes: BTreeMap<u64, Port> = BTreeMap::new();
        for (file, tcp) in [("udp", false), ("udp6", false), ("tcp", true), ("tcp6", true)] {
            let text = fs::read_to_string(format!("/proc/self/net/{file}")).unwrap_or_default();
            let held = sockets(&text, tcp).into_iter();
            inodes.extend(held.filter(|(port, _)| ports.contains(port)).map(|(port, inode)| (inode, port)));
        }
        let mut holders: BTreeMap<Port, String> =
            inodes.values().map(|port| (*port, "a process that this user may not see".to_owned())).collect();
        if !inodes.is_empty() {
            holders.extend(processes(&inodes));
        }
        Self { holders }
    }

    /// Each held port with its holder, in a sentence with the remedy; empty if none is held.
    #[must_use]
    pub fn told(&self) -> String {
        let one = |(port, holder): (&Port, &String)| {
            let remedy = match port {
                Port::Udp(67 | 4011) => {
                    "stop it, or keep it off the interface that Slipway serves (two boot servers on one host cannot share it)"
                }
                Port::Udp(_) => "stop it, or set another `port` in [tftp] (firmware asks on 69 only)",
                Port::Tcp(_) => "stop it, or set another `port` in [http] or [https]",
            };
            format!("{port} is held by {holder}: {remedy}")
        };
        self.holders.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// Ports and inodes in a table of `/proc/net`; of TCP only listening sockets (state 0A).
fn sockets(text: &str, tcp: bool) -> Vec<(Port, u64)> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let inode = fields.get(9)?.parse().ok()?;
        match (tcp, *fields.get(3)?) {
            (true, "0A") => Some((Port::Tcp(port), inode)),
            (true, _) => None,
            (false, _) => Some((Port::Udp(port), inode)),
        }
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// The processes that have one of these sockets open.
fn processes(inodes: &BTreeMap<u64, Port>) -> BTreeMap<Port, String> {
    let mut found = BTreeMap::new();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in pids.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())) {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        for target in files.filter_map(|file| fs::read_link(file.path()).ok()) {
            let text = target.to_string_lossy();
            let inode = text.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
            let Some(port) = inode.and_then(|inode| inodes.get(&inode.parse().ok()?)) else { continue };
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.insert(*port, format!("{} (pid {pid})", name.trim()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, UdpSocket};

    #[test]
    fn the_holder_of_a_port_is_named_with_a_remedy() {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ports = [Port::Udp(udp.local_addr().unwrap().port()), Port::Tcp(tcp.local_addr().unwrap().port())];
        let told = Survey::of(&ports).told();
        let us = format!("(pid {})", std::process::id());
        assert_eq!(told.matches(&us).count(), 2, "{told}");
        assert!(told.contains("[tftp]") && told.contains("[http] or [https]"), "{told}");
    }

    #[test]
    fn a_free_port_has_no_holder() {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert_eq!(Survey::of(&[Port::Udp(port)]).told(), "");
    }

    #[test]
    fn only_listening_tcp_sockets_count() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                    0: 0100007F:1F83 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0\n   \
                    1: 0100007F:1F83 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0\n";
        assert_eq!(sockets(text, true), [(Port::Tcp(8067), 77)]);
    }
}
