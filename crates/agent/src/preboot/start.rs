//! The generation: brought, verified, started; and the preboots on the ESP looked after.

use slipway_disk::esp::{Filed, Kind};
use slipway_disk::kexec::{self, Start, Way};
use slipway_trust::machine::Admitted;
use slipway_trust::{Digest, ImageManifest, OrgFacts};
use zeroize::Zeroizing;

use super::Preboot;
use crate::checkpoint::{Checkpoint, one_line};
use crate::handover::Handover;
use crate::identity::Identity;
use crate::net::Network;
use crate::remember::Trial;
use crate::talk::Failure;
use crate::{online, power, role, slot};

/// How often firmware is asked to try a preboot that did not come up.
const TRIALS: u32 = 3;
/// What is measured before another kernel starts: what the preboot's measurements opened stays closed to it.
const LEFT: &[u8] = b"slipway-left-preboot-v1";

/// The key of the data partition, and the partition's unique GUID.
pub(super) type DiskKey = Option<(Zeroizing<[u8; 32]>, String)>;

/// What is needed to start a generation.
pub(super) struct Starting<'a> {
    pub(super) manifest: &'a ImageManifest,
    pub(super) filed: Filed,
    pub(super) name: String,
    pub(super) certificate: Vec<u8>,
    pub(super) gateways: Vec<String>,
    pub(super) key: DiskKey,
}

