//! One org as this server serves it: its manifest and keys, its registry, and what machines may run. Every decision is made here, one at a
//! time; connections and the control socket only bring the questions.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use slipway_trust::desk::{Desk, Kind, Taken};
use slipway_trust::frames::{Refused, Reply};
use slipway_trust::node::{Answer, Conversation, Door, DoorLimits, Fresh, Images, Note, Peer, Step, View};
use slipway_trust::registry::{Draft, Registry};
use slipway_trust::{OrgManifest, Refusal, Signed};
use slipway_wire::MacAddr;

use super::authority::{self, Authority};
use super::book::{self, Book};
use super::clock::Clock;
use super::folder::{self, Keys, Unusable};
use super::images::{self, Loaders};
use super::{alarm, random, standing, tls};
use crate::journal::Journal;
use crate::site::{SharedSite, Site};

/// Why the trust plane cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The org's folder.
    #[error(transparent)]
    Folder(#[from] Unusable),
    /// The registry.
    #[error(transparent)]
    Book(#[from] book::Error),
    /// The manifest is not the root's.
    #[error("the org's manifest is not to be believed")]
    Manifest(#[from] slipway_trust::org::BadManifest),
    /// The machine CA.
    #[error("the machine CA cannot be used")]
    Authority(#[from] authority::Error),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] tls::NoTls),
    /// The manifest is not taken.
    #[error("the org's manifest is not taken")]
    Objection(#[from] slipway_trust::desk::Objection),
}

/// What this server does for the org.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Roles {
    /// Lets machines in, while a window is open.
    pub enroller: bool,
    /// Serves machines that are known.
    pub gateway: bool,
}

/// The org's manifest and what follows from it.
#[derive(Debug)]
pub(super) struct Org {
    pub(super) manifest: OrgManifest,
    pub(super) signed: Signed,
    authority: Arc<Authority>,
    tls: Arc<ServerConfig>,
    tpm_roots: Vec<Vec<u8>>,
}

/// The org, served.
#[derive(Debug)]
pub struct Plane {
    data: PathBuf,
    keys: Arc<Keys>,
    roles: Roles,
    clock: Clock,
    site: SharedSite,
    journal: Journal,
    org: ArcSwap<Org>,
    images: ArcSwap<Images>,
    warnings: ArcSwap<Vec<String>>,
    book: Mutex<Book>,
    door: Mutex<Door>,
    loaders: Mutex<Loaders>,
}

/// Where a frame comes from.
pub(super) struct From<'a> {
    /// The machine's address.
    pub(super) peer: IpAddr,
    /// Ours, as the machine reached it.
    pub(super) local: IpAddr,
    /// The TLS channel.
    pub(super) channel: [u8; 32],
    /// The certificate that the machine showed.
    pub(super) certificate: Option<&'a CertificateDer<'static>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plane {
    /// Opens the org of this data folder: reads the registry, takes over the manifest that lies there if it is the newest.
    ///
    /// # Errors
    /// Something of it is missing or damaged.
    pub fn open(
        data: &Path,
        keys: Arc<Keys>,
        (roles, limits): (Roles, DoorLimits),
        clock: Clock,
        (site, journal): (SharedSite, Journal),
    ) -> Result<Self, Error> {
        let mut book = Book::open(data)?;
        let signed = newest(data, &keys, &mut book, &clock)?;
        let (org, faults) = stand(data, &keys, signed, &clock)?;
        let plane = Self {
            data: data.to_owned(),
            keys,
            roles,
            clock,
            site,
            journal,
            org: ArcSwap::from_pointee(org),
            images: ArcSwap::default(),
            warnings: ArcSwap::default(),
            book: Mutex::new(book),
            door: Mutex::new(Door::new(limits)),
            loaders: Mutex::default(),
        };
        plane.look_at_images(faults);
        let all = lock(&plane.book);
        plane.journal.machines().stand(standing::of(all.registry(), standing::all(all.registry())));
        plane.tell_of_window(all.registry());
        drop(all);
        Ok(plane)
    }

    /// Answers a frame. Blocks while the answer is made durable.
    pub(super) fn answer(&self, conversation: &mut Conversation, frame: &[u8], from: &From<'_>) -> Answer {
        let mut bytes = zeroize::Zeroizing::new([0; Fresh::LENGTH]);
        if let Err(error) = random::fill(bytes.as_mut_slice()) {
            return failed(&format!("the system gives no random bytes: {error}"));
        }
        let fresh = Fresh::new(&bytes);
        // Who holds the book decides by what is in force now: no manifest and no second passes between.
        let mut book = lock(&self.book);
        let (org, images, now) = (self.org.load_full(), self.images.load_full(), self.clock.now());
        let certificate = from.certificate.and_then(|der| org.authority.caller(der, now));
        let peer = Peer { address: from.peer, channel: from.channel, certificate };
        let sources = sources(&self.site.load(), from.local);
        let enroller = self.keys.enroller.as_ref().filter(|_| self.roles.enroller);
        let view = View {
            registry: book.registry(),
            org: &org.manifest,
            org_signed: &org.signed,
            images: &images,
            tpm_roots: &org.tpm_roots,
            enroller,
            gateway: self.roles.gateway,
            sources: &sources,
            now,
        };
        let step = conversation.on_frame(frame, &view, &peer, &fresh, &mut lock(&self.door));
        let draft = match step {
            Step::Draft(draft) => draft,
            Step::Certificate(needs) => match org.authority.machine(needs.wanted(), now) {
                Ok(certificate) => needs.with_certificate(certificate, enroller),
                Err(error) => return failed(&crate::dhcp::story(&error)),
            },
        };
        match self.settle(&mut book, draft) {
            Ok(answer) => answer,
            Err(error) => failed(&crate::dhcp::story(&error)),
        }
    }

    /// A hardware address of what a note is about: a machine, or a ticket.
    pub(super) fn mac_of(&self, subject: &str) -> Option<MacAddr> {
        let (kind, id) = subject.split_once(' ')?;
        let book = lock(&self.book);
        let inventory = match kind {
            "machine" => &book.registry().machine(&id.parse().ok()?)?.inventory,
            "ticket" => &book.registry().ticket(&id.parse().ok()?)?.inventory,
            _ => return None,
        };
        inventory.macs.first()?.parse().ok()
    }

    /// A connection is over.
    pub(super) fn leave(&self, conversation: &mut Conversation) {
        conversation.close(&mut lock(&self.door));
    }

    /// Takes a record that an admin signed.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn submit(&self, kind: Kind, signed: &Signed) -> Result<Taken, NotTaken> {
        let mut book = lock(&self.book);
        let org = self.org.load_full();
        let desk = self.desk(book.registry(), &org);
        let draft = desk.take(kind, signed).map_err(|why| NotTaken::Objection(why.to_string()))?;
        let taken = self.settle(&mut book, draft).map_err(|error| NotTaken::Failed(crate::dhcp::story(&error)))?;
        // The book is held on to until a new manifest is in force: whom it leaves out is not listened to any more.
        if kind == Kind::Manifest {
            if let Err(error) = folder::keep_manifest(&self.data, signed) {
                tracing::warn!("the org's new manifest is in force, but cannot be put into its folder: {error}");
            }
            self.follow_manifest(signed.clone()).map_err(|error| NotTaken::Failed(crate::dhcp::story(&error)))?;
        }
        Ok(taken)
    }

    /// Ends what has lasted too long.
    pub(super) fn sweep(&self) {
        let mut book = lock(&self.book);
        let org = self.org.load_full();
        let draft = self.desk(book.registry(), &org).sweep();
        if let Err(error) = self.settle(&mut book, draft) {
            tracing::error!("what has lasted too long in the org cannot be ended: {}", crate::dhcp::story(&error));
        }
        self.tell_of_window(book.registry());
    }

    /// Looks at the org's folder and the image store again: a new manifest, new images, other roots of TPMs.
    ///
    /// # Errors
    /// The manifest there is not to be believed; the one before stays in force.
    pub fn look_again(&self) -> Result<(), Error> {
        let mut book = lock(&self.book);
        let signed = newest(&self.data, &self.keys, &mut book, &self.clock)?;
        self.follow_manifest(signed)
    }

    fn follow_manifest(&self, signed: Signed) -> Result<(), Error> {
        let before = self.org.load_full();
        let (mut org, faults) = stand(&self.data, &self.keys, signed, &self.clock)?;
        if org.authority.certificate() == before.authority.certificate() {
            // The same CA: connections that are made now need no new certificate.
            (org.authority, org.tls) = (Arc::clone(&before.authority), Arc::clone(&before.tls));
        }
        if org.manifest.epoch != before.manifest.epoch {
            tracing::info!(epoch = org.manifest.epoch, "the org has a new manifest");
        }
        self.org.store(Arc::new(org));
        self.look_at_images(faults);
        Ok(())
    }

    /// Looks at the image store again.
    pub fn look_at_store(&self) {
        let (_, faults) = folder::tpm_roots(&self.data);
        let mut warnings: Vec<String> = faults.iter().map(|fault| crate::dhcp::story(fault)).collect();
        warnings.extend(not_ours(&self.keys, &self.org.load().manifest));
        self.look_at_images(warnings);
    }

    fn look_at_images(&self, mut warnings: Vec<String>) {
        let (site, org) = (self.site.load_full(), self.org.load_full());
        let served = (&site.catalog, &site.blobs);
        let (images, faults) = images::load(&self.data, &org.manifest, served, &mut lock(&self.loaders));
        self.images.store(Arc::new(images));
        warnings.extend(faults);
        if **self.warnings.load() != warnings {
            warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            self.warnings.store(Arc::new(warnings));
        }
    }

    fn desk<'a>(&'a self, registry: &'a Registry, org: &'a Org) -> Desk<'a> {
        Desk { registry, org: &org.manifest, root: &self.keys.root, now: self.clock.now() }
    }

    /// Settles a draft, and tells the boot planes of the machines that it was about.
    fn settle<R>(&self, book: &mut Book, draft: Draft<R>) -> Result<R, book::Error> {
        if draft.changes().is_empty() {
            return book.settle(draft);
        }
        let touched = standing::touched(book.registry(), draft.changes());
        let alarms = alarm::among(draft.changes());
        let answer = book.settle(draft)?;
        alarms.iter().for_each(|alarm| tracing::error!("{alarm}"));
        if !touched.is_empty() {
            self.journal.machines().stand(standing::of(book.registry(), touched));
        }
        self.tell_of_window(book.registry());
        Ok(answer)
    }

    fn tell_of_window(&self, registry: &Registry) {
        let open = registry.open_window(self.clock.now()).is_some() && self.roles.enroller;
        if self.journal.machines().known().standings().window_open() != open {
            self.journal.machines().set_window(open);
        }
    }

    /// What TLS is spoken with.
    pub(super) fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.org.load().tls)
    }

    /// The org, now.
    pub(super) fn org(&self) -> Arc<Org> {
        self.org.load_full()
    }

    /// What machines may run, now.
    pub(super) fn images(&self) -> Arc<Images> {
        self.images.load_full()
    }

    /// What is odd, in a line each.
    pub(super) fn warnings(&self) -> Arc<Vec<String>> {
        self.warnings.load_full()
    }

    /// Our own signer of grants.
    pub(super) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What this server does.
    pub(super) const fn roles(&self) -> Roles {
        self.roles
    }

    /// The clock.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The journal.
    pub(super) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What is known. Nothing is decided while it is held.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }
}

