//! One file on its way to one client, over a network that loses, doubles and reorders.
//!
//! The machine counts *items*: item 0 is the OACK where there is one, item `n` is block `n` of the file. Its numbers are 64 bits wide
//! and never wrap; only the 16 bits that travel do.
//!
//! What is odd here, and for whom:
//! - A client drops every block after a gap (RFC 7440 §4), so after a gap everything is sent again from there: a window at 30 % loss
//!   would be sent thirty times over. So no more is sent in one burst than has lately arrived between two losses; what is left of
//!   the window follows when the round trip has passed without a word. Without losses, a burst is the whole window.
//! - edk2 acknowledges *every* block behind a gap, with the same number. Only the first such repeat is a reason to send again, and
//!   only where the gap has not been answered already; otherwise windows multiply without end.
//! - With a window of 1, a repeated ACK is never answered with DATA (the Sorcerer's Apprentice, rfc1123#4.2.3.1).
//! - Until the client's first ACK its address may be forged: one packet at a time, and few of them.

use core::ops::Range;
use core::time::Duration;

use slipway_wire::tftp::ErrorCode;

use super::negotiate::Terms;
use super::round_trip::RoundTrip;

/// How often the first packet is sent again while nothing at all has come back.
const TRIES_BEFORE_FIRST_ACK: u32 = 3;
/// A client that says nothing for so long is gone: edk2 and U-Boot would have spoken every 4 to 5 s.
const SILENCE: Duration = Duration::from_secs(16);
/// A client that speaks but takes no block for so long will never take one (blocks too large for a path, for instance).
const STALL: Duration = Duration::from_secs(60);
/// How many blocks are taken to have arrived before the first loss.
const HOPE: u64 = 16;
/// Where fewer than so many blocks arrive between two losses, one is sent at a time: of two, the second is most often dropped.
const FEW: u64 = 4;
/// After so many losses, older ones count half.
const MEMORY: u64 = 16;
/// So many bursts follow each other without a word before the rest of the window is slowed down.
const UNHEARD: u64 = 3;
/// How slow that may become.
const KNOCKING: Duration = Duration::from_millis(500);

/// What happens to a transfer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Input {
    /// The client acknowledges.
    Ack(u16),
    /// The client ends it: normal, after edk2's and iPXE's size probes.
    Error(ErrorCode),
    /// The client sends the same request again, from the same port: it has not heard us yet.
    Request,
    /// The deadline has passed. Harmless if it has not.
    Timer,
}

/// What a transfer wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Send the OACK.
    Oack,
    /// Send these blocks.
    Data(Blocks),
    /// It is over; nothing follows.
    End(End),
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// Every block was sent. The last ACK may be missing: a client that has jumped into the program it loaded does not say so.
    Done {
        /// Whether the last ACK came.
        acknowledged: bool,
    },
    /// The client ended it.
    Aborted {
        /// With this code.
        code: ErrorCode,
    },
    /// The client never acknowledged anything.
    NoAnswer,
    /// The client stopped acknowledging in the midst of it.
    Silent,
    /// The client kept acknowledging the same block.
    Stalled,
}

/// Consecutive blocks of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Blocks {
    first: u64,
    end: u64,
    blksize: u16,
    size: u64,
}

/// One block of the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    /// The number that travels: 65535 is followed by 0.
    pub number: u16,
    /// Where its bytes begin in the file.
    pub at: u64,
    /// How many bytes it has: 0 to `blksize`.
    pub len: usize,
}

impl Blocks {
    /// The blocks in order.
    pub fn iter(&self) -> impl Iterator<Item = Block> + use<> {
        let Self { first, end, blksize, size } = *self;
        (first..end).map(move |index| {
            let at = index.saturating_sub(1).saturating_mul(blksize.into());
            let len = size.saturating_sub(at).min(blksize.into());
            Block { number: low(index), at, len: usize::try_from(len).unwrap_or_default() }
        })
    }

    /// The bytes of the file that they cover.
    #[must_use]
    pub fn bytes(&self) -> Range<u64> {
        let blksize = u64::from(self.blksize);
        let from = self.first.saturating_sub(1).saturating_mul(blksize);
        from.min(self.size)..self.end.saturating_sub(1).saturating_mul(blksize).min(self.size)
    }
}

