//! What admins do to machines that are known.

use super::{Desk, Kind, Objection, Taken, evidence};
use crate::audit::Said;
use crate::escrow::Opening;
use crate::id::Time;
use crate::life::{Event, State};
use crate::record::{Act, Denied, MachineRecord, Verb};
use crate::registry::{Change, Draft, Pen};
use crate::seal::Signed;

impl Desk<'_> {
    /// Suspends, resumes, retires or revokes a machine, or lets the hardware of a revoked one enrol anew.
    ///
    /// # Errors
    /// Why not.
    pub fn act(&self, signed: &Signed) -> Result<Draft<Taken>, Objection> {
        let (act, actor): (Act, _) = self.read(Kind::Act, signed)?;
        let verb = act.verb;
        let mut machine = self.registry.machine(&act.machine).ok_or(Objection::NoMachine)?.clone();
        self.is_timely(act.at, machine.acted)?;
        let mut pen = self.pen();
        pen.settle(&mut machine);
        machine.acted = act.at;
        let (from, (event, done)) = (machine.state, told(verb, machine.state));
        let said = Said { actor, event, detail: act.reason.clone(), evidence: evidence(signed), ..Said::default() };
        match (verb, change_of(verb, from)) {
            (_, Some(change)) => {
                pen.advance(&mut machine, change, said).map_err(|_| Objection::Machine(verb, from))?;
            }
            (Verb::Open, None) => open(&mut pen, &mut machine, &act, said)?,
            (_, None) => self.unban(&mut pen, &machine, said)?,
        }
        if verb == Verb::Revoke {
            deny(&mut pen, &machine, act.at, &act.reason);
        }
        let (subject, summary) = (format!("machine {}", machine.id), format!("the machine `{}` {done}", machine.name));
        pen.write(Change::Machine(Box::new(machine)));
        Ok(pen.draft(Taken { event, subject, summary }))
    }

    fn unban(&self, pen: &mut Pen, machine: &MachineRecord, said: Said) -> Result<(), Objection> {
        let digests = [Some(machine.key.digest()), machine.tpm.as_ref().map(|tpm| tpm.ek)];
        let mut denied =
            digests.into_iter().flatten().filter(|digest| self.registry.denied(digest).is_some()).peekable();
        if denied.peek().is_none() {
            return Err(Objection::NotBanned);
        }
        denied.for_each(|digest| pen.write(Change::Allow(digest)));
        pen.say(Said { subject: format!("machine {}", machine.id), ..said });
        Ok(())
    }
}

/// How the audit log and the admin are told that it is done to a machine in this state.
const fn told(verb: Verb, from: State) -> (&'static str, &'static str) {
    match verb {
        Verb::Suspend if matches!(from, State::Pending) => {
            ("machine-expired", "has not come up yet, so its enrolment is over: it may ask anew")
        }
        Verb::Suspend => ("machine-suspended", "is given nothing until it is resumed"),
        Verb::Resume => ("machine-resumed", "is given again what it needs"),
        Verb::Retire => ("machine-retired", "has no identity any more; its hardware may enrol anew"),
        Verb::Revoke => {
            ("machine-revoked", "is revoked, with its key and its TPM, and its share of the disk key is gone")
        }
        Verb::Unban => ("machine-unbanned", "stays revoked; its hardware may enrol anew"),
        Verb::Open => ("machine-opened", "opens its data partition through escrow at its next start"),
    }
}

/// What an act does to the machine's life. A machine that has not come up yet cannot be suspended: its enrolment ends.
const fn change_of(verb: Verb, state: State) -> Option<Event> {
    match (verb, state) {
        (Verb::Suspend, State::Pending) => Some(Event::TimeOut),
        (Verb::Suspend, _) => Some(Event::Suspend),
        (Verb::Resume, _) => Some(Event::Resume),
        (Verb::Retire, _) => Some(Event::Retire),
        (Verb::Revoke, _) => Some(Event::Revoke),
        (Verb::Unban | Verb::Open, _) => None,
    }
}

/// A machine that starts as it should, but cannot open its disk itself, is given the key in escrow.
fn open(pen: &mut Pen, machine: &mut MachineRecord, act: &Act, said: Said) -> Result<(), Objection> {
    if !machine.state.gets_share() {
        return Err(Objection::Machine(Verb::Open, machine.state));
    }
    let opening = act.opening.as_ref().ok_or(Objection::Opening)?;
    if opening.machine != machine.id || machine.tpm.is_none() || !opens(opening, machine) {
        return Err(Objection::Opening);
    }
    machine.opening = Some(opening.clone());
    pen.say(Said { subject: format!("machine {}", machine.id), ..said });
    Ok(())
}

/// Whether an opening was made from the key in escrow that is on record.
pub(super) fn opens(opening: &Opening, machine: &MachineRecord) -> bool {
    machine.escrow.as_ref().is_some_and(|escrow| escrow.digest() == opening.escrow)
}

/// The machine's key and its TPM are never let in again.
pub(crate) fn deny(pen: &mut Pen, machine: &MachineRecord, at: Time, reason: &str) {
    for what in [Some(machine.key.digest()), machine.tpm.as_ref().map(|tpm| tpm.ek)].into_iter().flatten() {
        pen.write(Change::Deny(Denied { what, machine: machine.id, at, reason: reason.to_owned() }));
    }
}