/// Why a record was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NotTaken {
    /// The desk's objection.
    #[error("{0}")]
    Objection(String),
    /// Ours.
    #[error("{0}")]
    Failed(String),
}

/// The manifest that counts: the one in the folder, if it is newer than what was installed before, and is the root's.
fn newest(data: &Path, keys: &Keys, book: &mut Book, clock: &Clock) -> Result<Signed, Error> {
    let signed = folder::manifest(data)?;
    let found = OrgManifest::open(&signed, &keys.root, 0)?;
    match book.registry().org() {
        Some((epoch, installed)) if epoch >= found.epoch => {
            if epoch > found.epoch {
                tracing::debug!(
                    epoch,
                    found = found.epoch,
                    "the manifest in the org's folder is older than the one in force"
                );
            }
            Ok(installed.clone())
        }
        _ => {
            let desk = Desk { registry: book.registry(), org: &found, root: &keys.root, now: clock.now() };
            let draft = desk.install_manifest(&signed)?;
            let taken = book.settle(draft)?;
            tracing::info!("{}", taken.summary);
            Ok(signed)
        }
    }
}

/// What follows from a manifest.
fn stand(data: &Path, keys: &Keys, signed: Signed, clock: &Clock) -> Result<(Org, Vec<String>), Error> {
    let manifest = OrgManifest::open(&signed, &keys.root, 0)?;
    let authority = Arc::new(Authority::new(&manifest, &keys.ca)?);
    let tls = tls::config(Arc::clone(&authority), clock)?;
    let (tpm_roots, faults) = folder::tpm_roots(data);
    let mut warnings: Vec<String> = faults.iter().map(|fault| crate::dhcp::story(fault)).collect();
    if keys.enroller.as_ref().is_some_and(|key| !manifest.enrollers.contains(&key.public())) {
        warnings.push(
            "this server's enroller key is not among those of the org's manifest: machines will not take its grants"
                .to_owned(),
        );
    }
    Ok((Org { manifest, signed, authority, tls, tpm_roots }, warnings))
}

