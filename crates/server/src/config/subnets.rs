//! `[[subnet]]`: what addresses there are to give.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use slipway_engine::subnet::{Reservation, Subnet};
use slipway_wire::MacAddr;

use super::fault::{At, Span};
use super::reader::Section;
use super::values;

const KEYS: [&str; 10] =
    ["network", "pool", "router", "dns", "domain", "ntp", "mtu", "lease", "authoritative", "reservation"];
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);

/// A subnet's first and last address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Extent {
    first: Ipv4Addr,
    last: Ipv4Addr,
    prefix: u8,
}

impl Extent {
    fn new(network: Ipv4Addr, prefix: u8) -> Self {
        Self { first: network, last: Ipv4Addr::from_bits(network.to_bits() | !values::mask4(prefix)), prefix }
    }

    fn holds(self, ip: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&ip)
    }

    /// Whether a client can have this address: not the network's own, not broadcast (rfc1122#3.2.1.3).
    fn usable(self, ip: Ipv4Addr) -> bool {
        self.holds(ip) && ip != self.first && ip != self.last
    }
}

impl core::fmt::Display for Extent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

pub(super) fn read(top: &Section<'_>) -> Vec<At<Subnet>> {
    let mut subnets: Vec<At<Subnet>> = Vec::new();
    for section in top.tables("subnet", &KEYS) {
        let Some(subnet) = read_one(&section) else { continue };
        let ours = Extent::new(subnet.network, subnet.prefix);
        let other = subnets
            .iter()
            .map(|at| Extent::new(at.value.network, at.value.prefix))
            .find(|other| other.holds(ours.first) || ours.holds(other.first));
        let span = section.span_of("network");
        if let Some(other) = other {
            let reason = format!("{ours} overlaps {other}, which is configured above");
            section.error(span.clone(), "network", reason, "make them one subnet, or give them networks apart");
        }
        subnets.push(At { value: subnet, span });
    }
    subnets
}

fn read_one(section: &Section<'_>) -> Option<Subnet> {
    let network = section.required("network", values::subnet, "add `network = \"10.77.0.0/24\"`");
    let pools = section.texts("pool", values::range);
    let routers = section.texts("router", values::ipv4);
    let dns = section.texts("dns", values::ipv4);
    let ntp = section.texts("ntp", values::ipv4);
    let domain = section.text("domain", values::hostname).map(|at| at.value);
    let lease = section.text("lease", values::lease).map_or(DEFAULT_LEASE, |at| at.value);
    let mtu = section.number("mtu", 576, u16::MAX);
    let authoritative = section.flag("authoritative").is_some_and(|at| at.value);
    let reservations = read_reservations(section);
    let At { value: (network, prefix), span } = network?;
    let extent = Extent::new(network, prefix);
    check_pools(section, extent, &pools);
    check_reservations(extent, &reservations);
    for router in routers.iter().filter(|router| !extent.usable(router.value)) {
        let reason = format!("{} is not an address of {extent}, so clients cannot reach it", router.value);
        section.warning(router.span.clone(), "router", reason, "name the router's address in this network");
    }
    if !section.has("pool") && !section.has("reservation") {
        section.error(span, "network", "has neither a pool nor a reservation", "add `pool = [\"first-last\"]`");
    }
    Some(Subnet {
        network,
        prefix,
        pools: pools.into_iter().map(|at| at.value).collect(),
        routers: bare(routers),
        dns: bare(dns),
        domain,
        ntp: bare(ntp),
        mtu,
        lease,
        reservations: reservations.into_iter().map(|(_, reservation, _, _)| reservation).collect(),
        authoritative,
    })
}

fn bare<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|at| at.value).collect()
}

fn check_pools(section: &Section<'_>, extent: Extent, pools: &[At<(Ipv4Addr, Ipv4Addr)>]) {
    for (n, pool) in pools.iter().enumerate() {
        let (first, last) = pool.value;
        if !extent.usable(first) || !extent.usable(last) {
            section.error(
                pool.span.clone(),
                "pool",
                format!("{first}-{last} is not inside {extent} (its first and last address cannot be given out)"),
                "give addresses of this network, or change `network`",
            );
        }
        let earlier = pools.iter().take(n).map(|at| at.value);
        if let Some((a, b)) = earlier.into_iter().find(|(a, b)| first <= *b && *a <= last) {
            section.error(
                pool.span.clone(),
                "pool",
                format!("{first}-{last} overlaps {a}-{b}, which is listed before it"),
                "make them one range, or take the common addresses out of one",
            );
        }
    }
}

/// A reservation with its section and the places of its MAC and address.
type Read<'a> = (Section<'a>, Reservation, Span, Span);

fn read_reservations<'a>(subnet: &Section<'a>) -> Vec<Read<'a>> {
    let sections = subnet.tables("reservation", &["mac", "ip", "hostname"]);
    sections
        .into_iter()
        .filter_map(|section| {
            let mac = section.required("mac", values::mac, "add `mac = \"52:54:00:12:34:56\"`");
            let ip = section.required("ip", values::ipv4, "add `ip = \"10.77.0.10\"`");
            let hostname = section.text("hostname", values::hostname).map(|at| at.value);
            let (mac, ip) = (mac?, ip?);
            let reservation = Reservation { mac: mac.value, ip: ip.value, hostname };
            Some((section, reservation, mac.span, ip.span))
        })
        .collect()
}

fn check_reservations(extent: Extent, reservations: &[Read<'_>]) {
    let mut macs: HashMap<MacAddr, Ipv4Addr> = HashMap::new();
    let mut ips: HashMap<Ipv4Addr, MacAddr> = HashMap::new();
    for (section, Reservation { mac, ip, .. }, mac_at, ip_at) in reservations {
        if !extent.usable(*ip) {
            let reason = format!("{ip} is not an address that a client of {extent} can have");
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
