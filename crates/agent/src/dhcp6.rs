//! The agent's DHCPv6 client (RFC 8415 §18.2): the same for networks without IPv4. One server tells everything here, address and
//! URL, so the first that offers an address is taken.

use core::net::Ipv6Addr;
use core::time::Duration;

use slipway_wire::dhcp6::Duid;

/// What a server said, as far as it matters here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    /// Whether this is the REPLY that makes the address ours; else an ADVERTISE.
    pub(crate) is_reply: bool,
    pub(crate) xid: u32,
    pub(crate) server: Duid,
    /// The address; none where the server has none for us.
    pub(crate) ip: Option<Ipv6Addr>,
    /// Option 59, where it is a Slipway server's report URL.
    pub(crate) report_url: Option<String>,
}

/// What to send.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Say {
    Solicit { xid: u32 },
    Request { xid: u32, ip: Ipv6Addr, server: Duid },
}

/// What the client wants next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Send this to all servers.
    Send(Say),
    /// Wait for a message, at most until this time.
    Wait(Duration),
    /// The address is ours, and here is where to report.
    Bound(Ipv6Addr, Option<String>),
}

/// The first pause before saying something again; each further one is twice as long, up to the last (rfc8415#7.6).
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(8);
/// REQUESTs without an answer before starting over: the server may be gone.
const REQUESTS: u32 = 4;

/// The client. Times are measured from any one start.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    xid: u32,
    state: State,
    /// When to speak (again), and the pause after that.
    next: Duration,
    pause: Duration,
}

#[derive(Clone, Debug)]
enum State {
    Soliciting,
    Requesting { ip: Ipv6Addr, server: Duid, sent: u32 },
    Bound(Ipv6Addr, Option<String>),
}

impl Client {
    /// A client that speaks at this time. `xid` should differ from machine to machine and from start to start.
    pub(crate) const fn new(start: Duration, xid: u32) -> Self {
        Self { xid: xid & 0x00ff_ffff, state: State::Soliciting, next: start, pause: FIRST_PAUSE }
    }

    /// Takes a message in.
    pub(crate) fn handle(&mut self, now: Duration, heard: Heard) {
        if heard.xid != self.xid {
            return;
        }
        match (&self.state, heard.ip) {
            (State::Soliciting, Some(ip)) if !heard.is_reply => {
                self.state = State::Requesting { ip, server: heard.server, sent: 0 };
                (self.next, self.pause) = (now, FIRST_PAUSE);
            }
            (State::Requesting { server, .. }, ip) if heard.is_reply && heard.server == *server => match ip {
                Some(ip) => self.state = State::Bound(ip, heard.report_url),
                None => self.start_over(now),
            },
            _ => {}
        }
    }

    /// What to do now.
    pub(crate) fn poll(&mut self, now: Duration) -> Output {
        if let State::Bound(ip, url) = &self.state {
            return Output::Bound(*ip, url.clone());
        }
        if now < self.next {
            return Output::Wait(self.next);
        }
        if let State::Requesting { sent: REQUESTS.., .. } = self.state {
            self.start_over(now);
            return Output::Wait(self.next);
        }
        let xid = self.xid;
        let say = match &mut self.state {
            State::Requesting { ip, server, sent } => {
                *sent = sent.saturating_add(1);
                Say::Request { xid, ip: *ip, server: server.clone() }
            }
            State::Soliciting | State::Bound(..) => Say::Solicit { xid },
        };
        self.next = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LAST_PAUSE);
        Output::Send(say)
    }

    /// Back to the start, under another transaction id: late answers to the old one must not be mistaken for new ones.
    fn start_over(&mut self, now: Duration) {
        *self = Self::new(now.saturating_add(FIRST_PAUSE), self.xid.wrapping_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IP: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0x77);
    const URL: &str = "http://[fd77::1]:8067/agent/report";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn server(last: u8) -> Duid {
        Duid::of_uuid([last; 16])
    }

    fn heard(is_reply: bool, xid: u32) -> Heard {
        Heard { is_reply, xid, server: server(1), ip: Some(IP), report_url: Some(URL.to_owned()) }
    }

    fn request(xid: u32) -> Output {
        Output::Send(Say::Request { xid, ip: IP, server: server(1) })
    }

    #[test]
    fn the_first_server_with_an_address_is_asked_at_once() {
        let mut client = Client::new(seconds(0), 7);
        assert_eq!(client.poll(seconds(0)), Output::Send(Say::Solicit { xid: 7 }));
        client.handle(seconds(0), Heard { ip: None, ..heard(false, 7) });
        assert_eq!(client.poll(seconds(0)), Output::Wait(seconds(1)));
        client.handle(seconds(0), heard(false, 7));
        assert_eq!(client.poll(seconds(0)), request(7));
        client.handle(seconds(0), heard(true, 7));
        assert_eq!(client.poll(seconds(0)), Output::Bound(IP, Some(URL.to_owned())));
    }

    #[test]
    fn what_was_not_asked_for_is_not_heard() {
        let mut client = Client::new(seconds(0), 7);
        client.poll(seconds(0));
        client.handle(seconds(0), heard(false, 8));
        client.handle(seconds(0), heard(true, 7));
        assert_eq!(client.poll(seconds(0)), Output::Wait(seconds(1)), "a REPLY to nothing");
        client.handle(seconds(0), heard(false, 7));
        client.poll(seconds(0));
        client.handle(seconds(0), Heard { server: server(2), ..heard(true, 7) });
        assert_eq!(client.poll(seconds(0)), Output::Wait(seconds(1)), "another server's");
    }

    #[test]
    fn it_starts_late_when_told_to_and_is_patient() {
        let mut client = Client::new(seconds(1), 7);
        let mut sent = Vec::new();
        for second in 0..=30 {
            if let Output::Send(_) = client.poll(seconds(second)) {
                sent.push(second);
            }
        }
        assert_eq!(sent, [1, 2, 4, 8, 16, 24]);
    }

    #[test]
    fn a_server_that_dies_or_changes_its_mind_is_given_up() {
        for changes_its_mind in [false, true] {
            let mut client = Client::new(seconds(0), 7);
            client.poll(seconds(0));
            client.handle(seconds(0), heard(false, 7));
            assert_eq!(client.poll(seconds(0)), request(7));
            if changes_its_mind {
                client.handle(seconds(0), Heard { ip: None, ..heard(true, 7) });
            }
            let mut said = Vec::new();
            for second in 1..=20 {
                if let Output::Send(say) = client.poll(seconds(second)) {
                    said.push((second, say == Say::Solicit { xid: 8 }));
                }
            }
            let expected: &[_] = if changes_its_mind {
                &[(1, true), (2, true), (4, true), (8, true), (16, true)]
            } else {
                &[(1, false), (3, false), (7, false), (16, true), (17, true), (19, true)]
            };
            assert_eq!(said, expected);
        }
    }
}
