//! What an operator wants of one machine, whatever the rules say of the others.

use core::fmt;

use super::Memory;
use super::guard::Installs;
use crate::Timestamp;
use crate::ladder::Worked;
use crate::rules::{Boot, Then};

/// What a machine is to boot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Aim {
    /// This image.
    Boot(Boot),
    /// iPXE's menu.
    Menu,
    /// Its own disk.
    Local,
}

impl From<&Aim> for Then {
    fn from(aim: &Aim) -> Self {
        match aim {
            Aim::Boot(boot) => Self::Boot(boot.clone()),
            Aim::Menu => Self::Menu,
            Aim::Local => Self::Local,
        }
    }
}

impl fmt::Display for Aim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(Boot { image, version: Some(version), .. }) => write!(f, "{image}@{version}"),
            Self::Boot(Boot { image, .. }) => f.write_str(image),
            Self::Menu => f.write_str("the menu"),
            Self::Local => f.write_str("the local disk"),
        }
    }
}

/// What an operator wants a machine to boot: it goes before every rule but one that says to ignore the machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intent {
    /// What.
    pub aim: Aim,
    /// For one boot only; the rules hold again after it.
    pub once: bool,
    /// When it was said.
    pub since: Timestamp,
    /// Of an intent for one boot: how many boots it was answered in that did not come as far as the image.
    pub attempts: u8,
    /// Of an intent for one boot: when it was last answered.
    pub taken: Option<Timestamp>,
}

impl Intent {
    /// So many boots an intent for one boot is tried in. A machine whose firmware cannot start the image must not be kept from everything
    /// else for ever.
    pub const ATTEMPTS: u8 = 3;
}

/// An intent for one boot that no longer holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    /// What it was.
    pub aim: Aim,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it was fulfilled; otherwise it was given up after [`Intent::ATTEMPTS`] boots.
    pub fulfilled: bool,
}

/// What can be said about a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is to boot this from now on, or once. It may install again, too.
    Boot {
        /// What.
        aim: Aim,
        /// For one boot only.
        once: bool,
    },
    /// It boots by the rules again, and may install again.
    Rules,
    /// It may install again, and is given the boot loader again that it had loaded over and over.
    Release,
    /// Its installer says that it is done.
    Done {
        /// The installer.
        image: String,
    },
    /// Its firmware takes this kind of offer; none is the usual one.
    Offers(Option<Worked>),
    /// All that is remembered of it is forgotten.
    Forget,
}

impl Memory {
    /// The memory after such a word.
    #[must_use]
    pub fn after(&self, change: Change, now: Timestamp) -> Self {
        let before = Self { changed: now, ..self.clone() };
        let released = || self.installs.as_ref().and_then(Installs::released);
        match change {
            Change::Boot { aim, once } => {
                let intent = Some(Intent { aim, once, since: now, attempts: 0, taken: None });
                Self { intent, past: None, installs: released(), looping: None, ..before }
            }
            Change::Rules => Self { intent: None, past: None, installs: released(), looping: None, ..before },
            Change::Release => Self { installs: released(), looping: None, ..before },
            Change::Done { image } => {
                let installs = self.installs.as_ref().unwrap_or(&Installs::default()).done(&image, now);
                // Whoever told this machine to boot its installer has what was wanted.
                let wanted = |intent: &Intent| matches!(&intent.aim, Aim::Boot(boot) if boot.image == image);
                let intent = before.intent.filter(|intent| !wanted(intent));
                Self { installs: Some(installs), intent, ..before }
            }
            Change::Offers(offers) => Self { offers, ..before },
            Change::Forget => Self::NOTHING,
        }
    }

    /// The memory after an intent for one boot has ended.
    pub(super) fn after_intent(&self, fulfilled: bool, at: Timestamp) -> Self {
        let past = self.intent.as_ref().map(|intent| Past { aim: intent.aim.clone(), at, fulfilled });
        Self { intent: None, past, changed: at, ..self.clone() }
    }
}
