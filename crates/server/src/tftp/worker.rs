//! A worker: receive, let the machines decide, send.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slipway_engine::Why;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::tftp::Input;
use slipway_netio::{Batch, Received, UdpSocket, Waker, wait};
use slipway_wire::MacAddr;
use slipway_wire::tftp::{ErrorCode, MAX_REQUEST, Packet, Request};

use super::Shared;
use super::outbox::Outbox;
use super::request::{Refusal, accept, answer_source, interface_name, line, may_ask};
use super::session::{Session, error};
use crate::journal::now as wall_clock;
use crate::site::Site;

/// Datagrams that are taken at once.
const BATCH: usize = 64;
/// So often a socket is emptied before the others get their turn.
const TURNS: usize = 16;
/// How long an ended transfer is remembered, so that late packets are known to be late.
const LINGER: Duration = Duration::from_secs(5);
/// A request that comes again after so long a silence is a client that started anew on the same port.
const RESTART: Duration = Duration::from_secs(1);
/// While packets follow each other on one lane, the others are looked at so often.
const LOOK: Duration = Duration::from_millis(1);
/// How long to rest when the system fails.
const REST: Duration = Duration::from_millis(100);

/// A socket and what it is for.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) socket: UdpSocket,
    /// Whether requests are taken here.
    pub(super) listens: bool,
    /// Whether transfers run here.
    pub(super) carries: bool,
    /// Which lane of the worker answers what came here.
    pub(super) answers: usize,
}

/// A way to take packets off a socket.
type Receive = fn(&UdpSocket, &mut Batch) -> Result<usize, slipway_netio::Error>;

