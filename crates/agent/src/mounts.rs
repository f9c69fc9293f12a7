//! The file systems that the kernel makes.

use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

/// Mounts `/proc`, `/sys` and `/dev`. What failed, in words.
pub(crate) fn mount_all() -> Vec<String> {
    let hard = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let wanted = [
        ("proc", "/proc", hard),
        ("sysfs", "/sys", hard),
        ("devtmpfs", "/dev", MountFlags::NOSUID),
        ("tmpfs", "/run", hard),
    ];
    wanted.into_iter().filter_map(|(kind, place, flags)| mount_one(kind, place, flags)).collect()
}

/// Mounts what the kernel shows of the firmware's boot log, where it shows one. A kernel without it has no log to show.
pub(crate) fn mount_securityfs() {
    let hard = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let _ = mount_one("securityfs", "/sys/kernel/security", hard);
}

/// Mounts the EFI variables, where the machine was started by UEFI. What failed, in words.
pub(crate) fn mount_efivars() -> Option<String> {
    let place = "/sys/firmware/efi/efivars";
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    Path::new(place).is_dir().then(|| mount_one("efivarfs", place, flags)).flatten()
}

fn mount_one(kind: &str, place: &str, flags: MountFlags) -> Option<String> {
    match mount(kind, place, kind, flags, None) {
        // Busy: the kernel has mounted it already (CONFIG_DEVTMPFS_MOUNT).
        Ok(()) | Err(Errno::BUSY) => None,
        Err(error) => Some(format!("cannot mount {kind} on {place}: {error}")),
    }
}
