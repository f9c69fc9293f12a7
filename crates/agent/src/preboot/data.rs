//! The data partition: made when it is first needed, opened with both halves of its key, moved on to new shares.

use std::fs::File;
use std::io;

use p256::elliptic_curve::sec1::ToSec1Point as _;
use serde_json::{Map, Value};
use slipway_disk::luks::{self, Header, HeaderError, New, Token, TokenKind, VolumeKey};
use slipway_tpm::{Approval, PolicyKey, policy};
use slipway_trust::frames;
use slipway_trust::machine::Admitted;
use slipway_trust::record::Share;
use slipway_trust::{ImageManifest, MachineId, OrgManifest, PublicKey, disk_key};
use zeroize::Zeroizing;

use super::Preboot;
use super::escrow::{is_for, kept};
use super::start::DiskKey;
use crate::checkpoint::Checkpoint;
use crate::identity::InTpm;
use crate::talk::Failure;
use crate::{random, tpm};

/// The token that tells whose volume it is, and holds the machine's half, sealed.
pub(super) const TOKEN: &str = "disk-key";
/// In its facts: the epoch of each key slot, by its number. A slot without one is destroyed once a start with another went well.
const EPOCHS: &str = "epochs";
/// The file on the ESP that holds the machine's half where there is no TPM: 32 bytes.
const SECRET: &str = "EFI/slipway/disk.secret";
/// Headers of LUKS2 begin here; a volume that was never used has zeros.
const HEADERS: usize = 32 * 1024;
/// Another file system that leaves its first 64 KiB alone.
const BTRFS: (usize, &[u8]) = (0x1_0040, b"_BHRfS_M");

/// The machine's half.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// A data partition that was looked at.
pub(super) struct Volume {
    pub(super) file: File,
    pub(super) path: String,
    /// Its first bytes: header and key slots.
    pub(super) head: Vec<u8>,
    /// None: it was never used.
    pub(super) header: Option<Header>,
}