impl Preboot<'_> {
    /// The generation in the ESP's cache: there already, to the byte, or fetched.
    pub(super) fn bring_generation(&mut self, admitted: &Admitted, network: &Network) -> Result<Filed, Failure> {
        let step = Checkpoint::Generation;
        let manifest = &admitted.generation;
        self.settle_generations(admitted);
        let sources = online::sources(&admitted.material.sources, network);
        let brought = slot::bring(self.console, step, &self.ground, Kind::Generation, manifest, &sources);
        let (filed, how) = brought.map_err(|reason| Failure::new(step, reason))?;
        let how = if how == "downloaded" { how } else { "cache hit" };
        let name = one_line(&manifest.name);
        self.console.ok(step, &format!("{name} version {}, {how}, SHA-256 {}", manifest.version, manifest.sha256));
        Ok(filed)
    }

    /// A generation that was started before, and with which the machine was healthy, is good: its slot is kept.
    fn settle_generations(&self, admitted: &Admitted) {
        let started = self.memory.generation.as_ref().and_then(|signed| signed.peek::<ImageManifest>().ok());
        let Ok(book) = self.ground.esp.book(Kind::Generation) else { return };
        let Some(trial) = book.trial.filter(|_| admitted.material.promote) else { return };
        if started.is_some_and(|manifest| manifest.sha256 == Digest(trial.sha256)) {
            // If it cannot be written, it is settled at the next boot.
            let _ = self.ground.esp.write_book(Kind::Generation, &book.promoted(trial.slot));
        }
    }

    /// The boot order, and a newer preboot if there is one. None of it keeps the machine from starting.
    pub(super) fn care_for_preboots(&mut self, admitted: &Admitted, network: &Network) {
        if let Err((step, reason)) = self.care(admitted, network) {
            self.console.failed(step, &reason, "going on: it is tried again at the next boot");
        }
    }

    fn care(&mut self, admitted: &Admitted, network: &Network) -> Result<(), (Checkpoint, String)> {
        let order = |reason: String| (Checkpoint::BootOrder, reason);
        let Some(own) = slot::own(&self.ground, self.facts.version).map_err(order)? else { return Ok(()) };
        if !admitted.material.promote && !slot::is_good(&self.ground, &own) {
            // The entry is not in the boot order yet: until the org has heard that this machine is well, each start asks for the next one.
            let entry = slot::try_once(&self.ground, &own).map_err(order)?;
            self.console.ok(
                Checkpoint::BootOrder,
                &format!("{entry} is started next, on trial until the org has heard that this machine is well"),
            );
            return Ok(());
        }
        if admitted.material.promote {
            let place = slot::promote(&self.ground, own.slot, role::machine()).map_err(order)?;
            let told = match slot::settle_order(&self.ground, &own) {
                Ok(()) => format!("slot {:?} stands first, {place}", own.slot),
                Err(reason) => format!("{place}, for {reason}"),
            };
            self.console.ok(Checkpoint::BootOrder, &told);
        }
        // Also where the last start did not go well: a newer one may mend that.
        self.update(admitted, network).map_err(|reason| (Checkpoint::Update, reason))
    }

    /// A newer preboot goes into the other slot, and firmware tries it at the next start.
    fn update(&mut self, admitted: &Admitted, network: &Network) -> Result<(), String> {
        let Some(newer) = &admitted.preboot else { return Ok(()) };
        let tried = self.memory.trial.filter(|trial| trial.sha256 == newer.sha256).map_or(0, |trial| trial.times);
        if tried >= TRIALS {
            return Err(format!("version {} did not come up {TRIALS} times: it is not tried any more", newer.version));
        }
        let sources = online::sources(&admitted.material.sources, network);
        let (filed, _) = slot::bring(self.console, Checkpoint::Update, &self.ground, Kind::Preboot, newer, &sources)?;
        self.memory.trial = Some(Trial { sha256: newer.sha256, times: tried.saturating_add(1) });
        self.write_memory();
        let entry = slot::try_once(&self.ground, &filed)?;
        self.console.ok(
            Checkpoint::Update,
            &format!("version {} is in slot {:?}, {entry} is started next", newer.version, filed.slot),
        );
        Ok(())
    }

    /// Starts the generation. It comes back only if that fails.
    pub(super) fn kexec(&mut self, admitted: &Admitted, filed: &Filed, key: DiskKey) -> Failure {
        self.memory.generation = Some(admitted.material.generation.clone());
        self.memory.floors.generation = self.memory.floors.generation.max(admitted.generation.floor);
        self.write_memory();
        self.launch(Starting {
            manifest: &admitted.generation,
            filed: *filed,
            name: admitted.material.name.clone(),
            certificate: admitted.material.certificate.clone(),
            gateways: admitted.org.gateways.clone(),
            key,
        })
    }

    /// The same, with or without the org.
    pub(super) fn launch(&mut self, starting: Starting<'_>) -> Failure {
        let step = Checkpoint::Kexec;
        let Starting { manifest, filed, .. } = &starting;
        let image = match self.ground.esp.load(Kind::Generation, filed) {
            Ok(image) if Digest::of(&image) == manifest.sha256 => image,
            Ok(_) => {
                return Failure::new(Checkpoint::Signature, "the cache holds another image than the manifest promises");
            }
            Err(error) => return Failure::new(Checkpoint::Signature, error.to_string()),
        };
        let (name, version) = (one_line(&manifest.name), manifest.version);
        self.console.ok(
            Checkpoint::Signature,
            &format!(
                "{name} version {version}, of the org's image keys, {:.1} MiB read again",
                slot::mib(manifest.size)
            ),
        );
        let words: Vec<&str> =
            self.cmdline.text().split_whitespace().filter(|word| word.starts_with("slipway.")).collect();
        let files = self.handover(starting).files();
        let loaded = Start::from_uki(&image, &words.join(" "), &files).and_then(|start| start.load());
        drop((image, files));
        let way = match loaded {
            Ok(way) => way,
            Err(error) => return Failure::new(step, error.to_string()),
        };
        self.leave();
        let how = match way {
            // A kernel that is locked down has loaded nothing but what is signed.
            Way::Files if kexec::locked_down() => ", signed for Secure Boot",
            Way::Files => "",
            Way::Segments => ", laid out in memory by the preboot, for its kernel has no kexec_file_load",
        };
        self.console.ok(step, &format!("{name} version {version}{how}"));
        let reason = kexec::go().to_string();
        // What was left cannot be come back to: the TPM opens nothing more for this start.
        self.console.failed(step, &reason, "starting over in 10 s");
        std::thread::sleep(std::time::Duration::from_secs(10));
        power::restart()
    }

    fn handover(&self, starting: Starting<'_>) -> Handover {
        let Starting { manifest, name, certificate, gateways, key, .. } = starting;
        let facts = OrgFacts { gateways: gateways.clone(), ..self.facts.clone() };
        Handover {
            machine: self.memory.machine,
            name,
            certificate,
            identity: match self.identity.as_ref() {
                Identity::File(key) => Some(key.seed()),
                Identity::Tpm(_) => None,
            },
            disk: key,
            gateways,
            generation: (manifest.sha256.to_string(), manifest.name.replace(' ', "-"), manifest.version),
            org: slipway_trust::encode(&facts),
        }
    }

    /// What is open is closed, and the TPM is told that the preboot is over.
    fn leave(&self) {
        if let Some(tpm) = self.identity.tpm()
            && let Err(reason) = tpm.with_chip(|chip| chip.extend(11, &Digest::of(LEFT).0))
        {
            self.console.say(&format!("the TPM was not told that the preboot is over: {reason}"));
        }
        rustix::fs::sync();
        // The next kernel mounts it anew; what was written is durable.
        let _ = rustix::mount::unmount(self.ground.folder(), rustix::mount::UnmountFlags::DETACH);
    }
}
