//! TFTP clients as they are found in firmware, as models.

use std::time::Duration;

use slipway_engine::tftp::Terms;

/// How a client behaves where the RFCs leave it a choice, or where it does not care what they say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// edk2: acknowledges every block that is not the expected one with the last in order. 4 s, six times.
    Edk2,
    /// RFC 7440: one ACK for a gap, after which it waits for the rest of the burst to pass; silence about blocks that it has. 1 s,
    /// ten times.
    Rfc7440,
    /// As RFC 7440, but it tells a gap only once: then it says nothing until it gets the block that it misses, or its timer goes off.
    Mute,
    /// A boot ROM: acknowledges each block by its own number, also one that it has already. 1 s, ten times.
    Rom,
}

impl Kind {
    fn patience(self) -> (Duration, u32) {
        match self {
            Self::Edk2 => (Duration::from_secs(4), 6),
            Self::Rfc7440 | Self::Mute | Self::Rom => (Duration::from_secs(1), 10),
        }
    }
}

/// What comes within this time after a gap was told is the rest of the same burst.
const BURST: Duration = Duration::from_millis(10);

/// A packet from the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    Request,
    Ack(u16),
}

/// A packet to the client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Heard {
    Oack,
    Data(u16, Vec<u8>),
}

/// What became of the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    Loading,
    /// It has what it takes for the whole file.
    Booted,
    GaveUp,
}

pub struct Client {
    kind: Kind,
    blksize: usize,
    window: u64,
    options: bool,
    /// Blocks received in order.
    pub blocks: u64,
    /// Blocks received since the last ACK.
    unacknowledged: u64,
    gap_told: Option<Duration>,
    last_said: Said,
    tries: u32,
    pub deadline: Duration,
    pub file: Vec<u8>,
    pub fate: Fate,
}

impl Client {
    pub fn new(kind: Kind, terms: &Terms) -> Self {
        Self {
            kind,
            blksize: terms.blksize.into(),
            window: terms.windowsize.into(),
            options: !terms.oack.is_empty(),
            blocks: 0,
            unacknowledged: 0,
            gap_told: None,
            last_said: Said::Request,
            tries: 0,
            deadline: kind.patience().0,
            file: Vec::new(),
            fate: Fate::Loading,
        }
    }

    pub fn hear(&mut self, now: Duration, packet: Heard) -> Option<Said> {
        let answer = match packet {
            _ if self.fate == Fate::GaveUp => None,
            Heard::Oack if self.options && self.blocks == 0 => Some(Said::Ack(0)),
            Heard::Oack => None,
            Heard::Data(number, data) => self.hear_block(now, number, &data),
        };
        if let Some(said) = answer {
            self.last_said = said;
            self.deadline = now + self.kind.patience().0;
        }
        answer
    }

    fn hear_block(&mut self, now: Duration, number: u16, data: &[u8]) -> Option<Said> {
        if self.options && self.last_said == Said::Request {
            return None;
        }
        let have = self.blocks as u16;
        let ahead = number.wrapping_sub(have);
        if ahead == 1 && self.fate == Fate::Loading {
            return self.take(data);
        }
        let is_new = (2..0x8000).contains(&ahead);
        match self.kind {
            Kind::Rom if is_new => None,
            Kind::Rom => Some(Said::Ack(number)),
            Kind::Edk2 => Some(Said::Ack(have)),
            Kind::Rfc7440 | Kind::Mute if is_new && self.may_tell_gap(now) => {
                self.gap_told = Some(now);
                self.unacknowledged = 0;
                Some(Said::Ack(have))
            }
            // RFC 1350; and after the end, the last ACK was lost.
            Kind::Rfc7440 | Kind::Mute if self.fate == Fate::Booted || self.window == 1 => Some(Said::Ack(have)),
            Kind::Rfc7440 | Kind::Mute => None,
        }
        .inspect(|_| self.unacknowledged = 0)
    }

    fn may_tell_gap(&self, now: Duration) -> bool {
        self.gap_told.is_none_or(|told| self.kind != Kind::Mute && now >= told + BURST)
    }

    fn take(&mut self, data: &[u8]) -> Option<Said> {
        self.file.extend_from_slice(data);
        self.blocks += 1;
        self.unacknowledged += 1;
        self.gap_told = None;
        self.tries = 0;
        if data.len() < self.blksize {
            self.fate = Fate::Booted;
        }
        if self.unacknowledged < self.window && self.fate == Fate::Loading {
            return None;
        }
        self.unacknowledged = 0;
        Some(Said::Ack(self.blocks as u16))
    }

    /// The client's own timer. It does not look at it again once it has booted.
    pub fn wake(&mut self, now: Duration) -> Option<Said> {
        let (patience, tries) = self.kind.patience();
        self.deadline = now + patience;
        self.tries += 1;
        self.unacknowledged = 0;
        self.gap_told = None;
        if self.tries > tries {
            self.fate = Fate::GaveUp;
        } else if self.last_said != Said::Request {
            self.last_said = Said::Ack(self.blocks as u16);
        }
        (self.fate == Fate::Loading).then_some(self.last_said)
    }
}
