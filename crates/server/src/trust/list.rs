//! What is known of the org, in the shapes of the control socket.

use slipway_api::org::{
    Audit, AuditEntry, Disk, EkEntry, EkList, Inventory, Invite, Invites, OrgMachine, OrgMachines, OrgStatus, Ticket,
    Tickets, Window, Windows,
};
use slipway_engine::Timestamp;
use slipway_trust::audit::Entry;
use slipway_trust::invite::{ApprovalMode, Kind, Match};
use slipway_trust::life::State;
use slipway_trust::record::{self, InviteRecord, MachineRecord, TpmFacts, WindowRecord};
use slipway_trust::{TicketId, Time};

use super::images;
use super::plane::{Error, Plane};
use crate::control::time;

/// The most entries of the audit log in one answer.
const AUDIT_PAGE: usize = 1000;

impl Plane {
    /// The org, as this server sees it.
    pub fn status(&self, listen: &[String]) -> OrgStatus {
        let (org, now, roles) = (self.org(), self.clock().now(), self.roles());
        let book = self.book();
        let registry = book.registry();
        let waits = |ticket: &&record::Ticket| ticket.state.at(ticket.since, now) == State::Requested;
        let manifest = &org.manifest;
        OrgStatus {
            org: manifest.org.to_string(),
            name: manifest.name.clone(),
            epoch: manifest.epoch,
            ca_spki: manifest.ca_spki.to_string(),
            listen: listen.to_vec(),
            roles: [(roles.enroller, "enroller"), (roles.gateway, "gateway")]
                .into_iter()
                .filter(|(plays, _)| *plays)
                .map(|(_, name)| name.to_owned())
                .collect(),
            enroller: self.keys().enroller.as_ref().map(|key| key.public().kid().to_string()),
            gateways: manifest.gateways.clone(),
            window_open: registry.open_window(now).is_some(),
            waiting: registry.tickets().filter(waits).count(),
            machines: registry.living().count(),
            images: self.images().known().iter().map(|known| images::told(&known.manifest)).collect(),
            audit_entries: book.head().count,
            audit_head: book.head().last.to_string(),
            warnings: self.warnings().to_vec(),
        }
    }

    /// The windows.
    pub fn windows(&self) -> Windows {
        let now = self.clock().now();
        Windows { windows: self.book().registry().window().map(|record| window(record, now)).into_iter().collect() }
    }

    /// The invites, the newest first.
    pub fn invites(&self) -> Invites {
        let now = self.clock().now();
        let book = self.book();
        let mut records: Vec<&InviteRecord> = book.registry().invites().collect();
        records.sort_by_key(|record| core::cmp::Reverse((record.invite.not_before, record.invite.id)));
        Invites { invites: records.into_iter().map(|record| invite(record, now)).collect() }
    }

    /// Who asks, the best known first; with `all`, those too whose asking is over.
    pub fn tickets(&self, all: bool) -> Tickets {
        let now = self.clock().now();
        let book = self.book();
        let open = |ticket: &&record::Ticket| {
            let state = ticket.state.at(ticket.since, now);
            all || matches!(state, State::Requested | State::Approved) && ticket.granted.is_none()
        };
        let mut tickets: Vec<&record::Ticket> = book.registry().tickets().filter(open).collect();
        tickets.sort_by_key(|ticket| (core::cmp::Reverse(ticket.assurance), ticket.since, ticket.id));
        Tickets { tickets: tickets.into_iter().map(|one| ticket(one, now)).collect() }
    }

    /// One ticket.
    pub fn ticket(&self, id: &TicketId) -> Option<Ticket> {
        let now = self.clock().now();
        self.book().registry().ticket(id).map(|one| ticket(one, now))
    }

    /// The machines, by name.
    pub fn org_machines(&self) -> OrgMachines {
        let now = self.clock().now();
        let book = self.book();
        let mut machines: Vec<&MachineRecord> = book.registry().machines().collect();
        machines.sort_by(|a, b| (&a.name, a.since, a.id).cmp(&(&b.name, b.since, b.id)));
        OrgMachines { machines: machines.into_iter().map(|one| machine(one, now)).collect() }
    }

    /// The TPMs that may enrol by themselves.
    pub fn ek_list(&self) -> EkList {
        let book = self.book();
        let Some(list) = book.registry().ek_list() else { return EkList::default() };
        let entry = |entry: &record::EkEntry| EkEntry {
            ek: entry.ek.to_string(),
            name: entry.name.clone(),
            role: entry.role.clone(),
            wipe: entry.wipe,
        };
        EkList { at: stamp(list.at), entries: list.entries.iter().map(entry).collect() }
    }

    /// The audit log from this entry on.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn audit(&self, from: u64) -> Result<Audit, Error> {
        let book = self.book();
        let rows = book.audit(from, AUDIT_PAGE)?;
        let entries = rows.into_iter().filter_map(|bytes| Some(entry(slipway_trust::decode(&bytes).ok()?, &bytes)));
        Ok(Audit { entries: entries.collect(), count: book.head().count, head: book.head().last.to_string() })
    }
}

fn stamp(at: Time) -> String {
    time(Timestamp(at.0.saturating_mul(1000)))
}

fn window(record: &WindowRecord, now: Time) -> Window {
    let WindowRecord { window, closed, granted, .. } = record;
    Window {
        id: window.id.to_string(),
        opens: stamp(window.opens),
        expires: stamp(closed.unwrap_or(window.expires)),
        max_machines: window.max_machines,
        machines: u32::try_from(granted.len()).unwrap_or(u32::MAX),
        invites: window.invites.iter().map(ToString::to_string).collect(),
        opened_by: window.opened_by.to_string(),
        open: closed.is_none() && window.is_open(now),
    }
}

