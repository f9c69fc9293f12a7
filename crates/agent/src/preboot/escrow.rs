//! The escrow slot of a data partition: a key that was drawn once, and is kept nowhere but sealed to the org's escrow key. Persons open it where
//! the machine cannot open its disk itself any more; a slot that was opened so is replaced.

use serde_json::Map;
use slipway_disk::luks::{self, Header, Token, TokenKind, VolumeKey};
use slipway_tpm::Credential;
use slipway_trust::escrow::{Escrow, Opening};
use slipway_trust::machine::Admitted;
use slipway_trust::record::Share;
use slipway_trust::{OrgManifest, disk_key};
use zeroize::Zeroizing;

use super::data::{Secret, TOKEN, Volume, epochs_of, new_half};
use super::{Preboot, pin};
use crate::checkpoint::Checkpoint;
use crate::random;
use crate::talk::activate_secret;

/// The token that names the escrow slot, and holds its sealed key.
const ESCROW: &str = "escrow";

impl Preboot<'_> {
    /// Opens a volume by its escrow slot, and makes it this machine's: with a new half in this TPM, and a slot for the share that it has.
    /// What opened it before is destroyed once this machine was well.
    pub(super) fn open_through_escrow(
        &self,
        volume: &mut Volume,
        opening: &Opening,
        share: &Share,
        admitted: &Admitted,
    ) -> Result<Secret, String> {
        let header = volume.header.clone().ok_or("the data partition was never used")?;
        let tpm = self.identity.tpm().ok_or("a key in escrow is given to a TPM, and this machine uses none")?;
        let credential = Credential { blob: opening.blob.clone(), secret: opening.secret.clone() };
        let escrowed = activate_secret(tpm, &credential).map_err(|reason| format!("the key in escrow: {reason}"))?;
        let (opened, _) = luks::open(&header, &volume.head, escrowed.as_slice())
            .map_err(|error| format!("the key in escrow: {error}"))?;
        let half = new_half(tpm, &admitted.org, admitted.running.as_ref())?;
        let key = disk_key::derive(&self.org, &self.memory.machine, &half.plain, share);
        self.console.ok(
            Checkpoint::DiskKey,
            &format!("by the key in escrow; from now on the TPM's half and the org's, epoch {}", share.epoch),
        );
        let (next, slot, steps) = add(&header, &opened, &key)?;
        let mut slots = ours(&header);
        slots.push(slot);
        let epochs = [(slot.to_string(), share.epoch.into())].into_iter().collect();
        // In one writing: from here on it is this machine's, and all slots of before are known to be destroyed.
        let token = self.token(epochs, slots, half.sealed);
        let (next, steps) = luks::with_token(&next, steps, &token).map_err(|error| error.to_string())?;
        volume.apply(next, &steps)?;
        self.console.ok(Checkpoint::Unlocked, &format!("{}, key slot {slot}, through escrow", volume.path));
        Ok(key)
    }

    /// Sees that the volume has an escrow slot as the org wants it: sealed to its escrow key, and not opened yet. Without one, the machine starts
    /// all the same.
    pub(super) fn keep_escrow(&self, volume: &mut Volume, key: &Secret, org: &OrgManifest, opened: Option<&Opening>) {
        match self.renew_escrow(volume, key, org, opened) {
            Ok(Some(slot)) => self.console.say(&format!("key slot {slot} is in escrow: the org's escrow key opens it")),
            Ok(None) => {}
            Err(reason) => {
                self.console
                    .say(&format!("no key slot was put in escrow: {reason}; it is tried again at the next start"));
            }
        }
    }

    fn renew_escrow(
        &self,
        volume: &mut Volume,
        key: &Secret,
        org: &OrgManifest,
        opened: Option<&Opening>,
    ) -> Result<Option<u32>, String> {
        let Some(to) = &org.escrow else { return Ok(None) };
        let header = volume.header.clone().ok_or("no header")?;
        let before = header.token(&kind(ESCROW)).filter(|token| !token.keyslots.is_empty());
        let is_opened = |escrow: &Escrow| opened.is_some_and(|opening| opening.escrow == escrow.digest());
        if before.is_some() && kept(&header).is_some_and(|escrow| escrow.to == to.kid() && !is_opened(&escrow)) {
            return Ok(None);
        }
        let (volume_key, _) = luks::open(&header, &volume.head, key.as_slice()).map_err(|error| error.to_string())?;
        if let Some(before) = before {
            // Written first: a slot that nobody knows of would never be destroyed.
            self.doom(volume, &before.keyslots)?;
        }
        let header = volume.header.clone().ok_or("no header")?;
        let made: Secret = Zeroizing::new(random::bytes()?);
        let escrow = Escrow::seal(to, &self.org, &self.memory.machine, &made, &random::bytes()?);
        let escrow = escrow.ok_or("the org's escrow key is none that can be sealed to")?;
        let (next, slot, steps) = add(&header, &volume_key, &made)?;
        let blob = slipway_trust::encode(&escrow);
        let token = Token { kind: kind(ESCROW), keyslots: vec![slot], facts: Map::new(), blob };
        let (next, steps) = luks::with_token(&next, steps, &token).map_err(|error| error.to_string())?;
        volume.apply(next, &steps)?;
        Ok(Some(slot))
    }

    /// Writes down that these slots are to be destroyed once a start went well.
    fn doom(&self, volume: &mut Volume, slots: &[u32]) -> Result<(), String> {
        let header = volume.header.clone().ok_or("no header")?;
        let token = header.token(&kind(TOKEN)).ok_or("no token")?;
        let epochs = epochs_of(&token);
        let mut all = token.keyslots;
        all.extend(slots.iter().filter(|slot| !epochs.contains_key(&slot.to_string())));
        all.sort_unstable();
        all.dedup();
        let token = self.token(epochs, all, token.blob);
        let (next, steps) = luks::set_token(&header, &token).map_err(|error| error.to_string())?;
        volume.apply(next, &steps)
    }
}

/// Whether an opening is for the volume as it is: one that was used, or is for another key in escrow, is of no use.
pub(super) fn is_for(opening: &Opening, volume: &Volume) -> bool {
    volume.header.as_ref().and_then(kept).is_some_and(|escrow| escrow.digest() == opening.escrow)
}

/// The sealed key of the escrow slot.
pub(super) fn kept(header: &Header) -> Option<Escrow> {
    slipway_trust::decode(&header.token(&kind(ESCROW))?.blob).ok()
}

/// The key slots that Slipway made. A person's, made with `cryptsetup`, is none of them.
fn ours(header: &Header) -> Vec<u32> {
    let tokens = [TOKEN, pin::TOKEN, ESCROW].into_iter().filter_map(|name| header.token(&kind(name)));
    let mut slots: Vec<u32> = tokens.flat_map(|token| token.keyslots).collect();
    slots.sort_unstable();
    slots.dedup();
    slots
}

fn add(header: &Header, opened: &VolumeKey, key: &Secret) -> Result<(Header, u32, Vec<slipway_disk::Step>), String> {
    let added = luks::with_random(|random| luks::add_key(header, opened, key.as_slice(), random));
    added.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

fn kind(name: &str) -> TokenKind {
    TokenKind(name.to_owned())
}
