//! An org in a folder of its own, its trust plane on loopback, and machines that speak with it over real TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData as _};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use slipway_engine::catalog::{Catalog, FileRef, Image, ImageKind};
use slipway_engine::rules::Rules;
use slipway_server::journal::Journal;
use slipway_server::site::{Interface, Ipv6, Mode, SharedSite, Site, TftpSettings};
use slipway_server::trust::{self, Clock, Handle, Limits, Plane, Roles};
use slipway_store::Blobs;
use slipway_trust::desk::Kind;
use slipway_trust::frames::{EXPORTER, Intent};
use slipway_trust::image::{Arch, ImageManifest, Role};
use slipway_trust::invite::{ApprovalMode, Invite, Match, Token};
use slipway_trust::keyfile::{self, KeyFile, PrivateKey};
use slipway_trust::machine::{Answered, Expect, Granted, Next, Proof, Start, Stop, Waiting};
use slipway_trust::node::DoorLimits;
use slipway_trust::org::{Policy, Signers};
use slipway_trust::record::{Act, Approval, Disk, DiskPlan, Inventory, Verb};
use slipway_trust::seal::{Bound, Domain, Signed};
use slipway_trust::window::Window;
use slipway_trust::{Assurance, Digest, InviteId, OrgId, OrgManifest, PublicKey, SigningKey, Time, encode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The version of every image here.
const VERSION: u64 = 7;

/// An org, and a server of it that can be stopped and started again.
pub struct Org {
    pub data: TempDir,
    pub id: OrgId,
    pub root: SigningKey,
    pub admin: SigningKey,
    pub image_key: SigningKey,
    pub ca: CertificateDer<'static>,
    pub ca_spki: Digest,
    pub clock: Clock,
    pub manifest: OrgManifest,
    pub site: SharedSite,
    pub journal: Journal,
    pub server: Option<Handle>,
    limits: (Limits, DoorLimits),
}

pub fn now() -> Time {
    Time(slipway_server::journal::now().0 / 1000)
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

/// A machine CA: its certificate, its key in PEM, its pin.
fn authority() -> (CertificateDer<'static>, String, Digest) {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "acme machine CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (certificate, key.serialize_pem(), Digest::of(&key.subject_public_key_info()))
}

fn write_key(path: &Path, kind: keyfile::Kind, seed: u8, private: bool) {
    let file = KeyFile::new(kind, None, PrivateKey::from_seed(kind, &[seed; 32]).unwrap());
    let file = if private { file } else { file.public_half() };
    std::fs::write(path, file.render("the org acme").as_bytes()).unwrap();
}

impl Org {
    /// An org whose server runs with these limits.
    pub async fn with(limits: Limits, door: DoorLimits) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (root, admin, image_key) = (key(1), key(2), key(3));
        let (ca, ca_key, ca_spki) = authority();
        let id = OrgId::of(&root.public());
        let manifest = OrgManifest {
            org: id,
            epoch: 1,
            name: "acme".to_owned(),
            admins: Signers { threshold: 1, keys: vec![admin.public()] },
            images: Signers { threshold: 1, keys: vec![image_key.public()] },
            enrollers: vec![key(4).public()],
            ca_certificate: ca.to_vec(),
            ca_spki,
            pcr_policy: None,
            gateways: Vec::new(),
            floors: Vec::new(),
            policy: Policy::default(),
            created: now(),
            escrow: None,
        };
        let folder = trust::folder(data.path());
        std::fs::create_dir(&folder).unwrap();
        write_key(&folder.join("root.pub"), keyfile::Kind::Root, 1, false);
        write_key(&folder.join("enroller.key"), keyfile::Kind::Enroller, 4, true);
        std::fs::write(folder.join("ca.key"), ca_key).unwrap();
        let clock = Clock::standing(now());
        let site = Arc::new(ArcSwap::from_pointee(site(data.path())));
        let journal = Journal::default();
        let mut org = Self {
            data,
            id,
            root,
            admin,
            image_key,
            ca,
            ca_spki,
            clock,
            manifest,
            site,
            journal,
            server: None,
            limits: (limits, door),
        };
        org.publish();
        org.add_image("preboot", Role::Preboot);
        org.add_image("generation", Role::Generation);
        org.start().await;
        org
    }

    pub async fn new() -> Self {
        Self::with(Limits::default(), DoorLimits { hellos_a_minute: 1000, ..DoorLimits::default() }).await
    }

    /// Writes the manifest as it stands now into the org's folder.
    pub fn publish(&self) {
        let signed = self.root_signed();
        std::fs::write(trust::folder(self.data.path()).join("manifest"), encode(&signed)).unwrap();
    }

    pub fn root_signed(&self) -> Signed {
        Signed::by(&self.root, Domain::OrgManifest, Bound::Org(&self.id), encode(&self.manifest))
    }

    /// Puts an image into the store's catalog, with a manifest that the image key has signed beside its record.
    pub fn add_image(&self, name: &str, role: Role) {
        let sha256 = Digest::of(name.as_bytes());
        let manifest = ImageManifest {
            org: self.id,
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
        let signed = Signed::by(&self.image_key, Domain::ImageManifest, Bound::Org(&self.id), encode(&manifest));
        let folder = self.data.path().join("images").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{VERSION}.manifest")), encode(&signed)).unwrap();
        let file = FileRef { digest: slipway_engine::catalog::Digest(sha256.0), size: 1000 };
        let image = Image {
            name: name.to_owned(),
            version: VERSION.to_string(),
            kind: ImageKind::Uki,
            cpu: None,
            cmdline: None,
            files: [(Image::UKI.to_owned(), file)].into(),
        };
        let mut site = Site::clone(&self.site.load());
        site.catalog.images.insert(name.to_owned(), vec![image]);
        self.site.store(Arc::new(site));
    }

    pub async fn start(&mut self) {
        let keys = Arc::new(trust::keys(self.data.path()).unwrap().unwrap());
        let roles = Roles { enroller: true, gateway: true };
        let shared = (Arc::clone(&self.site), self.journal.clone());
        let (limits, door) = self.limits;
        let plane = Plane::open(self.data.path(), keys, (roles, door), self.clock.clone(), shared).unwrap();
        self.server = Some(trust::spawn(&["127.0.0.1:0".parse().unwrap()], limits, Arc::new(plane)).unwrap());
    }

    /// Stops the server and starts another on the same data.
    pub async fn restart(&mut self) {
        self.server.take().unwrap().shutdown().await;
        self.start().await;
    }

    pub fn plane(&self) -> &Plane {
        self.server.as_ref().unwrap().plane()
    }

    pub fn addr(&self) -> SocketAddr {
        self.server.as_ref().unwrap().local_addrs()[0]
    }

    /// What an admin signs.
    pub fn admin_signed(&self, domain: Domain, payload: Vec<u8>) -> Signed {
        Signed::by(&self.admin, domain, Bound::Org(&self.id), payload)
    }

    pub fn open_window(&self, max_machines: u32) {
        let opens = self.clock.now();
        let id = InviteId(opens.0.to_be_bytes());
        let window = Window {
            id,
            opens,
            expires: opens.plus(Window::LONGEST),
            max_machines,
            invites: Vec::new(),
            opened_by: self.admin.public().kid(),
        };
        self.plane().submit(Kind::Window, &self.admin_signed(Domain::Window, encode(&window))).unwrap();
    }

    /// A secret invite that lets machines in by itself, and its token.
    pub fn invite(&self, max_uses: u32) -> Token {
        let now = self.clock.now();
        let id = InviteId([7; 8]);
        let token = Token::new(self.id, id, [9; 32], self.ca_spki);
        let invite = Invite {
            id,
            label: "lab".to_owned(),
            key: Some(token.key().public()),
            kind: slipway_trust::invite::Kind::Secret,
            max_uses,
            not_before: now,
            expires: now.plus(3600),
            role: "worker".to_owned(),
            only: Match::default(),
            approval: ApprovalMode::Automatic,
            min_assurance: Assurance::Claimed,
            wipe: false,
            created_by: self.admin.public().kid(),
            trusts_lan: false,
            insecure_match: false,
        };
        self.plane().submit(Kind::Invite, &self.admin_signed(Domain::Invite, encode(&invite))).unwrap();
        token
    }

    /// What the admin says of a machine's only ticket.
    pub fn approval(&self, machine: &Machine) -> Signed {
        let tickets = self.plane().tickets(true).tickets;
        let ticket = tickets.iter().find(|one| one.key == machine.key.public().digest().to_string()).unwrap();
        let approval = Approval {
            ticket: ticket.id.parse().unwrap(),
            key: ticket.key.parse().unwrap(),
            ek: None,
            transcript: ticket.transcript.parse().unwrap(),
            yes: true,
            name: "web1".to_owned(),
            role: "worker".to_owned(),
            plan: DiskPlan { disk: Some("disk-1".to_owned()), wipe: false, esp_mib: 512, data: true },
            at: self.clock.now(),
            replaces: None,
            opening: None,
        };
        self.admin_signed(Domain::Approval, encode(&approval))
    }

    pub fn act(&self, machine: &str, verb: Verb) -> Signed {
        let act = Act {
            machine: machine.parse().unwrap(),
            verb,
            reason: "a test".to_owned(),
            at: self.clock.now(),
            opening: None,
        };
        self.admin_signed(Domain::Act, encode(&act))
    }
}

pub fn site(data: &Path) -> Site {
    Site {
        interfaces: vec![Interface {
            name: "lo".into(),
            index: 1,
            mac: [0; 6],
            v4: vec![([127, 0, 0, 1].into(), 8), ([10, 77, 0, 1].into(), 24)],
            v6: Vec::new(),
            mtu: 65536,
            mode: Mode::Off,
            ipv6: Ipv6::default(),
        }],
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

/// The org's clock, as rustls asks for it.
#[derive(Debug)]
struct Wall(Clock);

impl TimeProvider for Wall {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now().0)))
    }
}

