//! Where questions are answered: one datagram, one draft.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr};

use slipway_wire::dhcp4::{Message, MessageType};

use super::ask::{Ask, Heard, Link, Policy, Wants};
use super::book::{Book, Change};
use super::boot::{decide_boot, put_boot, put_local};
use super::draft::{Draft, Transmit};
use super::grant::{self, Grant, Refusal};
use super::reply::{Echo, finish, put_grant, put_subnet, start};
use crate::answer::Answer;
use crate::journal::{About, DhcpMessage, Entry, Given, Outcome, Proto};
use crate::quirks::{Departure, departs};
use crate::request::{BootRequest, Exchange, Loader};
use crate::{Timestamp, Why};

/// The desk of a server that gives addresses: the lease book, and whoever asks.
#[derive(Debug, Default)]
pub struct Desk {
    book: Book,
}

/// What a question came to, before it is a draft.
#[derive(Debug)]
struct Verdict {
    outcome: Outcome,
    reply: Option<Transmit>,
    changes: Vec<Change>,
    /// The client's address, where it has or gets one.
    ip: Option<Ipv4Addr>,
    boot: Option<Given>,
    /// Why it is told to load nothing, where it is answered all the same.
    refused: Option<Why>,
}

impl From<Why> for Verdict {
    fn from(why: Why) -> Self {
        Self { outcome: Outcome::Declined(why), reply: None, changes: Vec::new(), ip: None, boot: None, refused: None }
    }
}

/// Answers where another server gives the addresses: ProxyDHCP on port 67, the boot server on 4011.
pub fn beside(heard: Heard<'_>, link: Link<'_>, policy: Policy<'_>, now: Timestamp) -> Draft {
    let ask = match read(heard, link, now) {
        Ok(ask) => ask.on_its_ladder(policy, now),
        Err(draft) => return *draft,
    };
    let verdict = boot_only(&ask, policy);
    draft(&ask, verdict, Vec::new(), now)
}

impl Desk {
    /// A desk over this book.
    #[must_use]
    pub const fn new(book: Book) -> Self {
        Self { book }
    }

    /// The book, to read.
    #[must_use]
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// The book, to rearrange when the operator's subnets change.
    pub const fn book_mut(&mut self) -> &mut Book {
        &mut self.book
    }

    /// Answers where we give the addresses. The book knows at once what the draft promises, so that the next question cannot be
    /// promised the same.
    pub fn answer(&mut self, heard: Heard<'_>, link: Link<'_>, policy: Policy<'_>, now: Timestamp) -> Draft {
        self.book.expire(now);
        let ask = match read(heard, link, now) {
            Ok(ask) => ask.on_its_ladder(policy, now),
            Err(draft) => return *draft,
        };
        let mut verdict = self.decide(&ask, policy, now);
        let mut writes = Vec::new();
        for change in core::mem::take(&mut verdict.changes) {
            if let Change::Durable(record) = &change {
                writes.push(record.clone());
            }
            self.book.apply(change, now);
        }
        draft(&ask, verdict, writes, now)
    }

    fn decide(&self, ask: &Ask<'_>, policy: Policy<'_>, now: Timestamp) -> Verdict {
        let taken = |(ip, changes): (Ipv4Addr, Vec<Change>), what: &str| Verdict {
            outcome: Outcome::Answered(format!("{ip} {what}")),
            reply: None,
            changes,
            ip: Some(ip),
            boot: None,
            refused: None,
        };
        match ask.kind {
            MessageType::DISCOVER => {
                self.given(ask, MessageType::OFFER, grant::on_discover(ask, &self.book, now), policy)
            }
            MessageType::REQUEST => match ask.wants() {
                Some(wants) => {
                    self.given(ask, MessageType::ACK, grant::on_request(ask, wants, &self.book, now), policy)
                }
                None => Why::NotForUs.into(),
            },
            MessageType::DECLINE => grant::on_decline(ask, &self.book, now)
                .map_or_else(Verdict::from, |done| taken(done, "is somebody else's, kept out of use for a while")),
            MessageType::RELEASE => {
                grant::on_release(ask, &self.book, now).map_or_else(Verdict::from, |done| taken(done, "released"))
            }
            MessageType::INFORM => self.informed(ask, policy),
            _ => Why::NotForUs.into(),
        }
    }

