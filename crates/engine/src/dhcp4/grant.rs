//! Who gets which address: one function for each message (RFC 2131 §4.3), reading the book and changing nothing.

use core::net::Ipv4Addr;
use core::time::Duration;

use slipway_wire::dhcp4::OptionCode;

use super::ask::{Ask, Wants};
use super::book::{Book, Change, HOLD, QUARANTINE};
use super::lease::{Holder, Record};
use super::plan::SubnetIndex;
use crate::quirks::{Departure, departs};
use crate::{Timestamp, Why};

/// The shortest lease that a client may ask for.
const SHORTEST: u32 = 60;

/// An address for the client.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) ip: Ipv4Addr,
    pub(super) subnet: SubnetIndex,
    pub(super) seconds: u32,
    pub(super) changes: Vec<Change>,
}

/// No address for the client.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) why: Why,
    /// Whether it is told so.
    pub(super) nak: bool,
    pub(super) changes: Vec<Change>,
}

impl From<Why> for Refusal {
    fn from(why: Why) -> Self {
        Self { why, nak: false, changes: Vec::new() }
    }
}

/// rfc2131#4.3.1: the address is held for this client until it has had time to choose.
pub(super) fn on_discover(ask: &Ask<'_>, book: &Book, now: Timestamp) -> Result<Grant, Refusal> {
    let wish = ask.message.options.requested_ip();
    let (ip, subnet) = book.choose(ask.asker(), &link(ask, book), wish, now)?;
    if departs(&ask.boot, Departure::OfferIsLease) {
        // It will not ask for it.
        return Ok(lease(ask, book, ip, subnet, now));
    }
    let hold = Change::Hold { ip, client: ask.client.clone(), until: now.plus(HOLD) };
    Ok(Grant { ip, subnet, seconds: seconds(ask, book, subnet), changes: vec![hold] })
}

/// rfc2131#4.3.2.
pub(super) fn on_request(ask: &Ask<'_>, wants: Wants, book: &Book, now: Timestamp) -> Result<Grant, Refusal> {
    match wants {
        Wants::Select { server, .. } if !ask.is_for_us(server) => Err(on_other_server(ask, server)),
        Wants::Select { ip, .. } => match at(ask, book, ip) {
            // Ours by offer, or offered so long ago that the hold is over and still free.
            Some(subnet) if may_take(ask, book, ip, now) => Ok(lease(ask, book, ip, subnet, now)),
            // Somebody was faster. An operating system starts again at once when told.
            _ => Err(wrong(ask, book)),
        },
        Wants::Reboot { ip } => match at(ask, book, ip) {
            None => Err(wrong(ask, book)),
            Some(subnet) if book.is_of(ip, &ask.client) && book.may_have(ip, ask.asker(), now) => {
                Ok(lease(ask, book, ip, subnet, now))
            }
            // rfc2131#4.3.2: "If the DHCP server has no record of this client, then it MUST remain silent".
            Some(_) if !book.knows(&ask.client) => Err(Why::WrongAddress.into()),
            Some(_) => Err(wrong(ask, book)),
        },
        Wants::Renew { ip } | Wants::Rebind { ip } => match at(ask, book, ip) {
            Some(subnet) if may_take(ask, book, ip, now) => {
                // A client that we forgot (a new database) goes on with the address it has: nobody else has it, and it works.
                let known = book.is_of(ip, &ask.client);
                let ours = known || book.plan().subnet(subnet).is_some_and(|subnet| subnet.authoritative);
                if ours { Ok(lease(ask, book, ip, subnet, now)) } else { Err(Why::WrongAddress.into()) }
            }
            _ => Err(wrong(ask, book)),
        },
    }
}

/// Whether this client may have this address. One that we never named to it is only for a client that has none yet: else a single
/// machine could take all, one after the other.
fn may_take(ask: &Ask<'_>, book: &Book, ip: Ipv4Addr, now: Timestamp) -> bool {
    let named = || book.is_of(ip, &ask.client) || !book.leases_another(&ask.client, ip, &link(ask, book), now);
    book.may_have(ip, ask.asker(), now) && named()
}

/// The client took another server's offer: ours is free again. Where "another server" is ourselves on another interface, that
/// interface hears it too.
fn on_other_server(ask: &Ask<'_>, server: Ipv4Addr) -> Refusal {
    let changes = match ask.link.ours.contains(&server) {
        true => Vec::new(),
        false => vec![Change::Unhold { client: ask.client.clone() }],
    };
    Refusal { changes, ..Why::OtherServer.into() }
}

/// rfc2131#4.3.3: an address that somebody else answers for is given to nobody for a while.
pub(super) fn on_decline(ask: &Ask<'_>, book: &Book, now: Timestamp) -> Result<(Ipv4Addr, Vec<Change>), Why> {
    for_us(ask)?;
    let ip = ask.message.options.requested_ip().ok_or(Why::WrongAddress)?;
    // Only an address that was just given: otherwise one client could decline the whole pool.
    if !book.is_taken_by(ip, &ask.client, now) {
        return Err(Why::WrongAddress);
    }
    Ok((ip, vec![Change::Durable(Record { ip, holder: Holder::Stranger, until: now.plus(QUARANTINE) })]))
}

