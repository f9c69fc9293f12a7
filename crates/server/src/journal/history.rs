//! What is remembered of each machine: bounded in every direction, whatever the network sends.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use slipway_engine::journal::{Entry, Outcome};
use slipway_wire::MacAddr;

/// How much is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Machines.
    pub machines: usize,
    /// Entries of one machine.
    pub entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { machines: 1024, entries: 256 }
    }
}

/// What is known of one machine.
#[derive(Debug)]
struct Machine {
    entries: VecDeque<Arc<Entry>>,
    /// Its place in the order of forgetting.
    rank: Rank,
    /// Addresses that lead to it.
    ips: VecDeque<IpAddr>,
}

/// The order of forgetting: machines that were never answered go first, then those not seen for longest. So a flood of invented
/// addresses only displaces itself.
type Rank = (bool, u64);

/// The last entries of the machines last seen.
#[derive(Debug, Default)]
pub struct History {
    limits: Limits,
    machines: HashMap<MacAddr, Machine>,
    order: BTreeMap<Rank, MacAddr>,
    by_ip: HashMap<IpAddr, MacAddr>,
    clock: u64,
}

impl History {
    /// Addresses remembered for one machine.
    const IPS: usize = 4;

    /// An empty history with limits of its own.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Adds an entry, forgetting the oldest where there is no room. An entry of no known machine is not kept.
    pub fn add(&mut self, entry: Arc<Entry>) {
        let Some(mac) = entry.mac else { return };
        self.clock += 1;
        let answered = matches!(entry.outcome, Outcome::Answered(_));
        let mut machine = match self.machines.remove(&mac) {
            Some(machine) => {
                self.order.remove(&machine.rank);
                machine
            }
            None => {
                self.make_room();
                Machine { entries: VecDeque::new(), rank: (false, 0), ips: VecDeque::new() }
            }
        };
        machine.rank = (machine.rank.0 || answered, self.clock);
        if let Some(ip) = entry.ip.map(|ip| ip.to_canonical()).filter(|ip| !ip.is_unspecified()) {
            self.learn(&mut machine, mac, ip);
        }
        if machine.entries.len() >= self.limits.entries {
            machine.entries.pop_front();
        }
        machine.entries.push_back(entry);
        self.order.insert(machine.rank, mac);
        self.machines.insert(mac, machine);
    }

    fn make_room(&mut self) {
        while self.machines.len() >= self.limits.machines.max(1) {
            let Some((_, mac)) = self.order.pop_first() else { return };
            let Some(gone) = self.machines.remove(&mac) else { continue };
            for ip in gone.ips {
                self.forget(ip, mac);
            }
        }
    }

    fn learn(&mut self, machine: &mut Machine, mac: MacAddr, ip: IpAddr) {
        self.by_ip.insert(ip, mac);
        if machine.ips.contains(&ip) {
            return;
        }
        machine.ips.push_back(ip);
        if machine.ips.len() > Self::IPS
            && let Some(old) = machine.ips.pop_front()
        {
            self.forget(old, mac);
        }
    }

    /// Forgets that an address leads to a machine, unless it leads to another by now.
    fn forget(&mut self, ip: IpAddr, mac: MacAddr) {
        if self.by_ip.get(&ip) == Some(&mac) {
            self.by_ip.remove(&ip);
        }
    }

    /// The machine that last had this address.
    #[must_use]
    pub fn mac_of(&self, ip: IpAddr) -> Option<MacAddr> {
        self.by_ip.get(&ip.to_canonical()).copied()
    }

    /// Every machine, the one last seen first.
    #[must_use]
    pub fn order(&self) -> Vec<MacAddr> {
        let mut all: Vec<(u64, MacAddr)> = self.order.iter().map(|((_, seen), mac)| (*seen, *mac)).collect();
        all.sort_by_key(|(seen, _)| core::cmp::Reverse(*seen));
        all.into_iter().map(|(_, mac)| mac).collect()
    }

    /// How many machines are remembered.
    #[must_use]
    pub fn count(&self) -> usize {
        self.machines.len()
    }

    /// The entries of one machine, oldest first.
    #[must_use]
    pub fn machine(&self, mac: MacAddr) -> Option<Vec<Arc<Entry>>> {
        self.machines.get(&mac).map(|machine| machine.entries.iter().cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::journal::{About, Proto};
    use slipway_engine::{Timestamp, Why};

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    fn entry(at: u64, of: u8, address: Option<u8>, answered: bool) -> Arc<Entry> {
        let outcome = if answered { Outcome::Answered("OFFER".to_owned()) } else { Outcome::Declined(Why::NoRule) };
        Arc::new(Entry {
            at: Timestamp(at),
            proto: Proto::Dhcp4,
            mac: Some(mac(of)),
            ip: address.map(ip),
            uuid: None,
            interface: String::new(),
            asked: String::new(),
            about: About::Other,
            outcome,
        })
    }

    #[test]
    fn the_oldest_entries_of_a_machine_are_forgotten() {
        let mut history = History::new(Limits { machines: 2, entries: 3 });
        for at in 0..10 {
            history.add(entry(at, 1, None, true));
        }
        let kept: Vec<u64> = history.machine(mac(1)).unwrap().iter().map(|entry| entry.at.0).collect();
        assert_eq!(kept, [7, 8, 9]);
    }

    #[test]
    fn the_machine_not_seen_for_longest_is_forgotten_with_its_addresses() {
        let mut history = History::new(Limits { machines: 2, entries: 3 });
        history.add(entry(1, 1, Some(1), true));
        history.add(entry(2, 2, Some(2), true));
        history.add(entry(3, 1, None, true));
        history.add(entry(4, 3, Some(3), true));
        assert_eq!(history.order(), [mac(3), mac(1)]);
        assert_eq!([1, 2, 3].map(|n| history.mac_of(ip(n))), [Some(mac(1)), None, Some(mac(3))]);
    }

    #[test]
    fn a_flood_of_invented_machines_displaces_no_machine_that_was_answered() {
        let mut history = History::new(Limits { machines: 4, entries: 3 });
        history.add(entry(1, 1, Some(1), true));
        for n in 2..=255 {
            history.add(entry(u64::from(n), n, Some(n), false));
        }
        assert!(history.machine(mac(1)).is_some());
        assert_eq!(history.count(), 4);
        assert_eq!(history.by_ip.len(), 4);
        assert_eq!(history.order.len(), 4);
    }

    #[test]
    fn an_address_leads_to_the_machine_that_had_it_last() {
        let mut history = History::default();
        history.add(entry(1, 1, Some(9), true));
        history.add(entry(2, 2, Some(9), true));
        assert_eq!(history.mac_of(ip(9)), Some(mac(2)));
        for n in 10..20 {
            history.add(entry(3, 1, Some(n), true));
        }
        assert_eq!(history.mac_of(ip(9)), Some(mac(2)), "forgetting machine 1's address must not touch machine 2's");
        assert_eq!(history.mac_of(ip(10)), None, "an old address of machine 1");
    }
}
