//! What writes a draft: each transition with its entry in the audit log.

use super::{Change, Draft, Registry};
use crate::audit::{Head, Said};
use crate::id::{MachineId, Time};
use crate::life::{Event, State};
use crate::record::{MachineRecord, Ticket};
use crate::refusal::Refusal;

/// Writes one draft.
#[derive(Debug)]
pub(crate) struct Pen {
    seen: u64,
    head: Head,
    now: Time,
    changes: Vec<Change>,
}

impl Pen {
    /// An empty draft.
    pub(crate) fn new(registry: &Registry, now: Time) -> Self {
        Self { seen: registry.version(), head: registry.audit(), now, changes: Vec::new() }
    }

    /// Changes something.
    pub(crate) fn write(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Says so in the audit log.
    pub(crate) fn say(&mut self, said: Said) {
        let entry = self.head.append(self.now, said);
        self.changes.push(Change::Audit(entry));
    }

    /// Lets time pass: the machine's record as it stands now.
    pub(crate) fn settle(&mut self, machine: &mut MachineRecord) {
        if machine.state.at(machine.since, self.now) != machine.state {
            let said = Said { actor: "clock".to_owned(), event: "machine-timed-out", ..Said::default() };
            // What is over may always end.
            let _ = self.advance(machine, Event::TimeOut, said);
        }
    }

    /// A machine goes to another state, and the audit log says so; the record is changed, and not written yet.
    pub(crate) fn advance(&mut self, machine: &mut MachineRecord, event: Event, said: Said) -> Result<State, Refusal> {
        let (from, to) = (machine.state, machine.state.after(event)?);
        if from != to {
            machine.state = to;
            machine.since = self.now;
        }
        if to != State::Pending && to != State::Recovery && to != State::Suspended {
            machine.confirm = None;
        }
        if matches!(to, State::Retired | State::Revoked) {
            machine.shares.clear();
            machine.opening = None;
            machine.epoch = machine.epoch.saturating_add(1);
        }
        self.say(Said { subject: name_of(&machine.id), from: word(from), to: word(to), ..said });
        Ok(to)
    }

    /// A ticket goes to another state, is written, and the audit log says so.
    pub(crate) fn move_ticket(&mut self, ticket: &mut Ticket, event: Event, said: Said) -> Result<(), Refusal> {
        let (from, to) = (ticket.state, ticket.state.after(event)?);
        ticket.state = to;
        ticket.since = self.now;
        self.write(Change::Ticket(Box::new(ticket.clone())));
        self.say(Said { subject: format!("ticket {}", ticket.id), from: word(from), to: word(to), ..said });
        Ok(())
    }

    /// The draft, with its answer.
    pub(crate) fn draft<R>(mut self, reply: R) -> Draft<R> {
        if self.changes.iter().any(|change| matches!(change, Change::Audit(_))) {
            self.changes.push(Change::Head(self.head));
        }
        Draft { seen: self.seen, changes: self.changes, reply }
    }
}

/// How the audit log names a machine.
pub(crate) fn name_of(machine: &MachineId) -> String {
    format!("machine {machine}")
}

fn word(state: State) -> Option<String> {
    Some(state.name().to_owned())
}
