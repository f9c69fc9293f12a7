//! Where questions are answered: one datagram, one draft.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv6Addr};

use slipway_wire::dhcp6::{Message, MessageType, OptionCode, Packet, Status, StatusCode};

use super::ask::{Ask, Heard, Link};
use super::book::Book;
use super::boot::{Boot, decide_boot};
use super::grant::{self, Grants};
use super::lease::Write;
use super::reply::{finish, put_subnet, start};
use super::{Draft, Transmit};
use crate::dhcp4::{Policy, put_place};
use crate::journal::{About, DhcpMessage, Entry, Given, Outcome, Proto};
use crate::request::Loader;
use crate::{Timestamp, Why};

/// The desk of a DHCPv6 server: the lease book, and whoever asks.
#[derive(Debug, Default)]
pub struct Desk {
    book: Book,
}

/// What a question came to, before it is a draft.
#[derive(Debug)]
struct Verdict {
    outcome: Outcome,
    reply: Option<Transmit>,
    writes: Vec<Write>,
    /// The client's address, where it has or gets one.
    ip: Option<Ipv6Addr>,
    boot: Option<Given>,
    /// Why it is told to load nothing, where it is answered all the same.
    refused: Option<Why>,
}

impl From<Why> for Verdict {
    fn from(why: Why) -> Self {
        Self { outcome: Outcome::Declined(why), reply: None, writes: Vec::new(), ip: None, boot: None, refused: None }
    }
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

    /// Answers one datagram. The book knows at once what the draft promises, so that the next question cannot be promised the same.
    pub fn answer(&mut self, heard: Heard<'_>, link: Link<'_>, policy: Policy<'_>, now: Timestamp) -> Draft {
        self.book.expire(now);
        let ask = match read(heard, link, now) {
            Ok(ask) => ask,
            Err(draft) => return *draft,
        };
        let mut verdict = self.decide(&ask, policy, now);
        if !verdict.writes.is_empty() {
            // A commit that happens anyway takes along what time has ended.
            let ended: Vec<Write> = self.book.ended().collect();
            verdict.writes.splice(0..0, ended);
        }
        verdict.writes.iter().for_each(|write| self.book.apply(write));
        draft(&ask, verdict, now)
    }

    fn decide(&self, ask: &Ask<'_>, policy: Policy<'_>, now: Timestamp) -> Verdict {
        match ask.kind() {
            MessageType::SOLICIT => {
                let grants = Grants { writes: Vec::new(), ..grant::on_ask_for_address(ask, &self.book, now) };
                // Others may have what we have not: silence lets them answer.
                match (grants.ips.is_empty(), grants.why.clone()) {
                    (true, why) => why.unwrap_or(Why::NotForUs).into(),
                    (false, _) => self.given(ask, MessageType::ADVERTISE, grants, policy),
                }
            }
            MessageType::REQUEST => {
                self.given(ask, MessageType::REPLY, grant::on_ask_for_address(ask, &self.book, now), policy)
            }
            MessageType::RENEW => self.given(ask, MessageType::REPLY, grant::on_extend(ask, &self.book, now), policy),
            MessageType::REBIND => match grant::on_extend(ask, &self.book, now) {
                // Another server may know these.
                Grants { ips, why: Some(why), .. } if ips.is_empty() => why.into(),
                grants => self.given(ask, MessageType::REPLY, grants, policy),
            },
            MessageType::CONFIRM => match grant::on_confirm(ask, &self.book) {
                Some(true) => said(ask, StatusCode::SUCCESS, "the addresses fit this link", Grants::default()),
                Some(false) => {
                    said(ask, StatusCode::NOT_ON_LINK, "the addresses do not fit this link", Grants::default())
                }
                None => Why::NoSubnet.into(),
            },
            MessageType::RELEASE => {
                said(ask, StatusCode::SUCCESS, "released", grant::on_give_back(ask, &self.book, None))
            }
            MessageType::DECLINE => {
                let until = grant::quarantine(now);
                let words = "is somebody else's, kept out of use for a while";
                said(ask, StatusCode::SUCCESS, words, grant::on_give_back(ask, &self.book, Some(until)))
            }
            MessageType::INFORMATION_REQUEST => self.informed(ask, policy),
            _ => Why::NotForUs.into(),
        }
    }

    /// Addresses with whatever else their client gets.
    fn given(&self, ask: &Ask<'_>, kind: MessageType, grants: Grants, policy: Policy<'_>) -> Verdict {
        if grants.ias.is_empty() {
            return Why::NotForUs.into();
        }
        let ip = grants.ips.first().copied();
        let boot = decide_boot(ask, ip, self.book.plan(), policy);
        // "Ignore" means this machine altogether: it is not even given an address.
        if let Err(why @ Why::Ignored { .. }) = boot {
            return why.into();
        }
        let boot = boot.and_then(|boot| if ip.is_some() { Ok(boot) } else { Err(Why::NotNetboot) });
        let mut reply = start(ask, kind, boot.as_ref().ok());
        grants.ias.iter().for_each(|ia| _ = reply.options.push_ia(ia));
        let mut words = kind.to_string();
        grants.ips.iter().for_each(|ip| _ = write!(words, " {ip}"));
        if let Some(why) = &grants.why {
            let _ = write!(words, ", no address ({}): {why}", why.code());
        }
        self.answered(ask, reply, words, Grants { ias: Vec::new(), ..grants }, boot)
    }

