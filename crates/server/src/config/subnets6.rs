//! `[[subnet6]]`: the IPv6 networks that addresses or parameters are given in.

use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use slipway_engine::subnet::{Reservation6, Subnet6};
use slipway_wire::MacAddr;

use super::fault::{At, Span};
use super::reader::Section;
use super::subnets::warn_of_only_child;
use super::values;

const KEYS: [&str; 7] = ["network", "shared-network", "pool", "dns", "domain", "lease", "reservation"];
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);

pub(super) fn read(top: &Section<'_>) -> Vec<At<Subnet6>> {
    let mut subnets: Vec<At<Subnet6>> = Vec::new();
    let sections = top.tables("subnet6", &KEYS);
    for section in &sections {
        let Some(subnet) = read_one(section) else { continue };
        let span = section.span_of("network");
        let overlaps = |at: &&At<Subnet6>| at.value.holds(subnet.network) || subnet.holds(at.value.network);
        if let Some(other) = subnets.iter().find(overlaps) {
            let reason = format!("{} overlaps {}, which is configured above", name(&subnet), name(&other.value));
            section.error(span.clone(), "network", reason, "make them one subnet, or give them networks apart");
        }
        subnets.push(At { value: subnet, span });
    }
    let names = || subnets.iter().filter_map(|at| at.value.shared.as_deref());
    sections.iter().for_each(|section| warn_of_only_child(section, names()));
    subnets
}

fn name(subnet: &Subnet6) -> String {
    format!("{}/{}", subnet.network, subnet.prefix)
}

fn read_one(section: &Section<'_>) -> Option<Subnet6> {
    let network = section.required("network", values::subnet6, "add `network = \"fd77::/64\"`");
    let pools = section.texts("pool", values::range6);
    let dns = section.texts("dns", values::host6);
    let domains = section.texts("domain", values::hostname);
    let lease = section.text("lease", values::lease).map_or(DEFAULT_LEASE, |at| at.value);
    let shared = section.text("shared-network", values::name).map(|at| at.value);
    let reservations = read_reservations(section);
    let At { value: (network, prefix), .. } = network?;
    let subnet = Subnet6 {
        network,
        prefix,
        pools: pools.iter().map(|at| at.value).collect(),
        dns: dns.into_iter().map(|at| at.value).collect(),
        domains: domains.into_iter().map(|at| at.value).collect(),
        lease,
        reservations: reservations.iter().map(|(_, reservation, _, _)| reservation.clone()).collect(),
        shared,
    };
    check_pools(section, &subnet, &pools);
    check_reservations(&subnet, &reservations);
    Some(subnet)
}

fn check_pools(section: &Section<'_>, subnet: &Subnet6, pools: &[At<(Ipv6Addr, Ipv6Addr)>]) {
    for (n, pool) in pools.iter().enumerate() {
        let (first, last) = pool.value;
        if !subnet.holds(first) || !subnet.holds(last) {
            let reason = format!("{first}-{last} is not inside {}", name(subnet));
            section.error(pool.span.clone(), "pool", reason, "give addresses of this network, or change `network`");
        }
        if first == subnet.network && last == first {
            let reason = format!("{first} is every router's (RFC 4291), so the pool holds no address to give");
            section.error(pool.span.clone(), "pool", reason, "give more addresses, such as \"fd77::1:0-fd77::1:ffff\"");
        }
        let mut earlier = pools.iter().take(n).map(|at| at.value);
        if let Some((a, b)) = earlier.find(|(a, b)| first <= *b && *a <= last) {
            let reason = format!("{first}-{last} overlaps {a}-{b}, which is listed before it");
            let remedy = "make them one range, or take the common addresses out of one";
            section.error(pool.span.clone(), "pool", reason, remedy);
        }
    }
}

/// A reservation with its section and the places of its MAC and address.
type Read<'a> = (Section<'a>, Reservation6, Span, Span);

fn read_reservations<'a>(subnet: &Section<'a>) -> Vec<Read<'a>> {
    let read = |section: Section<'a>| {
        let mac = section.required("mac", values::mac, "add `mac = \"52:54:00:12:34:56\"`");
        let ip = section.required("ip", values::ipv6, "add `ip = \"fd77::10\"`");
        let (mac, ip) = (mac?, ip?);
        Some((section, Reservation6 { mac: mac.value, ip: ip.value }, mac.span, ip.span))
    };
    subnet.tables("reservation", &["mac", "ip"]).into_iter().filter_map(read).collect()
}

fn check_reservations(subnet: &Subnet6, reservations: &[Read<'_>]) {
    let mut macs: HashMap<MacAddr, Ipv6Addr> = HashMap::new();
    let mut ips: HashMap<Ipv6Addr, MacAddr> = HashMap::new();
    for (section, Reservation6 { mac, ip }, mac_at, ip_at) in reservations {
        if !subnet.holds(*ip) || *ip == subnet.network {
            let reason = format!("{ip} is not an address that a client of {} can have", name(subnet));
            section.error(ip_at.clone(), "ip", reason, "reserve an address of this network");
        }
        if let Some(before) = macs.insert(*mac, *ip) {
            let reason = format!("{mac} has a reservation already, for {before}");
            section.error(mac_at.clone(), "mac", reason, "keep one reservation for each machine of a subnet");
        }
        if let Some(before) = ips.insert(*ip, *mac) {
            let reason = format!("{ip} is reserved already, for {before}");
            section.error(ip_at.clone(), "ip", reason, "reserve another address");
        }
    }
}