/// A machine without a TPM.
pub struct Machine {
    pub key: SigningKey,
    seed: [u8; 32],
    pub mac: String,
}

/// One TLS connection.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    pub channel: [u8; 32],
    read: Vec<u8>,
}

impl Machine {
    pub fn new(n: u32) -> Self {
        let mut seed = [42; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let [_, _, a, b] = n.to_be_bytes();
        Self { key: SigningKey::from_seed(&seed), seed, mac: format!("52:54:00:00:{a:02x}:{b:02x}") }
    }

    fn proof<'a>(&self, org: &Org, token: Option<&'a Token>) -> Proof<'a> {
        let disk = Disk { id: "disk-1".to_owned(), size: 1 << 34, model: None, used: false };
        let inventory = Inventory { macs: vec![self.mac.clone()], disks: vec![disk], ..Inventory::default() };
        Proof { key: self.key.public(), inventory, tpm: None, token, ca_spki: org.ca_spki }
    }

    pub fn start(&self, org: &Org, intent: Intent, token: Option<&Token>) -> Start {
        Start {
            org: org.id,
            intent,
            arch: Arch::X64,
            image_version: VERSION,
            invite: token.map(|token| token.invite),
            machine: None,
            nonce: self.seed,
            reveal: [5; 32],
        }
    }

    /// M1 to M6.
    pub async fn ask(&self, org: &Org, token: Option<&Token>) -> Result<Waiting, Stop> {
        let mut connection = Connection::open(org).await;
        let (greeted, hello) = self.start(org, Intent::Enrol, token).hello();
        let challenged = greeted.on_challenge(&connection.frame(&hello).await, &connection.channel)?;
        let (proving, evidence) = challenged.evidence(self.proof(org, token)).sign(&self.key).unwrap();
        match proving.on_reply(&connection.frame(&evidence).await)? {
            Next::Ticket(waiting) => Ok(*waiting),
            Next::Activate(_) => panic!("without a TPM there is nothing to activate"),
        }
    }

    /// M7 on a connection of its own.
    pub async fn poll(&self, org: &Org, waiting: &mut Waiting) -> Answered {
        let mut connection = Connection::open(org).await;
        let ((), frame) = waiting.poll(&connection.channel).sign(&self.key).unwrap();
        let reply = connection.frame(&frame).await;
        let root = org.root.public();
        waiting.on_reply(&reply, &Expect { root: &root, now: org.clock.now(), epoch: 0, floor: 0 }).unwrap()
    }

    pub async fn granted(&self, org: &Org, waiting: &mut Waiting) -> Granted {
        match self.poll(org, waiting).await {
            Answered::Granted(granted) => *granted,
            other => panic!("{other:?}"),
        }
    }

    /// M10.
    pub async fn install(&self, org: &Org, waiting: &mut Waiting, granted: &Granted) -> Vec<u8> {
        let mut connection = Connection::open(org).await;
        let installed = waiting.installed(granted.image().sha256, Some("Boot0001".to_owned()), &connection.channel);
        let ((), frame) = installed.sign(&self.key).unwrap();
        connection.frame(&frame).await
    }

    /// The key as rustls takes it, for a certificate of this machine.
    pub fn private(&self) -> PrivateKeyDer<'static> {
        // RFC 8410 §7: version, algorithm, the seed in two octet strings.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend_from_slice(&self.seed);
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))
    }

    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