/// rfc2131#4.3.4: the address is free, and remembered for its client.
pub(super) fn on_release(ask: &Ask<'_>, book: &Book, now: Timestamp) -> Result<(Ipv4Addr, Vec<Change>), Why> {
    for_us(ask)?;
    let ip = ask.client_ip().ok_or(Why::WrongAddress)?;
    let record = book.lease(ip, &ask.client, now).ok_or(Why::WrongAddress)?;
    Ok((ip, vec![Change::Durable(Record { until: now, ..record.clone() })]))
}

/// rfc2131#4.3.5: the parameters of the subnet that the client's address is of, whoever gave it. To an address of no subnet of ours
/// they would be wrong.
pub(super) fn on_inform(ask: &Ask<'_>, book: &Book) -> Result<SubnetIndex, Why> {
    let subnet = match ask.client_ip() {
        Some(ip) => book.plan().subnet_of(ip),
        None => link(ask, book).first().copied(),
    };
    subnet.ok_or(Why::NoSubnet)
}

fn for_us(ask: &Ask<'_>) -> Result<(), Why> {
    match ask.message.options.server_id() {
        Some(server) if !ask.is_for_us(server) => Err(Why::OtherServer),
        _ => Ok(()),
    }
}

/// A lease of this address from now on. What else the client may have leased on this link is left to end by time: until it has this
/// answer, it may go on with that, and the answer may be lost, or never become durable.
fn lease(ask: &Ask<'_>, book: &Book, ip: Ipv4Addr, subnet: SubnetIndex, now: Timestamp) -> Grant {
    let seconds = seconds(ask, book, subnet);
    // A renewal never shortens what was promised before: its ACK may be lost, or the disk full.
    let promised = book.lease(ip, &ask.client, now).map_or(now, |record| record.until);
    let until = now.plus(Duration::from_secs(seconds.into())).max(promised);
    let record = Record { ip, holder: Holder::Client(ask.client.clone()), until };
    Grant { ip, subnet, seconds, changes: vec![Change::Durable(record)] }
}

/// The client's wish where it is shorter than what the subnet gives.
fn seconds(ask: &Ask<'_>, book: &Book, subnet: SubnetIndex) -> u32 {
    let most = book.plan().subnet(subnet).map_or(Duration::ZERO, |subnet| subnet.lease).as_secs();
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    ask.message.options.lease_time().map_or(most, |wish| wish.max(SHORTEST).min(most))
}

/// The subnets of the link that the client sits on, best first: the one that its relay or our own address names, then the others of
/// the same shared network.
fn link(ask: &Ask<'_>, book: &Book) -> Vec<SubnetIndex> {
    let plan = book.plan();
    let ours = ask.link.networks.iter().map(|&(ip, _)| ip);
    let named: Vec<Ipv4Addr> = ask.selector().map_or_else(|| ours.collect(), |selector| vec![selector]);
    let mut found: Vec<SubnetIndex> = Vec::new();
    let direct: Vec<SubnetIndex> = named.into_iter().filter_map(|ip| plan.subnet_of(ip)).collect();
    let siblings = direct.iter().flat_map(|&subnet| plan.link_of(subnet));
    for subnet in direct.iter().copied().chain(siblings) {
        if !found.contains(&subnet) {
            found.push(subnet);
        }
    }
    found
}

/// The subnet of this address, if the client can use it where it sits. A renewal to us alone came through a router, so where its
/// client sits is where its address belongs.
fn at(ask: &Ask<'_>, book: &Book, ip: Ipv4Addr) -> Option<SubnetIndex> {
    let subnet = book.plan().subnet_of(ip)?;
    let is_renewal = matches!(ask.wants(), Some(Wants::Renew { .. }));
    (is_renewal || link(ask, book).contains(&subnet)).then_some(subnet)
}

/// The address is not this client's. Said aloud only where we are the authority, and never to a boot loader.
fn wrong(ask: &Ask<'_>, book: &Book) -> Refusal {
    let mut here: Vec<SubnetIndex> = link(ask, book);
    if ask.relay().is_none() {
        here.extend(ask.client_ip().and_then(|ip| book.plan().subnet_of(ip)));
    }
    if here.is_empty() {
        return Why::NoSubnet.into();
    }
    let authoritative = here.iter().any(|&index| book.plan().subnet(index).is_some_and(|subnet| subnet.authoritative));
    Refusal { why: Why::WrongAddress, nak: authoritative && !departs(&ask.boot, Departure::NoNak), changes: Vec::new() }
}

/// The codes that the client listed, for what is sent only when asked for.
pub(super) fn asks_for(ask: &Ask<'_>, code: OptionCode) -> bool {
    ask.message.options.parameter_list().contains(&code.0)
}
