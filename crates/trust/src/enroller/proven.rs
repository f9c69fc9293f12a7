//! What a machine has proved.

use crate::assurance::Assurance;
use crate::frames::Hello;
use crate::id::InviteId;
use crate::key::PublicKey;
use crate::record::{Disk, Inventory, TpmFacts};
use crate::transcript::Transcript;

/// What a machine has proved by M3 or M5.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) hello: Hello,
    pub(crate) key: PublicKey,
    pub(crate) inventory: Inventory,
    pub(crate) words: String,
    pub(crate) invited: Option<Invited>,
    /// The transcript after the last proof.
    pub(crate) transcript: Transcript,
    pub(crate) tpm: Option<TpmFacts>,
    pub(crate) assurance: Assurance,
}

/// An invite that a machine came with, and whether it proved that it holds the secret.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invited {
    pub(crate) id: InviteId,
    pub(crate) proved: bool,
}

/// No text that a machine says is longer.
const LONGEST: usize = 128;
const MOST_MACS: usize = 64;
const MOST_DISKS: usize = 128;

impl Inventory {
    /// Takes out what a terminal should not be shown, and what is too much.
    pub(crate) fn tidy(&mut self) {
        let texts = [&mut self.uuid, &mut self.serial, &mut self.model, &mut self.tpm];
        texts.into_iter().flatten().for_each(tidy);
        self.macs.truncate(MOST_MACS);
        self.macs.iter_mut().for_each(tidy);
        self.disks.truncate(MOST_DISKS);
        for Disk { id, model, .. } in &mut self.disks {
            tidy(id);
            model.iter_mut().for_each(tidy);
        }
    }
}

fn tidy(text: &mut String) {
    *text = text.trim().chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
}
