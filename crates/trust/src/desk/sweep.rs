//! What the mere passing of time does.

use super::Desk;
use crate::audit::Said;
use crate::id::Time;
use crate::life::{Event, State};
use crate::record::{MachineRecord, Ticket, WindowRecord};
use crate::registry::{Change, Draft, Pen};

/// What is over is remembered this long, in seconds: a day.
const REMEMBERED: u64 = 24 * 3600;
/// Recoveries count this long, in seconds: an hour.
pub(crate) const FLEET_HOUR: u64 = 3600;
/// One draft ends at most so many things: the next sweep goes on.
const MOST: usize = 256;

impl Desk<'_> {
    /// Ends what has lasted too long, and forgets what was over for a day. Says how many things it ended or forgot.
    pub fn sweep(&self) -> Draft<usize> {
        let mut pen = self.pen();
        let mut count = 0;
        for ticket in self.registry.tickets() {
            count += usize::from(count < MOST && sweep_ticket(&mut pen, ticket, self.now));
        }
        for machine in self.registry.machines() {
            count += usize::from(count < MOST && sweep_machine(&mut pen, machine, self.now));
        }
        // It is closed for good: a clock that goes back opens it no second time.
        if let Some(record) = self.registry.window().filter(|record| record.is_over(self.now)) {
            let subject = format!("window {}", record.window.id);
            pen.write(Change::Window(Box::new(WindowRecord { closed: Some(self.now), ..record.clone() })));
            pen.say(Said { subject, ..clock("window-expired") });
            count += 1;
        }
        for record in self.registry.invites() {
            if count < MOST && self.now.since(record.invite.expires) > REMEMBERED {
                pen.write(Change::ForgetInvite(record.invite.id));
                count += 1;
            }
        }
        let recent: Vec<Time> =
            self.registry.recoveries().iter().copied().filter(|at| self.now.since(*at) < FLEET_HOUR).collect();
        if recent.len() != self.registry.recoveries().len() {
            pen.write(Change::Recoveries(recent));
            count += 1;
        }
        pen.draft(count)
    }
}

fn clock(event: &'static str) -> Said {
    Said { actor: "clock".to_owned(), event, ..Said::default() }
}

fn sweep_ticket(pen: &mut Pen, ticket: &Ticket, now: Time) -> bool {
    if ticket.granted.is_some() || matches!(ticket.state, State::Denied | State::Expired) {
        let old = now.since(ticket.since) >= REMEMBERED;
        if old {
            pen.write(Change::ForgetTicket(ticket.id));
        }
        return old;
    }
    if ticket.state.at(ticket.since, now) == ticket.state {
        return false;
    }
    let mut ended = ticket.clone();
    ended.refused = Some(crate::Refusal::Expired);
    pen.move_ticket(&mut ended, Event::TimeOut, clock("ticket-expired")).is_ok()
}

fn sweep_machine(pen: &mut Pen, machine: &MachineRecord, now: Time) -> bool {
    if machine.state == State::Expired && now.since(machine.since) >= REMEMBERED {
        pen.write(Change::ForgetMachine(machine.id));
        return true;
    }
    if machine.state.at(machine.since, now) == machine.state {
        return false;
    }
    let mut ended = machine.clone();
    if pen.advance(&mut ended, Event::TimeOut, clock("machine-timed-out")).is_err() {
        return false;
    }
    pen.write(Change::Machine(Box::new(ended)));
    true
}
