//! One transfer with what the shell knows about it.

use std::net::SocketAddr;
use std::time::Duration;

use slipway_engine::Why;
use slipway_engine::journal::{About, Entry, Outcome, Proto};
use slipway_engine::tftp::{End, Input, Output, Tally, Terms, Transfer};
use slipway_netio::Source;
use slipway_wire::MacAddr;
use slipway_wire::tftp::{ErrorCode, Packet};

use super::content::Content;
use super::outbox::Outbox;
use crate::journal::now as wall_clock;

/// What was asked, for the journal.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) interface: String,
    /// In one line.
    pub(super) line: String,
    /// Normalised.
    pub(super) path: String,
    /// The machine, where the name told it.
    pub(super) mac: Option<MacAddr>,
    /// What a whole transfer means to the machine's journey, where it is more than a file.
    pub(super) about: Option<About>,
    /// Why the machine is given nothing to boot, where the text says so.
    pub(super) refused: Option<Why>,
}

/// A transfer under way, or one that has ended and only keeps late packets from looking like new ones.
#[derive(Debug)]
pub(super) struct Session {
    lane: usize,
    peer: SocketAddr,
    source: Source,
    asked: Asked,
    /// The request as it came.
    request: Vec<u8>,
    /// None once it has ended.
    content: Option<Content>,
    terms: Terms,
    transfer: Transfer,
    /// When the client last said something.
    pub(super) heard_at: Duration,
    /// The earliest timer that stands for it.
    pub(super) scheduled: Option<Duration>,
    /// Why packets could not be sent, if they could not.
    fault: Option<String>,
}

impl Session {
    #[expect(clippy::too_many_arguments, reason = "every one is a field of its own, set once, here")]
    pub(super) fn new(
        lane: usize,
        peer: SocketAddr,
        source: Source,
        asked: Asked,
        request: Vec<u8>,
        content: Content,
        terms: Terms,
        transfer: Transfer,
    ) -> Self {
        let (heard_at, scheduled, fault) = (Duration::ZERO, None, None);
        let content = Some(content);
        Self { lane, peer, source, asked, request, content, terms, transfer, heard_at, scheduled, fault }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.content.is_none()
    }

    /// Whether a request is this one's, sent again, rather than a new one from the same port.
    pub(super) fn is_repeated_by(&self, request: &[u8]) -> bool {
        !self.is_over() && self.request == request
    }

    /// When it wants to be looked at.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.transfer.deadline()
    }

    /// Whether the client has acknowledged anything.
    pub(super) fn heard(&self) -> bool {
        self.transfer.heard()
    }

    /// Remembers that a packet could not be sent: if nothing else succeeds, that is the reason.
    pub(super) fn not_sent(&mut self, error: &std::io::Error) {
        self.fault = Some(error.to_string());
    }

    /// Lets the machine know, and does what it says. The journal's entry, if that was the end.
    pub(super) fn handle(&mut self, now: Duration, input: Input, outbox: &mut Outbox) -> Option<Entry> {
        self.transfer.handle(now, input);
        self.obey(now, outbox)
    }

    /// Does what the machine says.
    pub(super) fn obey(&mut self, now: Duration, outbox: &mut Outbox) -> Option<Entry> {
        while let Some(output) = self.transfer.poll() {
            match output {
                Output::Oack => {
                    let mut packet = Vec::new();
                    Packet::encode_oack(&self.terms.oack, &mut packet);
                    outbox.packet(self.lane, self.peer, self.source, packet);
                }
                Output::Data(blocks) => match self.content.as_ref().map(|content| content.piece(blocks.bytes())) {
                    Some(Ok(piece)) => outbox.data(self.lane, self.peer, self.source, blocks, piece),
                    Some(Err(error)) => {
                        let outcome = Outcome::Ourselves(format!("the file cannot be read any more: {error}"));
                        return Some(self.abandon(now, "the file cannot be read", outcome, outbox));
                    }
                    None => {}
                },
                Output::End(end) => {
                    let outcome = self.outcome(end, self.transfer.tally(now));
                    return Some(self.close(now, outcome));
                }
            }
        }
        None
    }

    /// Ends it from our side, and tells the client.
    pub(super) fn abandon(&mut self, now: Duration, text: &str, outcome: Outcome, outbox: &mut Outbox) -> Entry {
        outbox.packet(self.lane, self.peer, self.source, error(ErrorCode::UNDEFINED, text));
        self.close(now, outcome)
    }

    /// Ends it without a word.
    pub(super) fn close(&mut self, now: Duration, outcome: Outcome) -> Entry {
        self.content = None;
        let tally = self.transfer.tally(now);
        let whole = matches!(outcome, Outcome::Answered(_)) && !self.is_probe(&tally);
        let sent = if whole { self.transfer.size() } else { tally.acknowledged };
        let file = || About::File { path: self.asked.path.clone(), sent, took: tally.took, whole };
        let about = self.asked.about.clone().filter(|_| whole).unwrap_or_else(file);
        let refused = self.asked.refused.clone().filter(|_| whole);
        Entry {
            at: wall_clock(),
            proto: Proto::Tftp,
            mac: self.asked.mac,
            ip: Some(self.peer.ip()),
            uuid: None,
            interface: self.asked.interface.clone(),
            asked: self.asked.line.clone(),
            about,
            outcome: refused.map_or(outcome, Outcome::Declined),
        }
    }

    /// A client that only wanted to know the size: it ended the transfer before it took any block.
    fn is_probe(&self, tally: &Tally) -> bool {
        !self.terms.oack.is_empty() && !self.transfer.heard() && tally.acknowledged == 0
    }

    fn outcome(&self, end: End, tally: Tally) -> Outcome {
        let size = self.transfer.size();
        let sent = format!("{} of {size} bytes", tally.acknowledged);
        let fault = self.fault.as_ref().map_or(String::new(), |fault| format!(" (sending failed: {fault})"));
        match end {
            End::Done { acknowledged } => {
                let last = if acknowledged { "" } else { ", the last ACK missing" };
                Outcome::Answered(format!("{}{last}", self.summary(size, tally)))
            }
            End::Aborted { .. } if self.is_probe(&tally) => {
                Outcome::Answered(format!("{size} bytes, size probe: the client wanted no more"))
            }
            End::Aborted { code } => Outcome::Peer(format!("aborted after {sent}, with error {code}")),
            End::NoAnswer => Outcome::Peer(format!("never acknowledged anything{fault}")),
            End::Silent => Outcome::Peer(format!("fell silent after {sent}{fault}")),
            End::Stalled => Outcome::Peer(format!(
                "kept asking for the block behind {sent}: blocks of {} bytes may be too large for the path{fault}",
                self.terms.blksize
            )),
        }
    }

    fn summary(&self, size: u64, tally: Tally) -> String {
        let Terms { blksize, windowsize, .. } = self.terms;
        let seconds = tally.took.as_secs_f64();
        let resent = tally.resent;
        format!("{size} bytes in {seconds:.3} s, blksize {blksize} windowsize {windowsize}, {resent} sent again")
    }
}

/// An ERROR packet.
pub(super) fn error(code: ErrorCode, text: &str) -> Vec<u8> {
    let mut packet = Vec::new();
    Packet::Error { code, text: text.as_bytes() }.encode(&mut packet);
    packet
}
