//! How a boot stands.

use core::fmt;
use core::time::Duration;

use crate::Why;
use crate::decide::ENROLMENT;
use crate::journal::Outcome;

/// How a boot stands, by its last entry that says anything about that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// The machine has not asked to be booted.
    Idle,
    /// The firmware was offered something to load, and has not taken the offer yet.
    Offered {
        /// A path, a URL.
        what: String,
    },
    /// It is loading something, as far as we know: transfers are noted when they end.
    Loading {
        /// A path, a URL, or words.
        what: String,
    },
    /// It has our boot loader, which has not asked for anything yet.
    Chained {
        /// The loader's path.
        loader: String,
    },
    /// It has all of what it was to start, and has not reported in yet. Only our agent does.
    Started {
        /// The last file of it.
        what: String,
    },
    /// The booted system has reported in.
    Booted {
        /// How long after the first request; not known where the journal does not go back that far.
        after: Option<Duration>,
    },
    /// It was told of a network disk: what it does there is not heard here.
    Attached {
        /// The disk's root path.
        root: String,
    },
    /// A rule left it to its own disk.
    Local {
        /// That rule.
        rule: String,
    },
    /// Its installer has said that it is done, and it was left to its own disk.
    Installed {
        /// The installer.
        image: String,
    },
    /// It has booted its installer again and again, and was left to its own disk.
    Guarded {
        /// Why, in words that say what to do.
        why: String,
    },
    /// It did not go on.
    Stopped {
        /// Where.
        at: String,
        /// Why.
        why: String,
    },
}

impl State {
    /// The state after an outcome that is no answer.
    pub(super) fn of_fault(at: &str, outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Declined(why) => Self::of_why(at, why),
            outcome => Self::Stopped { at: at.to_owned(), why: outcome.to_string() },
        }
    }

    /// The state of a machine that was told to load nothing.
    pub(super) fn of_why(at: &str, why: &Why) -> Self {
        match why {
            Why::LocalBoot { rule } => Self::Local { rule: rule.clone() },
            Why::Enrolled => Self::Local { rule: ENROLMENT.to_owned() },
            Why::Installed { image } => Self::Installed { image: image.clone() },
            Why::ReinstallGuard { .. } => Self::Guarded { why: why.to_string() },
            why => Self::Stopped { at: at.to_owned(), why: Outcome::Declined(why.clone()).to_string() },
        }
    }

    /// A word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Offered { .. } => "offered",
            Self::Loading { .. } => "loading",
            Self::Chained { .. } => "chained",
            Self::Started { .. } => "started",
            Self::Booted { .. } => "booted",
            Self::Attached { .. } => "attached",
            Self::Local { .. } => "local",
            Self::Installed { .. } => "installed",
            Self::Guarded { .. } => "guarded",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// Whether the machine was told to come by `https`, and has not come.
    pub(super) fn waits_for_https(&self) -> bool {
        matches!(self, Self::Offered { what } | Self::Loading { what } if what.starts_with("https://"))
    }

    /// Whether something more is expected of the machine.
    #[must_use]
    pub const fn is_on_its_way(&self) -> bool {
        matches!(self, Self::Offered { .. } | Self::Loading { .. } | Self::Chained { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("has not asked to be booted"),
            Self::Offered { what } => write!(f, "was offered {what}"),
            Self::Loading { what } => write!(f, "loading {what}"),
            Self::Chained { loader } => write!(f, "has loaded {loader}, which has not asked for anything yet"),
            Self::Started { what } => write!(f, "has loaded {what}"),
            Self::Booted { after: Some(after) } => {
                write!(f, "booted: reported in {:.1} s after its first request", after.as_secs_f64())
            }
            Self::Booted { after: None } => f.write_str("booted: reported in"),
            Self::Attached { root } => {
                write!(f, "was given the network disk {root}, and what it does there is not heard here")
            }
            Self::Local { rule } => write!(f, "left to its own disk by rule `{rule}`"),
            Self::Installed { image } => write!(f, "left to its own disk: installer `{image}` said that it is done"),
            Self::Guarded { why } => f.write_str(why),
            Self::Stopped { at, why } => write!(f, "stopped at {at}: {why}"),
        }
    }
}
