//! The ladder: firmware that ignores one kind of offer is made the next, and what it takes is remembered.
//!
//! Nothing tells that an offer was ignored but what follows it: the machine asks again although it was answered, or starts anew without
//! having come for its file. That is counted, never guessed from who it is, so that firmware which takes the first offer stays with
//! it. Every rung is an offer that good firmware takes too: to climb for nothing (a bad cable, a blocked port) costs nothing, and above
//! the last rung is the first.
//!
//! Pure: [`Ladder::stand`] says on which rung a DISCOVER is answered, [`Ladder::heed`] takes in what came of every packet.

mod book;

use core::fmt;
use core::time::Duration;

use slipway_wire::ClientArch;

use crate::journal::{About, DhcpMessage, Entry, Outcome, Proto};
use crate::request::{BootRequest, Exchange, Firmware, Loader};
use crate::{Timestamp, Why};

pub use book::Ladders;

/// Offers in a row that are ignored before another kind is made: one may be lost.
pub const PATIENCE: u8 = 2;
/// DISCOVERs closer together than this are one: U-Boot sends four within a second, each with an xid of its own, and two relays
/// may pass on one packet.
const BURST: Duration = Duration::from_secs(3);
/// The same xid after a longer pause is another attempt: edk2 and Intel's ROM pause for 4, 8 and 16 s, and some ROMs make their xid of
/// the MAC address, the same at each power-on.
const LONGEST_PAUSE: Duration = Duration::from_secs(40);

/// A kind of offer.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Rung {
    /// What most firmware takes: as the table of [quirks](crate::quirks) says without anything more.
    #[default]
    Plain,
    /// Option 60 and no 43: the client asks our port 4011 for its boot file.
    BootServer,
    /// Option 60, and `43 = 06 01 08 ff`: the boot file is in this packet.
    ThisFile,
    /// The plain offer of another loader: iPXE instead of the image itself, or its other build.
    OtherLoader,
}

impl Rung {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::BootServer, Self::ThisFile, Self::OtherLoader];

    /// The name in journal and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::BootServer => "boot-server",
            Self::ThisFile => "this-file",
            Self::OtherLoader => "other-loader",
        }
    }

    /// What is different on it, in a few words.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Plain => "the usual offer",
            Self::BootServer => "option 60 without 43: it asks port 4011",
            Self::ThisFile => "option 60 with 43.6 = 8: the boot file is in the offer",
            Self::OtherLoader => "another loader",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a ladder leans on: who asks, and whether we give the address. Each has rungs of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Ground {
    /// UEFI PXE that we give the address.
    Uefi,
    /// UEFI PXE beside another DHCP server.
    UefiBeside,
    /// A BIOS PXE ROM that we give the address.
    Bios,
    /// A BIOS PXE ROM beside another DHCP server.
    BiosBeside,
}

impl Ground {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Uefi, Self::UefiBeside, Self::Bios, Self::BiosBeside];

    /// The ground of a DISCOVER. Only PXE has a ladder: UEFI HTTP Boot, iPXE and U-Boot each take one kind of offer.
    #[must_use]
    pub const fn of(loader: Loader, arch: ClientArch, exchange: Exchange) -> Option<Self> {
        if !matches!(loader, Loader::Pxe) {
            return None;
        }
        match (Firmware::of(loader, arch), exchange) {
            (Some(Firmware::Uefi(_)), Exchange::Dhcp) => Some(Self::Uefi),
            (Some(Firmware::Uefi(_)), Exchange::ProxyDhcp) => Some(Self::UefiBeside),
            (Some(Firmware::Bios), Exchange::Dhcp) => Some(Self::Bios),
            (Some(Firmware::Bios), Exchange::ProxyDhcp) => Some(Self::BiosBeside),
            _ => None,
        }
    }

    /// Its name in journal and store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uefi => "uefi",
            Self::UefiBeside => "uefi-beside",
            Self::Bios => "bios",
            Self::BiosBeside => "bios-beside",
        }
    }

    /// Its rungs, lowest first. Beside another server the plain offer is UEFI's way over port 4011 already, and a BIOS ROM's "use this
    /// file": what comes next is the other. There is one loader for a BIOS.
    #[must_use]
    pub const fn rungs(self) -> &'static [Rung] {
        match self {
            Self::Uefi => &[Rung::Plain, Rung::BootServer, Rung::ThisFile, Rung::OtherLoader],
            Self::UefiBeside => &[Rung::Plain, Rung::ThisFile, Rung::OtherLoader],
            Self::Bios => &[Rung::Plain, Rung::ThisFile, Rung::BootServer],
            Self::BiosBeside => &[Rung::Plain, Rung::BootServer],
        }
    }

    const fn gives_address(self) -> bool {
        matches!(self, Self::Uefi | Self::Bios)
    }

    /// The rung above, or the first one above the last.
    fn above(self, rung: Rung) -> Rung {
        let mut rest = self.rungs().iter().skip_while(|known| **known != rung).skip(1);
        rest.next().copied().unwrap_or_default()
    }
}

