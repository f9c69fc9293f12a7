//! Who gets which address: one function for each message (RFC 8415 §18.3), reading the book and changing nothing.

use core::net::Ipv6Addr;
use core::time::Duration;

use slipway_wire::dhcp6::{Ia, IaAddr, IaKind, StatusCode};

use super::ask::Ask;
use super::book::{Book, QUARANTINE, Seeker};
use super::lease::{ClientKey, Holder, Record, Write};
use super::plan::SubnetIndex;
use crate::{Timestamp, Why};

/// Associations of one message that are looked at.
const IAS_MAX: usize = 4;
/// Addresses of one association that are looked at.
const ADDRESSES_MAX: usize = 8;

/// What the associations of one message come to.
#[derive(Debug, Default)]
pub(super) struct Grants {
    /// The answer to each.
    pub(super) ias: Vec<Ia>,
    /// The addresses given.
    pub(super) ips: Vec<Ipv6Addr>,
    /// What has to be durable before.
    pub(super) writes: Vec<Write>,
    /// Why the last one got nothing.
    pub(super) why: Option<Why>,
}

impl Grants {
    fn refuse(&mut self, ia: &Ia, code: StatusCode, why: Why) {
        let mut answer = Ia::new(ia.kind, ia.iaid);
        answer.set_status(code, &why.to_string());
        self.ias.push(answer);
        self.why = Some(why);
    }
}

/// The associations of the message with whom they belong to.
pub(super) fn ias(ask: &Ask<'_>) -> Vec<(Ia, ClientKey)> {
    let Some(duid) = &ask.client else { return Vec::new() };
    let ias = ask.message().options.ias().take(IAS_MAX);
    ias.map(|ia| {
        let key = ClientKey { duid: duid.clone(), iaid: ia.iaid, kind: ia.kind };
        (ia, key)
    })
    .collect()
}

fn listed(ia: &Ia) -> Vec<Ipv6Addr> {
    ia.addresses().take(ADDRESSES_MAX).map(|address| address.ip).collect()
}

/// rfc8415#18.3.1 and #18.3.2: an address for each association. Nothing is written for an offer.
pub(super) fn on_ask_for_address(ask: &Ask<'_>, book: &Book, now: Timestamp) -> Grants {
    let mut grants = Grants::default();
    let here = ask.subnets(book.plan());
    for (ia, key) in ias(ask) {
        let mut why = Why::NoSubnet;
        let wishes = listed(&ia);
        let seeker = Seeker { client: &key, mac: ask.mac, wishes: &wishes, taken: &grants.ips };
        let chosen = here.iter().find_map(|&subnet| match book.choose(seeker, subnet) {
            Ok(ip) => Some((ip, subnet)),
            Err(reason) => {
                why = reason;
                None
            }
        });
        match chosen {
            Some((ip, subnet)) => give(&mut grants, &key, &[ip], subnet, book, now),
            None => grants.refuse(&ia, StatusCode::NO_ADDRS_AVAIL, why),
        }
    }
    grants
}

/// rfc8415#18.3.4 and #18.3.5. A client that we forgot (a new database) goes on with the address it has: nobody else has it, and it
/// works. What it may not have any more is taken away with a lifetime of 0.
pub(super) fn on_extend(ask: &Ask<'_>, book: &Book, now: Timestamp) -> Grants {
    let mut grants = Grants::default();
    let here = ask.subnets(book.plan());
    for (ia, key) in ias(ask) {
        let wanted = listed(&ia);
        let subnet_of = |ip: Ipv6Addr| book.plan().subnet_of(ip).filter(|subnet| here.contains(subnet));
        let kept = wanted.iter().copied().find(|&ip| subnet_of(ip).is_some() && book.may_have(ip, &key, ask.mac));
        let Some((ip, subnet)) = kept.and_then(|ip| Some((ip, subnet_of(ip)?))) else {
            grants.refuse(&ia, StatusCode::NO_BINDING, Why::WrongAddress);
            continue;
        };
        give(&mut grants, &key, &[ip], subnet, book, now);
        let gone = wanted.into_iter().filter(|other| *other != ip);
        if let Some(answer) = grants.ias.last_mut() {
            for ip in gone {
                answer.push(&IaAddr { ip, preferred: 0, valid: 0 });
            }
        }
    }
    grants
}

/// Addresses for an association from now on. What else it may have leased in this subnet is left to end by time: until the client has
/// this answer, it goes on with that, and the answer may not be durable.
fn give(grants: &mut Grants, key: &ClientKey, ips: &[Ipv6Addr], subnet: SubnetIndex, book: &Book, now: Timestamp) {
    let lease = book.plan().subnet(subnet).map_or(Duration::ZERO, |subnet| subnet.lease);
    let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX);
    let mut answer = Ia::new(key.kind, key.iaid);
    if key.kind == IaKind::NonTemporary {
        // rfc8415#21.4: the usual half and four fifths.
        (answer.t1, answer.t2) = (seconds / 2, seconds - seconds / 5);
    }
    for &ip in ips {
        answer.push(&IaAddr { ip, preferred: seconds, valid: seconds });
        // A renewal never shortens what was promised before: its REPLY may be lost, or the disk full.
        let promised = book.lease(ip, key).map_or(now, |record| record.until);
        let until = now.plus(lease).max(promised);
        grants.writes.push(Write::Put(Record { ip, holder: Holder::Client(key.clone()), until }));
        grants.ips.push(ip);
    }
    grants.ias.push(answer);
}

/// rfc8415#18.3.3: whether all the addresses fit the link that the client is on. `None` where nobody can say.
pub(super) fn on_confirm(ask: &Ask<'_>, book: &Book) -> Option<bool> {
    let here = ask.subnets(book.plan());
    let addresses: Vec<Ipv6Addr> = ias(ask).iter().flat_map(|(ia, _)| listed(ia)).collect();
    if here.is_empty() || addresses.is_empty() {
        return None;
    }
    Some(addresses.iter().all(|ip| book.plan().subnet_of(*ip).is_some_and(|subnet| here.contains(&subnet))))
}

/// rfc8415#18.3.7 and #18.3.8: addresses given back, or found in use by a stranger and put aside for a while.
pub(super) fn on_give_back(ask: &Ask<'_>, book: &Book, stranger_until: Option<Timestamp>) -> Grants {
    let mut grants = Grants::default();
    for (ia, key) in ias(ask) {
        // Only what is the client's own: otherwise one could decline the whole pool.
        let own: Vec<Ipv6Addr> = listed(&ia).into_iter().filter(|ip| book.lease(*ip, &key).is_some()).collect();
        if own.is_empty() {
            grants.refuse(&ia, StatusCode::NO_BINDING, Why::WrongAddress);
        }
        for ip in own {
            grants.ips.push(ip);
            grants.writes.push(match stranger_until {
                Some(until) => Write::Put(Record { ip, holder: Holder::Stranger, until }),
                None => Write::Drop(ip),
            });
        }
    }
    grants
}

/// Until when a declined address is put aside.
pub(super) fn quarantine(now: Timestamp) -> Timestamp {
    now.plus(QUARANTINE)
}