    /// An address with whatever else its client gets, or none.
    fn given(&self, ask: &Ask<'_>, kind: MessageType, granted: Result<Grant, Refusal>, policy: Policy<'_>) -> Verdict {
        let grant = match granted {
            Ok(grant) => grant,
            Err(refusal) => return refuse(ask, refusal),
        };
        let boot = decide_boot(ask, Some(grant.ip), policy);
        // "Ignore" means this machine altogether: it is not even given an address.
        if let Err(why @ Why::Ignored { .. }) = boot {
            return why.into();
        }
        let mut reply = start(ask, kind);
        put_grant(&mut reply, &grant);
        put_subnet(&mut reply, ask, self.book.plan(), grant.subnet, grant.ip);
        answered(ask, kind, reply, Some(grant.ip), boot, grant.changes)
    }

    fn informed(&self, ask: &Ask<'_>, policy: Policy<'_>) -> Verdict {
        let subnet = match grant::on_inform(ask, &self.book) {
            Ok(subnet) => subnet,
            Err(why) => return why.into(),
        };
        let boot = decide_boot(ask, ask.client_ip(), policy);
        if let Err(why @ Why::Ignored { .. }) = boot {
            return why.into();
        }
        let mut reply = start(ask, MessageType::ACK);
        put_subnet(&mut reply, ask, self.book.plan(), subnet, ask.message.ciaddr);
        answered(ask, MessageType::ACK, reply, ask.client_ip(), boot, Vec::new())
    }
}

/// ProxyDHCP and the boot server: the boot part or nothing.
fn boot_only(ask: &Ask<'_>, policy: Policy<'_>) -> Verdict {
    let kind = match (ask.link.exchange, ask.kind) {
        (Exchange::ProxyDhcp, MessageType::DISCOVER) => MessageType::OFFER,
        (Exchange::BootServer, MessageType::REQUEST | MessageType::DISCOVER | MessageType::INFORM) => MessageType::ACK,
        // On port 67, a REQUEST belongs to the server that gives the address.
        _ => return Why::NotForUs.into(),
    };
    if ask.link.exchange == Exchange::ProxyDhcp && departs(&ask.boot, Departure::NoProxyOffer) {
        return Why::UnservedLoader { loader: ask.boot.loader.name() }.into();
    }
    match decide_boot(ask, ask.client_ip(), policy) {
        Ok(answer) => answered(ask, kind, start(ask, kind), ask.client_ip(), Ok(answer), Vec::new()),
        Err(why) => why.into(),
    }
}

fn answered(
    ask: &Ask<'_>,
    kind: MessageType,
    mut reply: Message,
    ip: Option<Ipv4Addr>,
    boot: Result<Answer, Why>,
    changes: Vec<Change>,
) -> Verdict {
    let mut words = kind.to_string();
    if let Some(ip) = ip {
        let _ = write!(words, " {ip}");
    }
    match &boot {
        Ok(answer) => {
            put_boot(&mut reply, ask, answer);
            let _ = write!(words, " {}", answer.step);
            if let Some(footing) = ask.footing {
                let _ = write!(words, "{footing}");
            }
        }
        Err(Why::NotNetboot) => {}
        Err(why) => {
            if why.is_local_boot() {
                put_local(&mut reply, ask, ip);
            }
            let _ = write!(words, ", nothing to boot ({}): {why}", why.code());
        }
    }
    let refused = boot.as_ref().err().filter(|why| **why != Why::NotNetboot).cloned();
    let boot = boot.ok().map(|answer| Given { footing: ask.footing, ..Given::from(&answer) });
    match finish(reply, ask, kind) {
        Ok((transmit, echo)) => {
            if echo == Echo::TooLarge {
                words.push_str(", without the relay's option 82, which does not fit");
            }
            Verdict { outcome: Outcome::Answered(words), reply: Some(transmit), changes, ip, boot, refused }
        }
        Err(error) => {
            let outcome = Outcome::Ourselves(format!("the answer is too large for this client: {error}"));
            Verdict { outcome, reply: None, changes: Vec::new(), ip, boot: None, refused: None }
        }
    }
}

fn refuse(ask: &Ask<'_>, refusal: Refusal) -> Verdict {
    let nak = || finish(start(ask, MessageType::NAK), ask, MessageType::NAK).ok().map(|(transmit, _)| transmit);
    let reply = refusal.nak.then(nak).flatten();
    let outcome = match &reply {
        Some(_) => Outcome::Answered(format!("NAK ({}): {}", refusal.why.code(), refusal.why)),
        None => Outcome::Declined(refusal.why),
    };
    Verdict { outcome, reply, changes: refusal.changes, ip: None, boot: None, refused: None }
}

