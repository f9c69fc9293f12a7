//! M7 in, M6 or M8 out; M10 in.

use super::{grant, ticket};
use crate::audit::Said;
use crate::frames::{Installed, Poll, Reply};
use crate::id::TicketId;
use crate::life::State;
use crate::node::{Door, Fresh, Heard, Note, Peer, Step, View};
use crate::record::Ticket;
use crate::refusal::Refusal;
use crate::registry::{Change, Pen, name_of};
use crate::seal::{Bound, Domain};

/// M7.
pub(crate) fn on_poll(
    poll: &Poll,
    heard: &Heard<'_>,
    view: &View<'_>,
    peer: &Peer,
    fresh: &Fresh,
    door: &mut Door,
) -> Step {
    let mut pen = Pen::new(view.registry, view.now);
    let note = Note { what: "poll", subject: format!("ticket {}", poll.ticket), ..Note::default() };
    let mut ticket = match known((&poll.ticket, poll.counter), heard, view, peer, door) {
        Ok(ticket) => ticket,
        Err(why) => return Step::refuse(pen, why, note),
    };
    // A ticket that was granted lives as long as its machine waits.
    let state = if ticket.granted.is_some() { State::Approved } else { ticket.state.at(ticket.since, view.now) };
    match state {
        State::Requested => {
            let reply = Reply::Ticket(ticket::tell(&ticket, view));
            pen.write(Change::Ticket(Box::new(ticket)));
            Step::answer(pen, &reply, note)
        }
        State::Approved => match grant::give(&mut ticket, &mut pen, view, fresh) {
            Ok((answer, wanted)) => grant::step(answer, wanted, pen, note),
            // Nothing of a grant that was not given is written, but that it was asked for.
            Err(why) => Step::refuse(refused(&ticket, why, view), why, note),
        },
        _ => Step::refuse(pen, ticket.refused.unwrap_or(state.refusal()), note),
    }
}

/// M10.
pub(crate) fn on_installed(
    installed: &Installed,
    heard: &Heard<'_>,
    view: &View<'_>,
    peer: &Peer,
    door: &mut Door,
) -> Step {
    let mut pen = Pen::new(view.registry, view.now);
    let note = Note { what: "installed", subject: format!("ticket {}", installed.ticket), ..Note::default() };
    let ticket = match known((&installed.ticket, installed.counter), heard, view, peer, door) {
        Ok(ticket) => ticket,
        Err(why) => return Step::refuse(pen, why, note),
    };
    let machine = ticket.granted.and_then(|id| view.registry.machine(&id)).cloned();
    let Some(mut machine) = machine else { return Step::refuse(pen, Refusal::WrongState, note) };
    pen.settle(&mut machine);
    if !matches!(machine.state, State::Pending | State::Recovery) {
        return Step::refuse(Pen::new(view.registry, view.now), machine.state.refusal(), note);
    }
    if ticket.image != Some(installed.sha256) {
        return Step::refuse(Pen::new(view.registry, view.now), Refusal::BadEvidence, note);
    }
    machine.heard = view.now;
    machine.installed = Some(view.now);
    let entry = installed.entry.as_deref().unwrap_or("no boot entry");
    let entry: String = entry.chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ').take(64).collect();
    pen.say(Said {
        actor: name_of(&machine.id),
        event: "machine-installed",
        subject: name_of(&machine.id),
        detail: format!("{entry}, image {}", installed.sha256),
        evidence: Some(crate::Digest::of(heard.frame)),
        ..Said::default()
    });
    let subject = name_of(&machine.id);
    pen.write(Change::Ticket(Box::new(ticket)));
    pen.write(Change::Machine(Box::new(machine)));
    Step::answer(pen, &Reply::Noted, Note { subject, ..note })
}

/// The ticket, if its machine speaks: signed by its key, for this channel, not too often, and not sent before. Its counter has risen.
fn known(
    (id, counter): (&TicketId, u64),
    heard: &Heard<'_>,
    view: &View<'_>,
    peer: &Peer,
    door: &mut Door,
) -> Result<Ticket, Refusal> {
    let mut ticket = view.registry.ticket(id).ok_or(Refusal::Unknown)?.clone();
    let bound = Bound::Moment { transcript: &ticket.transcript, channel: &peer.channel };
    if heard.signed.signers(Domain::Frame, bound, &[ticket.key]).is_empty() {
        return Err(Refusal::BadSignature);
    }
    door.listen(id.0, view.now)?;
    if counter <= ticket.polls {
        return Err(Refusal::Replayed);
    }
    ticket.polls = counter;
    Ok(ticket)
}

/// A grant was due and could not be given: the ticket is told why, and ends if that will not pass.
fn refused(asked: &Ticket, why: Refusal, view: &View<'_>) -> Pen {
    let mut pen = Pen::new(view.registry, view.now);
    let Some(old) = view.registry.ticket(&asked.id) else { return pen };
    let mut kept = Ticket { polls: asked.polls, refused: Some(why), ..old.clone() };
    // Both were let in before either had its grant: who of the two is the thief is as open as if he had come later.
    if let (Refusal::InviteUsed, Some(invite)) = (why, kept.invite) {
        ticket::second_use(invite, &kept.key.digest(), &mut pen, view);
    }
    if why.passes() || kept.granted.is_some() {
        pen.write(Change::Ticket(Box::new(kept)));
        return pen;
    }
    let said = Said { actor: "policy".to_owned(), event: "grant-refused", detail: why.to_string(), ..Said::default() };
    if pen.move_ticket(&mut kept, crate::life::Event::Deny, said).is_err() {
        pen.write(Change::Ticket(Box::new(kept)));
    }
    pen
}