/// What it took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Bytes of the file that were acknowledged.
    pub acknowledged: u64,
    /// Packets sent: blocks and OACKs.
    pub packets: u64,
    /// How many of them were sent before.
    pub resent: u64,
    /// From the request to the end (or to now).
    pub took: Duration,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Transfer {
    blksize: u16,
    window: u64,
    wish: Option<Duration>,
    size: u64,
    /// The last block, which is shorter than a full one.
    last: u64,
    /// The first item that is not acknowledged.
    base: u64,
    /// The next item to send in this pass over the window.
    next: u64,
    /// One past the highest item ever sent.
    highest: u64,
    /// Whether the client has acknowledged anything.
    heard: bool,
    /// Whether the gap at `base` has been answered.
    answered: bool,
    /// When `base` was last sent.
    pass_at: Duration,
    /// The last items sent, if they were sent only once, and when: what the round trip is measured by (Karn's rule).
    mark: Option<(Range<u64>, Duration)>,
    trip: RoundTrip,
    /// When something was last sent, and whether that ended a silence.
    sent_at: Duration,
    broke_silence: bool,
    back_off: u32,
    tries: u32,
    deadline: Duration,
    started: Duration,
    spoken_at: Duration,
    progress_at: Duration,
    /// Blocks that arrived, and losses among them, of late.
    arrived: u64,
    losses: u64,
    outbox: Range<u64>,
    end: Option<End>,
    told: bool,
    tally: Tally,
}

impl Transfer {
    /// Begins a transfer of a file of `size` bytes: the first packet is there to [`poll`](Self::poll).
    #[must_use]
    pub fn new(now: Duration, terms: &Terms, size: u64) -> Self {
        let first = if terms.oack.is_empty() { 1 } else { 0 };
        let mut transfer = Self {
            blksize: terms.blksize,
            window: terms.windowsize.max(1).into(),
            wish: terms.timeout,
            size,
            last: size / u64::from(terms.blksize.max(1)) + 1,
            base: first,
            next: first,
            highest: first,
            heard: false,
            answered: false,
            pass_at: now,
            mark: None,
            trip: RoundTrip::default(),
            sent_at: now,
            broke_silence: false,
            back_off: 0,
            tries: 0,
            deadline: now,
            started: now,
            spoken_at: now,
            progress_at: now,
            arrived: HOPE,
            losses: 0,
            outbox: 0..0,
            end: None,
            told: false,
            tally: Tally::default(),
        };
        transfer.send_again(now, 1);
        transfer
    }

    /// Takes in what happened. Times must not run backwards; [`poll`](Self::poll) afterwards.
    pub fn handle(&mut self, now: Duration, input: Input) {
        if self.end.is_some() {
            return;
        }
        match input {
            Input::Ack(number) => self.on_ack(now, number),
            Input::Error(code) => self.finish(now, End::Aborted { code }),
            Input::Request if !self.heard => {
                self.spoken_at = now;
                self.send_again(now, 1);
            }
            Input::Request => {}
            Input::Timer if now >= self.deadline => self.on_deadline(now),
            Input::Timer => {}
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(end) = self.end {
            return if core::mem::replace(&mut self.told, true) { None } else { Some(Output::End(end)) };
        }
        let Range { start, end } = core::mem::take(&mut self.outbox);
        match start {
            _ if start >= end => None,
            0 => Some(Output::Oack),
            first => Some(Output::Data(Blocks { first, end, blksize: self.blksize, size: self.size })),
        }
    }

    /// When to say [`Input::Timer`]; none once it is over.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.end.is_none().then_some(self.deadline)
    }

    /// What it has taken so far.
    #[must_use]
    pub fn tally(&self, now: Duration) -> Tally {
        let acknowledged = self.base.saturating_sub(1).saturating_mul(self.blksize.into()).min(self.size);
        let took = if self.end.is_some() { self.tally.took } else { now.saturating_sub(self.started) };
        Tally { acknowledged, took, ..self.tally }
    }

