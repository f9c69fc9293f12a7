//! A person's word on who asks.

use super::act::opens;
use super::{Desk, Objection, Taken, evidence, is_word};
use crate::assurance::Assurance;
use crate::audit::Said;
use crate::id::MachineId;
use crate::life::Event;
use crate::record::{Approval, DiskPlan, MachineRecord, Ticket};
use crate::registry::Draft;
use crate::seal::{Domain, Signed};

impl Desk<'_> {
    /// Approves or denies a ticket. The word holds for this key, this TPM and this conversation, and for no other.
    ///
    /// # Errors
    /// Why not.
    pub fn decide_ticket(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (approval, actor): (Approval, _) = self.read(signed, Domain::Approval)?;
        let mut ticket = self.registry.ticket(&approval.ticket).ok_or(Objection::NoTicket)?.clone();
        ticket.state = ticket.state.at(ticket.since, self.now);
        let same_key = approval.key == ticket.key.digest() && approval.ek == ticket.tpm.as_ref().map(|tpm| tpm.ek);
        if !same_key || approval.transcript != ticket.transcript {
            return Err(Objection::OtherTicket);
        }
        let (machine_event, event) = if approval.yes {
            self.check_approval(&approval, &ticket)?;
            ticket.assurance = ticket.assurance.max(Assurance::Approved);
            (Event::Approve, "ticket-approved")
        } else {
            (Event::Deny, "ticket-denied")
        };
        let subject = format!("ticket {}", ticket.id);
        let word = if approval.yes { "may fetch its grant" } else { "is denied" };
        let summary = format!("the machine of {subject} {word}");
        let detail = format!("{} as {}, known by `{}`", approval.name, approval.role, ticket.assurance);
        ticket.name = approval.name;
        ticket.role = approval.role;
        ticket.plan = Some(approval.plan);
        ticket.replaces = approval.replaces;
        ticket.opening = approval.opening;
        ticket.approval = Some(signed.clone());
        ticket.refused = if approval.yes { None } else { Some(crate::Refusal::Denied) };
        let mut pen = self.pen();
        let said = Said { actor, event, detail, evidence: evidence(signed), ..Said::default() };
        pen.move_ticket(&mut ticket, machine_event, said).map_err(Objection::State)?;
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    fn check_approval(&self, approval: &Approval, ticket: &Ticket) -> Result<(), Objection> {
        let has = ticket.assurance.max(Assurance::Approved);
        let invite = ticket.invite.and_then(|id| self.registry.invite(&id));
        let asked = invite.map_or(Assurance::Claimed, |record| record.invite.min_assurance);
        let needs = self.org.policy.min_assurance.max(asked);
        if has < needs {
            return Err(Objection::Assurance { has, needs });
        }
        check_plan(&approval.plan, ticket)?;
        self.check_names(approval, ticket.recovers)?;
        let old = approval.replaces.map(|old| self.registry.machine(&old).ok_or(Objection::NoMachine)).transpose()?;
        let Some(opening) = &approval.opening else { return Ok(()) };
        // What opens the disk of the machine before it, for a TPM.
        let fits = |old: &MachineRecord| old.id == opening.machine && opens(opening, old);
        let opened = ticket.recovers.is_none() && ticket.tpm.is_some() && old.is_some_and(fits);
        if opened { Ok(()) } else { Err(Objection::Opening) }
    }

    /// A machine that recovers keeps its name and its role, whatever the approval says.
    fn check_names(&self, approval: &Approval, recovers: Option<MachineId>) -> Result<(), Objection> {
        if recovers.is_some() {
            return Ok(());
        }
        if let Some(bad) = [&approval.name, &approval.role].into_iter().find(|word| !is_word(word)) {
            return Err(Objection::Name(bad.clone()));
        }
        match self.registry.machine_named(&approval.name) {
            Some(other) if approval.replaces != Some(other.id) => Err(Objection::NameTaken(approval.name.clone())),
            _ => Ok(()),
        }
    }
}

fn check_plan(plan: &DiskPlan, ticket: &Ticket) -> Result<(), Objection> {
    match &plan.disk {
        Some(id) if !ticket.inventory.disks.iter().any(|disk| disk.id == *id) => Err(Objection::NoDisk(id.clone())),
        None if plan.wipe => Err(Objection::NamelessWipe),
        _ => Ok(()),
    }
}
