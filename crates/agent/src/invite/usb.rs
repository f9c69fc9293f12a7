//! Whether the USB sticks of this machine are there yet. Linux finds what is on the bus, waits a second for each stick to settle
//! (`usb_storage.delay_use`), and looks for disks on it only then: a machine whose network is up at once would be faster.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// The class of an interface that stores things (USB, Mass Storage Class Overview 1.4).
const STORAGE: &str = "08";
/// How far below an interface its disk is: host, target, logical unit, `block`.
const DEPTH: u32 = 4;
/// How long a bus may take to find what is plugged into it.
const ENUMERATION: Duration = Duration::from_secs(2);

/// Whether something may still appear, so long after looking began. `sys` is where the kernel shows its devices.
pub(super) fn may_appear(sys: &Path, since: Duration) -> bool {
    let entries = fs::read_dir(sys.join("bus/usb/devices")).into_iter().flatten().flatten();
    let devices: Vec<_> = entries.map(|entry| entry.path()).collect();
    let is_storage =
        |path: &Path| fs::read_to_string(path.join("bInterfaceClass")).is_ok_and(|class| class.trim() == STORAGE);
    let waits = devices.iter().any(|path| is_storage(path) && !has_disk(path, DEPTH));
    waits || (!devices.is_empty() && since < ENUMERATION)
}

fn has_disk(folder: &Path, depth: u32) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // Links lead out of the interface, and in circles.
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).any(|entry| {
        let path = entry.path();
        let is_list = entry.file_name() == "block";
        (is_list && fs::read_dir(&path).is_ok_and(|mut disks| disks.next().is_some())) || has_disk(&path, depth)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stick_is_waited_for_until_its_disk_is_there_and_a_bus_for_two_seconds() {
        let sys = tempfile::tempdir().unwrap();
        let (start, later) = (Duration::ZERO, Duration::from_secs(3));
        let told = |since| may_appear(sys.path(), since);
        assert!(!told(start), "a machine without USB waits for nothing");
        let devices = sys.path().join("bus/usb/devices");
        fs::create_dir_all(devices.join("usb1")).unwrap();
        assert!(told(start) && !told(later));
        let keyboard = devices.join("1-2:1.0");
        fs::create_dir_all(&keyboard).unwrap();
        fs::write(keyboard.join("bInterfaceClass"), "03\n").unwrap();
        assert!(!told(later));
        let stick = devices.join("1-1:1.0");
        fs::create_dir_all(stick.join("host6/target6:0:0/6:0:0:0")).unwrap();
        fs::write(stick.join("bInterfaceClass"), "08\n").unwrap();
        assert!(told(later), "it has no disk yet");
        fs::create_dir_all(stick.join("host6/target6:0:0/6:0:0:0/block/sda")).unwrap();
        assert!(!told(later));
    }
}
