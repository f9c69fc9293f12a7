//! Disks of machines, as files of the scenario: they outlive the machine's being switched off, and can be looked into then.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::lab::Lab;
use crate::parts::{MCOPY, MDIR, MFORMAT, SGDISK, require};
use crate::process::run;

mod gpt;
pub(crate) mod writes;

pub use gpt::{DATA, ESP, Partition};

/// What a disk is plugged into.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bus {
    /// virtio-blk on PCI.
    Virtio,
    /// NVMe.
    Nvme,
    /// SATA.
    Ahci,
    /// A USB stick.
    Usb,
}

/// A disk.
#[derive(Clone, Debug)]
pub struct Drive {
    content: Content,
    bus: Bus,
    serial: Option<String>,
    log: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Content {
    /// This raw image.
    Image(PathBuf),
    /// A FAT file system with the files of this folder: a UEFI system partition, for instance.
    Folder(PathBuf),
}

impl Lab {
    /// Makes a blank disk of so many MiB, `<name>.img` in the scenario's folder. It takes room only for what is written to it.
    ///
    /// # Errors
    /// The file can't be made.
    pub fn blank_disk(&self, name: &str, mib: u64) -> Result<Drive> {
        let path = self.folder().join(format!("{name}.img"));
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        file.set_len(mib << 20).with_context(|| format!("cannot make {} of {mib} MiB", path.display()))?;
        Ok(Drive::image(&path).serial(&format!("LAB-{name}")))
    }
}

impl Drive {
    /// A raw image, on virtio unless said.
    #[must_use]
    pub fn image(path: &Path) -> Self {
        Self { content: Content::Image(path.to_owned()), bus: Bus::Virtio, serial: None, log: None }
    }

    /// A FAT file system with the files of a folder, on virtio unless said.
    #[must_use]
    pub fn folder(path: &Path) -> Self {
        Self { content: Content::Folder(path.to_owned()), bus: Bus::Virtio, serial: None, log: None }
    }

    /// What it is plugged into.
    #[must_use]
    pub fn on(mut self, bus: Bus) -> Self {
        self.bus = bus;
        self
    }

    /// Its serial number: at most 20 characters.
    #[must_use]
    pub fn serial(mut self, serial: &str) -> Self {
        self.serial = Some(serial.chars().take(20).collect());
        self
    }

    /// What is written to it is written to this file, too, from each power-on anew: for [`writes::replay`].
    #[must_use]
    pub(crate) fn logged(mut self, log: &Path) -> Self {
        self.log = Some(log.to_owned());
        self
    }

    /// QEMU's arguments: it is the machine's disk of this number, and where the lab rules the order of booting, this is its place there.
    pub(crate) fn arguments(&self, number: usize, place: Option<usize>) -> Vec<String> {
        let file = match &self.content {
            Content::Image(path) => format!("format=raw,file={}", path.display()),
            Content::Folder(path) => format!("format=raw,file=fat:rw:{}", path.display()),
        };
        let mut device = match self.bus {
            Bus::Virtio => format!("virtio-blk-pci,drive=disk{number}"),
            Bus::Nvme => format!("nvme,drive=disk{number}"),
            Bus::Ahci => format!("ide-hd,drive=disk{number},bus=sata{number}.0"),
            Bus::Usb => format!("usb-storage,drive=disk{number},bus=usb{number}.0,removable=on"),
        };
        // NVMe has none without.
        let serial = self.serial.clone().or_else(|| (self.bus == Bus::Nvme).then(|| format!("LAB-{number}")));
        if let Some(serial) = serial {
            device += &format!(",serial={serial}");
        }
        if let Some(place) = place {
            device += &format!(",bootindex={place}");
        }
        let mut words = match (&self.content, &self.log) {
            (Content::Image(image), Some(log)) => logged(number, image, log),
            _ => vec!["-drive".to_owned(), format!("if=none,id=disk{number},{file}")],
        };
        let controller = match self.bus {
            Bus::Virtio | Bus::Nvme => None,
            Bus::Ahci => Some(format!("ahci,id=sata{number}")),
            Bus::Usb => Some(format!("qemu-xhci,id=usb{number}")),
        };
        words.extend(controller.into_iter().flat_map(|controller| ["-device".to_owned(), controller]));
        words.extend(["-device".to_owned(), device]);
        words
    }

    /// The image's file.
    ///
    /// # Errors
    /// It is a folder.
    pub fn path(&self) -> Result<&Path> {
        match &self.content {
            Content::Image(path) => Ok(path),
            Content::Folder(path) => anyhow::bail!("{} is a folder, not the image of a disk", path.display()),
        }
    }

