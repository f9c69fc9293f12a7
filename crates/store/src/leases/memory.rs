//! Leases for as long as the process lives, and no longer: for tests, and for trying the server out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slipway_engine::dhcp4::Record;
use slipway_engine::dhcp6;
use slipway_wire::dhcp6::Duid;

use super::{LeaseError, LeaseStore};

/// A lease store in memory. Clones share their content, as two openings of one database one after the other do.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Ipv4Addr, Record>,
    records6: BTreeMap<Ipv6Addr, dhcp6::Record>,
    failing: bool,
}

impl Memory {
    /// Makes every commit fail from now on, or work again: a disk that is full.
    pub fn set_failing(&self, failing: bool) {
        self.state().failing = failing;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn check(&self) -> Result<(), LeaseError> {
        if !self.failing {
            return Ok(());
        }
        let source = "told to fail".into();
        Err(LeaseError::Unavailable { path: PathBuf::from("(memory)"), action: "written", source })
    }
}

impl LeaseStore for Memory {
    fn restore(&self) -> Result<Vec<Record>, LeaseError> {
        Ok(self.state().records.values().cloned().collect())
    }

    fn commit(&mut self, records: &[Record]) -> Result<(), LeaseError> {
        let mut state = self.state();
        state.check()?;
        state.records.extend(records.iter().map(|record| (record.ip, record.clone())));
        Ok(())
    }

    fn restore6(&self) -> Result<Vec<dhcp6::Record>, LeaseError> {
        Ok(self.state().records6.values().cloned().collect())
    }

    fn commit6(&mut self, writes: &[dhcp6::Write]) -> Result<(), LeaseError> {
        let mut state = self.state();
        state.check()?;
        for write in writes {
            match write {
                dhcp6::Write::Put(record) => _ = state.records6.insert(record.ip, record.clone()),
                dhcp6::Write::Drop(ip) => _ = state.records6.remove(ip),
            }
        }
        Ok(())
    }

    fn server_id(&mut self) -> Result<Duid, LeaseError> {
        Ok(Duid::of_uuid([1; 16]))
    }
}
