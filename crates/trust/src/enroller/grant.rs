//! M8: an identity for a machine that is approved, once, and the same again for the same key.

use super::recovery;
use crate::audit::Said;
use crate::desk::deny;
use crate::frames::Grant;
use crate::id::{Digest, MachineId, Time};
use crate::image::{Role, Wanted};
use crate::life::{Event, RECOVERIES_A_DAY, State};
use crate::node::{CertificateWanted, Fresh, Known, NeedsCertificate, Note, Step, Unfinished, View};
use crate::record::{DiskPlan, MachineRecord, Ticket, Use, WindowRecord};
use crate::refusal::Refusal;
use crate::registry::{Change, Pen, name_of};

/// A first certificate is this long, in seconds: an hour.
const CERTIFICATE: u64 = 3600;
/// A grant may be acted on this long, in seconds.
const HOLDS: u64 = 30 * 60;

/// The answer that goes out once the certificate is there.
pub(crate) fn step(answer: Unfinished, wanted: CertificateWanted, pen: Pen, note: Note) -> Step {
    Step::Certificate(Box::new(NeedsCertificate::new(wanted, answer, pen, note)))
}

/// Gives the grant of an approved ticket.
pub(crate) fn give(
    ticket: &mut Ticket,
    pen: &mut Pen,
    view: &View<'_>,
    fresh: &Fresh,
) -> Result<(Unfinished, CertificateWanted), Refusal> {
    if view.enroller.is_none() {
        return Err(Refusal::NotHere);
    }
    let key = ticket.key.digest();
    let ek = ticket.tpm.as_ref().map(|tpm| tpm.ek);
    if [Some(key), ek].into_iter().flatten().any(|digest| view.registry.denied(&digest).is_some()) {
        return Err(Refusal::Revoked);
    }
    let known = ticket.granted.or(ticket.recovers).map(|id| view.registry.machine(&id).ok_or(Refusal::Unknown));
    let mut machine = match known.transpose()? {
        Some(machine) => again(ticket, machine.clone(), pen, view)?,
        None => first(ticket, &key, pen, view, fresh)?,
    };
    let image = image(ticket, &machine, view)?;
    ticket.granted = Some(machine.id);
    ticket.image = Some(image.manifest.sha256);
    ticket.refused = None;
    machine.confirm = Some(Digest::of(&fresh.confirm));
    machine.boots = 0;
    machine.installed = None;
    machine.heard = view.now;
    let grant = grant(ticket, &machine, image, view, fresh);
    let wanted =
        CertificateWanted { key: machine.key, machine: machine.id, epoch: machine.epoch, seconds: CERTIFICATE };
    pen.write(Change::Machine(Box::new(machine)));
    pen.write(Change::Ticket(Box::new(ticket.clone())));
    Ok((Unfinished::Grant(Box::new(grant), ticket.transcript), wanted))
}

fn grant(ticket: &Ticket, machine: &MachineRecord, image: &Known, view: &View<'_>, fresh: &Fresh) -> Grant {
    let nothing = DiskPlan { disk: None, wipe: false, esp_mib: 512, data: false };
    let plan = ticket.plan.clone().unwrap_or(nothing);
    Grant {
        machine: machine.id,
        name: machine.name.clone(),
        key: machine.key,
        ek: ticket.tpm.as_ref().map(|tpm| tpm.ek),
        certificate: Vec::new(),
        org: view.org_signed.clone(),
        image: image.signed.clone(),
        sources: view.sources.to_vec(),
        // A person who lets a machine that recovers wipe a disk has seen that the old one is gone.
        recovery: machine.state == State::Recovery && !plan.wipe,
        plan,
        confirm: fresh.confirm,
        time: view.now,
        expires: view.now.plus(HOLDS),
    }
}

/// The preboot for this machine: never below the version that it may run.
fn image<'a>(ticket: &Ticket, machine: &MachineRecord, view: &View<'a>) -> Result<&'a Known, Refusal> {
    let wanted = Wanted { role: Role::Preboot, arch: ticket.arch, floor: machine.floor, now: view.now };
    view.images.newest(view.org, &wanted).ok_or(Refusal::NoImage)
}

/// A new machine. Uses and places are counted here and nowhere else.
fn first(
    ticket: &mut Ticket,
    key: &Digest,
    pen: &mut Pen,
    view: &View<'_>,
    fresh: &Fresh,
) -> Result<MachineRecord, Refusal> {
    if view.registry.machine_of_key(key).is_some() {
        return Err(Refusal::WrongState);
    }
    let id = MachineId(fresh.machine);
    count_place(ticket, key, pen, view)?;
    count_use(ticket, key, id, pen, view)?;
    replace(ticket, pen, view);
    ticket.state = ticket.state.after(Event::Grant)?;
    ticket.since = view.now;
    let machine = MachineRecord {
        id,
        name: name(ticket, view),
        key: ticket.key,
        tpm: ticket.tpm.clone(),
        role: ticket.role.clone(),
        assurance: ticket.assurance,
        state: ticket.state,
        since: view.now,
        inventory: ticket.inventory.clone(),
        arch: ticket.arch,
        confirm: None,
        boots: 0,
        heard: view.now,
        shares: Vec::new(),
        recoveries: Vec::new(),
        invite: ticket.invite,
        approval: ticket.approval.clone(),
        floor: 0,
        generation: None,
        epoch: 1,
        acted: Time(0),
        preboot: None,
        well: None,
        offline_until: None,
        installed: None,
        keyed: None,
        epochs: 0,
        escrow: None,
        opening: ticket.opening.clone(),
    };
    pen.say(Said {
        actor: if ticket.approval.is_some() { "approval" } else { "policy" }.to_owned(),
        event: "machine-granted",
        subject: name_of(&id),
        from: Some(State::Approved.name().to_owned()),
        to: Some(machine.state.name().to_owned()),
        detail: format!("{} as {}, known by `{}`", machine.name, machine.role, machine.assurance),
        evidence: Some(ticket.transcript),
    });
    Ok(machine)
}

