//! Installers: how often a machine may boot one, and how it says that it is done.

use core::fmt;
use core::time::Duration;

use sha2::{Digest as _, Sha256};
use slipway_wire::MacAddr;

use crate::{Timestamp, Why};

/// How often a machine may boot the same installer, where none of these boots ends with its word that it is done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Guard {
    /// So often: at least 1.
    pub boots: u8,
    /// Within this time.
    pub window: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self { boots: 3, window: Duration::from_secs(24 * 3600) }
    }
}

/// What is remembered of a machine's installer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Installs {
    /// The installer: an image's name. Another version of it is no other installer.
    pub image: String,
    /// When it was booted: the last boots, at most 255 of them, oldest first.
    pub boots: Vec<Timestamp>,
    /// Why it is not booted again, if it is not.
    pub held: Option<Held>,
    /// How many passes were used up by now: the next one is another.
    pub passes: u32,
}

/// Why a machine's installer is not booted again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Held {
    /// It said that it is done.
    Done {
        /// When.
        at: Timestamp,
    },
    /// The guard has tripped: it was booted so often without that.
    Tripped {
        /// When.
        at: Timestamp,
    },
}

impl Installs {
    /// Why this machine is not given this installer, if it is not.
    #[must_use]
    pub fn holds_back(&self, image: &str) -> Option<Why> {
        let image = Some(image).filter(|image| *image == self.image)?.to_owned();
        match self.held? {
            Held::Done { .. } => Some(Why::Installed { image }),
            Held::Tripped { .. } => {
                Some(Why::ReinstallGuard { image, boots: u8::try_from(self.boots.len()).unwrap_or(u8::MAX) })
            }
        }
    }

    /// One more boot of this installer.
    pub(super) fn count(&self, image: &str, guard: Guard, at: Timestamp) -> Self {
        let mut after = self.of(image);
        after.boots.retain(|boot| at.since(*boot) < guard.window);
        after.boots.push(at);
        if after.boots.len() >= usize::from(guard.boots) && after.held.is_none() {
            after.held = Some(Held::Tripped { at });
        }
        let surplus = after.boots.len().saturating_sub(usize::from(u8::MAX));
        after.boots.drain(..surplus);
        after
    }

    /// The installer has said that it is done: the pass is used up.
    pub(super) fn done(&self, image: &str, at: Timestamp) -> Self {
        Self { held: Some(Held::Done { at }), passes: self.passes.saturating_add(1), ..self.of(image) }
    }

    /// It may install again. What is left is which passes were used.
    pub(super) fn released(&self) -> Option<Self> {
        (self.passes > 0).then(|| Self { passes: self.passes, ..Self::default() })
    }

    /// The same, if they are of this installer; otherwise those of a new one.
    pub(super) fn of(&self, image: &str) -> Self {
        if self.image == image {
            self.clone()
        } else {
            Self { image: image.to_owned(), passes: self.passes, ..Self::default() }
        }
    }
}

/// What passes are made from: known to this server only, the same as long as its data lives.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What an installer shows when it says that it is done: 128 bits that nobody can guess who has not seen this machine's script. Good for
/// one machine, one installer, once.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pass([u8; 16]);

impl Pass {
    /// The pass of a machine that has used up so many.
    #[must_use]
    pub fn new(secret: Secret, mac: MacAddr, image: &str, used: u32) -> Self {
        // Everything before the image's name has a fixed length, so that no two of these run together to the same bytes.
        let digest = Sha256::new().chain_update(secret.0).chain_update(mac.0).chain_update(used.to_be_bytes());
        let digest: [u8; 32] = digest.chain_update(image).finalize().into();
        let mut pass = [0; 16];
        pass.iter_mut().zip(digest).for_each(|(byte, from)| *byte = from);
        Self(pass)
    }

    /// Whether this text is it. Takes the same time wherever it differs.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        let told = self.to_string();
        let differs = told.bytes().zip(text.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b));
        differs == 0 && told.len() == text.len()
    }
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