/// The worker's state.
pub(super) struct Worker {
    shared: Arc<Shared>,
    waker: Waker,
    sessions: HashMap<SocketAddr, Session>,
    timers: BinaryHeap<Reverse<(Duration, SocketAddr)>>,
    outbox: Outbox,
    /// When the end is, once it is near.
    ends_at: Option<Duration>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, waker: Waker) -> Self {
        let (sessions, timers) = (HashMap::new(), BinaryHeap::new());
        Self { shared, waker, sessions, timers, outbox: Outbox::default(), ends_at: None }
    }

    /// Serves until it is told to stop and the last transfer is over.
    pub(super) fn run(mut self, lanes: &[Lane]) {
        let sockets: Vec<&UdpSocket> = lanes.iter().map(|lane| &lane.socket).collect();
        let mut batch = Batch::new(BATCH, MAX_REQUEST + 1);
        // The lane where the next packet is expected, and when all were last looked at.
        let (mut hot, mut looked_at) = (None, Duration::ZERO);
        loop {
            let now = self.shared.now();
            self.fire(now);
            self.flush(lanes);
            if self.is_done() {
                break;
            }
            if let Some(lane) = hot
                && now < looked_at + LOOK
            {
                hot = hot.filter(|_| self.receive(lane, lanes, &mut batch, UdpSocket::receive_soon));
                continue;
            }
            let patience = if hot.is_some() { Some(Duration::ZERO) } else { self.patience() };
            let ready = match wait(&sockets, &self.waker, patience) {
                Ok(ready) => ready,
                Err(error) => {
                    rest_after(&error);
                    continue;
                }
            };
            looked_at = self.shared.now();
            for (_, lane) in lanes.iter().enumerate().filter(|(place, _)| ready.has(*place)) {
                self.receive(lane, lanes, &mut batch, UdpSocket::receive);
                hot = hot.or(Some(lane).filter(|lane| lane.carries));
            }
        }
        self.abandon_all(lanes);
    }

    /// Takes and answers what has come on one lane, if anything has.
    fn receive(&mut self, lane: &Lane, lanes: &[Lane], batch: &mut Batch, first: Receive) -> bool {
        let mut receive = first;
        for turn in 0..TURNS {
            let count = match receive(&lane.socket, batch) {
                Ok(count) => count,
                Err(error) => {
                    rest_after(&error);
                    return false;
                }
            };
            let now = self.shared.now();
            for datagram in batch.iter() {
                self.hear(now, lane, &datagram);
            }
            self.flush(lanes);
            if count < BATCH {
                return count > 0 || turn > 0;
            }
            receive = UdpSocket::receive;
        }
        true
    }

    fn hear(&mut self, now: Duration, lane: &Lane, datagram: &Received<'_>) {
        match Packet::decode(datagram.data) {
            Ok(Packet::Rrq(request)) if lane.listens => self.hear_request(now, lane, datagram, &request),
            Ok(Packet::Wrq(request)) if lane.listens => {
                let asked = line(&request).replacen("RRQ", "WRQ", 1);
                let site = self.shared.site.load_full();
                let why = may_ask(&site, datagram).and_then(|()| self.shared.limits().request(now, datagram.from.ip()));
                let refusal = Refusal::from(why.err().unwrap_or(Why::Forbidden));
                self.refuse(&site, lane, datagram, asked, refusal);
            }
            Ok(Packet::Ack { block }) => self.hear_reply(now, lane, datagram, Input::Ack(block)),
            Ok(Packet::Error { code, .. }) => self.hear_reply(now, lane, datagram, Input::Error(code)),
            // Nobody asks a server with anything else, and nothing else deserves an answer.
            Ok(_) => {}
            Err(fault) => {
                let site = self.shared.site.load_full();
                if lane.listens && may_ask(&site, datagram).is_ok() {
                    let asked = format!("{} bytes on the TFTP port", datagram.data.len());
                    self.note(&site, datagram, asked, Outcome::Peer(fault.to_string()), None);
                }
            }
        }
    }

    fn hear_request(&mut self, now: Duration, lane: &Lane, datagram: &Received<'_>, request: &Request<'_>) {
        if self.ends_at.is_some() {
            return;
        }
        let site = self.shared.site.load_full();
        let may = may_ask(&site, datagram).and_then(|()| self.shared.limits().request(now, datagram.from.ip()));
        if let Err(why) = may {
            return self.refuse(&site, lane, datagram, line(request), why.into());
        }
        if let Some(session) = self.sessions.get_mut(&datagram.from)
            && session.is_repeated_by(datagram.data)
            && (!session.heard() || now < session.heard_at + RESTART)
        {
            return self.tell(now, datagram.from, Input::Request);
        }
        self.replace(now, datagram.from);
        match accept(&self.shared, &site, now, datagram, request, lane.answers) {
            Ok(mut session) => {
                session.heard_at = now;
                let ended = session.obey(now, &mut self.outbox);
                self.sessions.insert(datagram.from, session);
                self.after(now, datagram.from, ended);
            }
            Err(refusal) => self.refuse(&site, lane, datagram, line(request), refusal),
        }
    }

    /// A client that asks for something else from the same port has given up what it had. What has ended stays in mind: late ACKs
    /// for it are no strangers'.
    fn replace(&mut self, now: Duration, peer: SocketAddr) {
        let before = self.sessions.get_mut(&peer).filter(|session| !session.is_over());
        let given_up = Outcome::Peer("given up for another request from the same port".into());
        let ended = before.map(|session| session.close(now, given_up));
        self.after(now, peer, ended);
    }

    fn hear_reply(&mut self, now: Duration, lane: &Lane, datagram: &Received<'_>, input: Input) {
        if self.sessions.contains_key(&datagram.from) {
            return self.tell(now, datagram.from, input);
        }
        // rfc1350#4: whoever sends to a transfer that is not his learns so; but an ERROR is never answered, nor is port 69 a transfer.
        let stray = !lane.listens && matches!(input, Input::Ack(_));
        if stray && may_ask(&self.shared.site.load(), datagram).is_ok() {
            let packet = error(ErrorCode::UNKNOWN_TID, "no such transfer");
            self.outbox.packet(lane.answers, datagram.from, answer_source(datagram), packet);
        }
    }

    fn tell(&mut self, now: Duration, peer: SocketAddr, input: Input) {
        let Some(session) = self.sessions.get_mut(&peer).filter(|session| !session.is_over()) else { return };
        session.heard_at = now;
        let ended = session.handle(now, input, &mut self.outbox);
        self.after(now, peer, ended);
    }

    /// What follows whenever a transfer has moved: the journal where it ended, and its next timer.
    fn after(&mut self, now: Duration, peer: SocketAddr, ended: Option<Entry>) {
        if let Some(entry) = ended {
            self.over(entry);
        }
        let Some(session) = self.sessions.get_mut(&peer) else { return };
        let due = session.deadline().filter(|_| !session.is_over()).unwrap_or(now + LINGER);
        // A timer that comes too early only looks again: a deadline that moves back at each packet costs nothing.
        if session.scheduled.is_none_or(|scheduled| due < scheduled) {
            session.scheduled = Some(due);
            self.timers.push(Reverse((due, peer)));
        }
    }

    fn over(&self, entry: Entry) {
        if let Some(ip) = entry.ip {
            self.shared.limits().close(ip);
        }
        self.shared.journal.note(entry);
    }

    /// Lets every timer go off that is due.
    fn fire(&mut self, now: Duration) {
        while let Some(Reverse((due, peer))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            let Some(session) = self.sessions.get_mut(&peer).filter(|session| session.scheduled == Some(due)) else {
                continue;
            };
            session.scheduled = None;
            if session.is_over() {
                self.sessions.remove(&peer);
                continue;
            }
            let ended = session.handle(now, Input::Timer, &mut self.outbox);
            self.after(now, peer, ended);
        }
    }

    fn flush(&mut self, lanes: &[Lane]) {
        let sessions = &mut self.sessions;
        self.outbox.flush(lanes, |peer, error| {
            tracing::debug!(%peer, %error, "a TFTP packet could not be sent");
            if let Some(session) = sessions.get_mut(&peer) {
                session.not_sent(&error);
            }
        });
    }

    fn refuse(&mut self, site: &Site, lane: &Lane, datagram: &Received<'_>, asked: String, refusal: Refusal) {
        if let Some((code, text)) = refusal.answer {
            self.outbox.packet(lane.answers, datagram.from, answer_source(datagram), error(code, text));
        }
        self.note(site, datagram, asked, refusal.outcome, refusal.machine);
    }

    fn note(
        &self,
        site: &Site,
        datagram: &Received<'_>,
        asked: String,
        outcome: Outcome,
        machine: Option<Box<(MacAddr, About)>>,
    ) {
        let (mac, about) = machine.map_or((None, About::Other), |machine| (Some(machine.0), machine.1));
        self.shared.journal.note(Entry {
            at: wall_clock(),
            proto: Proto::Tftp,
            mac,
            ip: Some(datagram.from.ip()),
            uuid: None,
            interface: interface_name(site, datagram.ifindex),
            asked,
            about,
            outcome,
        });
    }

    /// How long there is nothing to do unless packets come.
    fn patience(&self) -> Option<Duration> {
        let timer = self.timers.peek().map(|Reverse((due, _))| *due);
        let next = timer.into_iter().chain(self.ends_at).min()?;
        Some(next.saturating_sub(self.shared.now()))
    }

    fn is_done(&mut self) -> bool {
        if !self.shared.stop.load(Ordering::Acquire) {
            return false;
        }
        let now = self.shared.now();
        let ends_at = *self.ends_at.get_or_insert(now + self.shared.drain);
        now >= ends_at || self.sessions.values().all(Session::is_over)
    }

    fn abandon_all(&mut self, lanes: &[Lane]) {
        let now = self.shared.now();
        for (_, mut session) in std::mem::take(&mut self.sessions) {
            if !session.is_over() {
                let outcome = Outcome::Ourselves("the server was stopped during the transfer".into());
                let entry = session.abandon(now, "the server stops", outcome, &mut self.outbox);
                self.over(entry);
            }
        }
        self.flush(lanes);
    }
}

/// The socket failed, not a packet: this may pass, but it must not keep a processor busy.
fn rest_after(error: &slipway_netio::Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    tracing::error!(cause, "TFTP: {error}");
    std::thread::sleep(REST);
}
