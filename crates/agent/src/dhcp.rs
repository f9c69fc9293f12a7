//! The agent's DHCP client (RFC 2131 §4.4): a machine without sockets or clock.
//!
//! It is out for two things that may come from two servers: an address, and the URL to report to. A ProxyDHCP server offers the
//! URL without an address, so after the first address it listens on for a while.

use core::net::Ipv4Addr;
use core::time::Duration;

/// What a server said, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    pub(crate) kind: Kind,
    pub(crate) xid: u32,
    /// `yiaddr`; unspecified from a ProxyDHCP server.
    pub(crate) ip: Ipv4Addr,
    /// Option 54, else `siaddr`.
    pub(crate) server: Ipv4Addr,
    /// Option 1 as a prefix length.
    pub(crate) prefix: Option<u8>,
    /// Option 3, the first.
    pub(crate) router: Option<Ipv4Addr>,
    /// Option 51: for how long the address is given.
    pub(crate) seconds: Option<u32>,
    /// Option 67, where it is a Slipway server's report URL.
    pub(crate) report_url: Option<String>,
}

/// The messages a client listens to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Offer,
    Ack,
    Nak,
}

/// What to send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Say {
    Discover { xid: u32 },
    Request { xid: u32, ip: Ipv4Addr, server: Ipv4Addr },
}

/// What the client wants next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Send this to everybody.
    Send(Say),
    /// Wait for a message, at most until this time.
    Wait(Duration),
    /// The address is ours.
    Bound(Lease),
}

/// What we were given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Lease {
    pub(crate) ip: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) router: Option<Ipv4Addr>,
    /// For how long; none where nobody said so, or it is for ever.
    pub(crate) seconds: Option<u32>,
    pub(crate) report_url: Option<String>,
}

/// How long to listen for a URL once there is an address.
const GATHER: Duration = Duration::from_secs(3);
/// The first pause before saying something again; each further one is twice as long, up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// REQUESTs without an answer before starting over: the server may be gone.
const REQUESTS: u32 = 4;

/// The client. Times are measured from any one start.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    xid: u32,
    report_url: Option<String>,
    state: State,
    /// When to speak (again), and the pause after that.
    next: Duration,
    pause: Duration,
}

#[derive(Clone, Debug)]
enum State {
    /// Collecting offers: the first address, and until when to wait for a URL.
    Gathering {
        offer: Option<(Heard, Duration)>,
    },
    /// Asking for the address offered.
    Requesting {
        offer: Heard,
        sent: u32,
    },
    Bound(Lease),
}

impl Client {
    /// A client that speaks at once. `xid` should differ from machine to machine and from start to start.
    pub(crate) fn new(now: Duration, xid: u32, report_url: Option<String>) -> Self {
        Self { xid, report_url, state: State::Gathering { offer: None }, next: now, pause: FIRST_PAUSE }
    }

    /// Takes a message in.
    pub(crate) fn handle(&mut self, now: Duration, heard: &Heard) {
        if heard.xid != self.xid {
            return;
        }
        match (&mut self.state, heard.kind) {
            (State::Gathering { offer }, Kind::Offer) => {
                if heard.report_url.is_some() {
                    self.report_url.get_or_insert_with(|| heard.report_url.clone().unwrap_or_default());
                }
                if offer.is_none() && !heard.ip.is_unspecified() {
                    *offer = Some((heard.clone(), now.saturating_add(GATHER)));
                }
            }
            (State::Requesting { offer, .. }, Kind::Ack) if heard.ip == offer.ip => {
                let prefix = heard.prefix.or(offer.prefix).unwrap_or_else(|| classful_prefix(heard.ip));
                let report_url = self.report_url.clone().or(heard.report_url.clone());
                let router = heard.router.or(offer.router);
                let seconds = heard.seconds.filter(|seconds| *seconds != u32::MAX);
                self.state = State::Bound(Lease { ip: heard.ip, prefix, router, seconds, report_url });
            }
            // A NAK from a server that was not asked says nothing about our address.
            (State::Requesting { offer, .. }, Kind::Nak) if heard.server == offer.server => self.start_over(now),
            _ => {}
        }
    }

    /// What to do now.
    pub(crate) fn poll(&mut self, now: Duration) -> Output {
        if let State::Gathering { offer: Some((offer, until)) } = &self.state
            && (self.report_url.is_some() || now >= *until)
        {
            self.state = State::Requesting { offer: offer.clone(), sent: 0 };
            (self.next, self.pause) = (now, FIRST_PAUSE);
        }
        if let State::Requesting { sent: REQUESTS.., .. } = self.state
            && now >= self.next
        {
            self.start_over(now);
        }
        match &mut self.state {
            State::Bound(lease) => Output::Bound(lease.clone()),
            State::Gathering { offer: Some((_, until)) } => Output::Wait(*until),
            _ if now < self.next => Output::Wait(self.next),
            State::Gathering { offer: None } => {
                let xid = self.xid;
                self.schedule(now);
                Output::Send(Say::Discover { xid })
            }
            State::Requesting { offer, sent } => {
                *sent = sent.saturating_add(1);
                let say = Say::Request { xid: self.xid, ip: offer.ip, server: offer.server };
                self.schedule(now);
                Output::Send(say)
            }
        }
    }

    fn schedule(&mut self, now: Duration) {
        self.next = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
    }

    /// Back to the start, under another transaction id: late answers to the old one must not be mistaken for new ones.
    fn start_over(&mut self, now: Duration) {
        *self = Self::new(now.saturating_add(FIRST_PAUSE), self.xid.wrapping_add(1), self.report_url.take());
    }
}