/// The window may be another one than that in which the machine asked.
fn count_place(ticket: &Ticket, key: &Digest, pen: &mut Pen, view: &View<'_>) -> Result<(), Refusal> {
    let admits = |record: &&WindowRecord| record.has_room(key) && record.window.admits(ticket.invite.as_ref());
    let window = view.registry.open_window(view.now).filter(admits).ok_or(Refusal::NoWindow)?;
    if !window.granted.contains(key) {
        let mut counted = window.clone();
        counted.granted.push(*key);
        pen.write(Change::Window(Box::new(counted)));
    }
    Ok(())
}

fn count_use(ticket: &Ticket, key: &Digest, id: MachineId, pen: &mut Pen, view: &View<'_>) -> Result<(), Refusal> {
    let Some(invite) = ticket.invite else { return Ok(()) };
    let record = view.registry.invite(&invite).ok_or(Refusal::BadInvite)?;
    record.admits(key, view.now)?;
    let mut counted = record.clone();
    counted.uses.retain(|used| used.key != *key);
    counted.uses.push(Use { key: *key, machine: id, at: view.now });
    pen.write(Change::Invite(Box::new(counted)));
    Ok(())
}

/// The identity that this one takes the place of ends. Where it was another TPM's, that TPM is never let in again: its board may be anywhere.
fn replace(ticket: &Ticket, pen: &mut Pen, view: &View<'_>) {
    let Some(mut old) = ticket.replaces.and_then(|id| view.registry.machine(&id)).cloned() else { return };
    let theirs = old.tpm.as_ref().map(|tpm| tpm.ek);
    let is_other = theirs.is_some() && theirs != ticket.tpm.as_ref().map(|tpm| tpm.ek);
    let (event, told) = if is_other { (Event::Revoke, "machine-revoked") } else { (Event::Retire, "machine-retired") };
    let said = Said {
        actor: "approval".to_owned(),
        event: told,
        detail: format!("ticket {} takes its place", ticket.id),
        evidence: Some(ticket.transcript),
        ..Said::default()
    };
    pen.settle(&mut old);
    if pen.advance(&mut old, event, said).is_ok() {
        if is_other {
            deny(pen, &old, view.now, &format!("ticket {} took its place", ticket.id));
        }
        pen.write(Change::Machine(Box::new(old)));
    }
}

/// A machine's name is unique among those that live.
fn name(ticket: &Ticket, view: &View<'_>) -> String {
    let free = |name: &String| {
        let other = view.registry.machine_named(name);
        !name.is_empty() && other.is_none_or(|other| ticket.replaces == Some(other.id))
    };
    Some(ticket.name.clone()).filter(free).unwrap_or_else(|| format!("node-{}", ticket.key.kid()))
}

/// The same machine again: its grant was lost, its installation interrupted, or it recovers.
fn again(
    ticket: &mut Ticket,
    mut machine: MachineRecord,
    pen: &mut Pen,
    view: &View<'_>,
) -> Result<MachineRecord, Refusal> {
    if machine.key != ticket.key {
        return Err(Refusal::WrongState);
    }
    pen.settle(&mut machine);
    let fetched = ticket.state == State::Pending;
    match machine.state {
        State::Pending => {}
        // The grant was lost on its way: given again, it changes nothing.
        State::Recovery if fetched => {}
        State::Confirmed | State::Active | State::Recovery if !fetched && ticket.recovers == Some(machine.id) => {
            recover(ticket, &mut machine, pen, view)?;
        }
        other => return Err(other.refusal()),
    }
    if !fetched {
        ticket.state = ticket.state.after(Event::Grant)?;
        ticket.since = view.now;
    }
    Ok(machine)
}

fn recover(ticket: &Ticket, machine: &mut MachineRecord, pen: &mut Pen, view: &View<'_>) -> Result<(), Refusal> {
    // Between the ticket and its grant others may have recovered; a person's word counts for more.
    if ticket.approval.is_none() && recovery::is_fleet_limit(view.registry, view.now) {
        return Err(Refusal::RecoveryLimit);
    }
    let said = Said {
        actor: name_of(&machine.id),
        event: "machine-recovers",
        detail: format!("from {}", ticket.address),
        evidence: Some(ticket.transcript),
        ..Said::default()
    };
    pen.advance(machine, Event::Recover, said)?;
    machine.since = view.now;
    machine.recoveries.push(view.now);
    let surplus = machine.recoveries.len().saturating_sub(RECOVERIES_A_DAY);
    machine.recoveries.drain(..surplus);
    if ticket.plan.as_ref().is_some_and(|plan| plan.wipe) {
        // What was on the old disk is not to be opened again.
        machine.shares.clear();
        (machine.escrow, machine.opening) = (None, None);
    }
    machine.inventory = ticket.inventory.clone();
    let mut fleet: Vec<Time> = view.registry.recoveries().to_vec();
    fleet.push(view.now);
    pen.write(Change::Recoveries(fleet));
    Ok(())
}
