//! What is remembered of each machine beyond its leases and its journal: what an operator wants it to boot next, and what its boots
//! taught us. Pure: a memory is a value, changed by commands and by the journal's entries.
//!
//! A memory that knows nothing decides nothing: [`Memory::default`] is every machine that nobody has spoken of.

mod guard;
mod intent;
mod learn;
mod loads;

use std::collections::HashMap;
use std::sync::Arc;

use slipway_wire::MacAddr;
use uuid::Uuid;

use crate::Timestamp;
use crate::enrol::Standings;
use crate::ladder::Worked;

pub use guard::{Guard, Held, Installs, Pass, Secret};
pub use intent::{Aim, Change, Intent, Past};
pub use learn::{Course, expire, learn, matters};
pub use loads::LoaderLoop;

/// What is remembered of one machine.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// The SMBIOS UUID that it told when this was learnt, where it told one. A machine that tells another is another machine.
    pub uuid: Option<Uuid>,
    /// When this changed last.
    pub changed: Timestamp,
    /// What an operator wants it to boot, before any rule.
    pub intent: Option<Intent>,
    /// The last intent for one boot, after its end.
    pub past: Option<Past>,
    /// The installer that it boots or has booted.
    pub installs: Option<Installs>,
    /// The kind of DHCP offer that its firmware takes, where that is not the usual one.
    pub offers: Option<Worked>,
    /// A loader that it is not given for a while: it was loaded over and over, and nothing else was heard.
    pub looping: Option<LoaderLoop>,
}

impl Memory {
    /// The memory of a machine that nobody has spoken of.
    pub const NOTHING: Self = Self {
        uuid: None,
        changed: Timestamp(0),
        intent: None,
        past: None,
        installs: None,
        offers: None,
        looping: None,
    };

    /// Whether there is nothing in it to remember.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self { uuid: self.uuid, changed: self.changed, ..Self::NOTHING }
    }

    /// Whether an operator has spoken of it, or waits to be asked.
    fn is_told(&self) -> bool {
        self.intent.is_some() || self.installs.as_ref().is_some_and(|installs| installs.held.is_some())
    }

    /// Whether it is of a machine that tells this UUID. Who tells none may be any machine.
    #[must_use]
    pub fn is_of(&self, uuid: Option<Uuid>) -> bool {
        match (self.uuid, uuid) {
            (Some(known), Some(told)) => known == told || known.to_bytes_le() == told.into_bytes(),
            _ => true,
        }
    }
}

/// What is remembered of all machines, as one immutable value: it is replaced whole when it changes, so that one packet never sees half
/// of a change.
#[derive(Clone, Debug, Default)]
pub struct Memories {
    by_mac: HashMap<MacAddr, Arc<Memory>>,
    secret: Option<Secret>,
    standings: Arc<Standings>,
}

impl Memories {
    /// Most machines that are remembered.
    pub const MOST: usize = 4096;

    /// No memories yet, with a secret to make passes from.
    #[must_use]
    pub fn with_secret(secret: Secret) -> Self {
        Self { secret: Some(secret), ..Self::default() }
    }

    /// What the org knows of machines. It is the org's, and kept elsewhere.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// The same, to be changed.
    pub fn standings_mut(&mut self) -> &mut Standings {
        Arc::make_mut(&mut self.standings)
    }

    /// What this machine's installer shows when it says that it is done. Without a secret there is none.
    #[must_use]
    pub fn pass(&self, mac: MacAddr, image: &str) -> Option<Pass> {
        let used = self.get(mac).and_then(|memory| memory.installs.as_ref()).map_or(0, |installs| installs.passes);
        Some(Pass::new(self.secret?, mac, image, used))
    }

    /// What is remembered of this machine. A MAC address alone is enough where the machine tells no UUID; where it tells another than the one
    /// that we know, the address has moved to another machine, of which nothing is known.
    #[must_use]
    pub fn of(&self, mac: MacAddr, uuid: Option<Uuid>) -> &Memory {
        static NOTHING: Memory = Memory::NOTHING;
        self.get(mac).filter(|memory| memory.is_of(uuid)).unwrap_or(&NOTHING)
    }

    /// What is remembered under this address, of whatever machine.
    #[must_use]
    pub fn get(&self, mac: MacAddr) -> Option<&Memory> {
        self.by_mac.get(&mac).map(AsRef::as_ref)
    }

    /// Every machine that is remembered, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MacAddr, &Memory)> {
        self.by_mac.iter().map(|(mac, memory)| (*mac, memory.as_ref()))
    }

    /// Remembers this of a machine; a memory that says nothing is no longer kept. Returns the machine that had to be forgotten for it, if
    /// there was no room: of those that no operator spoke of, the one whose memory is oldest.
    pub fn put(&mut self, mac: MacAddr, memory: Memory) -> Option<MacAddr> {
        if memory.is_nothing() {
            self.by_mac.remove(&mac);
            return None;
        }
        self.by_mac.insert(mac, Arc::new(memory));
        if self.by_mac.len() <= Self::MOST {
            return None;
        }
        let others = self.iter().filter(|(other, _)| *other != mac);
        let (oldest, _) = others.min_by_key(|(_, memory)| (memory.is_told(), memory.changed))?;
        self.by_mac.remove(&oldest);
        Some(oldest)
    }
}

#[cfg(test)]
mod tests;
