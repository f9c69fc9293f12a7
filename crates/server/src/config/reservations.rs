//! `[[subnet.reservation]]`: addresses that are kept for one machine, or for whatever is plugged in at one port.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use slipway_engine::subnet::{Reservation, Who};

use super::fault::{At, Span};
use super::reader::Section;
use super::subnets::Extent;
use super::values;

/// A reservation with its section, the key and place that says for whom, and the place of its address.
pub(super) struct Read<'a> {
    section: Section<'a>,
    pub(super) reservation: Reservation,
    key: &'static str,
    who_at: Span,
    ip_at: Span,
}

/// Reads the reservations of a subnet.
pub(super) fn read<'a>(subnet: &Section<'a>) -> Vec<Read<'a>> {
    let sections = subnet.tables("reservation", &["mac", "circuit-id", "remote-id", "ip", "hostname"]);
    sections
        .into_iter()
        .filter_map(|section| {
            let who = read_who(&section);
            let ip = section.required("ip", values::ipv4, "add `ip = \"10.77.0.10\"`");
            let hostname = section.text("hostname", values::hostname).map(|at| at.value);
            let ((key, At { value: who, span: who_at }), ip) = (who?, ip?);
            let reservation = Reservation { who, ip: ip.value, hostname };
            Some(Read { section, reservation, key, who_at, ip_at: ip.span })
        })
        .collect()
}

/// For whom an address is reserved: a machine, or a port.
fn read_who(section: &Section<'_>) -> Option<(&'static str, At<Who>)> {
    let ids = ["circuit-id", "remote-id"].map(|key| (key, section.text(key, values::agent_id)));
    let told = ids.iter().find(|(key, _)| section.has(key)).map(|(key, _)| *key);
    let Some(key) = told else {
        let remedy = "add `mac = \"52:54:00:12:34:56\"`, or `circuit-id` for whatever is plugged in there";
        return section.required("mac", values::mac, remedy).map(|at| ("mac", at.map(Who::Machine)));
    };
    if section.has("mac") {
        let reason = format!("the address is reserved for `{key}` already");
        let remedy = "keep one of the two: a machine wherever it is, or a port whatever is there";
        section.error(section.span_of("mac"), "mac", reason, remedy);
    }
    let [(_, circuit), (_, remote)] = ids;
    let span = circuit.as_ref().or(remote.as_ref())?.span.clone();
    let value = Who::Port { circuit_id: circuit.map(|at| at.value), remote_id: remote.map(|at| at.value) };
    Some((key, At { value, span }))
}

/// Holds them against their subnet, its routers, and each other.
pub(super) fn check(extent: Extent, routers: &[At<Ipv4Addr>], reservations: &[Read<'_>]) {
    let mut known: HashMap<&Who, Ipv4Addr> = HashMap::new();
    let mut ips: HashMap<Ipv4Addr, &Who> = HashMap::new();
    for Read { section, reservation: Reservation { who, ip, .. }, key, who_at, ip_at } in reservations {
        if !extent.usable(*ip) {
            let reason = format!("{ip} is not an address that a client of {extent} can have");
            section.error(ip_at.clone(), "ip", reason, "reserve an address of this network");
        }
        if routers.iter().any(|router| router.value == *ip) {
            let reason = format!("{ip} is the router's address");
            section.error(ip_at.clone(), "ip", reason, "reserve another address, or correct `router`");
        }
        if let Some(before) = known.insert(who, *ip) {
            let reason = format!("{who} has a reservation already, for {before}");
            section.error(who_at.clone(), key, reason, "keep one reservation for each machine or port of a subnet");
        }
        if let Some(before) = ips.insert(*ip, who) {
            let reason = format!("{ip} is reserved already, for {before}");
            section.error(ip_at.clone(), "ip", reason, "reserve another address");
        }
    }
}
