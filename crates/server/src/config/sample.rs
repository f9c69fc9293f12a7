//! The commented configuration that `slipway init` writes.

use std::net::{IpAddr, Ipv4Addr};

use super::values::masked;
use crate::site::Interface;

/// Every key with its meaning and default, the safe choices switched on, `lan` filled in where it was found.
#[must_use]
pub fn sample(lan: Option<&Interface>) -> String {
    let name = lan.map_or("eth0", |interface| interface.name.as_str());
    let found = match lan {
        Some(interface) => format!("# Found on this machine: {}.\n", describe(interface)),
        None => {
            "# No interface was found that is plainly the LAN's: put its name here (`ip -brief address` lists them).\n"
                .to_owned()
        }
    };
    let (network, router) = lan.and_then(|interface| interface.v4.first()).map_or_else(
        || ("10.77.0.0/24".to_owned(), Ipv4Addr::new(10, 77, 0, 1)),
        |(ip, prefix)| (format!("{}/{prefix}", masked(IpAddr::V4(*ip), *prefix)), *ip),
    );
    let [a, b, c, _] = router.octets();
    TEMPLATE
        .replace("@FOUND@\n", &found)
        .replace("@INTERFACE@", name)
        .replace("@NETWORK@", &network)
        .replace("@ROUTER@", &router.to_string())
        .replace("@THREE@", &format!("{a}.{b}.{c}"))
}

fn describe(interface: &Interface) -> String {
    let addresses: Vec<String> = interface.v4.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
    format!(
        "{} with {}",
        interface.name,
        if addresses.is_empty() { "no IPv4 address".to_owned() } else { addresses.join(", ") }
    )
}

const TEMPLATE: &str = r#"# Slipway's configuration.
#
#   slipway check            says what is wrong with this file, all of it at once
#   slipway serve            starts with it
#   systemctl reload slipway (or SIGHUP) takes a change over; a file with an error is told about and changes nothing
#
# A key that is commented out shows its default, unless it says "example".

# Where leases, images and the journal are kept.
# data = "/var/lib/slipway"

# The user to run as, when started as root. Ports below 1024 are bound with a capability that is kept, root is not needed.
# Example:
# user = "slipway"

[control]
# The socket that `slipway machines`, `slipway status` and the like ask. Mode 0660: its owner and group may ask.
# socket = "/run/slipway/control.sock"

[log]
# error: you must act. warn: something is misconfigured. info: each step of a boot. debug: each packet and transfer. trace: DHCP's bytes.
# level = "info"
# "text" for people, "json" for programs: one object a line.
# format = "text"

[http]
# Port of the HTTP boot server. It is named in every URL that a machine is given.
# port = 8067

# The same over TLS, for firmware in which the boot CA is enrolled (`slipway ca export`). Served if this section is there.
# In place of the boot CA and `names`, `certificate` and `key` may name files of your own, in PEM.
# [https]
# port = 8443
# names = ["boot.example"]                    # example; names that machines ask for, beside this server's addresses
# offer = false                               # true: UEFI HTTP Boot is sent here by every rule that has no `scheme` of its own

# The trust plane, over TLS 1.3: machines enrol there, and prove themselves at each boot. Served where an org exists (`slipway org init`).
# [org]
# listen = ["0.0.0.0:8444", "[::]:8444"]
# What this server does: let machines in while a window is open (`slipway window open`), and serve those that are known.
# roles = ["enroller", "gateway"]
# How often one address may begin a conversation, and how many there may be at once.
# hellos-per-minute = 10
# conversations = 1024

[tftp]
# Firmware asks on 69 only: change it for tests.
# port = 69
# A folder of your own, served read-only over TFTP and HTTP beside the images. Links that lead out of it are not followed.
# Example:
# export = "/srv/tftp"
# Upper bound of the block size that clients may ask for, 512 to 65464 bytes. What fits the path's MTU bounds it too.
# blksize-max = 65464
# true answers from port 69 itself: for firewalls between server and client that do not know TFTP.
# single-port = false
# Networks that are served besides those of the interfaces and subnets below. Example:
# allow = ["10.9.0.0/16"]

# The interfaces to serve. mode:
#   "proxy"  another server gives the addresses, Slipway says only what to boot (the default: it disturbs nobody)
#   "dhcp"   Slipway gives the addresses too; it needs a [[subnet]]. Never do this on a network with another DHCP server.
#   "off"    files only
# dhcp6: true answers DHCPv6 too; it needs a [[subnet6]]. By default only where mode is "dhcp" and there is one.
# ra: the router advertisements sent. "boot-only" answers whoever asks and says nothing (it spares iPXE 13 s), "managed" tells hosts
#   to ask DHCPv6 for addresses, "stateless" to make their own. None of them makes this machine anybody's router.
@FOUND@
[[interface]]
name = "@INTERFACE@"
mode = "proxy"
# dhcp6 = true                                # example
# ra = "off"