/// How a client speaks TLS with this org, with a certificate if it has one.
pub fn tls(org: &Org, certificate: Option<(Vec<u8>, PrivateKeyDer<'static>)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(org.ca.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(Wall(org.clock.clone())))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    match certificate {
        None => builder.with_no_client_auth(),
        Some((leaf, key)) => builder.with_client_auth_cert(vec![CertificateDer::from(leaf)], key).unwrap(),
    }
}

impl Connection {
    pub async fn open(org: &Org) -> Self {
        Self::with(org, tls(org, None)).await.unwrap()
    }

    pub async fn with(org: &Org, mut config: ClientConfig) -> std::io::Result<Self> {
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(slipway_trust::org::server_name(&org.id)).unwrap();
        let stream = TcpStream::connect(org.addr()).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let channel = stream.get_ref().1.export_keying_material([0; 32], EXPORTER, Some(&[])).unwrap();
        Ok(Self { stream, channel, read: Vec::new() })
    }

    /// Posts a frame; its reply.
    pub async fn frame(&mut self, frame: &[u8]) -> Vec<u8> {
        let (status, reply) = self.post(frame).await;
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&reply));
        reply
    }

    pub async fn post(&mut self, frame: &[u8]) -> (u16, Vec<u8>) {
        let head = format!(
            "POST /v1/frame HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/cbor\r\nContent-Length: {}\r\n\r\n",
            frame.len()
        );
        self.send(&[head.as_bytes(), frame].concat()).await;
        self.response().await.unwrap()
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next response; none if the server has closed.
    pub async fn response(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8(self.read[..end].to_vec()).unwrap();
                let field = |line: &str| line.strip_prefix("Content-Length: ").and_then(|length| length.parse().ok());
                let length: usize = head.lines().find_map(field).unwrap();
                if self.read.len() >= end + 4 + length {
                    let body = self.read[end + 4..end + 4 + length].to_vec();
                    self.read.drain(..end + 4 + length);
                    return Some((head.split(' ').nth(1).unwrap().parse().unwrap(), body));
                }
            }
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}