    /// Whether the client has acknowledged anything: before that, its address may be forged.
    #[must_use]
    pub const fn heard(&self) -> bool {
        self.heard
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    fn on_ack(&mut self, now: Duration, number: u16) {
        // The number's 16 bits name one item in reach of the window: `ahead` items from `base` on are acknowledged.
        let ahead = u64::from(number.wrapping_sub(low(self.base)).wrapping_add(1));
        if ahead > self.highest.saturating_sub(self.base) {
            return;
        }
        self.measure(now, ahead);
        if ahead > 0 {
            self.on_progress(now, ahead);
        } else if self.heard {
            self.on_repeat(now);
        }
    }

    /// Takes in how long the answer took, where it is plain what it answers.
    fn measure(&mut self, now: Duration, ahead: u64) {
        let measured = self.mark.as_ref().filter(|(items, _)| ahead > 0 && items.contains(&(self.base + ahead - 1)));
        let soon = now.saturating_sub(self.sent_at);
        if let Some((_, at)) = measured {
            self.trip.sample(now.saturating_sub(*at));
        } else if self.broke_silence && self.trip.is_far_above(soon) {
            self.trip.sample(soon);
        }
    }

    fn on_progress(&mut self, now: Duration, ahead: u64) {
        self.arrived += ahead;
        self.base += ahead;
        (self.heard, self.spoken_at, self.progress_at) = (true, now, now);
        (self.back_off, self.tries, self.answered) = (0, 0, false);
        if self.base > self.last {
            return self.finish(now, End::Done { acknowledged: true });
        }
        if self.base >= self.next {
            self.send_again(now, self.burst());
        } else if now >= self.pass_at + self.trip.shortest() {
            self.count_loss();
            self.answered = true;
            self.send_again(now, self.burst());
        } else {
            // Too early to be about this pass: what it misses is on its way again already.
            self.send(now, self.next, (self.base + self.burst()).saturating_sub(self.next));
        }
    }

    /// The client has nothing new: it saw a gap, or it grew impatient, or the network doubled its ACK.
    fn on_repeat(&mut self, now: Duration) {
        self.spoken_at = now;
        if self.window > 1 && !self.answered && now >= self.pass_at + self.trip.shortest() {
            self.count_loss();
            self.answered = true;
            self.send_again(now, self.burst());
        } else {
            self.deadline = self.deadline.min(now + self.trip.patience(0, self.wish));
        }
    }

    fn on_deadline(&mut self, now: Duration) {
        if now.saturating_sub(self.spoken_at) >= SILENCE {
            return self.finish(now, self.end_in_silence());
        }
        if !self.heard && self.tries >= TRIES_BEFORE_FIRST_ACK {
            // What we sent may have arrived, and the client's answer been lost: it has its own timer.
            self.deadline = self.spoken_at + SILENCE;
            return;
        }
        if now.saturating_sub(self.progress_at) >= STALL {
            return self.finish(now, End::Stalled);
        }
        self.answered = false;
        if self.heard && self.next < self.reach() {
            // The burst has arrived, or its end is lost: what follows is news to the client or makes it say what it misses.
            // The longer the silence, the less of it at once.
            let burst = (self.burst() >> self.tries.min(16)).max(1);
            if self.next - self.base < burst * UNHEARD {
                return self.send(now, self.next, burst);
            }
            // More than is likely to have arrived: no ACK gets through, or the client is mute until its own timer.
            if self.trip.patience(self.back_off, None) < KNOCKING {
                self.back_off += 1;
            }
            return self.send(now, self.next, (burst / 2).max(1));
        }
        self.count_loss();
        self.tries += 1;
        self.back_off += 1;
        self.send_again(now, 1);
    }

    fn end_in_silence(&self) -> End {
        match self.heard {
            false => End::NoAnswer,
            true if self.highest > self.last => End::Done { acknowledged: false },
            true => End::Silent,
        }
    }

    fn count_loss(&mut self) {
        self.losses += 1;
        if self.losses > MEMORY {
            self.losses /= 2;
            self.arrived /= 2;
        }
    }

    /// How many blocks to send at once: as many as arrive between two losses.
    fn burst(&self) -> u64 {
        match self.arrived.checked_div(self.losses) {
            None => self.window,
            Some(0..FEW) => 1,
            Some(run) => run.min(self.window),
        }
    }

    /// One past the last item that may be sent now.
    fn reach(&self) -> u64 {
        let window = if self.heard { self.window } else { 1 };
        (self.base + window).min(self.last + 1)
    }

    /// Sends from the first unacknowledged item on.
    fn send_again(&mut self, now: Duration, count: u64) {
        self.pass_at = now;
        self.outbox = 0..0;
        self.send(now, self.base, count);
    }

    fn send(&mut self, now: Duration, from: u64, count: u64) {
        let to = (from + count).min(self.reach());
        let broke_silence = now >= self.deadline;
        self.deadline = now + self.trip.patience(self.back_off, self.wish);
        if from >= to {
            return;
        }
        let resent = to.min(self.highest).saturating_sub(from);
        self.tally.packets += to - from;
        self.tally.resent += resent;
        let fresh = from.max(self.highest)..to;
        self.mark = if fresh.is_empty() { None } else { Some((fresh, now)) };
        self.highest = self.highest.max(to);
        self.next = to;
        (self.sent_at, self.broke_silence) = (now, broke_silence);
        let joins = !self.outbox.is_empty() && self.outbox.end == from;
        self.outbox = if joins { self.outbox.start..to } else { from..to };
    }

    fn finish(&mut self, now: Duration, end: End) {
        self.tally.took = now.saturating_sub(self.started);
        self.end = Some(end);
    }
}

/// The bits of an item's number that travel.
fn low(item: u64) -> u16 {
    u16::try_from(item & 0xffff).unwrap_or_default()
}
