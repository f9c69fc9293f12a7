//! M6 has come: M7 out, M6 or M8 in; later M10.

use super::grant::Granted;
use super::prove::Proving;
use super::sign::NeedsSignature;
use super::stop::{Misled, Stop, read};
use crate::frames::{Ask, Installed, Poll, Refused, Reply, TicketTold};
use crate::id::{Digest, OrgId, Time};
use crate::image::Arch;
use crate::key::PublicKey;

/// The machine has a ticket, and asks with it on new connections. Replies come in any order; the counter rises with each question.
#[derive(Clone, Debug)]
pub struct Waiting {
    told: TicketTold,
    counter: u64,
    words: String,
    pub(crate) org: OrgId,
    pub(crate) arch: Arch,
    pub(crate) key: PublicKey,
    pub(crate) ek: Option<Digest>,
    pub(crate) disks: Vec<String>,
    pub(crate) ca_spki: Digest,
    /// What a grant is bound to.
    pub(crate) transcript: Digest,
}

/// What a machine holds a grant against.
#[derive(Clone, Copy, Debug)]
pub struct Expect<'a> {
    /// The org's root, as its image has it.
    pub root: &'a PublicKey,
    /// Now, as [`super::clock`] has it.
    pub now: Time,
    /// The highest epoch of the org's manifest that it remembers; 0 if it remembers none.
    pub epoch: u64,
    /// The lowest preboot version that it remembers; 0 if it remembers none.
    pub floor: u64,
}

/// What a poll was answered.
#[derive(Debug)]
pub enum Answered {
    /// Nobody has decided yet: ask again after so many seconds.
    Wait(u32),
    /// It is granted.
    Granted(Box<Granted>),
    /// No. One that passes is asked again.
    Refused(Refused),
}

impl Waiting {
    pub(crate) fn new(proving: Proving, told: TicketTold) -> Self {
        Self {
            told,
            counter: 0,
            words: proving.words,
            org: proving.start.org,
            arch: proving.start.arch,
            key: proving.key,
            ek: proving.ek,
            disks: proving.disks,
            ca_spki: proving.ca_spki,
            transcript: *proving.transcript.hash(),
        }
    }

    /// What the server said of the ticket.
    #[must_use]
    pub const fn told(&self) -> &TicketTold {
        &self.told
    }

    /// The six words for the console.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }

    /// M7, on this channel.
    #[must_use]
    pub fn poll(&mut self, channel: &[u8; 32]) -> NeedsSignature<()> {
        self.counter = self.counter.saturating_add(1);
        let ask = Ask::Poll(Poll { ticket: self.told.ticket, counter: self.counter });
        NeedsSignature::new(self.key, &ask, &self.transcript, channel, ())
    }

    /// The answer to M7.
    ///
    /// # Errors
    /// The server is not believed.
    pub fn on_reply(&mut self, reply: &[u8], expect: &Expect<'_>) -> Result<Answered, Misled> {
        match read(reply) {
            Err(Stop::Refused(refused)) => Ok(Answered::Refused(refused)),
            Err(Stop::Misled(why)) => Err(why),
            Ok(Reply::Ticket(told)) if told.ticket == self.told.ticket => {
                self.told = told;
                Ok(Answered::Wait(self.told.delay))
            }
            Ok(Reply::Grant(signed)) => Ok(Answered::Granted(Box::new(Granted::open(&signed, self, expect)?))),
            Ok(_) => Err(Misled::NotDue),
        }
    }

    /// M10, on this channel: what was read back from the ESP, and the boot entry.
    #[must_use]
    pub fn installed(&mut self, sha256: Digest, entry: Option<String>, channel: &[u8; 32]) -> NeedsSignature<()> {
        self.counter = self.counter.saturating_add(1);
        let (ticket, counter) = (self.told.ticket, self.counter);
        let ask = Ask::Installed(Installed { ticket, counter, sha256, entry });
        NeedsSignature::new(self.key, &ask, &self.transcript, channel, ())
    }
}
