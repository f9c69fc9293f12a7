//! A set of addresses kept as ranges: a pool of sixteen million costs as little as one of ten.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

/// Addresses as disjoint ranges, each by its first address; every operation is logarithmic in the number of ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    /// The lowest address of the set.
    pub(super) fn first(&self) -> Option<Ipv4Addr> {
        self.0.first_key_value().map(|(&start, _)| Ipv4Addr::from_bits(start))
    }

    #[cfg(test)]
    fn contains(&self, ip: Ipv4Addr) -> bool {
        self.around(ip.to_bits()).is_some()
    }

    /// Adds a range, both ends included; one that is turned round adds nothing.
    pub(super) fn insert(&mut self, first: Ipv4Addr, last: Ipv4Addr) {
        let (mut start, mut end) = (first.to_bits(), last.to_bits());
        if start > end {
            return;
        }
        // Whatever overlaps or touches becomes one range with the new one.
        while let Some((s, e)) = self.touching(start, end) {
            self.0.remove(&s);
            (start, end) = (start.min(s), end.max(e));
        }
        self.0.insert(start, end);
    }

    /// Takes one address out; whether it was there.
    pub(super) fn remove(&mut self, ip: Ipv4Addr) -> bool {
        let ip = ip.to_bits();
        let Some((start, end)) = self.around(ip) else { return false };
        self.0.remove(&start);
        if let Some(before) = ip.checked_sub(1).filter(|&before| before >= start) {
            self.0.insert(start, before);
        }
        if let Some(after) = ip.checked_add(1).filter(|&after| after <= end) {
            self.0.insert(after, end);
        }
        true
    }

    fn around(&self, ip: u32) -> Option<(u32, u32)> {
        self.0.range(..=ip).next_back().map(|(&s, &e)| (s, e)).filter(|&(_, e)| e >= ip)
    }

    fn touching(&self, start: u32, end: u32) -> Option<(u32, u32)> {
        let (&s, &e) = self.0.range(..=end.saturating_add(1)).next_back()?;
        (e.saturating_add(1) >= start).then_some((s, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn ranges_behave_as_the_set_they_stand_for(ops in prop::collection::vec((any::<bool>(), 0u8..40, 0u8..6), 0..60)) {
            let (mut ranges, mut naive) = (Ranges::default(), BTreeSet::new());
            for (insert, at, len) in ops {
                let ip = |n: u8| Ipv4Addr::new(10, 0, 0, n);
                if insert {
                    ranges.insert(ip(at), ip(at + len));
                    naive.extend(at..=at + len);
                } else {
                    prop_assert_eq!(ranges.remove(ip(at)), naive.remove(&at));
                }
                prop_assert_eq!(ranges.first(), naive.first().map(|&n| ip(n)));
                for n in 0..50 {
                    prop_assert_eq!(ranges.contains(ip(n)), naive.contains(&n));
                }
            }
        }
    }

    #[test]
    fn the_ends_of_the_address_space_do_not_overflow() {
        let mut ranges = Ranges::default();
        ranges.insert(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
        assert!(ranges.remove(Ipv4Addr::UNSPECIFIED) && ranges.remove(Ipv4Addr::BROADCAST));
        assert_eq!(ranges.first(), Some(Ipv4Addr::from_bits(1)));
        ranges.insert(Ipv4Addr::BROADCAST, Ipv4Addr::BROADCAST);
        assert!(ranges.contains(Ipv4Addr::BROADCAST));
    }
}