impl Preboot<'_> {
    /// Opens the data partition as far as that the key is known to fit: the generation maps it.
    pub(super) fn open_data(&mut self, admitted: &Admitted) -> Result<DiskKey, Failure> {
        let pin = self.pin.take();
        let none_set = if pin.is_some() { ", and no PIN was set" } else { "" };
        let Some(id) = self.ground.data.as_ref().map(|data| data.id.to_string()) else {
            self.console.say(&format!("this machine has no data partition: no disk is opened{none_set}"));
            return Ok(None);
        };
        let Some(newest) = admitted.material.shares.last() else {
            self.console
                .say(&format!("the org gives this machine no share of a disk key: no disk is opened{none_set}"));
            return Ok(None);
        };
        let derived = |reason: String| Failure::new(Checkpoint::DiskKey, reason);
        let unlocked = |reason: String| Failure::new(Checkpoint::Unlocked, reason);
        let opening = admitted.material.opening.as_ref();
        let mut volume = self.volume_of(opening.map(|opening| opening.machine)).map_err(unlocked)?;
        if let Some(opening) = opening.filter(|opening| is_for(opening, &volume)) {
            let key = self.open_through_escrow(&mut volume, opening, newest, admitted).map_err(unlocked)?;
            self.keep_escrow(&mut volume, &key, &admitted.org, Some(opening));
            return Ok(Some((key, id)));
        }
        let secret = self.secret(&volume, &admitted.org, admitted.running.as_ref()).map_err(derived)?;
        let key = |share: &Share| disk_key::derive(&self.org, &self.memory.machine, &secret.plain, share);
        let where_from = if self.identity.tpm().is_some() {
            "the TPM's half and the org's"
        } else {
            "the half on the ESP and the org's"
        };
        self.console.ok(Checkpoint::DiskKey, &format!("{where_from}, epoch {}", newest.epoch));
        let told = if volume.header.is_none() {
            self.create(&mut volume, &key(newest), newest.epoch, secret.sealed).map_err(unlocked)?;
            "made anew".to_owned()
        } else {
            let keys: Vec<(u64, Secret)> =
                admitted.material.shares.iter().rev().map(|share| (share.epoch, key(share))).collect();
            self.unlock(&mut volume, &keys, admitted.material.promote).map_err(unlocked)?
        };
        self.set_pin(pin, &mut volume, &secret.plain, &key(newest), &admitted.org);
        self.keep_escrow(&mut volume, &key(newest), &admitted.org, None);
        self.console.ok(Checkpoint::Unlocked, &format!("{}, {told}", volume.path));
        Ok(Some((key(newest), id)))
    }

    /// The data partition and its header.
    pub(super) fn volume(&self) -> Result<Volume, String> {
        self.volume_of(None)
    }

    /// The same; it may also be that of another machine, whose place this one has taken.
    fn volume_of(&self, other: Option<MachineId>) -> Result<Volume, String> {
        let path = self.ground.data_path().ok_or("this machine has no data partition")?;
        let name = path.display().to_string();
        let fault = |error: io::Error| format!("{name}: {error}");
        let file = File::options().read(true).write(true).open(&path).map_err(fault)?;
        let head = luks::read_head(&file).map_err(fault)?;
        let header = match Header::decode(&head) {
            Ok(header) => Some(header),
            Err(HeaderError::Missing) if is_fresh(&head) => None,
            Err(error) => return Err(format!("{name}: {error}; it is left alone")),
        };
        if let Some(header) = &header {
            self.check_owner(header, other)?;
        }
        Ok(Volume { file, path: name, head, header })
    }

    /// A volume of another identity is never touched.
    fn check_owner(&self, header: &Header, other: Option<MachineId>) -> Result<(), String> {
        let token = header
            .token(&TokenKind(TOKEN.to_owned()))
            .ok_or("the data partition holds a LUKS volume that Slipway did not make")?;
        let says = |name: &str| token.facts.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (org, machine) = (says("org"), says("machine"));
        let owners = [Some(self.memory.machine), other];
        if org == self.org.to_string() && owners.into_iter().flatten().any(|owner| machine == owner.to_string()) {
            return Ok(());
        }
        Err(format!(
            "the data partition belongs to machine {machine} of org {org}, an earlier life of this disk: it opens for nobody else; approve this machine in the place of that one and with the escrow key, or let the disk be wiped"
        ))
    }

    /// The machine's half of the key, or a new one for a new volume.
    fn secret(&self, volume: &Volume, org: &OrgManifest, running: Option<&ImageManifest>) -> Result<Half, String> {
        match (self.identity.tpm(), &volume.header) {
            (Some(tpm), Some(header)) => {
                let token =
                    header.token(&TokenKind(TOKEN.to_owned())).ok_or("the data partition has no sealed secret")?;
                Ok(Half { plain: unseal(tpm, &token.blob, org, running)?, sealed: Vec::new() })
            }
            (Some(tpm), None) => new_half(tpm, org, running),
            (None, header) => self.secret_on_esp(header.is_none()),
        }
    }

    fn secret_on_esp(&self, fresh: bool) -> Result<Half, String> {
        let there = self.ground.esp.read(SECRET).map_err(|error| error.to_string())?.map(Zeroizing::new);
        let plain: Secret = match there {
            Some(there) => Zeroizing::new(there.as_slice().try_into().map_err(|_| "the secret on the ESP is damaged")?),
            None if fresh => {
                let made: Secret = Zeroizing::new(random::bytes()?);
                self.ground.esp.write_once(SECRET, made.as_slice()).map_err(|error| error.to_string())?;
                made
            }
            None => return Err("the machine's half of the disk key was on an ESP that is lost, and there is no TPM that a key in escrow could be given to: let the disk be wiped, and restore a backup".to_owned()),
        };
        Ok(Half { plain, sealed: Vec::new() })
    }

    /// The machine's half as it was sealed for the preboot that runs.
    pub(super) fn kept_secret(
        &self,
        volume: &Volume,
        org: &OrgManifest,
        running: Option<&ImageManifest>,
    ) -> Result<Secret, String> {
        if volume.header.is_none() {
            return Err("the data partition was never used".to_owned());
        }
        Ok(self.secret(volume, org, running)?.plain)
    }

    fn create(&self, volume: &mut Volume, key: &Secret, epoch: u64, sealed: Vec<u8>) -> Result<(), String> {
        let new = New { uuid: random::uuid()?, label: "slipway-data".to_owned() };
        let made = luks::with_random(|random| luks::create(&new, key.as_slice(), random))
            .map_err(|error| error.to_string())?;
        let (header, _, steps) = made.map_err(|error| error.to_string())?;
        let slots: Vec<u32> = header.keyslots().iter().map(|slot| slot.number).collect();
        let epochs = slots.iter().map(|slot| (slot.to_string(), epoch.into())).collect();
        let token = self.token(epochs, slots, sealed);
        // In one writing: a volume without its token would be nobody's after a power cut.
        let (header, steps) = luks::with_token(&header, steps, &token).map_err(|error| error.to_string())?;
        luks::apply(&volume.file, &header, &steps).map_err(|error| error.to_string())?;
        volume.reread()?;
        volume.header = Some(header);
        Ok(())
    }

    /// The token of this machine's volume, with the epochs of its key slots.
    pub(super) fn token(&self, epochs: Map<String, Value>, keyslots: Vec<u32>, blob: Vec<u8>) -> Token {
        let mut facts = Map::new();
        facts.insert("org".to_owned(), self.org.to_string().into());
        facts.insert("machine".to_owned(), self.memory.machine.to_string().into());
        facts.insert(EPOCHS.to_owned(), epochs.into());
        Token { kind: TokenKind(TOKEN.to_owned()), keyslots, facts, blob }
    }

    /// What the org is told of the data partition; nothing if it is another's, or was never used, or cannot be read.
    pub(super) fn told_volume(&self) -> Option<frames::Volume> {
        let header = self.volume().ok()?.header?;
        let token = header.token(&TokenKind(TOKEN.to_owned()))?;
        Some(frames::Volume { epochs: epochs(&token), escrow: kept(&header) })
    }

    /// Opens with the newest share that fits. An older one moves on to the newest; slots of older ones end once the machine was healthy.
    fn unlock(&self, volume: &mut Volume, keys: &[(u64, Secret)], healthy: bool) -> Result<String, String> {
        let header = volume.header.clone().ok_or("no header")?;
        let opened = keys
            .iter()
            .find_map(|(epoch, key)| Some((*epoch, luks::open(&header, &volume.head, key.as_slice()).ok()?)));
        let (epoch, (key, slot)) = opened.ok_or("none of the org's shares opens it")?;
        let (newest, newest_key) = keys.first().ok_or("no share")?;
        let token = header.token(&TokenKind(TOKEN.to_owned())).ok_or("no token")?;
        if epoch != *newest {
            let slot = self.add(volume, &header, &key, newest_key, *newest, token)?;
            return Ok(format!("with epoch {epoch}, and from now on with epoch {newest} (key slot {slot})"));
        }
        let old: Vec<u32> = token.keyslots.iter().copied().filter(|number| *number != slot).collect();
        if !healthy || old.is_empty() {
            return Ok(format!("key slot {slot}"));
        }
        for number in &old {
            let current = volume.header.clone().ok_or("no header")?;
            let (header, steps) = luks::with_random(|random| luks::kill_key(&current, *number, random))
                .map_err(|error| error.to_string())?
                .map_err(|error| error.to_string())?;
            volume.apply(header, &steps)?;
        }
        Ok(format!("key slot {slot}; slots of older epochs were destroyed"))
    }

    fn add(
        &self,
        volume: &mut Volume,
        header: &Header,
        key: &VolumeKey,
        new: &Secret,
        epoch: u64,
        token: Token,
    ) -> Result<u32, String> {
        let (header, slot, steps) = luks::with_random(|random| luks::add_key(header, key, new.as_slice(), random))
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        let mut epochs = epochs_of(&token);
        let mut keyslots = token.keyslots;
        keyslots.push(slot);
        epochs.insert(slot.to_string(), epoch.into());
        // In one writing: a slot that no token names would never be destroyed.
        let token = self.token(epochs, keyslots, token.blob);
        let (header, steps) = luks::with_token(&header, steps, &token).map_err(|error| error.to_string())?;
        volume.apply(header, &steps)?;
        Ok(slot)
    }
}

