//! File systems that this machine shows, by what their first bytes say.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use slipway_disk::{devices, efivars};

/// Where the firmware's variables are.
pub(crate) const EFIVARS: &str = "/sys/firmware/efi/efivars";
/// Where a medium is looked at.
const PLACE: &str = "/run/slipway-medium";
/// How much of a volume says what it is: an ISO's descriptor ends here.
const LOOK: usize = 34 * 1024;

/// A volume.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Volume {
    /// What the kernel calls its file system.
    pub(super) kind: &'static str,
    /// Its label, without the spaces behind it.
    pub(super) label: String,
}

/// A volume on a device.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    pub(super) device: PathBuf,
    pub(super) volume: Volume,
    /// Whether somebody put it there on purpose: it can be taken out, or the machine was started from it.
    pub(super) is_ours: bool,
}

/// A medium that is mounted until this is dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Nobody is left to be told, and it was mounted for reading.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

impl Medium {
    /// Mounts it for reading.
    pub(super) fn mount(&self) -> Option<Mounted> {
        let place = PathBuf::from(PLACE);
        fs::create_dir_all(&place).ok()?;
        let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount(&self.device, &place, self.volume.kind, flags, None).ok()?;
        Some(Mounted(place))
    }
}

/// All of them, those that the machine was started from first.
pub(super) fn all() -> Vec<Medium> {
    let disks = devices::list(Path::new("/sys")).unwrap_or_default();
    let own = efivars::loader_partition(Path::new(EFIVARS)).and_then(|id| devices::find_partition(&disks, id));
    let own = own.map(|(disk, partition)| disk.partition(partition.number));
    let mut names: Vec<String> = fs::read_dir("/sys/class/block")
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    let mut media: Vec<Medium> = names
        .iter()
        .filter(|name| !["loop", "ram", "dm-", "zram", "fd"].iter().any(|prefix| name.starts_with(prefix)))
        .filter_map(|name| {
            let device = Path::new("/dev").join(name);
            let volume = look(&device)?;
            let is_ours = own.as_ref() == Some(&device) || is_removable(name);
            Some(Medium { device, volume, is_ours })
        })
        .collect();
    media.sort_by_key(|medium| own.as_ref() != Some(&medium.device));
    media
}

fn is_removable(name: &str) -> bool {
    let Ok(folder) = fs::canonicalize(Path::new("/sys/class/block").join(name)) else { return false };
    let flag = |folder: &Path| fs::read_to_string(folder.join("removable")).is_ok_and(|flag| flag.trim() == "1");
    // A partition's flag is its disk's.
    name.starts_with("sr")
        || folder.to_string_lossy().contains("/usb")
        || flag(&folder)
        || folder.parent().is_some_and(flag)
}

fn look(device: &Path) -> Option<Volume> {
    let mut head = vec![0; LOOK];
    let got = File::open(device).ok()?.read_at(&mut head, 0).ok()?;
    head.truncate(got);
    volume(&head)
}

/// What a volume's first bytes say that it is.
pub(super) fn volume(head: &[u8]) -> Option<Volume> {
    let at = |from: usize, length: usize| head.get(from..from.checked_add(length)?);
    let label = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches([' ', '\0']).to_owned();
    if at(0x8001, 5) == Some(b"CD001") {
        return Some(Volume { kind: "iso9660", label: label(at(0x8028, 32)?) });
    }
    // FAT32 says so behind its longer parameters, FAT12 and FAT16 behind their shorter ones.
    let fat32 = at(0x52, 5) == Some(b"FAT32");
    let older = at(0x36, 3) == Some(b"FAT");
    let name = if fat32 { at(0x47, 11)? } else { at(0x2b, 11)? };
    ((fat32 || older) && at(510, 2) == Some(&[0x55, 0xaa])).then(|| Volume { kind: "vfat", label: label(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; LOOK];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn volumes_are_known_by_their_first_bytes() {
        let mark: (usize, &[u8]) = (510, &[0x55, 0xaa]);
        for (head, kind, label) in [
            (head(&[(0x52, b"FAT32   "), (0x47, b"CIDATA     "), mark]), "vfat", "CIDATA"),
            (head(&[(0x36, b"FAT16   "), (0x2b, b"cidata     "), mark]), "vfat", "cidata"),
            (head(&[(0x8001, b"CD001"), (0x8028, b"cidata                          ")]), "iso9660", "cidata"),
        ] {
            assert_eq!(volume(&head), Some(Volume { kind, label: label.to_owned() }));
        }
        assert_eq!(volume(&head(&[mark])), None);
        assert_eq!(volume(&head(&[(0x52, b"FAT32   ")])), None);
        assert_eq!(volume(b"short"), None);
    }
}
