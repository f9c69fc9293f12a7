//! The disks of this machine, and how one is named so that a plan made elsewhere can mean it.

use core::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use rustix::io::Errno;
use rustix::ioctl;
use uuid::Uuid;

use crate::gpt::{Partition, Table};

/// A disk's lasting name: what kind of name, and the name as its maker gave it. `wwid:naa.5000c500a1b2c3d4`, `wwid:eui.0025388b710116a2`,
/// `serial:S4EWNX0R123456`; `path:pci0000:00/0000:00:04.0/virtio1` for one that has no name of its own, which then holds only until
/// the disk is plugged in elsewhere. Letters, digits and `._:/+-` only.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DiskId(String);

impl DiskId {
    /// The name as text, as it is sent and shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names the place of the disk rather than the disk.
    #[must_use]
    pub fn is_place(&self) -> bool {
        self.0.starts_with("path:")
    }

    fn of(kind: &str, name: &str) -> Option<Self> {
        let words: Vec<&str> =
            name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._:/+-".contains(c) { c } else { '_' };
        let name: String = words.join("_").chars().map(safe).collect();
        // Some makers ship a thousand disks of serial number zero.
        let says_something = name.chars().any(|c| !matches!(c, '0' | '_' | '-' | '.' | ' '));
        says_something.then(|| Self(format!("{kind}:{name}")))
    }
}

impl From<&str> for DiskId {
    /// An id as a plan has it.
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// The kernel's name for it, `nvme0n1`.
    pub name: String,
    /// Where it is opened, `/dev/nvme0n1`.
    pub path: PathBuf,
    /// Its lasting name.
    pub id: DiskId,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes in a logical sector: 512 or 4096.
    pub sector: u32,
    /// What its maker calls it; empty if it does not say.
    pub model: String,
    /// Whether it says that it can be taken out, or hangs on USB: nothing is installed there.
    pub removable: bool,
    /// Whether it refuses writing.
    pub read_only: bool,
}

impl Device {
    /// Where the partition of this number is opened: `/dev/sda1`, `/dev/nvme0n1p1`.
    #[must_use]
    pub fn partition(&self, number: u32) -> PathBuf {
        let between = if self.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
        let mut path = self.path.clone().into_os_string();
        path.push(format!("{between}{number}"));
        path.into()
    }

    /// A file that is used like a disk, for images and tests.
    ///
    /// # Errors
    /// The file's.
    pub fn from_file(path: &Path, id: &str, sector: u32) -> io::Result<Self> {
        let size = fs::metadata(path)?.len();
        Ok(Self {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            path: path.to_owned(),
            id: id.into(),
            size,
            sector,
            model: "a file".to_owned(),
            removable: false,
            read_only: false,
        })
    }
}

/// Drivers whose disks are no place to install to: memory, files, what is made of other disks, and what is only read.
const NOT_DISKS: &[&str] =
    &["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "rbd", "drbd", "bcache", "mtdblock", "zd"];

/// The disks of this machine, in the order of their names. `sys` is `/sys`.
///
/// # Errors
/// That `/sys/block` cannot be read. A disk that goes away meanwhile is left out.
pub fn list(sys: &Path) -> io::Result<Vec<Device>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(sys.join("block"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // The hardware partitions of an eMMC (mmcblk0boot0, mmcblk0rpmb) and a multipath NVMe's single paths (nvme0c0n1).
        let part = name.contains("boot") || name.contains("rpmb") || is_single_path(&name);
        if !part && !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.iter().filter_map(|name| device(sys, name)).collect())
}

fn is_single_path(name: &str) -> bool {
    name.strip_prefix("nvme").is_some_and(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).starts_with('c'))
}

/// Reads one disk's attributes; `None` if it is gone or has no medium.
fn device(sys: &Path, name: &str) -> Option<Device> {
    let folder = sys.join("block").join(name);
    let text = |file: &str| {
        let bytes = fs::read(folder.join(file)).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned();
        (!text.is_empty()).then_some(text)
    };
    // `size` counts 512 bytes whatever the sector is.
    let size = text("size")?.parse::<u64>().ok()?.checked_mul(512).filter(|size| *size > 0)?;
    let real = fs::canonicalize(&folder).unwrap_or(folder.clone());
    let place = real.to_string_lossy().into_owned();
    let id = [
        ("wwid", "wwid"),
        ("wwid", "device/wwid"),
        ("serial", "serial"),
        ("serial", "device/serial"),
        ("cid", "device/cid"),
    ]
    .into_iter()
    .find_map(|(kind, file)| DiskId::of(kind, &text(file)?))
    .or_else(|| DiskId::of("serial", &unit_serial(&folder)?))
    .or_else(|| DiskId::of("path", &stable_place(&place)))?;
    Some(Device {
        name: name.to_owned(),
        // Where a name has a slash (cciss/c0d0), sysfs has an exclamation mark.
        path: Path::new("/dev").join(name.replace('!', "/")),
        id,
        size,
        sector: text("queue/logical_block_size").and_then(|size| size.parse().ok()).unwrap_or(512),
        model: text("device/model").unwrap_or_default(),
        removable: text("removable").is_some_and(|flag| flag == "1") || place.contains("/usb"),
        read_only: text("ro").is_some_and(|flag| flag == "1"),
    })
}

