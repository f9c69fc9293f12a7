//! What a machine remembers of itself between boots, on its ESP: two files that are written in turn, so that one of them is whole at every
//! moment. Nothing in it is secret, and what matters in it is signed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use minicbor::{CborLen, Decode, Encode};
use slipway_trust::{Digest, MachineId, Signed, Time};

/// Where the files are, from the ESP's root; a `1` or a `2` follows.
const FILE: &str = "EFI/slipway/machine.st";
/// The first bytes.
const MAGIC: &[u8; 8] = b"SLIPWAY1";
/// The largest memory, in bytes.
const LARGEST: usize = 256 * 1024;

/// What is remembered.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub(crate) struct Remembered {
    /// Rises with each writing.
    #[n(0)]
    pub(crate) sequence: u64,
    /// Who this is.
    #[n(1)]
    pub(crate) machine: MachineId,
    /// Its name.
    #[n(2)]
    pub(crate) name: String,
    /// What the first boot after a grant must show, until it was taken.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) confirm: Option<[u8; 32]>,
    /// The boot counter.
    #[n(4)]
    pub(crate) boots: u64,
    /// When the org was last heard, by its clock.
    #[n(5)]
    pub(crate) heard: Time,
    /// The org's manifest of then.
    #[n(6)]
    pub(crate) org: Option<Signed>,
    /// The manifest of the generation that was last found to be good.
    #[n(7)]
    pub(crate) generation: Option<Signed>,
    /// Where images were to be had.
    #[n(8)]
    pub(crate) sources: Vec<String>,
    /// The lowest preboot and generation versions that are still taken here.
    #[n(9)]
    pub(crate) floors: Floors,
    /// The manifest of the preboot that last ran, with the policy that lets the TPM unseal.
    #[n(10)]
    pub(crate) running: Option<Signed>,
    /// A newer preboot that was put on trial, and how often firmware was asked to try it.
    #[n(11)]
    pub(crate) trial: Option<Trial>,
}

/// A preboot on trial.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub(crate) struct Trial {
    /// Which.
    #[n(0)]
    pub(crate) sha256: Digest,
    /// How often.
    #[n(1)]
    pub(crate) times: u32,
}

/// What may not fall.
#[derive(Clone, Copy, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub(crate) struct Floors {
    /// Of preboot images.
    #[n(0)]
    pub(crate) preboot: u64,
    /// Of generations.
    #[n(1)]
    pub(crate) generation: u64,
    /// Of the org's manifest: its epoch.
    #[n(2)]
    pub(crate) epoch: u64,
}

impl Remembered {
    /// A machine that was just granted its identity.
    pub(crate) fn new(machine: MachineId, name: String, confirm: [u8; 32]) -> Self {
        Self {
            sequence: 0,
            machine,
            name,
            confirm: Some(confirm),
            boots: 0,
            heard: Time(0),
            org: None,
            generation: None,
            sources: Vec::new(),
            floors: Floors::default(),
            running: None,
            trial: None,
        }
    }

    /// What is remembered on the ESP that is mounted here, if anything.
    pub(crate) fn read(esp: &Path) -> Option<Self> {
        let both = [1, 2].map(|number| fs::read(file(esp, number)).ok().and_then(|bytes| decode(&bytes)));
        both.into_iter().flatten().max_by_key(|memory| memory.sequence)
    }

    /// Writes it down, durably, where the older of the two was.
    pub(crate) fn write(&mut self, esp: &Path) -> io::Result<()> {
        let newest = Self::read(esp).map_or(0, |memory| memory.sequence);
        self.sequence = newest.max(self.sequence).saturating_add(1);
        let path = file(esp, if self.sequence % 2 == 1 { 1 } else { 2 });
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        file.write_all(&encode(self))?;
        // In this order: for vfat, `syncfs` writes the folder and does not empty the disk's cache; `fsync` does.
        rustix::fs::syncfs(&file)?;
        file.sync_all()
    }
}

fn file(esp: &Path, number: u8) -> PathBuf {
    esp.join(format!("{FILE}{number}"))
}

fn encode(memory: &Remembered) -> Vec<u8> {
    let payload = slipway_trust::encode(memory);
    [MAGIC.as_slice(), &Digest::of(&payload).0, &payload].concat()
}

fn decode(bytes: &[u8]) -> Option<Remembered> {
    let rest = bytes.get(..bytes.len().min(LARGEST))?.strip_prefix(MAGIC)?;
    let (digest, payload) = rest.split_at_checked(32)?;
    (Digest::of(payload).0 == digest).then(|| slipway_trust::decode(payload).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Remembered {
        Remembered::new(MachineId([1; 16]), "web1".to_owned(), [2; 32])
    }

    #[test]
    fn what_was_written_last_is_remembered() {
        let esp = tempfile::tempdir().unwrap();
        assert_eq!(Remembered::read(esp.path()), None);
        let mut memory = memory();
        for boots in 1..5 {
            memory.boots = boots;
            memory.write(esp.path()).unwrap();
            assert_eq!(Remembered::read(esp.path()).unwrap().boots, boots);
        }
    }

    #[test]
    fn a_torn_file_leaves_the_one_before_it() {
        let esp = tempfile::tempdir().unwrap();
        let mut memory = memory();
        memory.write(esp.path()).unwrap();
        memory.boots = 1;
        memory.write(esp.path()).unwrap();
        let newest = file(esp.path(), 2);
        let whole = fs::read(&newest).unwrap();
        for length in 0..whole.len() {
            fs::write(&newest, &whole[..length]).unwrap();
            assert_eq!(Remembered::read(esp.path()).unwrap().boots, 0, "cut at {length}");
        }
        // And the next writing goes over the torn one.
        memory.boots = 7;
        memory.write(esp.path()).unwrap();
        assert_eq!(Remembered::read(esp.path()).unwrap().boots, 7);
    }
}
