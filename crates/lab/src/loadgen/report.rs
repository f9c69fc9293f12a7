//! What a crowd saw.

use std::fmt;
use std::time::Duration;

use super::Fault;

/// What a crowd saw, since it was made.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Leases that came by DISCOVER, OFFER, REQUEST and ACK.
    pub leases: usize,
    /// Leases that were renewed or confirmed.
    pub renewals: usize,
    /// Addresses given back.
    pub releases: usize,
    /// Refusals (DHCPNAK), right or wrong.
    pub naks: usize,
    /// Messages that were sent again, or given up, for want of an answer.
    pub unanswered: usize,
    /// The time that the crowd was at work.
    pub time: Duration,
    /// From each first DISCOVER to its ACK, shortest first.
    pub latencies: Vec<Duration>,
    /// Promises that were broken.
    pub faults: Vec<Fault>,
}

impl Report {
    /// The latency that this part of all leases did not exceed (0.5 for the median); zero where there were none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent.min(100) / 100).copied().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = u128::try_from(self.leases).unwrap_or(0) * 1000 / self.time.as_millis().max(1);
        write!(
            f,
            "{} leases ({per_second} a second, p50 {:.1?}, p99 {:.1?}), {} renewals, {} releases, {} NAKs, {} unanswered, {} broken promises",
            self.leases,
            self.percentile(50),
            self.percentile(99),
            self.renewals,
            self.releases,
            self.naks,
            self.unanswered,
            self.faults.len()
        )
    }
}
