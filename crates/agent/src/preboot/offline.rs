//! A start without the org: only where the org's policy grants it, for as many days as it says, with the half of the key in the machine's TPM
//! and a person's PIN. Revoking a machine does not bite until those days are over.

use slipway_disk::esp::{Filed, Kind};
use slipway_disk::luks;
use slipway_trust::image::{self, Wanted};
use slipway_trust::seal::Bound;
use slipway_trust::{Domain, ImageManifest, OrgManifest, Role};

use super::data::{Secret, Volume};
use super::start::{DiskKey, Starting};
use super::{Preboot, pin};
use crate::checkpoint::Checkpoint;
use crate::prompt::{self, Pin};
use crate::talk::Failure;
use crate::{role, slot};

const DAY: u64 = 24 * 3600;
/// After so many wrong PINs a machine starts over: who guesses must wait for its firmware, again and again.
pub(super) const WRONG_PINS: u32 = 3;
const NO_TPM: &str =
    "this machine has no TPM: whoever has its disk could try every PIN, so there is no start without the org";
const NOT_GRANTED: &str = "the org's policy grants no start without it";

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

    fn prepare_offline(&mut self) -> Result<(ImageManifest, Filed, DiskKey), String> {
        let org = self.remembered_org().ok_or("this machine remembers no word of the org")?;
        let now = self.clock.now();
        self.offline_grant(&org)?;
        in_time(org.policy.offline_days, self.memory.heard.0, now.0)?;
        let signed = self.memory.generation.as_ref().ok_or("no generation was ever started here")?;
        let floor = self.memory.floors.generation;
        let wanted = Wanted { role: Role::Generation, arch: role::arch(), floor, now };
        let manifest = image::admit(signed, &org, &wanted).map_err(|why| why.to_string())?;
        let filed = slot::there(&self.ground, Kind::Generation, &manifest.sha256)
            .ok_or("the last generation is not in the cache any more")?;
        let key = self.offline_key(&org)?;
        Ok((manifest, filed, key))
    }

    /// Whether this machine may ever start without the org.
    fn offline_grant(&self, org: &OrgManifest) -> Result<(), &'static str> {
        granted(org.policy.offline_days, self.identity.tpm().is_some())
    }

    fn offline_key(&mut self, org: &OrgManifest) -> Result<DiskKey, String> {
        let id = self.ground.data.as_ref().map(|data| data.id.to_string());
        let id = id.ok_or("this machine has no data partition, so no PIN could be set")?;
        let volume = self.volume()?;
        let header = volume.header.as_ref().ok_or("the data partition was never used")?;
        if !pin::is_set(header) {
            return Err(
                "no PIN was set for offline starts: the data partition opens with the org's share alone".to_owned()
            );
        }
        let running = self.running_manifest(org);
        let secret = self.kept_secret(&volume, org, running.as_ref())?;
        let pin = prompt::pin(self.console, &self.keys, "PIN for an offline start").ok_or("no PIN was typed")?;
        let key = pin::key(&self.org, &self.memory.machine, &secret, &pin);
        if luks::open(header, &volume.head, key.as_slice()).is_err() {
            self.wrong_pins = self.wrong_pins.saturating_add(1);
            return Err("the PIN is wrong: the disk stays closed".to_owned());
        }
        Ok(Some((key, id)))
    }

    fn running_manifest(&self, org: &OrgManifest) -> Option<ImageManifest> {
        let signed = self.memory.running.as_ref()?;
        let needed = usize::from(org.images.threshold);
        let manifest: ImageManifest =
            signed.open(Domain::ImageManifest, Bound::Org(&org.org), &org.images.keys, needed).ok()?;
        (manifest.version == self.facts.version && manifest.role == Role::Preboot).then_some(manifest)
    }

    /// Asks a person for a PIN, where it can be of use.
    pub(super) fn ask_new_pin(&self) -> Option<Pin> {
        if self.identity.tpm().is_none() {
            self.console.say(&format!("no PIN is set: {NO_TPM}"));
            return None;
        }
        pin::new(self.console, &self.keys)
    }

    /// Keeps the key slot for offline starts as the policy and a person want it.
    pub(super) fn set_pin(
        &self,
        typed: Option<Pin>,
        volume: &mut Volume,
        secret: &Secret,
        newest: &Secret,
        org: &OrgManifest,
    ) {
        let wanted = typed.map(|typed| pin::key(&self.org, &self.memory.machine, secret, &typed));
        match pin::settle(volume, self.offline_grant(org), wanted.as_ref(), newest) {
            Ok(Some(told)) => self.console.say(&told),
            Ok(None) => {}
            Err(reason) => self.console.say(&format!("the key slot for offline starts stays as it was: {reason}")),
        }
    }
}

/// Whether starts without the org are granted to a machine at all.
fn granted(days: u16, has_tpm: bool) -> Result<(), &'static str> {
    if days == 0 {
        return Err(NOT_GRANTED);
    }
    if has_tpm { Ok(()) } else { Err(NO_TPM) }
}

/// Whether the days are not over. A clock that runs behind the org's last word tells nothing.
fn in_time(days: u16, heard: u64, now: u64) -> Result<(), String> {
    let since = now
        .checked_sub(heard)
        .ok_or("this machine's clock is behind the last word of the org: it cannot tell how long ago that was")?;
    if since > u64::from(days) * DAY {
        return Err(format!("the org was last heard {} days ago, and its policy grants {days}", since / DAY));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offline_start_is_granted_by_policy_and_for_its_days_alone() {
        for (days, has_tpm, heard, now, refused) in [
            (0, true, 100, 100, Some("grants no start")),
            (3, true, 100, 100 + 3 * DAY, None),
            (3, true, 100, 101 + 3 * DAY, Some("3 days ago")),
            (3, true, 100, 99, Some("clock is behind")),
            (3, false, 100, 100, Some("has no TPM")),
        ] {
            let told = granted(days, has_tpm).map_err(str::to_owned).and_then(|()| in_time(days, heard, now));
            match (told, refused) {
                (Ok(()), None) => {}
                (Err(told), Some(reason)) => assert!(told.contains(reason), "{told}"),
                (other, _) => panic!("{other:?}"),
            }
        }
    }
}