/// A SCSI disk's serial number: its page 0x80 of vital product data, four bytes of header first.
fn unit_serial(folder: &Path) -> Option<String> {
    let page = fs::read(folder.join("device/vpd_pg80")).ok()?;
    Some(String::from_utf8_lossy(page.get(4..)?).trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

/// The part of a device's path that tells where it is plugged in: without `/sys/devices` before, and the disk's changing name behind.
fn stable_place(real: &str) -> String {
    let plugged = real.split("/devices/").nth(1).unwrap_or(real);
    plugged.split("/block/").next().unwrap_or(plugged).to_owned()
}

/// Why no disk is the one that a plan names.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FindError {
    /// None has this id.
    #[error("no disk of this machine is {0}")]
    None(DiskId),
    /// Several have: none of them is touched.
    #[error("{count} disks of this machine say that they are {id}")]
    Many {
        /// The id.
        id: DiskId,
        /// How many.
        count: usize,
    },
}

/// The one disk of this id.
///
/// # Errors
/// There is none, or more than one.
pub fn find<'a>(devices: &'a [Device], id: &DiskId) -> Result<&'a Device, FindError> {
    let mut those = devices.iter().filter(|device| device.id == *id);
    match (those.next(), those.count()) {
        (Some(device), 0) => Ok(device),
        (None, _) => Err(FindError::None(id.clone())),
        (Some(_), more) => Err(FindError::Many { id: id.clone(), count: more.saturating_add(1) }),
    }
}

/// The disk and the partition that have this unique GUID: where a boot entry's, or the stub's `LoaderDevicePartUUID`, points.
#[must_use]
pub fn find_partition(devices: &[Device], id: Uuid) -> Option<(&Device, Partition)> {
    devices.iter().find_map(|device| {
        let disk = File::open(&device.path).ok()?;
        let crate::gpt::Present::Gpt(table) = crate::gpt::read(&disk, device).ok()? else { return None };
        let partition = table.partitions().find(|partition| partition.id == id)?;
        Some((device, partition))
    })
}

/// `BLKRRPART`: read the partition table again.
const REREAD: ioctl::Opcode = ioctl::opcode::none(0x12, 95);
/// `BLKFLSBUF`: write the page cache of a device out and forget it.
const FLUSH: ioctl::Opcode = ioctl::opcode::none(0x12, 97);

