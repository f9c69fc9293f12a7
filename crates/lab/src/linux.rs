//! The Linux that machines boot: a distribution's kernel with an initial RAM file system that holds our agent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use slipway_image::{Initramfs, Kernel, uki};

use crate::packages::{self, Apt};
use crate::parts::UKI_STUB;

/// The parts of a system that boots, ready to be made into images.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Linux {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its release: what `uname -r` will say.
    pub release: String,
    /// The initial RAM file system.
    pub initrd: PathBuf,
    /// The EFI program that turns both into a UKI.
    pub stub: PathBuf,
    /// The console that the machine's serial line is: `ttyS0`.
    pub console: String,
    /// The folder with iPXE for its firmware, where that is not what this computer's package brings.
    pub ipxe: Option<PathBuf>,
}

/// What a virtual machine's network needs loaded, where it is not built in.
const MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_rng"];
/// What is used where the kernel has it.
const EXTRA_MODULES: &[&str] = &["efivarfs", "af_packet", "virtio_mmio"];

impl Linux {
    /// Makes the parts for this computer's own processor, with our agent: downloads the kernel's package once, and packs the initial
    /// RAM file system anew when the agent or the kernel has changed.
    ///
    /// # Errors
    /// The kernel can't be had, the agent not read, or the cache not written.
    pub fn make(agent: &Path, cache: &Path) -> Result<Self> {
        let apt = Apt::own();
        let kernel = Kernel::find(&apt.fetch(&apt.kernel_packages()?, cache)?)?;
        let initrd = packed(&kernel, agent, cache)?;
        let (image, console) = (kernel.image, "ttyS0".to_owned());
        Ok(Self { kernel: image, release: kernel.release, initrd, stub: UKI_STUB.find()?, console, ipxe: None })
    }

    /// The same for 64-bit ARM: all but the agent is Debian's, downloaded once, with iPXE for it.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    pub(crate) fn arm64(agent: &Path, cache: &Path) -> Result<Self> {
        let ipxe = packages::fetch_foreign(packages::ARM64_NEWER, |_| Ok(vec!["ipxe".to_owned()]), cache)?;
        let with_kernel = |apt: &Apt| {
            let mut packages = apt.kernel_packages()?;
            packages.push("systemd-boot-efi".to_owned());
            Ok(packages)
        };
        let debian = packages::ARM64;
        let root = packages::fetch_foreign(debian, with_kernel, cache)?;
        let kernel = Kernel::find(&root)?;
        let initrd = packed(&kernel, agent, cache)?;
        let stub = root.join("usr/lib/systemd/boot/efi").join(debian.stub);
        let (image, console, ipxe) = (kernel.image, debian.console.to_owned(), Some(ipxe.join("usr/lib/ipxe")));
        Ok(Self { kernel: image, release: kernel.release, initrd, stub, console, ipxe })
    }

    /// Writes a UKI with this command line of its own.
    ///
    /// # Errors
    /// The stub is missing, or a file can't be read or written.
    pub fn uki(&self, cmdline: &str, path: &Path) -> Result<()> {
        let (stub, linux, initrd) = (read(&self.stub)?, read(&self.kernel)?, read(&self.initrd)?);
        let osrel = "NAME=\"Slipway lab\"\nID=slipway-lab\nPRETTY_NAME=\"Slipway lab\"\n";
        let parts = uki::Parts { linux: &linux, initrd: &initrd, cmdline, osrel, uname: &self.release };
        let image = uki::build(&stub, &parts).with_context(|| format!("cannot build on {}", self.stub.display()))?;
        std::fs::write(path, image).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The initial RAM file system with this agent and what of the kernel's modules it needs, packed once for what it is made of.
fn packed(kernel: &Kernel, agent: &Path, cache: &Path) -> Result<PathBuf> {
    let agent = read(agent)?;
    let mut hasher = DefaultHasher::new();
    (&agent, &kernel.release, MODULES, EXTRA_MODULES).hash(&mut hasher);
    let initrd = cache.join(format!("initrd-{:016x}.zst", hasher.finish()));
    if !initrd.exists() {
        let extra = EXTRA_MODULES.iter().filter(|name| kernel.has_module(name));
        let names: Vec<&str> = MODULES.iter().chain(extra).copied().collect();
        store(&Initramfs::with_agent(&agent, &kernel.modules(&names)?).compressed()?, &initrd)?;
    }
    Ok(initrd)
}

/// Writes a file of the cache. Renamed into place: two labs may be at it at once, and one may be interrupted.
fn store(content: &[u8], path: &Path) -> Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&fresh, content).with_context(|| format!("cannot write {}", fresh.display()))?;
    Ok(std::fs::rename(&fresh, path)?)
}
