//! `[[subnet]]`: what addresses there are to give.

use std::net::Ipv4Addr;
use std::time::Duration;

use slipway_engine::subnet::Subnet;

use super::fault::At;
use super::reader::Section;
use super::{reservations, values};

const KEYS: [&str; 11] = [
    "network",
    "shared-network",
    "pool",
    "router",
    "dns",
    "domain",
    "ntp",
    "mtu",
    "lease",
    "authoritative",
    "reservation",
];
const DEFAULT_LEASE: Duration = Duration::from_secs(3600);

/// A subnet's first and last address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Extent {
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
    pub(super) fn usable(self, ip: Ipv4Addr) -> bool {
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
    let sections = top.tables("subnet", &KEYS);
    for section in &sections {
        let Some(subnet) = read_one(section) else { continue };
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
        check_siblings(section, &subnets, &subnet);
        subnets.push(At { value: subnet, span });
    }
    let names = || subnets.iter().filter_map(|at| at.value.shared.as_deref());
    sections.iter().for_each(|section| warn_of_only_child(section, names()));
    subnets
}

/// On one link, a machine or a port has one place.
fn check_siblings(section: &Section<'_>, before: &[At<Subnet>], subnet: &Subnet) {
    let siblings = before.iter().filter(|at| subnet.shared.is_some() && at.value.shared == subnet.shared);
    for other in siblings.flat_map(|at| &at.value.reservations) {
        if subnet.reservations.iter().any(|reservation| reservation.who == other.who) {
            let reason = format!("{} has a reservation in this shared network already, for {}", other.who, other.ip);
            let remedy = "keep one of the two: the subnets are on one link";
            section.error(section.span_of("shared-network"), "reservation", reason, remedy);
        }
    }
}

/// A shared network of one subnet is most likely a misspelt name.
pub(super) fn warn_of_only_child<'n>(section: &Section<'_>, names: impl Iterator<Item = &'n str>) {
    let key = "shared-network";
    let Some(name) = section.bare_text(key) else { return };
    if names.filter(|other| *other == name).count() == 1 {
        let reason = format!("{name:?} has no other subnet, so this changes nothing");
        let remedy = "name the other subnets of the link alike, or remove the key";
        section.warning(section.span_of(key), key, reason, remedy);
    }
}

fn read_one(section: &Section<'_>) -> Option<Subnet> {
    let network = section.required("network", values::subnet, "add `network = \"10.77.0.0/24\"`");
    let pools = section.texts("pool", values::range);
    let routers = section.texts("router", values::host4);
    let dns = section.texts("dns", values::host4);
    let ntp = section.texts("ntp", values::host4);
    let domain = section.text("domain", values::hostname).map(|at| at.value);
    let lease = section.text("lease", values::lease).map_or(DEFAULT_LEASE, |at| at.value);
    let mtu = section.number("mtu", 576, u16::MAX);
    let shared = section.text("shared-network", values::name).map(|at| at.value);
    let authoritative = section.flag("authoritative").is_some_and(|at| at.value);
    let reservations = reservations::read(section);
    let At { value: (network, prefix), span } = network?;
    let extent = Extent::new(network, prefix);
    check_pools(section, extent, &pools);
    reservations::check(extent, &routers, &reservations);
    if !section.has("pool") && !section.has("reservation") {
        section.error(span, "network", "has neither a pool nor a reservation", "add `pool = [\"first-last\"]`");
    }
    let bare = |list: &[At<Ipv4Addr>]| list.iter().map(|at| at.value).collect();
    let subnet = Subnet {
        network,
        prefix,
        pools: pools.iter().map(|at| at.value).collect(),
        routers: bare(&routers),
        dns: bare(&dns),
        domain,
        ntp: bare(&ntp),
        mtu,
        lease,
        reservations: reservations.into_iter().map(|read| read.reservation).collect(),
        authoritative,
        shared,
    };
    check_servers(section, extent, &subnet, [("router", &routers), ("dns", &dns), ("ntp", &ntp)]);
    Some(subnet)
}

/// Routers are of this network, and no server's address is given to just anybody: one that gets its own by a reservation may lie in a
/// pool.
fn check_servers(section: &Section<'_>, extent: Extent, subnet: &Subnet, servers: [(&str, &[At<Ipv4Addr>]); 3]) {
    for (key, At { value: ip, span }) in servers.iter().flat_map(|(key, list)| list.iter().map(move |at| (*key, at))) {
        if key == "router" && !extent.usable(*ip) {
            let reason = format!("{ip} is not an address of {extent}, so clients cannot reach it");
            section.error(span.clone(), key, reason, "name the router's address in this network");
        }
        let pool = subnet.pools.iter().find(|(first, last)| (first..=last).contains(&ip));
        let reserved = subnet.reservations.iter().any(|reservation| reservation.ip == *ip);
        if let Some((first, last)) = pool.filter(|_| !reserved) {
            let reason = format!("{ip} lies in the pool {first}-{last}, which is given to anybody");
            section.error(span.clone(), key, reason, "take it out of the pool, or correct the address");
        }
    }
    for key in KEYS.iter().filter(|key| section.has(key) && section.is_empty_list(key)) {
        section.error(section.span_of(key), key, "is an empty list", "list a value, or remove the key");
    }
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