/// How long the kernel and devtmpfs may take to show a new partition.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes what is read from here on come from the medium: what the page cache holds of a device, or of a file, is written and dropped.
///
/// # Errors
/// The device's.
pub fn drop_cache(file: &File) -> io::Result<()> {
    file.sync_all()?;
    // SAFETY: BLKFLSBUF takes no argument.
    match unsafe { ioctl::ioctl(file, ioctl::NoArg::<FLUSH>::new()) } {
        // Not a block device: then the advice is what there is.
        Ok(()) | Err(Errno::NOTTY | Errno::INVAL | Errno::ACCESS) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Makes the kernel see the partitions of a table that was written, and waits until they can be opened. Those that it shows already,
/// of a table that was not written, may be in use: then it is not asked.
pub(crate) fn reread_partitions(disk: &File, device: &Device, table: &Table, written: bool) -> io::Result<()> {
    if !written && table.partitions().all(|partition| device.partition(partition.number).exists()) {
        return Ok(());
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        // SAFETY: BLKRRPART takes no argument.
        match unsafe { ioctl::ioctl(disk, ioctl::NoArg::<REREAD>::new()) } {
            Ok(()) => break,
            // A file instead of a disk has no partitions to show.
            Err(Errno::NOTTY) => return Ok(()),
            // Somebody looks at a partition: a file system that was unmounted lets go of it a moment later.
            Err(Errno::BUSY) if Instant::now() < deadline => thread::sleep(Duration::from_millis(50)),
            Err(error) => {
                return Err(io::Error::other(format!(
                    "{}: the kernel does not read its partitions again: {error}",
                    device.name
                )));
            }
        }
    }
    let deadline = Instant::now() + PATIENCE;
    for partition in table.partitions() {
        let path = device.partition(partition.number);
        while !path.exists() {
            if Instant::now() > deadline {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("the kernel does not show {}", path.display()),
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk's attributes as files.
    fn plug_in(sys: &Path, name: &str, place: &str, files: &[(&str, &str)]) {
        let folder = sys.join("devices").join(place).join("block").join(name);
        for (file, content) in [("size", "2048"), ("queue/logical_block_size", "512")].iter().chain(files) {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{content}\n")).unwrap();
        }
        fs::create_dir_all(sys.join("block")).unwrap();
        std::os::unix::fs::symlink(&folder, sys.join("block").join(name)).unwrap();
    }

    #[test]
    fn disks_are_named_by_what_lasts() {
        let sys = tempfile::tempdir().unwrap();
        let sys = sys.path();
        plug_in(
            sys,
            "nvme0n1",
            "pci0000:00/nvme/nvme0",
            &[("wwid", "eui.0025388b710116a2"), ("device/serial", "S4EWNX0R123456   ")],
        );
        plug_in(
            sys,
            "sda",
            "pci0000:00/ata1",
            &[("device/wwid", "t10.ATA     Samsung SSD 860  S3Z9NB0K1"), ("device/model", "Samsung SSD 860 ")],
        );
        plug_in(
            sys,
            "sdb",
            "pci0000:00/usb1/1-1",
            &[("removable", "0"), ("device/vpd_pg80", "\0\u{80}\0\u{8}  WD-123 ")],
        );
        plug_in(sys, "vda", "pci0000:00/0000:00:04.0/virtio1", &[("serial", "lab-0001")]);
        plug_in(sys, "vdb", "pci0000:00/0000:00:05.0/virtio2", &[("serial", ""), ("queue/logical_block_size", "4096")]);
        plug_in(sys, "vdc", "pci0000:00/0000:00:06.0/virtio3", &[("serial", "0000000000")]);
        for (name, size) in
            [("loop0", "8"), ("sr0", "8"), ("dm-0", "8"), ("mmcblk0boot0", "8"), ("nvme0c0n1", "8"), ("sdc", "0")]
        {
            plug_in(sys, name, name, &[("size", size)]);
        }
        let found: Vec<_> = list(sys).unwrap().into_iter().map(|d| (d.name, d.id.0, d.sector, d.removable)).collect();
        let rows = [
            ("nvme0n1", "wwid:eui.0025388b710116a2", 512, false),
            ("sda", "wwid:t10.ATA_Samsung_SSD_860_S3Z9NB0K1", 512, false),
            ("sdb", "serial:WD-123", 512, true),
            ("vda", "serial:lab-0001", 512, false),
            ("vdb", "path:pci0000:00/0000:00:05.0/virtio2", 4096, false),
            ("vdc", "path:pci0000:00/0000:00:06.0/virtio3", 512, false),
        ];
        let rows: Vec<_> = rows.into_iter().map(|(n, i, s, r)| (n.to_owned(), i.to_owned(), s, r)).collect();
        assert_eq!(found, rows);
    }

    #[test]
    fn a_plan_finds_its_disk_or_is_told_why_not() {
        let sys = tempfile::tempdir().unwrap();
        for (name, serial) in [("vda", "one"), ("vdb", "two"), ("vdc", "two")] {
            plug_in(sys.path(), name, name, &[("serial", serial)]);
        }
        let disks = list(sys.path()).unwrap();
        assert_eq!(find(&disks, &"serial:one".into()).unwrap().name, "vda");
        let rows = [
            ("serial:two", "2 disks of this machine say that they are serial:two"),
            ("serial:three", "no disk of this machine is serial:three"),
        ];
        for (id, words) in rows {
            assert_eq!(find(&disks, &id.into()).unwrap_err().to_string(), words);
        }
    }

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        for (disk, partition) in [
            ("cciss!c0d0", "/dev/cciss/c0d0p3"),
            ("sda", "/dev/sda3"),
            ("nvme0n1", "/dev/nvme0n1p3"),
            ("mmcblk0", "/dev/mmcblk0p3"),
            ("vda", "/dev/vda3"),
        ] {
            let sys = tempfile::tempdir().unwrap();
            plug_in(sys.path(), disk, disk, &[("serial", "one")]);
            assert_eq!(list(sys.path()).unwrap()[0].partition(3), Path::new(partition));
        }
    }
}
