//! Leases for as long as the process lives, and no longer: for tests, and for trying the server out.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use slipway_engine::dhcp4::Record;

use super::{LeaseError, LeaseStore};

/// A lease store in memory. Clones share their content, as two openings of one database one after the other do.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<Ipv4Addr, Record>,
    failing: bool,
}

impl Memory {
    /// Makes every commit fail from now on, or work again: a disk that is full.
    pub fn set_failing(&self, failing: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failing = failing;
    }
}

impl LeaseStore for Memory {
    fn restore(&self) -> Result<Vec<Record>, LeaseError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).records.values().cloned().collect())
    }

    fn commit(&mut self, records: &[Record]) -> Result<(), LeaseError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failing {
            let source = "told to fail".into();
            return Err(LeaseError::Unavailable { path: PathBuf::from("(memory)"), action: "written", source });
        }
        state.records.extend(records.iter().map(|record| (record.ip, record.clone())));
        Ok(())
    }
}