/// The machine's half of a key.
pub(super) struct Half {
    pub(super) plain: Secret,
    /// As its token keeps it; empty where the ESP does, or where it is kept already.
    pub(super) sealed: Vec<u8>,
}

/// A new half, sealed in the TPM for preboots like the one that runs, in the state that the firmware is in.
pub(super) fn new_half(tpm: &InTpm, org: &OrgManifest, running: Option<&ImageManifest>) -> Result<Half, String> {
    let plain = Zeroizing::new(random::bytes()?);
    let policy = policy_key(org)?;
    // A policy that will not open it tomorrow must not seal it today.
    approval(running)?;
    let entropy = tpm::entropy()?;
    let sealed = tpm.with_chip(|chip| chip.seal(plain.as_slice(), &policy, &entropy))?;
    Ok(Half { plain, sealed })
}

impl Volume {
    pub(super) fn apply(&mut self, header: Header, steps: &[slipway_disk::Step]) -> Result<(), String> {
        luks::apply(&self.file, &header, steps).map_err(|error| format!("{}: {error}", self.path))?;
        self.header = Some(header);
        self.reread()
    }

    fn reread(&mut self) -> Result<(), String> {
        self.head = luks::read_head(&self.file).map_err(|error| format!("{}: {error}", self.path))?;
        Ok(())
    }
}

