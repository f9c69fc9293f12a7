//! An org made by the program, its trust plane and control socket on loopback in this process, and machines without a TPM.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use slipway_api::Status;
use slipway_engine::catalog::{Catalog, Digest as StoreDigest, FileRef, Image, ImageKind};
use slipway_engine::rules::Rules;
use slipway_server::control::{Control, Desk};
use slipway_server::journal::Journal;
use slipway_server::site::{Site, TftpSettings};
use slipway_server::trust::{self, Clock, Handle, Limits, Plane, Roles, Served};
use slipway_store::Blobs;
use slipway_trust::frames::{EXPORTER, Intent};
use slipway_trust::image::{Arch, ImageManifest, Role};
use slipway_trust::invite::Token;
use slipway_trust::keyfile::{KeyFile, PrivateKey};
use slipway_trust::machine::{
    Admitted, Answered, BootProof, Expect, Granted, Next, Proof, Running, Start, Stop, Waiting,
};
use slipway_trust::node::DoorLimits;
use slipway_trust::record::{Disk, Inventory};
use slipway_trust::seal::{Bound, Domain, Signed};
use slipway_trust::{Digest, OrgManifest, PublicKey, SigningKey, Time};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The version of every image here.
const VERSION: u64 = 7;

/// A folder with keys, data and whatever else a test puts there; the program runs in it.
#[derive(Debug)]
pub(crate) struct Data(TempDir);

impl Data {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slipway"));
        command.arg("--data").arg(self.0.path().join("data")).args(arguments);
        command.env("HOME", self.0.path()).env_remove("XDG_CONFIG_HOME").env_remove("SLIPWAY_CONTROL");
        command.stdin(std::process::Stdio::null()).env_remove("RUST_BACKTRACE").output().unwrap()
    }

    /// Its standard output, when it succeeds.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.says(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Its complaint, when it fails.
    pub(crate) fn refuses(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

/// The org, served.
pub(crate) struct Bench {
    data: Arc<Data>,
    root: PublicKey,
    manifest: OrgManifest,
    server: Handle,
    stop: watch::Sender<bool>,
    control: tokio::task::JoinHandle<std::io::Result<()>>,
}

fn now() -> Time {
    Time(slipway_server::journal::now().0 / 1000)
}

fn key_of(path: &str) -> KeyFile {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let data = Data(tempfile::tempdir().unwrap());
        data.says(&["org", "init", "acme"]);
        let data = Arc::new(data);
        let folder = data.0.path().join("data");
        let root = key_of(&data.path("data/org/root.pub")).public;
        let signed: Signed = slipway_trust::decode(&fs::read(folder.join("org/manifest")).unwrap()).unwrap();
        let manifest = OrgManifest::open(&signed, &root, 0).unwrap();
        let image_key = key_of(&data.path(".config/slipway/org/acme/image.key")).private.unwrap();
        let mut site = site(&folder);
        for (name, role) in [("preboot", Role::Preboot), ("generation", Role::Generation)] {
            add_image(&mut site, &folder, &manifest, &image_key, (name, role));
        }
        let (site, journal) = (Arc::new(ArcSwap::from_pointee(site)), Journal::default());
        let keys = Arc::new(trust::keys(&folder).unwrap().unwrap());
        let roles = Roles { enroller: true, gateway: true };
        let door = DoorLimits { hellos_a_minute: 1000, ..DoorLimits::default() };
        let shared = (Arc::clone(&site), journal.clone());
        let plane = Plane::open(&folder, keys, (roles, door), Clock::wall(), shared).unwrap();
        let plane = Arc::new(plane);
        let server = trust::spawn(&["127.0.0.1:0".parse().unwrap()], Limits::default(), Arc::clone(&plane)).unwrap();
        let (stop, stopped) = watch::channel(false);
        let org = Arc::new(ArcSwapOption::from_pointee(Served { plane, listen: Vec::new() }));
        let status = Arc::new(ArcSwap::from_pointee(Status::default()));
        let (wishes, _) = mpsc::channel(1);
        let control = Control::bind(&folder.join("control.sock")).unwrap();
        let control = tokio::spawn(control.serve(Desk { journal, site, status, org, wishes }, stopped));
        Self { data, root, manifest, server, stop, control }
    }

    async fn with<T: Send + 'static>(
        &self,
        arguments: &[&str],
        how: impl Fn(&Data, &[&str]) -> T + Send + 'static,
    ) -> T {
        let (data, owned) = (Arc::clone(&self.data), arguments.iter().map(|&one| one.to_owned()).collect::<Vec<_>>());
        let run = move || how(&data, &owned.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        self.with(arguments, Data::says).await
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        self.with(arguments, Data::json).await
    }

    pub(crate) async fn refuses(&self, arguments: &[&str]) -> String {
        self.with(arguments, Data::refuses).await
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.data.path(name)
    }

    /// Stops the server; its folder stays.
    pub(crate) async fn stop(self) -> Arc<Data> {
        let Self { data, server, stop, control, .. } = self;
        stop.send(true).unwrap();
        control.await.unwrap().unwrap();
        server.shutdown().await;
        data
    }

    fn expect(&self) -> Expect<'_> {
        Expect { root: &self.root, now: now(), epoch: 0, floor: 0 }
    }
}