# The networks that addresses are given in, for an interface in mode "dhcp" and for relays.
# [[subnet]]
# network = "@NETWORK@"
# pool = ["@THREE@.100-@THREE@.200"]   # one range or several; none: only machines with a reservation get an address
# router = "@ROUTER@"
# dns = ["@ROUTER@"]
# ntp = ["@ROUTER@"]                      # example
# domain = "lab.example"                      # example
# mtu = 1500                                  # example; without it clients keep their own
# lease = "1h"                                # "60s" to "3650d"
# authoritative = false                       # true: a client with an address of this network that is not its own is told so
#
# [[subnet.reservation]]
# mac = "52:54:00:12:34:56"
# ip = "@THREE@.10"
# hostname = "node1"
#
# In place of `mac`, `circuit-id` and `remote-id` keep the address for whatever is plugged in at a port, as a relay or switch tells it.
# Several subnets on one link are a shared network: give each of them the same `shared-network = "NAME"`.

# The IPv6 networks that addresses are given in. Without a pool: parameters for all, addresses only for machines with a reservation.
# [[subnet6]]
# network = "fd77::/64"
# pool = ["fd77::1:0-fd77::1:ffff"]
# dns = ["fd77::1"]
# domain = ["lab.example"]                    # example
# lease = "1h"
#
# [[subnet6.reservation]]
# mac = "52:54:00:12:34:56"
# ip = "fd77::10"

# The org's word on what a machine is given: one that nobody knows gets the image while an enrolment window is open, or always where
# discovery is open; an enrolled one is sent to its own disk, or gets the image to recover when it was not heard for a while after that.
# It holds where no rule below has decided, or in a rule with `enrol = true`. Example:
# [enrolment]
# image = "bootstrap"
# open-discovery = false
# recover-after = "2m"

# Which machine boots what. The first rule that matches decides; a machine that none matches is not answered.
# when: mac, uuid, arch, cpu, loader, subnet, interface, relay, circuit-id, remote-id, user-class (each a value or a list of them),
#   uefi (true or false).
#   arch    x86-bios, x64-uefi, arm64-uefi, riscv64-uefi, ..., or the number in DHCP option 93
#   cpu     ia32, x64, arm32, arm64, riscv64, loongarch64
#   loader  pxe, uefi-http, ipxe, u-boot, agent
# Then one of: boot = "IMAGE" or "IMAGE@VERSION", menu = true (all images) or menu = "NAME" (of a [[menu]]),
#   enrol = true (the org decides), local = true (its own disk), ignore = true.
# With boot or menu also: scheme = "http" or "https" (for UEFI HTTP Boot).
# With boot also: path = "auto", "direct" (the firmware itself), "ipxe" or "shim"; append = "text after the image's command line".
#
# [[rule]]
# name = "lab"
# when = { mac = ["52:54:00:12:34:56"], uefi = true }
# boot = "debian"
# append = "console=ttyS0"
#
# [[rule]]
# name = "fleet"
# when = { uefi = true }
# enrol = true

[[rule]]
name = "default"
menu = true
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;
    use crate::site::{Ipv6, Mode};

    fn lan() -> Interface {
        Interface {
            name: "enp3s0".to_owned(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            v4: vec![(Ipv4Addr::new(192, 168, 7, 5), 24)],
            v6: Vec::new(),
            mtu: 1500,
            mode: Mode::Proxy,
            ipv6: Ipv6::default(),
        }
    }

    #[test]
    fn what_init_writes_passes_check_without_a_warning() {
        for lan in [None, Some(lan())] {
            let text = sample(lan.as_ref());
            let config = parse(&text, "slipway.toml").unwrap_or_else(|faults| panic!("{faults}"));
            assert_eq!(config.warnings, []);
            let name = lan.map_or("eth0".to_owned(), |lan| lan.name);
            assert_eq!(config.interfaces.iter().map(|i| i.name.value.clone()).collect::<Vec<_>>(), [name]);
        }
    }

    /// A comment that shows a key which no longer exists would mislead: every commented key is tried.
    #[test]
    fn every_key_in_the_comments_is_one_that_is_read() {
        let text = sample(Some(&lan()));
        let is_key = |rest: &str| {
            rest.starts_with('[')
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        };
        let all: String = text
            .lines()
            .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line))
            .map(|line| format!("{}\n", line.replace("mode = \"proxy\"", "mode = \"dhcp\"")))
            .collect();
        let config = parse(&all, "slipway.toml").unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(config.warnings, []);
        assert_eq!(config.subnets.len(), 1);
        assert_eq!(config.subnets[0].value.reservations.len(), 1);
        assert_eq!(config.subnets6[0].value.reservations.len(), 1);
        assert_eq!(config.rules.len(), 3);
    }

    #[test]
    fn the_defaults_in_the_comments_are_the_defaults() {
        let config = parse(&sample(None), "slipway.toml").unwrap();
        let text = sample(None);
        for line in [
            format!("# port = {}", config.http_port),
            format!("# port = {}", config.tftp_port),
            format!("# blksize-max = {}", config.tftp.blksize_max),
            format!("# single-port = {}", config.tftp.single_port),
            format!("# level = \"{}\"", config.log_level.name()),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}");
        }
    }
}