/// The epochs of the key slots that a token names.
fn epochs(token: &Token) -> Vec<u64> {
    epochs_of(token).values().filter_map(Value::as_u64).collect()
}

/// The same, by the slots' numbers.
pub(super) fn epochs_of(token: &Token) -> Map<String, Value> {
    let told = token.facts.get(EPOCHS).and_then(Value::as_object);
    let epoch = |slot: &u32| Some((slot.to_string(), told?.get(&slot.to_string())?.clone()));
    token.keyslots.iter().filter_map(epoch).collect()
}

/// Whether nothing was ever kept on a data partition: its table's making has cleared its first MiB.
fn is_fresh(head: &[u8]) -> bool {
    let zeros = head.get(..HEADERS).is_some_and(|first| first.iter().all(|byte| *byte == 0));
    let (at, mark) = BTRFS;
    zeros && head.get(at..at.saturating_add(mark.len())) != Some(mark)
}

/// The key whose word on PCR 11 opens sealed secrets.
fn policy_key(org: &OrgManifest) -> Result<PolicyKey, String> {
    let Some(PublicKey::P256(compressed)) = &org.pcr_policy else {
        return Err("the org has no PCR policy key: nothing can be sealed in this TPM".to_owned());
    };
    let key = p256::PublicKey::from_sec1_bytes(compressed).map_err(|_| "the org's PCR policy key is not one")?;
    let point = key.to_sec1_point(false);
    let point = point.as_bytes().get(1..).and_then(|point| <[u8; 64]>::try_from(point).ok());
    Ok(PolicyKey { point: point.ok_or("the org's PCR policy key is not one")?, reference: Vec::new() })
}

/// The policy key's approval of the preboot that runs.
fn approval(running: Option<&ImageManifest>) -> Result<Approval, String> {
    let manifest = running.ok_or("the org has no manifest of the preboot that runs: the TPM does not unseal to it")?;
    let both = manifest.pcr11.zip(manifest.pcr_policy);
    let (pcr11, signature) =
        both.ok_or("the manifest of the preboot that runs has no PCR policy: the TPM does not unseal to it")?;
    Ok(Approval { policy: policy::approved_policy(&pcr11.0), signature })
}

fn unseal(tpm: &InTpm, blob: &[u8], org: &OrgManifest, running: Option<&ImageManifest>) -> Result<Secret, String> {
    let (key, approval, entropy) = (policy_key(org)?, approval(running)?, tpm::entropy()?);
    let secret = tpm.with_chip(|chip| chip.unseal(blob, &key, &approval, &entropy))?;
    Ok(Zeroizing::new(secret.as_slice().try_into().map_err(|_| "the sealed secret has another length than 32 bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slots_that_the_token_names_have_an_epoch() {
        let told = serde_json::json!({ "epochs": { "0": 3, "1": 4, "7": 9 } });
        let facts = told.as_object().unwrap().clone();
        let token =
            |keyslots| Token { kind: TokenKind(TOKEN.to_owned()), keyslots, facts: facts.clone(), blob: vec![] };
        assert_eq!(epochs(&token(vec![1, 0])), [3, 4]);
        assert_eq!(epochs(&token(vec![1, 5])), [4], "a slot that is to be destroyed has none");
        assert_eq!(epochs(&Token { facts: Map::new(), ..token(vec![1]) }), [0_u64; 0]);
    }

    #[test]
    fn a_volume_is_new_only_if_its_beginning_is_empty() {
        let mut head = vec![0; 1 << 20];
        assert!(is_fresh(&head));
        head[HEADERS] = 1;
        assert!(is_fresh(&head), "what an interrupted beginning left behind the headers");
        head[BTRFS.0..BTRFS.0 + 8].copy_from_slice(BTRFS.1);
        assert!(!is_fresh(&head));
        assert!(!is_fresh(&[&[0; 1024][..], &[1]].concat()), "and long enough to tell");
        let mut ext4 = vec![0; 1 << 20];
        ext4[1080..1082].copy_from_slice(&[0x53, 0xef]);
        assert!(!is_fresh(&ext4));
    }
}
