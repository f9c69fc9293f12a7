//! What an operator wants of one machine, whatever the rules say of the others.

use core::fmt;

use super::Memory;
use crate::Timestamp;
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
}

/// What can be said about a machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// It is to boot this from now on, or once.
    Boot {
        /// What.
        aim: Aim,
        /// For one boot only.
        once: bool,
    },
    /// It boots by the rules again.
    Rules,
    /// All that is remembered of it is forgotten.
    Forget,
}

impl Memory {
    /// The memory after such a word.
    #[must_use]
    pub fn after(&self, change: Change, now: Timestamp) -> Self {
        let before = self.clone();
        match change {
            Change::Boot { aim, once } => {
                Self { intent: Some(Intent { aim, once, since: now }), changed: now, ..before }
            }
            Change::Rules => Self { intent: None, changed: now, ..before },
            Change::Forget => Self::NOTHING,
        }
    }
}