fn invite(record: &InviteRecord, now: Time) -> Invite {
    let invite = &record.invite;
    let uses = u32::try_from(record.uses.len()).unwrap_or(u32::MAX);
    let state = if record.revoked.is_some() {
        "revoked"
    } else if uses >= invite.max_uses {
        "used"
    } else if now < invite.not_before {
        "not-yet"
    } else if invite.is_valid(now) {
        "valid"
    } else {
        "expired"
    };
    Invite {
        id: invite.id.to_string(),
        label: invite.label.clone(),
        kind: match invite.kind {
            Kind::Open => "open",
            Kind::Secret => "secret",
            Kind::Cloud => "cloud",
        }
        .to_owned(),
        approval: match invite.approval {
            ApprovalMode::Manual => "manual",
            ApprovalMode::Automatic => "automatic",
        }
        .to_owned(),
        max_uses: invite.max_uses,
        uses,
        not_before: stamp(invite.not_before),
        expires: stamp(invite.expires),
        role: invite.role.clone(),
        min_assurance: invite.min_assurance.to_string(),
        only: only(&invite.only),
        wipe: invite.wipe,
        created_by: invite.created_by.to_string(),
        state: state.to_owned(),
    }
}

fn only(only: &Match) -> Vec<String> {
    let Match { mac, uuid, serial, ek, cidr, arch } = only;
    let list = |name: &'static str, all: Vec<String>| all.into_iter().map(move |one| format!("{name} {one}"));
    list("MAC", mac.clone())
        .chain(list("UUID", uuid.clone()))
        .chain(list("serial number", serial.clone()))
        .chain(list("TPM", ek.iter().map(ToString::to_string).collect()))
        .chain(list("network", cidr.clone()))
        .chain(list("processor", arch.iter().map(ToString::to_string).collect()))
        .collect()
}

fn ticket(ticket: &record::Ticket, now: Time) -> Ticket {
    let state = ticket.state.at(ticket.since, now);
    let tpm = ticket.tpm.as_ref();
    Ticket {
        id: ticket.id.to_string(),
        state: state.to_string(),
        since: stamp(ticket.since),
        stuck: ticket.granted.is_none() && ticket.state.is_stuck(ticket.since, now),
        words: ticket.words.clone(),
        assurance: ticket.assurance.to_string(),
        key: ticket.key.digest().to_string(),
        ek: tpm.map(|tpm| tpm.ek.to_string()),
        tpm: tpm.map(|tpm| hex(&slipway_trust::encode(tpm))),
        tpm_maker: tpm.and_then(|tpm| tpm.chain.clone()),
        secure_boot: secure_boot(tpm),
        transcript: ticket.transcript.to_string(),
        inventory: inventory(&ticket.inventory),
        arch: ticket.arch.to_string(),
        image_version: ticket.image_version,
        invite: ticket.invite.map(|invite| invite.to_string()),
        recovers: ticket.recovers.map(|machine| machine.to_string()),
        flags: ticket.flags.clone(),
        refused: ticket.refused.map(|refusal| refusal.code().to_owned()),
        address: ticket.address.clone(),
        granted: ticket.granted.map(|machine| machine.to_string()),
    }
}

fn machine(machine: &MachineRecord, now: Time) -> OrgMachine {
    let state = machine.state.at(machine.since, now);
    let tpm = machine.tpm.as_ref();
    OrgMachine {
        id: machine.id.to_string(),
        name: machine.name.clone(),
        role: machine.role.clone(),
        state: state.to_string(),
        since: stamp(machine.since),
        stuck: machine.state.is_stuck(machine.since, now),
        assurance: machine.assurance.to_string(),
        key: machine.key.digest().to_string(),
        ek: tpm.map(|tpm| tpm.ek.to_string()),
        tpm: tpm.map(|tpm| hex(&slipway_trust::encode(tpm))),
        tpm_maker: tpm.and_then(|tpm| tpm.chain.clone()),
        secure_boot: secure_boot(tpm),
        inventory: inventory(&machine.inventory),
        arch: machine.arch.to_string(),
        boots: machine.boots,
        heard: stamp(machine.heard),
        floor: machine.floor,
        generation: machine.generation.map(|digest| digest.to_string()),
        invite: machine.invite.map(|invite| invite.to_string()),
        share_epoch: machine.shares.iter().map(|share| share.epoch).max(),
        offline_until: machine.offline_until.map(stamp),
        shares: machine.shares.len(),
        escrow: machine.escrow.as_ref().map(|escrow| hex(&slipway_trust::encode(escrow))),
        opening: machine.opening.is_some(),
        acted: Some(machine.acted).filter(|at| *at != Time(0)).map(stamp),
    }
}

/// A record's bytes as hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn secure_boot(tpm: Option<&TpmFacts>) -> Option<bool> {
    tpm.and_then(|tpm| tpm.secure_boot)
}

fn inventory(said: &record::Inventory) -> Inventory {
    let disk =
        |disk: &record::Disk| Disk { id: disk.id.clone(), size: disk.size, model: disk.model.clone(), used: disk.used };
    Inventory {
        uuid: said.uuid.clone(),
        serial: said.serial.clone(),
        model: said.model.clone(),
        macs: said.macs.clone(),
        disks: said.disks.iter().map(disk).collect(),
        memory_mib: said.memory_mib,
        tpm: said.tpm.clone(),
    }
}

fn entry(entry: Entry, bytes: &[u8]) -> AuditEntry {
    AuditEntry {
        number: entry.number,
        at: stamp(entry.at),
        actor: entry.actor,
        event: entry.event,
        subject: entry.subject,
        from: entry.from,
        to: entry.to,
        detail: entry.detail,
        bytes: data_encoding::HEXLOWER.encode(bytes),
    }
}