    /// Writes a partition table: each partition with its name, its type ([`ESP`], [`DATA`]) and its size in MiB. There is no file system
    /// in them.
    ///
    /// # Errors
    /// sgdisk is missing or refuses.
    pub fn partition(&self, wanted: &[(&str, &str, u64)]) -> Result<()> {
        require(&[SGDISK])?;
        let mut command = Command::new(SGDISK.program);
        command.arg("--clear");
        for (name, kind, mib) in wanted {
            command.args(["--new", &format!("0:0:+{mib}M"), "--typecode", &format!("0:{kind}")]);
            command.args(["--change-name", &format!("0:{name}")]);
        }
        run(command.arg(self.path()?)).map(drop)
    }

    /// What a foreign program finds wrong with the partition table; it is whole where this is no error.
    ///
    /// # Errors
    /// sgdisk is missing, or finds something.
    pub fn verify_table(&self) -> Result<()> {
        require(&[SGDISK])?;
        let said = run(Command::new(SGDISK.program).arg("--verify").arg(self.path()?))?;
        ensure!(said.contains("No problems found"), "{}: {said}", self.path()?.display());
        Ok(())
    }

    /// Makes a FAT file system in a partition.
    ///
    /// # Errors
    /// mtools are missing, or refuse.
    pub fn make_fat(&self, partition: &Partition) -> Result<()> {
        require(&[MFORMAT])?;
        let sectors = (partition.len / 512).to_string();
        let geometry = ["-F", "-T", &sectors, "-h", "16", "-s", "63"];
        run(Command::new(MFORMAT.program).args(geometry).arg("-i").arg(self.at(partition)?).arg("::")).map(drop)
    }

    /// Its partitions, by the table at its beginning.
    ///
    /// # Errors
    /// It has no such table, or can't be read.
    pub fn partitions(&self) -> Result<Vec<Partition>> {
        let path = self.path()?;
        let mut head = Vec::new();
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        file.take(gpt::HEAD).read_to_end(&mut head)?;
        gpt::read(&head).with_context(|| format!("{}: no partition table", path.display()))
    }

    /// Its first partition of this type.
    ///
    /// # Errors
    /// It has none.
    pub fn partition_of(&self, kind: &str) -> Result<Partition> {
        let found = self.partitions()?.into_iter().find(|partition| partition.kind == kind);
        found.with_context(|| format!("no partition of the type {kind} in {:?}", self.partitions()))
    }

    /// Its UEFI system partition.
    ///
    /// # Errors
    /// It has none.
    pub fn esp(&self) -> Result<Partition> {
        self.partition_of(ESP)
    }