/// The question, or the draft for what is none.
fn read<'a>(heard: Heard<'a>, link: Link<'a>, now: Timestamp) -> Result<Ask<'a>, Box<Draft>> {
    let entry = |mac, asked, outcome| Entry {
        at: now,
        proto: proto(link.exchange),
        mac,
        ip: None,
        uuid: None,
        interface: link.interface.to_owned(),
        asked,
        about: About::Other,
        outcome,
    };
    let silent = |entry| Box::new(Draft { writes: Vec::new(), reply: None, entry });
    let message = Message::decode(heard.data).map_err(|error| {
        silent(entry(None, format!("{} bytes from {}", heard.data.len(), heard.from), Outcome::Peer(error.to_string())))
    })?;
    let (mac, op, kind) = (message.mac(), message.op, message.options.message_type());
    Ask::new(message, heard, link).map_err(|why| {
        let what = kind.map_or_else(|| "a message without type".to_owned(), |kind| kind.to_string());
        silent(entry(mac, format!("{what}, op {}", op.0), Outcome::Declined(why)))
    })
}

fn draft(ask: &Ask<'_>, verdict: Verdict, writes: Vec<super::Record>, now: Timestamp) -> Draft {
    let message = match ask.kind {
        MessageType::DISCOVER => DhcpMessage::Discover,
        MessageType::REQUEST => DhcpMessage::Request,
        _ => DhcpMessage::Other,
    };
    let entry = Entry {
        at: now,
        proto: proto(ask.link.exchange),
        mac: ask.message.mac(),
        ip: verdict.ip.or(ask.client_ip()).map(IpAddr::V4),
        uuid: ask.boot.uuid,
        interface: ask.link.interface.to_owned(),
        asked: asked(ask),
        about: About::Dhcp {
            message,
            loader: ask.boot.loader,
            arch: ask.boot.arch,
            relay: ask.boot.relay,
            place: Box::new(ask.boot.place.clone()),
            boot: verdict.boot,
            refused: verdict.refused,
        },
        outcome: verdict.outcome,
    };
    Draft { writes, reply: verdict.reply, entry }
}

/// The question in one line: `REQUEST renewing 10.0.0.5 os`, `DISCOVER x64 UEFI pxe via 10.9.0.1`, and what was wrong with it.
fn asked(ask: &Ask<'_>) -> String {
    let mut text = ask.kind.to_string();
    let wants = ask.wants().filter(|_| ask.kind == MessageType::REQUEST && ask.link.exchange == Exchange::Dhcp);
    if let Some(wants) = wants {
        let (Wants::Select { ip, .. } | Wants::Reboot { ip } | Wants::Renew { ip } | Wants::Rebind { ip }) = wants;
        let _ = write!(text, " {} {ip}", wants.name());
    }
    if !matches!(ask.boot.loader, Loader::Os | Loader::Agent) {
        let _ = write!(text, " {}", ask.boot.arch);
    }
    let _ = write!(text, " {}", ask.boot.loader);
    put_place(&mut text, &ask.boot);
    if let Some(fault) = ask.message.faults.first() {
        let _ = write!(text, " (tolerated: {fault})");
    }
    text
}

/// Where the machine is plugged in: ` via 10.9.0.1 for 10.9.4.0 circuit eth0 remote 0x0004`, as far as anybody tells.
pub(crate) fn put_place(text: &mut String, request: &BootRequest) {
    let place = &request.place;
    let told = [("via", request.relay), ("for", place.link)];
    for (word, ip) in told.into_iter().filter_map(|(word, ip)| Some((word, ip?))) {
        let _ = write!(text, " {word} {ip}");
    }
    for (word, id) in [("circuit", &place.circuit_id), ("remote", &place.remote_id)] {
        if let Some(id) = id {
            let _ = write!(text, " {word} {id}");
        }
    }
}

const fn proto(exchange: Exchange) -> Proto {
    match exchange {
        Exchange::Dhcp | Exchange::Script => Proto::Dhcp4,
        Exchange::ProxyDhcp => Proto::Proxy4,
        Exchange::BootServer => Proto::BootServer4,
    }
}