    /// rfc8415#18.3.6: parameters for a client that has its address from elsewhere, or makes it itself.
    fn informed(&self, ask: &Ask<'_>, policy: Policy<'_>) -> Verdict {
        if ask.subnets(self.book.plan()).is_empty() {
            return Why::NoSubnet.into();
        }
        let boot = decide_boot(ask, None, self.book.plan(), policy);
        if let Err(why @ Why::Ignored { .. }) = boot {
            return why.into();
        }
        let reply = start(ask, MessageType::REPLY, boot.as_ref().ok());
        self.answered(ask, reply, "REPLY, parameters only".to_owned(), Grants::default(), boot)
    }

    fn answered(
        &self,
        ask: &Ask<'_>,
        mut reply: Message,
        mut words: String,
        grants: Grants,
        boot: Result<Boot, Why>,
    ) -> Verdict {
        let plan = self.book.plan();
        let by_address = grants.ips.first().and_then(|ip| plan.subnet_of(*ip));
        let subnet = by_address.or_else(|| ask.subnets(plan).first().copied());
        if let Some(subnet) = subnet.and_then(|subnet| plan.subnet(subnet)) {
            put_subnet(&mut reply, subnet);
        }
        match &boot {
            Ok(boot) => _ = write!(words, " {}", boot.url),
            Err(Why::NotNetboot) => {}
            Err(why) => _ = write!(words, ", nothing to boot ({}): {why}", why.code()),
        }
        Verdict {
            outcome: Outcome::Answered(words),
            reply: Some(finish(reply, ask)),
            writes: grants.writes,
            ip: grants.ips.first().copied(),
            refused: boot.as_ref().err().filter(|why| **why != Why::NotNetboot).cloned(),
            // Named as the firmware is told it: a journey shows the way that was taken.
            boot: boot.ok().map(|boot| Given::from(&boot.answer)),
        }
    }
}

/// A REPLY that says how something went, and for the associations that it did not concern, why.
fn said(ask: &Ask<'_>, code: StatusCode, words: &str, grants: Grants) -> Verdict {
    let mut reply = start(ask, MessageType::REPLY, None);
    grants.ias.iter().for_each(|ia| _ = reply.options.push_ia(ia));
    reply.options.push(OptionCode::STATUS, Status::encode(code, words));
    let mut told = format!("REPLY {code}:");
    grants.ips.iter().for_each(|ip| _ = write!(told, " {ip}"));
    match &grants.why {
        Some(why) if grants.ips.is_empty() => _ = write!(told, " {why}"),
        _ => _ = write!(told, " {words}"),
    }
    Verdict {
        outcome: Outcome::Answered(told),
        reply: Some(finish(reply, ask)),
        writes: grants.writes,
        ip: grants.ips.first().copied(),
        boot: None,
        refused: None,
    }
}

/// The question, or the draft for what is none.
fn read<'a>(heard: Heard<'a>, link: Link<'a>, now: Timestamp) -> Result<Ask<'a>, Box<Draft>> {
    let silent = |asked, outcome| {
        let interface = link.interface.to_owned();
        let about = About::Other;
        let entry =
            Entry { at: now, proto: Proto::Dhcp6, mac: None, ip: None, uuid: None, interface, asked, about, outcome };
        Box::new(Draft { writes: Vec::new(), reply: None, entry })
    };
    let packet = Packet::decode(heard.data).map_err(|error| {
        silent(format!("{} bytes from {}", heard.data.len(), heard.from), Outcome::Peer(error.to_string()))
    })?;
    let kind = packet.message.kind;
    Ask::new(packet, heard, link).map_err(|why| silent(format!("{kind} from {}", heard.from), Outcome::Declined(why)))
}

fn draft(ask: &Ask<'_>, verdict: Verdict, now: Timestamp) -> Draft {
    let message = match ask.kind() {
        MessageType::SOLICIT => DhcpMessage::Discover,
        MessageType::REQUEST | MessageType::INFORMATION_REQUEST => DhcpMessage::Request,
        _ => DhcpMessage::Other,
    };
    let entry = Entry {
        at: now,
        proto: Proto::Dhcp6,
        mac: ask.mac,
        ip: verdict.ip.map(IpAddr::V6),
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
    Draft { writes: verdict.writes, reply: verdict.reply, entry }
}

/// The question in one line: `SOLICIT x64 UEFI HTTP uefi-http`, `RENEW fd77::100 os via fd88::1`, and what was wrong with it.
fn asked(ask: &Ask<'_>) -> String {
    let mut text = ask.kind().to_string();
    for address in grant::ias(ask).iter().flat_map(|(ia, _)| ia.addresses().take(1)) {
        let _ = write!(text, " {}", address.ip);
    }
    if !matches!(ask.boot.loader, Loader::Os | Loader::Agent) {
        let _ = write!(text, " {}", ask.boot.arch);
    }
    let _ = write!(text, " {}", ask.boot.loader);
    put_place(&mut text, &ask.boot);
    if let Some(fault) = ask.message().faults.first() {
        let _ = write!(text, " (tolerated: {fault})");
    }
    text
}