    /// SHA-256 of a partition's content, in hexadecimal.
    ///
    /// # Errors
    /// It can't be read.
    pub fn digest(&self, partition: &Partition) -> Result<String> {
        let mut file = File::open(self.path()?)?;
        file.seek(SeekFrom::Start(partition.start))?;
        let mut hasher = Sha256::new();
        let mut content = file.take(partition.len);
        let mut piece = vec![0; 1 << 20];
        while let read @ 1.. = content.read(&mut piece)? {
            hasher.update(piece.get(..read).unwrap_or_default());
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Overwrites a partition with zeros, from its first byte to its last.
    ///
    /// # Errors
    /// It can't be written.
    pub fn zero(&self, partition: &Partition) -> Result<()> {
        let zeros = vec![0; 1 << 20];
        let mut file = File::options().write(true).open(self.path()?)?;
        file.seek(SeekFrom::Start(partition.start))?;
        let mut left = partition.len;
        while left > 0 {
            let piece = zeros.get(..usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len())).unwrap_or(&zeros);
            file.write_all(piece)?;
            left -= u64::try_from(piece.len())?;
        }
        Ok(())
    }

    /// Fills a partition with bytes that are the same in each run and nowhere a pattern.
    ///
    /// # Errors
    /// It can't be written.
    pub fn fill(&self, partition: &Partition) -> Result<()> {
        let mut file = File::options().write(true).open(self.path()?)?;
        file.seek(SeekFrom::Start(partition.start))?;
        let mut block = Sha256::digest(b"slipway lab");
        for _ in 0..partition.len / 32 {
            file.write_all(&block)?;
            block = Sha256::digest(block);
        }
        Ok(())
    }

    /// Turns the lowest bit of the byte at this place, counted from the image's first.
    ///
    /// # Errors
    /// It has no such byte.
    pub fn flip(&self, at: u64) -> Result<()> {
        let file = File::options().read(true).write(true).open(self.path()?)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        Ok(file.write_all_at(&byte.map(|byte| byte ^ 1), at)?)
    }

    /// The content of a file in a partition's FAT file system.
    ///
    /// # Errors
    /// mtools are missing, or there is no such file.
    pub fn read_file(&self, partition: &Partition, path: &str) -> Result<Vec<u8>> {
        require(&[MCOPY])?;
        let folder = self.path()?.with_extension("files");
        std::fs::create_dir_all(&folder)?;
        let copy = folder.join(path.replace('/', "_"));
        run(Command::new(MCOPY.program)
            .arg("-n")
            .arg("-i")
            .arg(self.at(partition)?)
            .arg(format!("::/{path}"))
            .arg(&copy))?;
        std::fs::read(&copy).with_context(|| format!("cannot read {}", copy.display()))
    }

    /// Puts a file into a partition's FAT file system, in the place of one that is there.
    ///
    /// # Errors
    /// mtools are missing, or its folder is not there.
    pub fn write_file(&self, partition: &Partition, file: &Path, path: &str) -> Result<()> {
        require(&[MCOPY])?;
        let place = format!("::/{path}");
        run(Command::new(MCOPY.program).arg("-o").arg("-i").arg(self.at(partition)?).arg(file).arg(place)).map(drop)
    }

    /// The paths of all files in a partition's FAT file system, in order.
    ///
    /// # Errors
    /// mtools are missing, or there is no such file system.
    pub fn files(&self, partition: &Partition) -> Result<Vec<String>> {
        require(&[MDIR])?;
        let said = run(Command::new(MDIR.program).args(["-/", "-b", "-i"]).arg(self.at(partition)?).arg("::/"))?;
        let mut files: Vec<String> =
            said.lines().filter_map(|line| line.strip_prefix("::/")).map(str::to_owned).collect();
        files.retain(|file| !file.ends_with('/'));
        files.sort();
        Ok(files)
    }

    /// The partition as mtools name it.
    fn at(&self, partition: &Partition) -> Result<String> {
        Ok(format!("{}@@{}", self.path()?.display(), partition.start))
    }
}

/// The image under the name of the disk, seen through what logs each write.
fn logged(number: usize, image: &Path, log: &Path) -> Vec<String> {
    let file = |name: &str, path: &Path| {
        format!("driver=raw,node-name=disk{number}-{name},file.driver=file,file.filename={}", path.display())
    };
    let through = format!(
        "driver=blklogwrites,node-name=disk{number},file=disk{number}-image,log=disk{number}-log,log-super-update-interval=1"
    );
    let all = [file("image", image), file("log", log), through];
    all.into_iter().flat_map(|one| ["-blockdev".to_owned(), one]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(drive: &Drive, place: Option<usize>) -> String {
        drive.arguments(0, place).join(" ")
    }

    #[test]
    fn a_disk_is_plugged_into_what_was_said_and_says_its_serial_number() {
        let drive = Drive::image(Path::new("/d.img")).serial("a-serial-number-that-is-too-long");
        let virtio = words(&drive, Some(1));
        assert!(virtio.contains("format=raw,file=/d.img"), "{virtio}");
        assert!(virtio.ends_with("virtio-blk-pci,drive=disk0,serial=a-serial-number-that,bootindex=1"), "{virtio}");
        let nvme = words(&Drive::image(Path::new("/d.img")).on(Bus::Nvme), None);
        assert!(nvme.ends_with("nvme,drive=disk0,serial=LAB-0"), "{nvme}");
        let sata = words(&drive.clone().on(Bus::Ahci), None);
        assert!(sata.contains("-device ahci,id=sata0 -device ide-hd,drive=disk0,bus=sata0.0"), "{sata}");
        let stick = words(&drive.on(Bus::Usb), None);
        assert!(stick.contains("qemu-xhci,id=usb0") && stick.contains("removable=on"), "{stick}");
        let logged = words(&Drive::image(Path::new("/d.img")).logged(Path::new("/log")), None);
        assert!(logged.contains("node-name=disk0,file=disk0-image,log=disk0-log"), "{logged}");
        assert!(logged.contains("filename=/log") && logged.ends_with("virtio-blk-pci,drive=disk0"), "{logged}");
    }

    #[test]
    fn a_partition_is_filled_told_by_its_digest_and_zeroed_and_its_neighbours_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        File::create(&path).unwrap().set_len(3 << 20).unwrap();
        let drive = Drive::image(&path);
        let partition = |start: u64| Partition {
            number: 1,
            kind: DATA.into(),
            name: String::new(),
            start: start << 20,
            len: 1 << 20,
        };
        let [before, mine, after] = [0, 1, 2].map(partition);
        let blank = drive.digest(&mine).unwrap();
        [&before, &mine, &after].into_iter().for_each(|partition| drive.fill(partition).unwrap());
        let full = drive.digest(&mine).unwrap();
        assert!(full != blank && drive.digest(&before).unwrap() == full);
        drive.zero(&mine).unwrap();
        assert_eq!(drive.digest(&mine).unwrap(), blank);
        assert_eq!([&before, &after].map(|partition| drive.digest(partition).unwrap()), [full.clone(), full.clone()]);
        drive.flip(before.start + 77).unwrap();
        assert_ne!(drive.digest(&before).unwrap(), full);
        drive.flip(before.start + 77).unwrap();
        assert_eq!(drive.digest(&before).unwrap(), full);
    }
}
