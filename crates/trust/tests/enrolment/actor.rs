//! A machine, as its agent is.

use slipway_trust::escrow::Escrow;
use slipway_trust::frames::{Intent, Volume};
use slipway_trust::id::InviteId;
use slipway_trust::invite::Token;
use slipway_trust::machine::{
    Admitted, Answered, BootProof, Challenged, Expect, Granted, Misled, Next, Proof, Running, Start, Stop, Waiting,
    on_noted,
};
use slipway_trust::record::{Disk, Inventory};
use slipway_trust::{Arch, Digest, MachineId, OrgId, PublicKey, Refusal, SigningKey};

use crate::node::{Line, Node};
use crate::org::key;
use crate::tpm::Chip;

/// A machine.
pub(crate) struct Actor {
    pub(crate) holder: Holder,
    pub(crate) inventory: Inventory,
    pub(crate) bootstrap: u64,
    pub(crate) preboot: u64,
    pub(crate) invite: Option<InviteId>,
    pub(crate) token: Option<Token>,
    /// Whether its connections are real ones.
    pub(crate) tls: bool,
    /// How often it has connected.
    pub(crate) connections: u64,
    seed: u8,
}

/// What holds its key.
pub(crate) enum Holder {
    File(Box<SigningKey>),
    Chip(Box<Chip>),
}

/// What it keeps on its ESP.
pub(crate) struct Installed {
    pub(crate) machine: MachineId,
    pub(crate) confirm: [u8; 32],
    pub(crate) boots: u64,
    /// The epochs of its data partition's key slots.
    pub(crate) slots: Option<Vec<u64>>,
    /// What its escrow slot is sealed to.
    pub(crate) escrow: Option<Escrow>,
}

impl Actor {
    /// A machine without a TPM.
    pub(crate) fn new(seed: u8) -> Self {
        let disk = Disk { id: format!("nvme-{seed}"), size: 1 << 37, model: None, used: false };
        let inventory = Inventory {
            uuid: Some(format!("00000000-0000-0000-0000-0000000000{seed:02x}")),
            serial: Some(format!("S{seed}")),
            macs: vec![format!("52:54:00:00:00:{seed:02x}")],
            disks: vec![disk],
            ..Inventory::default()
        };
        Self {
            holder: Holder::File(Box::new(key(seed))),
            inventory,
            bootstrap: 12,
            preboot: 20,
            invite: None,
            token: None,
            tls: true,
            connections: 0,
            seed,
        }
    }

    /// The same over channels that are numbers, for very many conversations.
    pub(crate) fn plain(seed: u8) -> Self {
        Self { tls: false, ..Self::new(seed) }
    }

    /// A machine with a TPM.
    pub(crate) fn with_chip(seed: u8, chip: Chip) -> Self {
        Self { holder: Holder::Chip(Box::new(chip)), ..Self::new(seed) }
    }

    pub(crate) fn with_token(mut self, token: Token) -> Self {
        self.invite = Some(token.invite);
        self.token = Some(token);
        self
    }

    pub(crate) fn public(&mut self, org: &OrgId) -> PublicKey {
        match &mut self.holder {
            Holder::File(key) => key.public(),
            Holder::Chip(chip) => chip.public(org),
        }
    }

    pub(crate) fn sign(&mut self, org: &OrgId, message: &[u8]) -> [u8; 64] {
        match &mut self.holder {
            Holder::File(key) => key.sign(message),
            Holder::Chip(chip) => chip.sign(org, message),
        }
    }

    pub(crate) fn connect(&mut self, node: &Node) -> Line {
        self.connections += 1;
        let number = self.connections << 8 | u64::from(self.seed);
        if self.tls { node.connect() } else { Node::connect_plainly(number) }
    }

    pub(crate) fn start(&mut self, node: &mut Node, intent: Intent) -> Start {
        Start {
            org: node.org.id,
            intent,
            arch: Arch::X64,
            image_version: if intent == Intent::Boot { self.preboot } else { self.bootstrap },
            invite: self.invite,
            machine: None,
            nonce: node.random(),
            reveal: node.random(),
        }
    }

    pub(crate) fn greet(&mut self, node: &mut Node, line: &mut Line, intent: Intent) -> Result<Challenged, Stop> {
        let (greeted, hello) = self.start(node, intent).hello();
        let reply = line.ask(node, &hello);
        greeted.on_challenge(&reply, &line.channel())
    }