/// How we know that an offer was ignored.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Ignored {
    /// It went on asking although it had been answered.
    AskedAgain,
    /// It started anew, and had not taken the offer.
    StartedAnew,
    /// It took an address, and never came for the boot file.
    AddressOnly,
    /// It asked port 4011, was answered, and never came for the boot file.
    NoFile,
}

impl Ignored {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AskedAgain, Self::StartedAnew, Self::AddressOnly, Self::NoFile];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::AskedAgain => "asked-again",
            Self::StartedAnew => "started-anew",
            Self::AddressOnly => "address-only",
            Self::NoFile => "no-file",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AskedAgain => "it went on asking although it was answered",
            Self::StartedAnew => "it started anew without having taken the offer",
            Self::AddressOnly => "it took an address and never came for the boot file",
            Self::NoFile => "it asked port 4011, was answered, and never came for the boot file",
        })
    }
}

/// Where on its ladder a machine is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Footing {
    /// The kind of offer.
    pub rung: Rung,
    /// Why it is another kind than the last one, if it is.
    pub climbed: Option<Ignored>,
    /// The DISCOVER's transaction: what tells a repeat from a new attempt.
    pub xid: u32,
}

/// What an answer says of it behind its boot file; nothing where it is the usual offer, as ever.
impl fmt::Display for Footing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.rung, self.climbed) {
            (rung, Some(why)) => write!(f, ", now offered as {rung}: {why}"),
            (Rung::Plain, None) => Ok(()),
            (rung, None) => write!(f, ", offered as {rung}"),
        }
    }
}

/// What worked for a machine that does not take the usual offer: it is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Worked {
    /// Where.
    pub ground: Ground,
    /// The kind of offer that it took: never [`Rung::Plain`].
    pub rung: Rung,
    /// What showed that it ignores the kind before.
    pub because: Ignored,
    /// When it loaded its boot file by this kind of offer for the first time.
    pub since: Timestamp,
}

/// How far an attempt to boot has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Reached {
    Offer,
    /// It took an address: ours, or beside another server that one's.
    Address,
    BootServer,
    /// It took another server's offer where we give addresses too, or it came for its file: not ignored.
    End,
}

/// One attempt of the firmware to boot: from its first DISCOVER to what came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Attempt {
    ground: Ground,
    xid: u32,
    last: Timestamp,
    reached: Reached,
    /// What it was told to load.
    what: String,
}

/// Where one machine stands. It lives as long as the process; what worked lives longer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ladder {
    rung: Rung,
    attempt: Option<Attempt>,
    /// Offers on this rung that were ignored in a row.
    ignored: u8,
    /// Why it was led here.
    because: Option<Ignored>,
    /// How often all rungs were in vain.
    rounds: u32,
}

impl Ladder {
    /// The ladder of a machine that has not asked yet.
    const NEW: Self = Self { rung: Rung::Plain, attempt: None, ignored: 0, because: None, rounds: 0 };

    /// When it was last made an offer.
    fn heard(&self) -> Timestamp {
        self.attempt.as_ref().map_or(Timestamp(0), |attempt| attempt.last)
    }

    /// The rung on which it is answered, or was last.
    #[must_use]
    pub const fn rung(&self) -> Rung {
        self.rung
    }

    /// Why it stands where it does, if it was led there in this process' life.
    #[must_use]
    pub const fn because(&self) -> Option<Ignored> {
        self.because
    }

    /// How often it ignored every kind of offer, one after the other.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// On which rung a DISCOVER with this `xid` is answered; whatever follows it is answered there too ([`Ladder::stays`]). `None`: there
    /// is no ladder for who asks.
    #[must_use]
    pub fn stand(&self, asked: &BootRequest, xid: u32, worked: Option<&Worked>, now: Timestamp) -> Option<Footing> {
        let ground = Ground::of(asked.loader, asked.arch, asked.exchange)?;
        Some(self.on(ground, worked).answered(ground, xid, now))
    }

    /// On which rung it is answered when it goes on: a REQUEST, and whatever comes to port 4011.
    #[must_use]
    pub fn stays(&self, asked: &BootRequest, xid: u32, worked: Option<&Worked>) -> Option<Footing> {
        if asked.loader != Loader::Pxe {
            return None;
        }
        let rung = match (&self.attempt, Ground::of(asked.loader, asked.arch, asked.exchange)) {
            (_, Some(ground)) => self.on(ground, worked).rung,
            (Some(_), None) => self.rung,
            (None, None) => worked.map_or(Rung::Plain, |worked| worked.rung),
        };
        Some(Footing { rung, climbed: None, xid })
    }

    /// The ladder as it stands on this ground: another ground is another ladder.
    fn on(&self, ground: Ground, worked: Option<&Worked>) -> Self {
        match &self.attempt {
            Some(attempt) if attempt.ground == ground => self.clone(),
            _ => {
                let known = worked.filter(|worked| worked.ground == ground && ground.rungs().contains(&worked.rung));
                Self { rung: known.map_or(Rung::Plain, |worked| worked.rung), ..Self::default() }
            }
        }
    }

