//! A ticket for a machine that asks for an identity.

use super::policy::{self, Automatic};
use super::proven::Proven;
use crate::audit::{SECOND_USE, Said};
use crate::frames::TicketTold;
use crate::id::{Digest, InviteId, TicketId};
use crate::invite::Kind;
use crate::life::{Event, State};
use crate::node::{Fresh, Peer, View};
use crate::record::{DiskPlan, Inventory, Ticket};
use crate::refusal::Refusal;
use crate::registry::{Change, Pen, Registry};

/// When to ask again, in seconds.
const DELAY: u32 = 5;
/// The ESP's size where one must be made, in MiB.
const ESP_MIB: u32 = 512;

/// Decides on a machine that has no identity yet.
pub(crate) fn decide(
    proven: &Proven,
    pen: &mut Pen,
    view: &View<'_>,
    peer: &Peer,
    fresh: &Fresh,
) -> Result<Ticket, Refusal> {
    let key = proven.key.digest();
    let window = view.registry.open_window(view.now).ok_or(Refusal::NoWindow)?;
    if !window.has_room(&key) {
        return Err(Refusal::NoWindow);
    }
    if let Some(ek) = proven.tpm.as_ref().map(|tpm| tpm.ek)
        && view.registry.denied(&ek).is_some()
    {
        return Err(Refusal::Revoked);
    }
    let verdict = policy::judge(proven, view, peer)?;
    if let Some(invited) = proven.invited {
        check_use(invited.id, &key, pen, view)?;
    }
    let mut ticket = new(proven, peer, fresh, view);
    ticket.assurance = verdict.assurance;
    ticket.flags = flags(&ticket, view.registry);
    make_room(&ticket, pen, view)?;
    // A TPM that was cleared has other keys: whether the machine that it was is to live on beside this one, a person decides.
    let twice = proven.tpm.as_ref().is_some_and(|tpm| view.registry.machine_of_ek(&tpm.ek).is_some());
    open(&mut ticket, pen, verdict.automatic.filter(|_| !twice))?;
    Ok(ticket)
}

/// A ticket, not yet decided.
pub(crate) fn new(proven: &Proven, peer: &Peer, fresh: &Fresh, view: &View<'_>) -> Ticket {
    Ticket {
        id: TicketId(fresh.ticket),
        state: State::Requested,
        since: view.now,
        key: proven.key,
        tpm: proven.tpm.clone(),
        inventory: proven.inventory.clone(),
        arch: proven.hello.arch,
        image_version: proven.hello.image_version,
        words: proven.words.clone(),
        transcript: *proven.transcript.hash(),
        polls: 0,
        assurance: proven.assurance,
        invite: proven.invited.map(|invited| invited.id),
        recovers: None,
        flags: Vec::new(),
        refused: None,
        address: peer.address.to_canonical().to_string(),
        approval: None,
        granted: None,
        name: String::new(),
        role: String::new(),
        plan: None,
        image: None,
        replaces: None,
        opening: None,
    }
}

/// Writes a ticket, approved at once where the policy says so.
pub(crate) fn open(ticket: &mut Ticket, pen: &mut Pen, automatic: Option<Automatic>) -> Result<(), Refusal> {
    let evidence = Some(ticket.transcript);
    let said = Said {
        actor: format!("key {}", ticket.key.kid()),
        event: "ticket-opened",
        subject: format!("ticket {}", ticket.id),
        to: Some(ticket.state.name().to_owned()),
        detail: format!("from {}, known by `{}`", ticket.address, ticket.assurance),
        evidence,
        ..Said::default()
    };
    pen.say(said);
    let Some(Automatic { by, name, role, wipe }) = automatic else {
        pen.write(Change::Ticket(Box::new(ticket.clone())));
        return Ok(());
    };
    ticket.name = name.unwrap_or_default();
    ticket.role = role;
    ticket.plan.get_or_insert_with(|| plan(&ticket.inventory, wipe));
    let said = Said { actor: by, event: "ticket-approved", evidence, ..Said::default() };
    pen.move_ticket(ticket, Event::Approve, said)
}

/// What the machine is told of its ticket.
pub(crate) fn tell(ticket: &Ticket, view: &View<'_>) -> TicketTold {
    let invite = ticket.invite.and_then(|id| view.registry.invite(&id));
    TicketTold {
        ticket: ticket.id,
        approved: ticket.state == State::Approved,
        delay: if ticket.state == State::Approved { 0 } else { DELAY },
        label: invite.map(|record| record.invite.label.clone()),
    }
}

