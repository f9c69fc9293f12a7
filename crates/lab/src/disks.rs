//! Disks and ISO images that boot: the lab's Linux on something that looks like a disk, for BIOS and UEFI alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::parts::{ISOLINUX, LDLINUX, MCOPY, MFORMAT, MMD, SYSLINUX, XORRISO, require};
use crate::process::run;

/// What a BIOS loader needs to be told: which kernel, which initrd, which command line.
fn loader_config(cmdline: &str) -> String {
    format!("DEFAULT linux\nPROMPT 0\nLABEL linux\n  KERNEL linux\n  INITRD initrd\n  APPEND {cmdline}\n")
}

impl Lab {
    /// Writes a disk of 48 MiB into the scenario's folder, one FAT file system from its first sector on: UEFI finds a UKI in it, a BIOS
    /// syslinux, which loads kernel and initrd.
    ///
    /// # Errors
    /// A program is missing, or a file can't be read or written.
    pub fn disk(&self, cmdline: &str) -> Result<PathBuf> {
        require(&[MFORMAT, SYSLINUX])?;
        let path = self.folder().join("disk.img");
        fat(&path, 48)?;
        put(&path, &self.uki(cmdline)?, "::/EFI/BOOT/BOOTX64.EFI")?;
        let config = self.folder().join("syslinux.cfg");
        std::fs::write(&config, loader_config(cmdline))
            .with_context(|| format!("cannot write {}", config.display()))?;
        let linux = self.linux()?;
        for (file, name) in [(&linux.kernel, "::/linux"), (&linux.initrd, "::/initrd"), (&config, "::/syslinux.cfg")] {
            put(&path, file, name)?;
        }
        run(Command::new(SYSLINUX.program).arg("--install").arg(&path))?;
        Ok(path)
    }

    /// Writes an ISO image into the scenario's folder: for UEFI it has an EFI boot image with a UKI, for a BIOS isolinux, which loads
    /// kernel and initrd.
    ///
    /// # Errors
    /// A program is missing, or a file can't be read or written.
    pub fn iso(&self, cmdline: &str) -> Result<PathBuf> {
        require(&[MFORMAT, XORRISO])?;
        let root = self.folder().join("iso");
        std::fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let efi = root.join("efi.img");
        fat(&efi, 24)?;
        put(&efi, &self.uki(cmdline)?, "::/EFI/BOOT/BOOTX64.EFI")?;
        std::fs::write(root.join("isolinux.cfg"), loader_config(cmdline)).context("cannot write isolinux.cfg")?;
        let linux = self.linux()?;
        let (isolinux, ldlinux) = (ISOLINUX.find()?, LDLINUX.find()?);
        let files: [(&Path, &str); 4] = [
            (&isolinux, "isolinux.bin"),
            (&ldlinux, "ldlinux.c32"),
            (&linux.kernel, "linux"),
            (&linux.initrd, "initrd"),
        ];
        for (file, name) in files {
            std::fs::copy(file, root.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
        }
        let path = self.folder().join("lab.iso");
        let bios =
            ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
        let uefi = ["-eltorito-alt-boot", "-e", "efi.img", "-no-emul-boot"];
        let mut command = Command::new(XORRISO.program);
        command.args(["-as", "mkisofs", "-quiet", "-V", "SLIPWAYLAB", "-o"]).arg(&path).args(bios).args(uefi);
        run(command.arg(&root))?;
        Ok(path)
    }
}

/// A FAT file system of so many MiB, with the folder of UEFI's programs.
fn fat(path: &Path, mib: u32) -> Result<()> {
    // Heads and sectors as a BIOS counts them on a disk of this size.
    let sectors = (mib * 2048).to_string();
    run(Command::new(MFORMAT.program).args(["-C", "-T", &sectors, "-h", "16", "-s", "63", "-i"]).arg(path).arg("::"))?;
    run(Command::new(MMD.program).arg("-i").arg(path).args(["::/EFI", "::/EFI/BOOT"])).map(drop)
}

fn put(disk: &Path, file: &Path, name: &str) -> Result<()> {
    run(Command::new(MCOPY.program).arg("-i").arg(disk).arg(file).arg(name)).map(drop)
}
