//! Every address that was acknowledged to somebody, and for how long: what the server may not go back on.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Instant;

use slipway_wire::MacAddr;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// An address was acknowledged to a client while another's lease of it was valid.
    TwoHolders {
        /// The address.
        ip: Ipv4Addr,
        /// Who had it.
        first: MacAddr,
        /// Who was given it too.
        second: MacAddr,
    },
    /// A client with a valid lease asked for its address, and was refused, given another, or left without an answer.
    Forgotten {
        /// The address.
        ip: Ipv4Addr,
        /// Whose it is.
        client: MacAddr,
        /// What came instead.
        instead: Instead,
    },
}

/// What a client got instead of its lease.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Instead {
    /// A NAK.
    Nak,
    /// Another address.
    Address(Ipv4Addr),
    /// Nothing, though it asked again and again.
    Silence,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoHolders { ip, first, second } => {
                write!(f, "{ip} was acknowledged to {second} while {first} leased it")
            }
            Self::Forgotten { ip, client, instead } => {
                write!(f, "{client} leases {ip} and asked for it, but got ")?;
                match instead {
                    Instead::Nak => f.write_str("a NAK"),
                    Instead::Address(other) => write!(f, "{other}"),
                    Instead::Silence => f.write_str("no answer"),
                }
            }
        }
    }
}

/// Who was promised what.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    leases: HashMap<Ipv4Addr, (MacAddr, Instant)>,
    pub(super) faults: Vec<Fault>,
}

impl Ledger {
    /// An ACK reached its client.
    pub(super) fn acknowledged(&mut self, ip: Ipv4Addr, client: MacAddr, until: Instant, now: Instant) {
        let before = self.leases.insert(ip, (client, until));
        if let Some((first, _)) = before.filter(|(holder, until)| *holder != client && *until > now) {
            self.faults.push(Fault::TwoHolders { ip, first, second: client });
        }
    }

    /// The client gave its address up.
    pub(super) fn left(&mut self, ip: Ipv4Addr, client: MacAddr) {
        if self.leases.get(&ip).is_some_and(|(holder, _)| *holder == client) {
            self.leases.remove(&ip);
        }
    }

    /// A client that has this lease was told otherwise.
    pub(super) fn forgotten(&mut self, ip: Ipv4Addr, client: MacAddr, instead: Instead, now: Instant) {
        if self.leases.get(&ip).is_some_and(|(holder, until)| *holder == client && *until > now) {
            self.faults.push(Fault::Forgotten { ip, client, instead });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_broken_promise_is_noticed_and_a_kept_or_expired_one_is_not() {
        let (a, b, ip) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]), Ipv4Addr::new(10, 0, 0, 1));
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        let mut ledger = Ledger::default();
        ledger.acknowledged(ip, a, now + minute, now);
        ledger.acknowledged(ip, a, now + minute, now);
        assert_eq!(ledger.faults, [], "its own, again");
        ledger.forgotten(ip, a, Instead::Nak, now + 2 * minute);
        ledger.forgotten(ip, b, Instead::Nak, now);
        assert_eq!(ledger.faults, [], "no longer, or never, its own");
        ledger.forgotten(ip, a, Instead::Nak, now);
        ledger.acknowledged(ip, b, now + minute, now);
        let expected =
            [Fault::Forgotten { ip, client: a, instead: Instead::Nak }, Fault::TwoHolders { ip, first: a, second: b }];
        assert_eq!(ledger.faults, expected);
        ledger.left(ip, b);
        ledger.acknowledged(ip, a, now + minute, now);
        assert_eq!(ledger.faults.len(), 2, "it was given up");
    }
}
