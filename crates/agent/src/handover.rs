//! What the preboot hands to the generation: files laid over its initramfs in memory. None of them is ever on a disk.

use std::fs;
use std::path::Path;

use slipway_disk::kexec::Handed;
use slipway_trust::MachineId;
use zeroize::Zeroizing;

/// Where they are, from the root of the initramfs.
pub(crate) const FOLDER: &str = "etc/slipway/handover";

/// All of it.
pub(crate) struct Handover {
    /// `machine`: who this is, 32 hexadecimal digits.
    pub(crate) machine: MachineId,
    /// `name`: its name.
    pub(crate) name: String,
    /// `certificate.der`: its certificate, good for a day.
    pub(crate) certificate: Vec<u8>,
    /// `identity.key`: the key's 32 bytes, of a machine without a TPM.
    pub(crate) identity: Option<Zeroizing<[u8; 32]>>,
    /// `disk.key` and `disk.part`: what opens the data partition, and the partition's unique GUID.
    pub(crate) disk: Option<(Zeroizing<[u8; 32]>, String)>,
    /// `gateways`: where the org is, one `address:port` a line.
    pub(crate) gateways: Vec<String>,
    /// `generation`: the digest of the image, in hexadecimal digits, its name, and its version.
    pub(crate) generation: (String, String, u64),
    /// `org`: what the preboot trusts, as in its own initramfs.
    pub(crate) org: Vec<u8>,
}

impl Handover {
    /// As files.
    pub(crate) fn files(&self) -> Vec<Handed> {
        let (digest, name, version) = &self.generation;
        let mut files = vec![
            file("machine", format!("{}\n", self.machine).as_bytes()),
            file("name", format!("{}\n", self.name).as_bytes()),
            file("certificate.der", &self.certificate),
            file("gateways", self.gateways.iter().map(|gateway| format!("{gateway}\n")).collect::<String>().as_bytes()),
            file("generation", format!("{digest} {name} {version}\n").as_bytes()),
            file("org", &self.org),
        ];
        files.extend(self.identity.as_ref().map(|seed| file("identity.key", seed.as_slice())));
        if let Some((key, partition)) = &self.disk {
            files.extend([file("disk.key", key.as_slice()), file("disk.part", format!("{partition}\n").as_bytes())]);
        }
        files
    }

    /// Takes them out of the initramfs: they are read once, and then gone.
    ///
    /// # Errors
    /// In words: what is missing.
    pub(crate) fn take(root: &Path) -> Result<Self, String> {
        let folder = root.join(FOLDER);
        let taken = read(&folder);
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // It is in memory only: what cannot be removed goes with the machine's power.
            let _ = fs::remove_file(entry.path());
        }
        taken
    }
}

fn read(folder: &Path) -> Result<Handover, String> {
    let bytes = |name: &str| fs::read(folder.join(name)).map_err(|_| format!("no preboot has handed over `{name}`"));
    let text = |name: &str| Ok::<_, String>(String::from_utf8_lossy(&bytes(name)?).trim().to_owned());
    let key =
        |name: &str| bytes(name).ok().map(Zeroizing::new).and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok());
    let generation = text("generation")?;
    let mut words = generation.split(' ').map(str::to_owned);
    let mut word = || words.next().ok_or_else(|| "what was handed over of the generation is not whole".to_owned());
    Ok(Handover {
        machine: text("machine")?.parse().map_err(|error| format!("machine: {error}"))?,
        name: text("name")?,
        certificate: bytes("certificate.der")?,
        identity: key("identity.key").map(Zeroizing::new),
        disk: key("disk.key").map(Zeroizing::new).zip(text("disk.part").ok()),
        gateways: text("gateways")?.lines().map(str::to_owned).collect(),
        generation: (word()?, word()?, word()?.parse().unwrap_or(0)),
        org: bytes("org")?,
    })
}

fn file(name: &str, content: &[u8]) -> Handed {
    Handed { path: format!("{FOLDER}/{name}"), mode: 0o400, content: Zeroizing::new(content.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handover(with_secrets: bool) -> Handover {
        Handover {
            machine: MachineId([1; 16]),
            name: "web1".to_owned(),
            certificate: vec![3; 300],
            identity: with_secrets.then(|| Zeroizing::new([4; 32])),
            disk: with_secrets.then(|| (Zeroizing::new([5; 32]), "8f2a6c1e-47d3-4b59-9e0d-5c6b7a41f3d2".to_owned())),
            gateways: vec!["10.0.0.1:8444".to_owned(), "[fd00::1]:8444".to_owned()],
            generation: ("ab".repeat(32), "demo".to_owned(), 7),
            org: vec![6; 10],
        }
    }

    #[test]
    fn what_is_handed_over_is_taken_once() {
        for with_secrets in [true, false] {
            let root = tempfile::tempdir().unwrap();
            let given = handover(with_secrets);
            for Handed { path, content, mode } in given.files() {
                assert_eq!(mode, 0o400, "{path}");
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content.as_slice()).unwrap();
            }
            let taken = Handover::take(root.path()).unwrap();
            assert_eq!(
                (taken.machine, &taken.name, &taken.certificate),
                (given.machine, &given.name, &given.certificate)
            );
            assert_eq!((taken.identity, taken.disk), (given.identity, given.disk));
            assert_eq!((taken.gateways, taken.generation, taken.org), (given.gateways, given.generation, given.org));
            assert!(Handover::take(root.path()).is_err(), "a second time");
            assert_eq!(fs::read_dir(root.path().join(FOLDER)).unwrap().count(), 0);
        }
    }
}
