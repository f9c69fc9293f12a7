//! The configuration's networks against this machine's: our own addresses, links, and who can reach us.

use std::net::{IpAddr, Ipv4Addr};

use slipway_engine::subnet::Subnet;

use super::{Interface, Mode};
use crate::config::{At, Config, Fault};

/// Notes everything about subnets that does not fit the interfaces.
pub(super) fn check(config: &Config, interfaces: &[Interface], faults: &mut Vec<Fault>) {
    check_subnets(config, interfaces, faults);
    check_subnets6(config, interfaces, faults);
    check_links(config, interfaces, faults);
}

fn holds(network: Ipv4Addr, prefix: u8, ip: Ipv4Addr) -> bool {
    crate::config::network_of(IpAddr::V4(ip), prefix) == IpAddr::V4(network)
}

fn check_subnets(config: &Config, interfaces: &[Interface], faults: &mut Vec<Fault>) {
    for at in &config.subnets {
        let subnet = &at.value;
        for interface in interfaces {
            for (ip, _) in &interface.v4 {
                let mut pools = subnet.pools.iter();
                if let Some((first, last)) = pools.find(|(first, last)| (first..=last).contains(&ip)) {
                    faults.push(Fault::error(
                        at.span.clone(),
                        "subnet.pool",
                        format!("{first}-{last} holds {ip}, this server's own address on {:?}", interface.name),
                        "take it out of the pool",
                    ));
                }
                if let Some(reserved) = subnet.reservations.iter().find(|reserved| reserved.ip == *ip) {
                    faults.push(Fault::error(
                        at.span.clone(),
                        "subnet.reservation.ip",
                        format!(
                            "{ip}, reserved for {}, is this server's own address on {:?}",
                            reserved.who, interface.name
                        ),
                        "reserve another address",
                    ));
                }
            }
        }
    }
    for choice in config.interfaces.iter().filter(|choice| choice.mode == Mode::Dhcp) {
        let Some(interface) = interfaces.iter().find(|interface| interface.name == choice.name.value) else { continue };
        let covered = interface
            .v4
            .iter()
            .any(|(ip, _)| config.subnets.iter().any(|at| holds(at.value.network, at.value.prefix, *ip)));
        let over_ipv6_alone = config.subnets.is_empty() && choice.ipv6.dhcp;
        if !covered && !interface.v4.is_empty() && !over_ipv6_alone {
            let addresses: Vec<String> = interface.v4.iter().map(|(ip, prefix)| format!("{ip}/{prefix}")).collect();
            faults.push(Fault::warning(
                choice.name.span.clone(),
                "interface.mode",
                format!(
                    "no subnet holds {} ({}): only relayed machines get addresses here",
                    interface.name,
                    addresses.join(", ")
                ),
                "add a `[[subnet]]` for its network, unless relays are all that is meant",
            ));
        }
    }
}

/// Machines must reach us where we have no address, and a shared network is one link.
fn check_links(config: &Config, interfaces: &[Interface], faults: &mut Vec<Fault>) {
    let named = |ip: Ipv4Addr| config.subnets.iter().find(|at| holds(at.value.network, at.value.prefix, ip));
    let mut links: Vec<(&str, &str)> = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.mode == Mode::Dhcp) {
        for at in interface.v4.iter().filter_map(|(ip, _)| named(*ip)) {
            let Some(shared) = at.value.shared.as_deref() else { continue };
            let other = links.iter().find(|(name, other)| *name == shared && *other != interface.name);
            if let Some((_, other)) = other {
                let reason =
                    format!("{:?} and {other:?} are in shared network {shared:?}, which is one link", interface.name);
                let remedy = "give the networks of each interface a `shared-network` of their own";
                faults.push(Fault::error(at.span.clone(), "subnet.shared-network", reason, remedy));
            }
            links.push((shared, &interface.name));
        }
    }
    if !interfaces.iter().any(|interface| interface.mode == Mode::Dhcp) {
        return;
    }
    let is_ours = |at: &At<Subnet>| {
        let mut addresses = interfaces.iter().flat_map(|interface| &interface.v4);
        addresses.any(|(ip, _)| holds(at.value.network, at.value.prefix, *ip))
    };
    for at in config.subnets.iter().filter(|at| at.value.routers.is_empty() && !is_ours(at)) {
        let reason = "this server has no address there, and machines are told no router: they cannot load anything";
        faults.push(Fault::warning(at.span.clone(), "subnet.router", reason, "add `router`"));
    }
}

fn check_subnets6(config: &Config, interfaces: &[Interface], faults: &mut Vec<Fault>) {
    for at in &config.subnets6 {
        for (ip, interface) in interfaces.iter().flat_map(|i| i.v6.iter().map(move |(ip, _)| (ip, &i.name))) {
            if let Some(reserved) = at.value.reservations.iter().find(|reserved| reserved.ip == *ip) {
                let mac = reserved.mac;
                let reason = format!("{ip}, reserved for {mac}, is this server's own address on {interface:?}");
                let thing = "subnet6.reservation.ip";
                faults.push(Fault::error(at.span.clone(), thing, reason, "reserve another address"));
            }
        }
    }
    for choice in config.interfaces.iter().filter(|choice| choice.ipv6.dhcp) {
        let Some(interface) = interfaces.iter().find(|interface| interface.name == choice.name.value) else { continue };
        let in_one = |ip| config.subnets6.iter().any(|at| at.value.holds(ip));
        if !interface.v6.iter().any(|(ip, _)| in_one(*ip)) {
            faults.push(Fault::warning(
                choice.name.span.clone(),
                "interface.dhcp6",
                format!("no subnet6 holds an address of {}: only relayed machines are answered here", interface.name),
                "add a `[[subnet6]]` for its network, unless relays are all that is meant",
            ));
        }
    }
}
