//! A machine that is none: the machine's end of an enrolment, spoken from this process over real TLS. It has no TPM, installs nothing, and
//! is there by the hundred.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use slipway_trust::frames::{EXPORTER, Intent, MEDIA_TYPE, PATH};
use slipway_trust::invite::Token;
use slipway_trust::keyfile::KeyFile;
use slipway_trust::machine::{Answered, Expect, Next, Proof, Start, Stop};
use slipway_trust::record::{Disk, Inventory};
use slipway_trust::{Arch, Digest, PublicKey, Refusal, SigningKey, Time};

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// What all of them know: the org, its server, and the same invite.
#[derive(Debug)]
pub(crate) struct Track {
    token: Token,
    root: PublicKey,
    tls: Arc<ClientConfig>,
    server: SocketAddr,
    image_version: u64,
}

/// How a machine fared. Nothing: it was let in.
pub(crate) type Fate = Option<Refusal>;

impl Track {
    /// The track of an org whose folder is `org`, for machines with this invite that run a bootstrap image of this version.
    ///
    /// # Errors
    /// The org's public files cannot be read, or the invite is none.
    pub(crate) fn new(org: &Path, token: &str, server: SocketAddr, image_version: u64) -> Result<Self> {
        let token: Token = token.parse().context("this is no invite")?;
        let file = org.join("root.pub");
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let root = text.parse::<KeyFile>().with_context(|| format!("{} is no key", file.display()))?.public;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(org.join("ca.pem"))?)?;
        let mut tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = Resumption::disabled();
        Ok(Self { token, root, tls: Arc::new(tls), server, image_version })
    }

    /// How the org calls the key of machine `number`.
    pub(crate) fn key(&self, number: u32) -> String {
        SigningKey::from_seed(&seed("key", number)).public().digest().to_string()
    }

    /// Sends machine `number` along it: M1 to M8, and no further.
    ///
    /// # Errors
    /// The server is not there, or says what it should not.
    pub(crate) fn race(&self, number: u32) -> Result<Fate> {
        let key = SigningKey::from_seed(&seed("key", number));
        let mut line = self.connect()?;
        let (greeted, hello) = self.start(number).hello();
        let reply = line.ask(&hello)?;
        let challenged = match greeted.on_challenge(&reply, &line.channel) {
            Err(Stop::Refused(refused)) => return Ok(Some(refused.why)),
            other => other?,
        };
        let (proving, evidence) = challenged.evidence(self.proof(number, &key)).sign(&key)?;
        let mut waiting = match proving.on_reply(&line.ask(&evidence)?) {
            Ok(Next::Ticket(waiting)) => *waiting,
            Ok(Next::Activate(_)) => bail!("the server asks machine {number} for a TPM"),
            Err(Stop::Refused(refused)) => return Ok(Some(refused.why)),
            Err(other) => return Err(other.into()),
        };
        let mut line = self.connect()?;
        let ((), poll) = waiting.poll(&line.channel).sign(&key)?;
        match waiting.on_reply(&line.ask(&poll)?, &Expect { root: &self.root, now: now()?, epoch: 0, floor: 0 })? {
            Answered::Granted(_) => Ok(None),
            Answered::Refused(refused) => Ok(Some(refused.why)),
            Answered::Wait(_) => bail!("machine {number} waits for a person"),
        }
    }

    fn start(&self, number: u32) -> Start {
        Start {
            org: self.token.org,
            intent: Intent::Enrol,
            arch: Arch::X64,
            image_version: self.image_version,
            invite: Some(self.token.invite),
            machine: None,
            nonce: seed("nonce", number),
            reveal: seed("reveal", number),
        }
    }

    fn proof(&self, number: u32, key: &SigningKey) -> Proof<'_> {
        let [_, _, high, low] = number.to_be_bytes();
        let disk = Disk { id: format!("serial:racer-{number}"), size: 1 << 34, model: None, used: false };
        let macs = vec![format!("52:54:00:78:{high:02x}:{low:02x}")];
        let inventory = Inventory { macs, disks: vec![disk], ..Inventory::default() };
        Proof { key: key.public(), inventory, tpm: None, token: Some(&self.token), ca_spki: self.token.ca_spki }
    }

    fn connect(&self) -> Result<Line> {
        let name = ServerName::try_from(slipway_trust::org::server_name(&self.token.org))?;
        let mut connection = ClientConnection::new(Arc::clone(&self.tls), name)?;
        let mut socket = TcpStream::connect_timeout(&self.server, SILENCE).context("cannot reach the server")?;
        socket.set_read_timeout(Some(SILENCE))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        let mut channel = [0; 32];
        connection.export_keying_material(&mut channel, EXPORTER, Some(&[]))?;
        Ok(Line { stream: StreamOwned::new(connection, socket), channel })
    }
}

/// One TLS connection.
struct Line {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What signatures are bound to.
    channel: [u8; 32],
}

impl Line {
    /// Says a frame, and hears the answer.
    fn ask(&mut self, frame: &[u8]) -> Result<Vec<u8>> {
        let length = frame.len();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: gateway\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {length}\r\n\r\n"
        );
        self.stream.write_all(&[head.as_bytes(), frame].concat())?;
        self.stream.flush()?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0; 1];
            self.stream.read_exact(&mut byte).context("the server's answer is cut short")?;
            head.extend(byte);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        ensure!(head.starts_with("HTTP/1.1 200 "), "the server answers {head:?}");
        let length = |line: &str| line.strip_prefix("Content-Length: ").and_then(|length| length.parse().ok());
        let length: usize = head.lines().find_map(length).with_context(|| format!("no length in {head:?}"))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("the server's answer is cut short")?;
        Ok(body)
    }
}

/// What is random about a machine: unlike any other's, and the same in every run.
fn seed(what: &str, number: u32) -> [u8; 32] {
    Digest::of_all(&[what.as_bytes(), &number.to_be_bytes()]).0
}

fn now() -> Result<Time> {
    Ok(Time(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()))
}