/// Puts an image into the catalog, with a manifest that the image key has signed.
fn add_image(site: &mut Site, data: &Path, org: &OrgManifest, key: &PrivateKey, (name, role): (&str, Role)) {
    let sha256 = Digest::of(name.as_bytes());
    let manifest = ImageManifest {
        org: org.org,
        name: name.to_owned(),
        role,
        arch: Arch::X64,
        version: VERSION,
        floor: 0,
        size: 1000,
        sha256,
        authenticode: Digest::of(b"authenticode"),
        kernel_authenticode: None,
        pcr11: None,
        pcr_policy: None,
        created: now(),
        not_after: None,
        secure_boot: false,
    };
    let PrivateKey::Ed25519(key) = key else { panic!("image keys are Ed25519") };
    let signed = Signed::by(key, Domain::ImageManifest, Bound::Org(&org.org), slipway_trust::encode(&manifest));
    let folder = data.join("images").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{VERSION}.manifest")), slipway_trust::encode(&signed)).unwrap();
    let file = FileRef { digest: StoreDigest(sha256.0), size: 1000 };
    let (name, version, files) = (name.to_owned(), VERSION.to_string(), [(Image::UKI.to_owned(), file)].into());
    let image = Image { name: name.clone(), version, kind: ImageKind::Uki, cpu: None, cmdline: None, files };
    site.catalog.images.insert(name, vec![image]);
}

fn site(data: &Path) -> Site {
    Site {
        interfaces: Vec::new(),
        subnets: Vec::new(),
        subnets6: Vec::new(),
        rules: Rules::default(),
        catalog: Catalog::default(),
        blobs: Blobs::under(data),
        http_port: 8067,
        https: None,
        export: None,
        tftp: TftpSettings { blksize_max: 65464, single_port: false, allow: Vec::new() },
    }
}

/// A machine without a TPM.
pub(crate) struct Machine {
    key: SigningKey,
    nonce: [u8; 32],
    pub(crate) mac: String,
}

impl Machine {
    pub(crate) fn new(n: u8) -> Self {
        Self { key: SigningKey::from_seed(&[n; 32]), nonce: [n; 32], mac: format!("52:54:00:00:00:{n:02x}") }
    }

    fn start(&self, bench: &Bench, intent: Intent, token: Option<&Token>) -> Start {
        Start {
            org: bench.manifest.org,
            intent,
            arch: Arch::X64,
            image_version: VERSION,
            invite: token.map(|token| token.invite),
            machine: None,
            nonce: self.nonce,
            reveal: [5; 32],
        }
    }

