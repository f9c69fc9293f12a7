//! Kernels for images that real machines boot: a distribution's, downloaded and unpacked without installing it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use slipway_wire::Cpu;

use crate::packages::{self, ARM64, Apt};

/// A kernel package, unpacked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetched {
    /// The folder with `boot/vmlinuz-<release>` and `lib/modules/<release>`.
    pub root: PathBuf,
    /// systemd's EFI stub, where it came with the kernel: this computer's own package may be for another processor.
    pub stub: Option<PathBuf>,
}

/// The distribution's kernel for machines with this processor, with all of its modules: fetched once into `cache`. For another
/// processor than this computer's it is Debian's, and comes with its stub.
///
/// It is the kernel for every machine; but for virtual machines alone, on ARM64, the one for clouds, where there is one: of Debian's
/// two that is the one with a driver for the TPM of QEMU's board.
///
/// # Errors
/// apt knows no such kernel, or it cannot be fetched.
pub fn fetch(cpu: Cpu, virtual_alone: bool, cache: &Path) -> Result<Fetched> {
    std::fs::create_dir_all(cache)?;
    if cpu != Cpu::Arm64 {
        let apt = Apt::own();
        return Ok(Fetched { root: apt.fetch(&apt.whole_kernel_packages()?, cache)?, stub: None });
    }
    let with_stub = |apt: &Apt| {
        let mut packages = if virtual_alone { apt.kernel_packages()? } else { apt.whole_kernel_packages()? };
        packages.push("systemd-boot-efi".to_owned());
        Ok(packages)
    };
    let root = packages::fetch_foreign(ARM64, with_stub, cache)?;
    Ok(Fetched { stub: Some(root.join("usr/lib/systemd/boot/efi").join(ARM64.stub)), root })
}

/// Unpacks packages, given as files, into one folder.
///
/// # Errors
/// `dpkg-deb` is missing, or one is no package.
pub fn unpack(packages: &[PathBuf], folder: &Path) -> Result<()> {
    for package in packages {
        crate::process::run(std::process::Command::new("dpkg-deb").arg("-x").arg(package).arg(folder))?;
    }
    Ok(())
}