    fn answered(&self, ground: Ground, xid: u32, now: Timestamp) -> Footing {
        match self.judge(xid, now) {
            Some(why) if self.ignored.saturating_add(1) >= PATIENCE => {
                Footing { rung: ground.above(self.rung), climbed: Some(why), xid }
            }
            _ => Footing { rung: self.rung, climbed: None, xid },
        }
    }

    /// Whether a DISCOVER shows that the last offer was ignored.
    fn judge(&self, xid: u32, now: Timestamp) -> Option<Ignored> {
        let attempt = self.attempt.as_ref()?;
        let pause = now.since(attempt.last);
        if pause < BURST {
            return None;
        }
        let gives_address = attempt.ground.gives_address();
        if attempt.xid == xid && pause <= LONGEST_PAUSE {
            // Beside another server, it may be that one's answer which it waits for.
            return (gives_address && attempt.reached == Reached::Offer).then_some(Ignored::AskedAgain);
        }
        match attempt.reached {
            Reached::Offer => gives_address.then_some(Ignored::StartedAnew),
            Reached::Address => Some(Ignored::AddressOnly),
            Reached::BootServer => Some(Ignored::NoFile),
            Reached::End => None,
        }
    }

    /// Takes in what came of a packet or a transfer of this machine. What it takes, if it is not what is remembered already: `Some(None)`
    /// is the usual offer.
    pub fn heed(&mut self, entry: &Entry, worked: Option<&Worked>) -> Option<Option<Worked>> {
        match &entry.about {
            About::Dhcp { message: DhcpMessage::Discover, loader, arch, boot: Some(given), .. }
                if matches!(entry.outcome, Outcome::Answered(_)) =>
            {
                let ground = Ground::of(*loader, *arch, exchange(entry.proto)?)?;
                self.offered(ground, given.footing?, given.what.clone(), worked, entry.at);
                None
            }
            About::Dhcp { message: DhcpMessage::Request, loader: Loader::Pxe, .. } => {
                self.reach(taken(entry)?);
                None
            }
            About::Dhcp { loader: Loader::Pxe, .. } if entry.proto == Proto::BootServer4 => {
                self.reach(Reached::BootServer);
                None
            }
            About::File { path, whole, .. } => self.fetched(path, *whole, worked, entry.at),
            _ => None,
        }
    }

    fn offered(&mut self, ground: Ground, footing: Footing, what: String, worked: Option<&Worked>, now: Timestamp) {
        let mut next = self.on(ground, worked);
        let (xid, ignored) = (footing.xid, next.judge(footing.xid, now));
        next.rung = footing.rung;
        match (footing.climbed, ignored) {
            (Some(why), _) => {
                next.rounds = next.rounds.saturating_add(u32::from(footing.rung == Rung::Plain));
                (next.ignored, next.because) = (0, Some(why));
            }
            (None, Some(_)) => next.ignored = next.ignored.saturating_add(1),
            (None, None) => {}
        }
        let same = next.attempt.as_ref().filter(|attempt| is_same(attempt, xid, now));
        let reached = same.map_or(Reached::Offer, |attempt| attempt.reached);
        next.attempt = Some(Attempt { ground, xid, last: now, reached, what });
        *self = next;
    }

    fn reach(&mut self, reached: Reached) {
        if let Some(attempt) = &mut self.attempt {
            attempt.reached = attempt.reached.max(reached);
        }
    }

    fn fetched(&mut self, path: &str, whole: bool, worked: Option<&Worked>, now: Timestamp) -> Option<Option<Worked>> {
        let attempt = self.attempt.as_mut().filter(|attempt| attempt.what == path)?;
        attempt.reached = Reached::End;
        let ground = attempt.ground;
        self.ignored = 0;
        if !whole {
            return None;
        }
        self.rounds = 0;
        let known = worked.filter(|worked| worked.ground == ground).map_or(Rung::Plain, |worked| worked.rung);
        let because = self.because.unwrap_or(Ignored::StartedAnew);
        let takes = Worked { ground, rung: self.rung, because, since: now };
        (known != self.rung).then_some((self.rung != Rung::Plain).then_some(takes))
    }
}

/// Whether a DISCOVER belongs to this attempt.
fn is_same(attempt: &Attempt, xid: u32, now: Timestamp) -> bool {
    let pause = now.since(attempt.last);
    pause < BURST || (attempt.xid == xid && pause <= LONGEST_PAUSE)
}

/// What a REQUEST shows. Beside another server it is for that one, and says that the machine has an address now.
const fn taken(entry: &Entry) -> Option<Reached> {
    match (entry.proto, &entry.outcome) {
        (Proto::Dhcp4, Outcome::Answered(_)) => Some(Reached::Address),
        (Proto::Dhcp4, Outcome::Declined(Why::OtherServer)) => Some(Reached::End),
        (Proto::Proxy4, _) => Some(Reached::Address),
        (Proto::BootServer4, Outcome::Answered(_)) => Some(Reached::BootServer),
        _ => None,
    }
}

const fn exchange(proto: Proto) -> Option<Exchange> {
    match proto {
        Proto::Dhcp4 => Some(Exchange::Dhcp),
        Proto::Proxy4 => Some(Exchange::ProxyDhcp),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
