//! A server, as its shell is: registry, door, clock, random bytes, disk.

use std::collections::BTreeMap;
use std::net::IpAddr;

use slipway_trust::audit::{Entry, Head};
use slipway_trust::desk::{Desk, Kind, Objection, Taken};
use slipway_trust::frames::{Refused, Reply};
use slipway_trust::id::InviteId;
use slipway_trust::node::{Answer, Caller, Conversation, Door, DoorLimits, Fresh, Images, Note, Peer, Step, View};
use slipway_trust::window::Window;
use slipway_trust::{Domain, Refusal, Registry, Role, Signed, Table, Time, decode};

use crate::channel::{Channel, Identity};
use crate::org::{NOW, Org};

pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 50));

/// A server.
pub(crate) struct Node {
    pub(crate) org: Org,
    pub(crate) registry: Registry,
    pub(crate) images: Images,
    pub(crate) door: Door,
    pub(crate) now: Time,
    pub(crate) tpm_roots: Vec<Vec<u8>>,
    pub(crate) gateway: bool,
    pub(crate) enrolls: bool,
    pub(crate) sources: Vec<String>,
    /// What is on its disk.
    pub(crate) disk: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Whether its disk fails.
    pub(crate) disk_full: bool,
    identity: Identity,
    /// How many random numbers it has drawn.
    pub(crate) drawn: u64,
}

impl Node {
    pub(crate) fn new() -> Self {
        let org = Org::new();
        let identity = org.ca.server(&org.server_name(), 2030);
        let limits = DoorLimits { hellos_a_minute: 100_000, conversations: 100_000, seconds: 120 };
        let mut node = Self {
            images: Images::default(),
            registry: Registry::default(),
            door: Door::new(limits),
            now: NOW,
            tpm_roots: Vec::new(),
            gateway: true,
            enrolls: true,
            sources: vec!["http://192.0.2.1:8067".to_owned()],
            disk: BTreeMap::new(),
            disk_full: false,
            identity,
            drawn: 0,
            org,
        };
        let images = [(Role::Bootstrap, 12), (Role::Preboot, 12), (Role::Preboot, 20), (Role::Generation, 30)];
        node.publish(&images);
        node
    }

    /// These images are what there is.
    pub(crate) fn publish(&mut self, images: &[(Role, u64)]) {
        let signed: Vec<Signed> =
            images.iter().map(|(role, version)| self.org.publish_image(&self.org.image(*role, *version))).collect();
        let (images, rejected) = Images::new(&self.org.manifest, signed, [slipway_trust::Digest([0x1d; 32])]);
        assert!(rejected.is_empty(), "{rejected:?}");
        self.images = images;
    }

    /// The same with a window open, for eight hours and so many machines.
    pub(crate) fn open() -> Self {
        let mut node = Self::new();
        node.open_window(1000);
        node
    }

    pub(crate) fn open_window(&mut self, max_machines: u32) -> InviteId {
        let id = InviteId(self.random()[..8].try_into().unwrap());
        let (opens, expires) = (self.now, self.now.plus(8 * 3600));
        let window = Window { id, opens, expires, max_machines, invites: Vec::new(), opened_by: self.org.admin() };
        let signed = self.org.sign(Domain::Window, &window);
        self.submit(Kind::Window, &signed).unwrap();
        id
    }

    /// Random bytes that are the same in each run.
    pub(crate) fn random(&mut self) -> [u8; 32] {
        self.drawn += 1;
        slipway_trust::Digest::of(&self.drawn.to_be_bytes()).0
    }

    fn fresh(&mut self) -> Fresh {
        let mut random = [0; Fresh::LENGTH];
        for chunk in random.chunks_mut(32) {
            let drawn = self.random();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Fresh::new(&random)
    }

    pub(crate) fn view(&self) -> View<'_> {
        View {
            registry: &self.registry,
            org: &self.org.manifest,
            org_signed: &self.org.signed,
            images: &self.images,
            tpm_roots: &self.tpm_roots,
            enroller: self.enrolls.then_some(&self.org.enroller),
            gateway: self.gateway,
            sources: &self.sources,
            now: self.now,
        }
    }