/// A warning where machines would not take what this server grants.
fn not_ours(keys: &Keys, org: &OrgManifest) -> Option<String> {
    let foreign = keys.enroller.as_ref().is_some_and(|key| !org.enrollers.contains(&key.public()));
    foreign.then(|| {
        "this server's enroller key is not among those of the org's manifest: machines will not take its grants"
            .to_owned()
    })
}

/// Where images are to be had: from us, first by the address that the machine has reached.
fn sources(site: &Site, local: IpAddr) -> Vec<String> {
    let ours = site.interfaces.iter().flat_map(|interface| interface.v4.iter().map(|(ip, _)| IpAddr::V4(*ip)));
    let mut addresses = vec![local.to_canonical()];
    for ip in ours {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    let url = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => Some(format!("http://{ip}:{}", site.http_port)),
        // A link-local address means nothing without its interface.
        IpAddr::V6(ip) if ip.is_unicast_link_local() => None,
        IpAddr::V6(ip) => Some(format!("http://[{ip}]:{}", site.http_port)),
    };
    addresses.iter().filter_map(url).collect()
}

/// The answer where we failed. The machine tries again; the log has the reason.
fn failed(reason: &str) -> Answer {
    tracing::error!("a machine's frame cannot be answered: {reason}");
    let refused = Refused { why: Refusal::Internal, again: Some(15) };
    let note = Note { what: "frame", refused: Some(Refusal::Internal), ends: true, ..Note::default() };
    Answer { frame: slipway_trust::encode(&Reply::Refused(refused)), note }
}
