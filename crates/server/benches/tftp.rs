//! How fast the TFTP server serves over the loopback, our own client's cost included.
//!
//! Read the figures against each other, not by themselves: with a window of 1, server and client wait for each other's processor to
//! wake up. Run pinned to one (`taskset -c 0`) they show the cost of the code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    unreachable_pub,
    dead_code,
    missing_docs,
    reason = "a benchmark"
)]

#[path = "../tests/tftp_kit/mod.rs"]
mod tftp_kit;

use std::net::IpAddr;

use divan::Bencher;
use divan::counter::BytesCount;
use slipway_engine::tftp::limits::Caps;
use slipway_server::tftp::Limits;
use tftp_kit::client::{Client, content};
use tftp_kit::server::{Plan, Server};

fn main() {
    divan::main();
}

fn server(size: usize) -> Server {
    let caps = Caps { requests_per_second: 1_000_000, ..Caps::default() };
    let limits = Limits { caps, ..Limits::default() };
    Plan { files: &[("file", content(size))], limits, ..Plan::default() }.start()
}

const ONE: usize = 16 << 20;

#[divan::bench(args = [(512, 1), (1468, 1), (1468, 4), (1468, 16), (1468, 64), (8192, 1), (8192, 16)], sample_count = 7)]
fn one_client(bencher: Bencher<'_, '_>, (blksize, window): (usize, usize)) {
    let server = server(ONE);
    bencher.counter(BytesCount::new(ONE)).bench_local(|| {
        let got = Client::towards(server.v4()).get("loader/file", &[("blksize", blksize), ("windowsize", window)]);
        assert_eq!(got.unwrap().bytes.len(), ONE);
    });
}

const MANY: usize = 1 << 20;

#[divan::bench(args = [1, 4], sample_count = 5)]
fn a_hundred_clients(bencher: Bencher<'_, '_>, window: usize) {
    let server = server(MANY);
    bencher.counter(BytesCount::new(100 * MANY)).bench_local(|| {
        std::thread::scope(|scope| {
            for n in 0..100 {
                let addr = server.v4();
                scope.spawn(move || {
                    let mut client = Client::from(IpAddr::from([127, 0, 1, n]), addr);
                    let got = client.get("loader/file", &[("blksize", 1468), ("windowsize", window)]);
                    assert_eq!(got.unwrap().bytes.len(), MANY);
                });
            }
        });
    });
}
