//! A server with its files, on ports of the kernel's choice.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use slipway_engine::Timestamp;
use slipway_engine::catalog::{Catalog, Digest, FileRef};
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::rules::Rules;
use slipway_server::journal::Journal;
use slipway_server::site::{Interface, Ipv6, Mode, Site, TftpSettings};
use slipway_server::tftp::{Handle, Limits, spawn};
use slipway_store::Blobs;
use slipway_wire::MacAddr;
use tempfile::TempDir;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// A running server. Its files go when it does.
pub struct Server {
    pub handle: Handle,
    journal: Journal,
    _data: TempDir,
}

/// What it is to serve.
pub struct Plan<'a> {
    /// Boot loaders: `loader/<name>`.
    pub files: &'a [(&'a str, Vec<u8>)],
    pub export: Option<&'a Path>,
    pub settings: TftpSettings,
    pub limits: Limits,
}

impl Default for Plan<'_> {
    fn default() -> Self {
        let settings = TftpSettings { blksize_max: 65464, single_port: false, allow: Vec::new() };
        Self { files: &[], export: None, settings, limits: Limits::default() }
    }
}

impl Plan<'_> {
    pub fn start(self) -> Server {
        let data = tempfile::tempdir().unwrap();
        let site = site(data.path(), &self);
        let journal = Journal::default();
        journal.note(known_machine());
        let listen = ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
        let handle = spawn(&listen, self.limits, Arc::new(ArcSwap::from_pointee(site)), journal.clone()).unwrap();
        Server { handle, journal, _data: data }
    }
}

/// The site of this plan, with its files stored under `data`.
pub fn site(data: &Path, plan: &Plan<'_>) -> Site {
    let blobs = Blobs::under(data);
    let mut catalog = Catalog::default();
    for (number, (name, bytes)) in plan.files.iter().enumerate() {
        let digest = Digest([number as u8; 32]);
        let path = blobs.path(&digest);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        catalog.loaders.insert((*name).to_owned(), FileRef { digest, size: bytes.len() as u64 });
    }
    let loopback = Interface {
        name: "lo".into(),
        index: 1,
        mac: [0; 6],
        v4: vec![(Ipv4Addr::LOCALHOST, 8)],
        v6: vec![("::1".parse().unwrap(), 128)],
        mtu: 65536,
        mode: Mode::Off,
        ipv6: Ipv6::default(),
    };
    Site {
        interfaces: vec![loopback],
        subnets: Vec::new(),
        subnets6: Vec::new(),
        rules: Rules::default(),
        catalog,
        blobs,
        http_port: 8067,
        https: None,
        export: plan.export.map(Path::to_owned),
        tftp: plan.settings.clone(),
    }
}

/// DHCP's word that 127.0.0.1 is a machine: then the journal keeps its transfers together.
fn known_machine() -> Entry {
    Entry {
        at: Timestamp(0),
        proto: Proto::Dhcp4,
        mac: Some(MAC),
        ip: Some(Ipv4Addr::LOCALHOST.into()),
        uuid: None,
        interface: "lo".into(),
        asked: "REQUEST".into(),
        about: About::Other,
        outcome: Outcome::Answered("ACK".into()),
    }
}

impl Server {
    pub fn v4(&self) -> SocketAddr {
        self.handle.local_addrs()[0]
    }

    pub fn both(&self) -> &[SocketAddr] {
        self.handle.local_addrs()
    }

    /// What the journal says of the TFTP requests of 127.0.0.1, once there are so many.
    pub fn entries(&self, count: usize) -> Vec<Arc<Entry>> {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let mut entries = self.journal.machine(MAC).unwrap();
            entries.retain(|entry| entry.proto == Proto::Tftp);
            if entries.len() >= count || Instant::now() > patience {
                assert_eq!(entries.len(), count, "{entries:#?}");
                return entries;
            }
            std::thread::yield_now();
        }
    }
}
