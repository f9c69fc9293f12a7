//! One connection's conversation: which message is due.

use super::door::Seat;
use super::{Door, Fresh, Note, Peer, Step, View};
use crate::decode;
use crate::enroller::{self, Activating, Challenged};
use crate::frames::{Ask, LARGEST, LARGEST_SMALL};
use crate::gateway;
use crate::id::Time;
use crate::refusal::Refusal;
use crate::registry::Pen;
use crate::seal::Signed;

/// A server's end of one TLS connection.
#[derive(Debug, Default)]
pub struct Conversation {
    state: State,
    seat: Option<(Seat, Time)>,
}

/// Which message is due.
#[derive(Debug, Default)]
enum State {
    /// Any first one.
    #[default]
    Fresh,
    /// M3, or M11.
    Challenged(Box<Challenged>),
    /// M5.
    Activating(Box<Activating>),
    /// None: the conversation is over.
    Over,
}

/// A frame as it came, and the same read.
#[derive(Debug)]
pub(crate) struct Heard<'a> {
    /// The whole frame.
    pub(crate) frame: &'a [u8],
    /// What is signed in it, with the signatures.
    pub(crate) signed: &'a Signed,
}

impl Conversation {
    /// A new connection's.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a frame in. After an answer whose note says that it ends, every other frame is refused.
    pub fn on_frame(&mut self, frame: &[u8], view: &View<'_>, peer: &Peer, fresh: &Fresh, door: &mut Door) -> Step {
        let step = self.step(frame, view, peer, fresh, door);
        if matches!(self.state, State::Over | State::Fresh) {
            self.close(door);
        }
        step
    }

    /// The connection is closed, whoever closed it.
    pub fn close(&mut self, door: &mut Door) {
        if let Some((seat, _)) = self.seat.take() {
            door.leave(seat);
        }
    }

    fn step(&mut self, frame: &[u8], view: &View<'_>, peer: &Peer, fresh: &Fresh, door: &mut Door) -> Step {
        let state = core::mem::replace(&mut self.state, State::Over);
        let refuse = |why, what| Step::refuse(Pen::new(view.registry, view.now), why, Note { what, ..Note::default() });
        let late = self.seat.is_some_and(|(_, since)| view.now.since(since) >= door.seconds());
        let (signed, ask) = match read(frame) {
            Ok(read) => read,
            Err(why) => return refuse(why, "frame"),
        };
        let what = name_of(&ask);
        let heard = Heard { frame, signed: &signed };
        if late {
            return refuse(Refusal::Stale, what);
        }
        match (state, ask) {
            (State::Fresh, Ask::Hello(hello)) => match door.enter(peer.address, view.now) {
                Err(why) => refuse(why, what),
                Ok(seat) => {
                    self.seat = Some((seat, view.now));
                    let (next, step) = enroller::on_hello(hello, &heard, view, fresh);
                    self.state = next.map_or(State::Over, |next| State::Challenged(Box::new(next)));
                    step
                }
            },
            (State::Fresh, Ask::Poll(poll)) => self.stay(enroller::on_poll(&poll, &heard, view, peer, fresh, door)),
            (State::Fresh, Ask::Installed(installed)) => {
                self.stay(enroller::on_installed(&installed, &heard, view, peer, door))
            }
            (State::Fresh, Ask::Healthy(healthy)) => self.stay(gateway::on_healthy(&healthy, view, peer, door)),
            (State::Challenged(challenged), Ask::Evidence(evidence)) if !challenged.boots() => {
                let (next, step) = challenged.on_evidence(*evidence, &heard, view, peer, fresh);
                self.state = next.map_or(State::Over, |next| State::Activating(Box::new(next)));
                step
            }
            (State::Challenged(challenged), Ask::Boot(boot)) if challenged.boots() => {
                gateway::on_boot(*challenged, &boot, &heard, view, peer, fresh)
            }
            (State::Activating(activating), Ask::Activated(activated)) => {
                activating.on_activated(&activated, &heard, view, peer, fresh)
            }
            (State::Over, _) => refuse(Refusal::Stale, what),
            _ => refuse(Refusal::Malformed, what),
        }
    }

    /// A message that stands by itself: another one may follow.
    fn stay(&mut self, step: Step) -> Step {
        self.state = State::Fresh;
        step
    }
}

/// Reads a frame, of at most the size that its kind may have.
fn read(frame: &[u8]) -> Result<(Signed, Ask), Refusal> {
    if frame.len() > LARGEST {
        return Err(Refusal::Malformed);
    }
    let signed: Signed = decode(frame).map_err(|_| Refusal::Malformed)?;
    let ask: Ask = decode(&signed.payload).map_err(|_| Refusal::Malformed)?;
    let large = matches!(ask, Ask::Evidence(_) | Ask::Activated(_) | Ask::Boot(_));
    if frame.len() > LARGEST_SMALL && !large { Err(Refusal::Malformed) } else { Ok((signed, ask)) }
}

const fn name_of(ask: &Ask) -> &'static str {
    match ask {
        Ask::Hello(_) => "hello",
        Ask::Evidence(_) => "evidence",
        Ask::Activated(_) => "activated",
        Ask::Poll(_) => "poll",
        Ask::Installed(_) => "installed",
        Ask::Boot(_) => "boot",
        Ask::Healthy(_) => "healthy",
    }
}