/// A disk is wiped only where there is no doubt which: the only one, or the only one that nothing is on.
fn plan(inventory: &Inventory, wipe: bool) -> DiskPlan {
    let disks = &inventory.disks;
    let mut empty = disks.iter().filter(|disk| !disk.used);
    let only = match (disks.as_slice(), empty.next(), empty.next()) {
        ([only], ..) | (_, Some(only), None) => Some(only.id.clone()),
        _ => None,
    };
    DiskPlan { wipe: wipe && only.is_some(), disk: only, esp_mib: ESP_MIB, data: true }
}

/// Whether the invite has a use left for this key. A second machine with a cloud invite is an alarm: one of the two is a thief, maybe the first.
fn check_use(id: InviteId, key: &Digest, pen: &mut Pen, view: &View<'_>) -> Result<(), Refusal> {
    let record = view.registry.invite(&id).ok_or(Refusal::BadInvite)?;
    let Err(why) = record.admits(key, view.now) else { return Ok(()) };
    if why == Refusal::InviteUsed {
        second_use(id, key, pen, view);
    }
    Err(why)
}

/// Somebody with this key comes with an invite that is used up: of a cloud invite that is an alarm, at whichever step it shows.
pub(crate) fn second_use(id: InviteId, key: &Digest, pen: &mut Pen, view: &View<'_>) {
    let cloud = view.registry.invite(&id).filter(|record| record.invite.kind == Kind::Cloud);
    for used in cloud.iter().flat_map(|record| &record.uses) {
        alarm(id, key, used.machine, pen, view);
    }
}

fn alarm(id: InviteId, key: &Digest, first: crate::MachineId, pen: &mut Pen, view: &View<'_>) {
    let said = |event| Said {
        actor: "policy".to_owned(),
        event,
        subject: format!("invite {id}"),
        detail: format!("machine {first} used it, and the key {key} comes with it too"),
        ..Said::default()
    };
    pen.say(said(SECOND_USE));
    let Some(mut machine) = view.registry.machine(&first).cloned() else { return };
    pen.settle(&mut machine);
    let event = if machine.state == State::Pending { Event::TimeOut } else { Event::Suspend };
    if pen.advance(&mut machine, event, said("machine-suspended")).is_ok() {
        pen.write(Change::Machine(Box::new(machine)));
    }
}

/// What a person should look at.
fn flags(ticket: &Ticket, registry: &Registry) -> Vec<String> {
    let mut flags = Vec::new();
    let own = &ticket.inventory;
    let mut compare = |who: String, other: &Inventory, ek: Option<Digest>| {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        if same(&own.uuid, &other.uuid) {
            flags.push(format!("{who} has the same UUID"));
        }
        if same(&own.serial, &other.serial) {
            flags.push(format!("{who} has the same serial number"));
        }
        if own.macs.iter().any(|mac| other.macs.contains(mac)) {
            flags.push(format!("{who} has the same hardware address"));
        }
        if ek.is_some() && ek == ticket.tpm.as_ref().map(|tpm| tpm.ek) {
            flags.push(format!("{who} has the same TPM"));
        }
    };
    for machine in registry.living() {
        compare(format!("the machine `{}`", machine.name), &machine.inventory, machine.tpm.as_ref().map(|tpm| tpm.ek));
    }
    for other in registry.tickets().filter(|other| other.key != ticket.key && other.granted.is_none()) {
        compare(format!("ticket {}", other.id), &other.inventory, other.tpm.as_ref().map(|tpm| tpm.ek));
    }
    flags.truncate(16);
    flags
}

/// A machine that asks anew takes its old place, granted or not: the conversation that this one was of is over. Where there is no place left,
/// the oldest of those that are known least goes.
pub(crate) fn make_room(ticket: &Ticket, pen: &mut Pen, view: &View<'_>) -> Result<(), Refusal> {
    let waits = |other: &&Ticket| other.granted.is_none();
    let mut left = view.registry.tickets().count();
    for old in view.registry.tickets().filter(|other| other.key == ticket.key) {
        pen.write(Change::ForgetTicket(old.id));
        left -= 1;
    }
    if left < Registry::MOST_TICKETS {
        return Ok(());
    }
    let others = view.registry.tickets().filter(waits).filter(|other| other.key != ticket.key);
    let open = others.filter(|other| other.state != State::Approved && other.assurance <= ticket.assurance);
    let least = open.min_by_key(|other| (other.assurance, other.since)).ok_or(Refusal::TooMany)?;
    pen.write(Change::ForgetTicket(least.id));
    Ok(())
}
