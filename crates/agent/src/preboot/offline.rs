//! A start without the org: only where the org's policy grants it, for as many days as it says, with the machine's half of the key and a
//! person's PIN. Revoking a machine does not bite until those days are over.

use serde_json::Map;
use slipway_disk::esp::Kind;
use slipway_disk::luks::{self, Token, TokenKind};
use slipway_trust::image::{self, Wanted};
use slipway_trust::record::Share;
use slipway_trust::seal::Bound;
use slipway_trust::{Digest, Domain, ImageManifest, OrgManifest, Role, disk_key};
use zeroize::Zeroizing;

use super::Preboot;
use super::data::{OFFLINE, Secret, Volume};
use super::start::{DiskKey, Starting};
use crate::checkpoint::Checkpoint;
use crate::talk::Failure;
use crate::{prompt, role, slot};

const DAY: u64 = 24 * 3600;
/// The shortest PIN.
const SHORTEST: usize = 6;
/// Instead of an epoch: no share of the org has it.
const EPOCH: u64 = u64::MAX;

impl Preboot<'_> {
    /// Starts the last verified generation. It comes back only if that is not granted, or fails.
    pub(super) fn start_offline(&mut self) -> Failure {
        match self.prepare_offline() {
            Err(reason) => Failure::new(Checkpoint::Generation, reason),
            Ok((manifest, filed, key)) => {
                let name = self.memory.name.clone();
                let gateways = self.remembered_org().map(|org| org.gateways).unwrap_or_default();
                self.console.ok(Checkpoint::Generation, "the last verified one, without the org");
                // Without the org there is no certificate: the generation goes on alone.
                self.launch(Starting { manifest: &manifest, filed, name, certificate: Vec::new(), gateways, key })
            }
        }
    }

    fn prepare_offline(&self) -> Result<(ImageManifest, slipway_disk::esp::Filed, DiskKey), String> {
        let org = self.remembered_org().ok_or("this machine remembers no word of the org")?;
        let now = self.clock.now();
        granted(org.policy.offline_days, self.memory.heard.0, now.0)?;
        let signed = self.memory.generation.as_ref().ok_or("no generation was ever started here")?;
        let floor = self.memory.floors.generation;
        let wanted = Wanted { role: Role::Generation, arch: role::arch(), floor, now };
        let manifest = image::admit(signed, &org, &wanted).map_err(|why| why.to_string())?;
        let filed = slot::there(&self.ground, Kind::Generation, &manifest.sha256)
            .ok_or("the last generation is not in the cache any more")?;
        let key = self.offline_key(&org)?;
        Ok((manifest, filed, key))
    }

    fn offline_key(&self, org: &OrgManifest) -> Result<DiskKey, String> {
        let Some(id) = self.ground.data.as_ref().map(|data| data.id.to_string()) else { return Ok(None) };
        let volume = self.volume()?;
        let header = volume.header.as_ref().ok_or("the data partition was never used")?;
        // The token of a slot that was destroyed stays, and names none.
        if header.token(&TokenKind(OFFLINE.to_owned())).is_none_or(|token| token.keyslots.is_empty()) {
            return Err(
                "no PIN was set for offline starts: the data partition opens with the org's share alone".to_owned()
            );
        }
        let running = self.running_manifest(org);
        let secret = self.kept_secret(&volume, org, running.as_ref())?;
        let pin = prompt::pin(self.console, &self.keys, "PIN for an offline start").ok_or("no PIN was typed")?;
        let key = self.pin_key(&secret, &pin);
        luks::open(header, &volume.head, key.as_slice()).map_err(|_| "the PIN is wrong")?;
        Ok(Some((key, id)))
    }

    fn running_manifest(&self, org: &OrgManifest) -> Option<ImageManifest> {
        let signed = self.memory.running.as_ref()?;
        let needed = usize::from(org.images.threshold);
        let manifest: ImageManifest =
            signed.open(Domain::ImageManifest, Bound::Org(&org.org), &org.images.keys, needed).ok()?;
        (manifest.version == self.facts.version && manifest.role == Role::Preboot).then_some(manifest)
    }

    fn pin_key(&self, secret: &Secret, pin: &Zeroizing<String>) -> Secret {
        let share = Share { epoch: EPOCH, secret: Digest::of_all(&[b"slipway-offline-v1", pin.as_bytes()]).0 };
        disk_key::derive(&self.org, &self.memory.machine, secret, &share)
    }

    /// Asks a person for a PIN, twice.
    pub(super) fn ask_new_pin(&self) -> Option<Zeroizing<String>> {
        let first = prompt::pin(self.console, &self.keys, "new PIN for offline starts")?;
        let second = prompt::pin(self.console, &self.keys, "once more")?;
        if first.len() < SHORTEST {
            self.console.say(&format!("a PIN has at least {SHORTEST} characters: none was set"));
            return None;
        }
        if *first != *second {
            self.console.say("the two are not the same: none was set");
            return None;
        }
        self.console.say("the PIN is set once the org has answered, if its policy grants offline starts");
        Some(first)
    }

    /// Keeps the key slot for offline starts as the policy and a person want it: one that is not granted any more goes.
    pub(super) fn set_pin(
        &self,
        pin: Option<Zeroizing<String>>,
        volume: &mut Volume,
        secret: &Secret,
        newest: &Secret,
        org: &OrgManifest,
    ) {
        let done = match (pin, org.policy.offline_days) {
            (_, 0) => self.drop_offline(volume),
            (Some(pin), _) => {
                self.drop_offline(volume).and_then(|_| self.add_offline(volume, &self.pin_key(secret, &pin), newest))
            }
            (None, _) => Ok(None),
        };
        match done {
            Ok(Some(told)) => self.console.say(told),
            Ok(None) => {}
            Err(reason) => self.console.say(&format!("the key slot for offline starts stays as it was: {reason}")),
        }
    }

    fn drop_offline(&self, volume: &mut Volume) -> Result<Option<&'static str>, String> {
        let header = volume.header.clone().ok_or("no header")?;
        let slots = header.token(&TokenKind(OFFLINE.to_owned())).map(|token| token.keyslots).unwrap_or_default();
        let mut gone = None;
        for number in slots {
            let current = volume.header.clone().ok_or("no header")?;
            let killed = luks::with_random(|random| luks::kill_key(&current, number, random))
                .map_err(|error| error.to_string())?;
            let (header, steps) = killed.map_err(|error| error.to_string())?;
            volume.apply(header, &steps)?;
            gone = Some("the key slot for offline starts was destroyed: the org's policy grants none");
        }
        Ok(gone)
    }

    fn add_offline(&self, volume: &mut Volume, key: &Secret, newest: &Secret) -> Result<Option<&'static str>, String> {
        let header = volume.header.clone().ok_or("no header")?;
        let (opened, _) = luks::open(&header, &volume.head, newest.as_slice()).map_err(|error| error.to_string())?;
        let added = luks::with_random(|random| luks::add_key(&header, &opened, key.as_slice(), random))
            .map_err(|error| error.to_string())?;
        let (header, slot, steps) = added.map_err(|error| error.to_string())?;
        let token =
            Token { kind: TokenKind(OFFLINE.to_owned()), keyslots: vec![slot], facts: Map::new(), blob: Vec::new() };
        let (header, steps) = luks::with_token(&header, steps, &token).map_err(|error| error.to_string())?;
        volume.apply(header, &steps)?;
        Ok(Some("the PIN for offline starts is set"))
    }
}

/// Whether an offline start is granted now. A clock that runs behind the org's last word tells nothing.
fn granted(days: u16, heard: u64, now: u64) -> Result<(), String> {
    if days == 0 {
        return Err("the org's policy grants no start without it".to_owned());
    }
    if now < heard {
        return Err(
            "this machine's clock is behind the last word of the org: it cannot tell how long ago that was".to_owned()
        );
    }
    let since = (now - heard) / DAY;
    if now - heard > u64::from(days) * DAY {
        return Err(format!("the org was last heard {since} days ago, and its policy grants {days}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offline_start_is_granted_by_policy_and_for_its_days_alone() {
        for (days, heard, now, refused) in [
            (0, 100, 100, Some("grants no start")),
            (3, 100, 100 + 3 * DAY, None),
            (3, 100, 101 + 3 * DAY, Some("3 days ago")),
            (3, 100, 99, Some("clock is behind")),
        ] {
            match (granted(days, heard, now), refused) {
                (Ok(()), None) => {}
                (Err(told), Some(reason)) => assert!(told.contains(reason), "{told}"),
                (other, _) => panic!("{other:?}"),
            }
        }
    }
}
