//! What a commit of leases costs, alone and in company.
#![allow(clippy::unwrap_used, reason = "a benchmark is test code")]

use std::net::Ipv4Addr;

use divan::Bencher;
use divan::counter::ItemsCount;
use slipway_engine::Timestamp;
use slipway_engine::dhcp4::{ClientKey, Holder, Record};
use slipway_store::leases::{Embedded, LeaseStore};
use slipway_wire::MacAddr;

fn main() {
    divan::main();
}

fn record(number: u32) -> Record {
    let [a, b, c, d] = number.to_be_bytes();
    let holder = Holder::Client(ClientKey::Ethernet(MacAddr([2, 0, a, b, c, d])));
    Record { ip: Ipv4Addr::new(10, b, c, d), holder, until: Timestamp(1_700_000_000_000 + u64::from(number)) }
}

/// One transaction, one flush, on the disk of the temporary folder.
#[divan::bench(args = [1, 16, 256, 2048], sample_count = 40)]
fn commit(bencher: Bencher<'_, '_>, together: u32) {
    let data = tempfile::tempdir().unwrap();
    let mut store = Embedded::open(data.path()).unwrap();
    let mut next = 0;
    bencher.counter(ItemsCount::new(together)).bench_local(|| {
        let records: Vec<Record> = (next..next + together).map(record).collect();
        next = (next + together) % 65_536;
        store.commit(&records).unwrap();
    });
}

#[divan::bench(sample_count = 10)]
fn restore_fifty_thousand(bencher: Bencher<'_, '_>) {
    let data = tempfile::tempdir().unwrap();
    let mut store = Embedded::open(data.path()).unwrap();
    store.commit(&(0..50_000).map(record).collect::<Vec<_>>()).unwrap();
    bencher.bench_local(|| store.restore().unwrap());
}