    pub(crate) fn proof(&mut self, node: &Node, challenged: &Challenged) -> Proof<'_> {
        let key = self.public(&node.org.id);
        let tpm = match &mut self.holder {
            Holder::File(_) => None,
            Holder::Chip(chip) => Some(chip.evidence(&node.org.id, &challenged.certify_qualifying())),
        };
        let token = self.token.as_ref();
        Proof { key, inventory: self.inventory.clone(), tpm, token, ca_spki: node.org.manifest.ca_spki }
    }

    pub(crate) fn prove(&mut self, node: &mut Node, line: &mut Line, challenged: Challenged) -> Result<Waiting, Stop> {
        let org = node.org.id;
        let proof = self.proof(node, &challenged);
        let needs = challenged.evidence(proof);
        let signature = self.sign(&org, needs.message());
        let (proving, frame) = needs.signed(signature)?;
        match proving.on_reply(&line.ask(node, &frame))? {
            Next::Ticket(waiting) => Ok(*waiting),
            Next::Activate(needs) => {
                let Holder::Chip(chip) = &mut self.holder else { panic!("only a TPM is asked to activate") };
                let secret = chip.activate(&org, needs.blob(), needs.secret()).unwrap_or([0; 32]);
                let quote = chip.quote(&org, &needs.quote_qualifying());
                let needs = needs.activated(&secret, quote);
                let signature = self.sign(&org, needs.message());
                let (proving, frame) = needs.signed(signature)?;
                match proving.on_reply(&line.ask(node, &frame))? {
                    Next::Ticket(waiting) => Ok(*waiting),
                    Next::Activate(_) => panic!("once is enough"),
                }
            }
        }
    }

    /// M1 to M6.
    pub(crate) fn apply(&mut self, node: &mut Node, intent: Intent) -> Result<Waiting, Stop> {
        let mut line = self.connect(node);
        let challenged = self.greet(node, &mut line, intent)?;
        let waiting = self.prove(node, &mut line, challenged);
        let mut door = core::mem::take(&mut node.door);
        line.conversation.close(&mut door);
        node.door = door;
        waiting
    }

    /// M7.
    pub(crate) fn poll(&mut self, node: &mut Node, waiting: &mut Waiting) -> Result<Answered, Misled> {
        let mut line = self.connect(node);
        let needs = waiting.poll(&line.channel());
        let signature = self.sign(&node.org.id, needs.message());
        let ((), frame) = needs.signed(signature)?;
        let reply = line.ask(node, &frame);
        let root = node.org.root();
        waiting.on_reply(&reply, &Expect { root: &root, now: node.now, epoch: 3, floor: 0 })
    }

    /// M7, granted.
    pub(crate) fn fetch(&mut self, node: &mut Node, waiting: &mut Waiting) -> Granted {
        match self.poll(node, waiting).unwrap() {
            Answered::Granted(granted) => *granted,
            other => panic!("{other:?}"),
        }
    }

    /// M7, refused.
    pub(crate) fn refused(&mut self, node: &mut Node, waiting: &mut Waiting) -> Refusal {
        match self.poll(node, waiting).unwrap() {
            Answered::Refused(refused) => refused.why,
            other => panic!("{other:?}"),
        }
    }

    /// M10.
    pub(crate) fn report(&mut self, node: &mut Node, waiting: &mut Waiting, sha256: Digest) -> Result<(), Stop> {
        let mut line = self.connect(node);
        let needs = waiting.installed(sha256, Some("Boot0003".to_owned()), &line.channel());
        let signature = self.sign(&node.org.id, needs.message());
        let ((), frame) = needs.signed(signature)?;
        on_noted(&line.ask(node, &frame))
    }

    /// M7 to M10 of an approved ticket.
    pub(crate) fn install(&mut self, node: &mut Node, waiting: &mut Waiting) -> Installed {
        let granted = self.fetch(node, waiting);
        self.report(node, waiting, granted.image().sha256).unwrap();
        let grant = granted.grant();
        Installed { machine: grant.machine, confirm: grant.confirm, boots: 0, slots: None, escrow: None }
    }

    /// M1, M2, M11, M12.
    pub(crate) fn boot(&mut self, node: &mut Node, installed: &mut Installed) -> Result<Admitted, Stop> {
        let mut line = self.connect(node);
        let challenged = self.greet(node, &mut line, Intent::Boot)?;
        let quote = match &mut self.holder {
            Holder::File(_) => None,
            Holder::Chip(chip) => Some(chip.quote(&node.org.id, &challenged.quote_qualifying())),
        };
        installed.boots += 1;
        let proof = BootProof {
            key: self.public(&node.org.id),
            machine: installed.machine,
            confirm: Some(installed.confirm),
            quote,
            generation: None,
            counter: installed.boots,
            volume: installed.slots.clone().map(|epochs| Volume { epochs, escrow: installed.escrow.clone() }),
            ca_spki: node.org.manifest.ca_spki,
        };
        let needs = challenged.boot(proof);
        let signature = self.sign(&node.org.id, needs.message());
        let (booting, frame) = needs.signed(signature)?;
        let reply = line.ask(node, &frame);
        let root = node.org.root();
        booting.on_material(&reply, &Running { root: &root, now: node.now, epoch: 3, floor: 0 })
    }
}