    /// M1 to M6.
    pub(crate) async fn ask(&self, bench: &Bench, token: Option<&Token>) -> Result<Waiting, Stop> {
        let mut line = Line::open(bench).await;
        let (greeted, hello) = self.start(bench, Intent::Enrol, token).hello();
        let challenged = greeted.on_challenge(&line.frame(&hello).await, &line.channel)?;
        let disk = Disk { id: "disk-1".to_owned(), size: 1 << 34, model: None, used: false };
        let inventory = Inventory { macs: vec![self.mac.clone()], disks: vec![disk], ..Inventory::default() };
        let proof = Proof { key: self.key.public(), inventory, tpm: None, token, ca_spki: bench.manifest.ca_spki };
        let (proving, evidence) = challenged.evidence(proof).sign(&self.key).unwrap();
        match proving.on_reply(&line.frame(&evidence).await)? {
            Next::Ticket(waiting) => Ok(*waiting),
            Next::Activate(_) => panic!("without a TPM there is nothing to activate"),
        }
    }

    /// M7.
    pub(crate) async fn poll(&self, bench: &Bench, waiting: &mut Waiting) -> Answered {
        let mut line = Line::open(bench).await;
        let ((), frame) = waiting.poll(&line.channel).sign(&self.key).unwrap();
        let reply = line.frame(&frame).await;
        waiting.on_reply(&reply, &bench.expect()).unwrap()
    }

    pub(crate) async fn granted(&self, bench: &Bench, waiting: &mut Waiting) -> Granted {
        match self.poll(bench, waiting).await {
            Answered::Granted(granted) => *granted,
            other => panic!("{other:?}"),
        }
    }

    /// M11.
    pub(crate) async fn boot(&self, bench: &Bench, granted: &Granted) -> Result<Admitted, Stop> {
        let mut line = Line::open(bench).await;
        let start = self.start(bench, Intent::Boot, None);
        let (greeted, hello) = Start { machine: Some(granted.grant().machine), ..start }.hello();
        let challenged = greeted.on_challenge(&line.frame(&hello).await, &line.channel)?;
        let proof = BootProof {
            key: self.key.public(),
            machine: granted.grant().machine,
            confirm: Some(granted.grant().confirm),
            quote: None,
            generation: None,
            counter: 1,
            volume: None,
            ca_spki: bench.manifest.ca_spki,
        };
        let (booting, frame) = challenged.boot(proof).sign(&self.key).unwrap();
        let running = Running { root: &bench.root, now: now(), epoch: 1, floor: 0 };
        booting.on_material(&line.frame(&frame).await, &running)
    }
}

/// One TLS connection.
struct Line {
    stream: TlsStream<TcpStream>,
    channel: [u8; 32],
}

impl Line {
    async fn open(bench: &Bench) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(bench.manifest.ca_certificate.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(slipway_trust::org::server_name(&bench.manifest.org)).unwrap();
        let stream = TcpStream::connect(bench.server.local_addrs()[0]).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        let channel = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, Some(&[])).unwrap();
        Self { stream, channel }
    }

    /// Posts a frame; its reply.
    async fn frame(&mut self, frame: &[u8]) -> Vec<u8> {
        let head = format!(
            "POST /v1/frame HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/cbor\r\nContent-Length: {}\r\n\r\n",
            frame.len()
        );
        self.stream.write_all(&[head.as_bytes(), frame].concat()).await.unwrap();
        self.stream.flush().await.unwrap();
        let mut read = Vec::new();
        loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(read[..end].to_vec()).unwrap();
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                let field = |line: &str| line.strip_prefix("Content-Length: ").and_then(|length| length.parse().ok());
                let length: usize = head.lines().find_map(field).unwrap();
                if read.len() >= end + 4 + length {
                    return read[end + 4..end + 4 + length].to_vec();
                }
            }
            assert!(self.stream.read_buf(&mut read).await.unwrap() > 0, "the server closed");
        }
    }
}