/// The prefix of a network whose server gave no mask: by the address's class (RFC 950), which is all there is to go by.
fn classful_prefix(ip: Ipv4Addr) -> u8 {
    match ip.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const URL: &str = "http://10.0.0.2:8067/agent/report";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn heard(kind: Kind, xid: u32, url: bool) -> Heard {
        Heard {
            kind,
            xid,
            ip: Ipv4Addr::new(10, 0, 0, 77),
            server: US,
            prefix: Some(20),
            router: Some(OTHER),
            seconds: Some(600),
            report_url: url.then(|| URL.to_owned()),
        }
    }

    fn lease(url: bool) -> Lease {
        Lease {
            ip: Ipv4Addr::new(10, 0, 0, 77),
            prefix: 20,
            router: Some(OTHER),
            seconds: Some(600),
            report_url: url.then(|| URL.to_owned()),
        }
    }

    /// A client that has said DISCOVER at second 0.
    fn discovering() -> Client {
        let mut client = Client::new(seconds(0), 7, None);
        assert_eq!(client.poll(seconds(0)), Output::Send(Say::Discover { xid: 7 }));
        client
    }

    fn request(xid: u32) -> Output {
        Output::Send(Say::Request { xid, ip: Ipv4Addr::new(10, 0, 0, 77), server: US })
    }

    #[test]
    fn one_server_that_tells_everything_is_answered_without_waiting() {
        let mut client = discovering();
        client.handle(seconds(0), &heard(Kind::Offer, 7, true));
        assert_eq!(client.poll(seconds(0)), request(7));
        client.handle(seconds(0), &heard(Kind::Ack, 7, true));
        assert_eq!(client.poll(seconds(0)), Output::Bound(lease(true)));
    }

    #[test]
    fn the_address_of_one_server_and_the_url_of_another_go_together() {
        let proxy = Heard { ip: Ipv4Addr::UNSPECIFIED, server: OTHER, ..heard(Kind::Offer, 7, true) };
        for proxy_first in [true, false] {
            let mut client = discovering();
            let address = heard(Kind::Offer, 7, false);
            let (first, second) = if proxy_first { (&proxy, &address) } else { (&address, &proxy) };
            client.handle(seconds(0), first);
            assert!(matches!(client.poll(seconds(0)), Output::Wait(_)));
            client.handle(seconds(1), second);
            assert_eq!(client.poll(seconds(1)), request(7));
            client.handle(seconds(1), &heard(Kind::Ack, 7, false));
            assert_eq!(client.poll(seconds(1)), Output::Bound(lease(true)));
        }
    }

    #[test]
    fn without_a_url_an_address_is_taken_after_three_seconds() {
        let mut client = discovering();
        client.handle(seconds(1), &heard(Kind::Offer, 7, false));
        assert_eq!(client.poll(seconds(1)), Output::Wait(seconds(4)));
        assert_eq!(client.poll(seconds(4)), request(7));
    }

    #[test]
    fn a_url_from_the_command_line_needs_no_other() {
        let mut client = Client::new(seconds(0), 7, Some(URL.to_owned()));
        client.poll(seconds(0));
        client.handle(seconds(0), &heard(Kind::Offer, 7, false));
        assert_eq!(client.poll(seconds(0)), request(7));
    }

    #[test]
    fn silence_is_met_with_growing_patience() {
        let mut client = discovering();
        let mut sent = Vec::new();
        for second in 1..=40 {
            if let Output::Send(_) = client.poll(seconds(second)) {
                sent.push(second);
            }
        }
        assert_eq!(sent, [1, 3, 7, 15, 23, 31, 39]);
    }

    #[test]
    fn a_server_that_dies_after_its_offer_is_given_up() {
        let mut client = discovering();
        client.handle(seconds(0), &heard(Kind::Offer, 7, true));
        let mut sent = Vec::new();
        for second in 0..=20 {
            if let Output::Send(say) = client.poll(seconds(second)) {
                sent.push((second, matches!(say, Say::Request { xid: 7, .. })));
            }
        }
        assert_eq!(sent, [(0, true), (1, true), (3, true), (7, true), (16, false), (17, false), (19, false)]);
        client.handle(seconds(20), &heard(Kind::Ack, 7, true));
        assert!(!matches!(client.poll(seconds(20)), Output::Bound(_)), "an answer to the old transaction");
    }

    #[test]
    fn a_nak_counts_only_from_the_server_that_was_asked() {
        let mut client = discovering();
        client.handle(seconds(0), &heard(Kind::Offer, 7, true));
        client.poll(seconds(0));
        client.handle(seconds(0), &Heard { server: OTHER, ..heard(Kind::Nak, 7, false) });
        assert_eq!(client.poll(seconds(1)), request(7));
        client.handle(seconds(1), &heard(Kind::Nak, 7, false));
        assert_eq!(client.poll(seconds(1)), Output::Wait(seconds(2)));
        assert_eq!(client.poll(seconds(2)), Output::Send(Say::Discover { xid: 8 }));
    }

    #[test]
    fn an_address_for_ever_needs_no_renewal() {
        let mut client = discovering();
        client.handle(seconds(0), &heard(Kind::Offer, 7, true));
        client.poll(seconds(0));
        client.handle(seconds(0), &Heard { seconds: Some(u32::MAX), ..heard(Kind::Ack, 7, true) });
        assert_eq!(client.poll(seconds(0)), Output::Bound(Lease { seconds: None, ..lease(true) }));
    }

    #[test]
    fn a_foreign_transaction_is_not_ours() {
        let mut client = discovering();
        client.handle(seconds(0), &heard(Kind::Offer, 8, true));
        assert!(matches!(client.poll(seconds(0)), Output::Wait(_)));
    }
}