    pub(crate) fn desk<R>(&self, work: impl FnOnce(&Desk<'_>) -> R) -> R {
        let root = self.org.root();
        work(&Desk { registry: &self.registry, org: &self.org.manifest, root: &root, now: self.now })
    }

    /// An admin submits a record.
    pub(crate) fn submit(&mut self, kind: Kind, signed: &Signed) -> Result<Taken, Objection> {
        let draft = self.desk(|desk| desk.take(kind, signed))?;
        let (disk, full) = (&mut self.disk, self.disk_full);
        Ok(draft.settle(&mut self.registry, |changes| store(disk, full, changes)).unwrap())
    }

    pub(crate) fn sweep(&mut self) -> usize {
        let draft = self.desk(|desk| desk.sweep());
        let disk = &mut self.disk;
        draft.settle(&mut self.registry, |changes| store(disk, false, changes)).unwrap()
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(seconds);
    }

    /// A machine connects to the real server.
    pub(crate) fn connect(&self) -> Line {
        let name = self.org.server_name();
        let channel = Channel::open(&self.org.ca.certificate, &name, &self.identity, self.now).unwrap();
        Line { channel: Some(channel), fixed: [0; 32], conversation: Conversation::new(), caller: None, address: HERE }
    }

    /// The same without TLS: a channel of this number, for tests of very many conversations.
    pub(crate) fn connect_plainly(number: u64) -> Line {
        let fixed = slipway_trust::Digest::of(&number.to_le_bytes()).0;
        Line { channel: None, fixed, conversation: Conversation::new(), caller: None, address: HERE }
    }

    /// Takes a frame, and answers it as the shell does: nothing leaves before it is on disk.
    pub(crate) fn answer(&mut self, line: &mut Line, frame: &[u8]) -> Result<Answer, Refusal> {
        let fresh = self.fresh();
        let mut door = core::mem::take(&mut self.door);
        let peer = Peer { address: line.address, channel: line.server_channel(), certificate: line.caller };
        let step = line.conversation.on_frame(frame, &self.view(), &peer, &fresh, &mut door);
        self.door = door;
        let draft = match step {
            Step::Draft(draft) => draft,
            Step::Certificate(needs) => {
                let wanted = *needs.wanted();
                let certificate = format!("{} epoch {} for {} s", wanted.machine, wanted.epoch, wanted.seconds);
                needs.with_certificate(certificate.into_bytes(), self.view().enroller)
            }
        };
        let (disk, full) = (&mut self.disk, self.disk_full);
        draft.settle(&mut self.registry, |changes| store(disk, full, changes)).map_err(|_| Refusal::Internal)
    }

    /// What the disk holds is what is in memory, and the audit log is whole.
    pub(crate) fn check_disk(&self) {
        let rows = self.disk.iter().map(|((table, key), value)| (*table, key.clone(), value.clone()));
        let loaded = Registry::load(rows).unwrap();
        let of = |registry: &Registry| registry.rows().collect::<Vec<_>>();
        assert_eq!(of(&loaded), of(&self.registry));
        assert_eq!(loaded.audit(), self.registry.audit());
    }

    /// The audit log, in order.
    pub(crate) fn log(&self) -> Vec<Entry> {
        let mut head = Head::default();
        let rows = self.disk.iter().filter(|((table, _), _)| *table == Table::Audit);
        rows.map(|(_, bytes)| head.follow(bytes).unwrap()).collect()
    }

    /// Its events.
    pub(crate) fn events(&self) -> Vec<String> {
        self.log().into_iter().map(|entry| entry.event).collect()
    }
}

fn store(
    disk: &mut BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    full: bool,
    changes: &[slipway_trust::Change],
) -> Result<(), &'static str> {
    if full {
        return Err("no space left");
    }
    for change in changes {
        match change.row() {
            (table, key, Some(value)) => drop(disk.insert((table, key), value)),
            (table, key, None) => drop(disk.remove(&(table, key))),
        }
    }
    Ok(())
}

/// A machine's connection to a server.
pub(crate) struct Line {
    channel: Option<Channel>,
    fixed: [u8; 32],
    pub(crate) conversation: Conversation,
    pub(crate) caller: Option<Caller>,
    pub(crate) address: IpAddr,
}

impl Line {
    /// The channel as the machine has it.
    pub(crate) fn channel(&self) -> [u8; 32] {
        self.channel.as_ref().map_or(self.fixed, |channel| channel.exporters()[0])
    }

    fn server_channel(&self) -> [u8; 32] {
        self.channel.as_ref().map_or(self.fixed, |channel| channel.exporters()[1])
    }

    /// The TLS connection.
    pub(crate) fn tls(&mut self) -> &mut Channel {
        self.channel.as_mut().unwrap()
    }

    /// Asks, and gives the answer as it comes out of the machine's end.
    pub(crate) fn ask(&mut self, node: &mut Node, frame: &[u8]) -> Vec<u8> {
        self.noted(node, frame).0
    }

    /// The same, with what the journal is told.
    pub(crate) fn noted(&mut self, node: &mut Node, frame: &[u8]) -> (Vec<u8>, Note) {
        let arrived = self.channel.as_mut().map_or_else(|| frame.to_vec(), |channel| channel.up(frame));
        let answer = node.answer(self, &arrived).expect("the disk works");
        let reply = match &mut self.channel {
            Some(channel) => channel.down(&answer.frame),
            None => answer.frame,
        };
        (reply, answer.note)
    }
}

/// Why a reply refuses, if it does.
pub(crate) fn refusal(reply: &[u8]) -> Option<Refusal> {
    match decode::<Reply>(reply).unwrap() {
        Reply::Refused(Refused { why, .. }) => Some(why),
        _ => None,
    }
}
