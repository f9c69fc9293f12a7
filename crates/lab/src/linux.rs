//! The Linux that machines boot: a distribution's kernel with an initial RAM file system that holds our agent.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use slipway_image::{Initramfs, Kernel, uki};

use crate::parts::{self, UKI_STUB};

/// The parts of a system that boots, ready to be made into images.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Linux {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its release: what `uname -r` will say.
    pub release: String,
    /// The initial RAM file system.
    pub initrd: PathBuf,
}

/// What the agent needs loaded in a virtual machine, where it is not built in.
const MODULES: &[&str] = &["virtio_pci", "virtio_net", "virtio_rng"];
/// What it uses where the kernel has it.
const EXTRA_MODULES: &[&str] = &["efivarfs", "af_packet"];

impl Linux {
    /// Makes the parts: downloads the kernel's package once, and packs the initial RAM file system anew when the agent or the
    /// kernel has changed.
    ///
    /// # Errors
    /// The kernel can't be had, the agent not read, or the cache not written.
    pub fn make(agent: &Path, cache: &Path) -> Result<Self> {
        let kernel = Kernel::find(&parts::fetch_kernel(cache)?)?;
        let agent = std::fs::read(agent).with_context(|| format!("cannot read the agent {}", agent.display()))?;
        let mut hasher = DefaultHasher::new();
        (&agent, &kernel.release, MODULES, EXTRA_MODULES).hash(&mut hasher);
        let initrd = cache.join(format!("initrd-{:016x}.zst", hasher.finish()));
        if !initrd.exists() {
            let extra = EXTRA_MODULES.iter().filter(|name| kernel.has_module(name));
            let names: Vec<&str> = MODULES.iter().chain(extra).copied().collect();
            let packed = Initramfs::with_agent(&agent, &kernel.modules(&names)?).compressed()?;
            // Renamed into place: two labs may be at it at once, and one may be interrupted.
            let fresh = cache.join(format!("initrd-{}.new", std::process::id()));
            std::fs::write(&fresh, packed).with_context(|| format!("cannot write {}", fresh.display()))?;
            std::fs::rename(&fresh, &initrd)?;
        }
        Ok(Self { kernel: kernel.image, release: kernel.release, initrd })
    }

    /// Writes a UKI with this command line of its own.
    ///
    /// # Errors
    /// The stub is missing, or a file can't be read or written.
    pub fn uki(&self, cmdline: &str, path: &Path) -> Result<()> {
        let stub_path = UKI_STUB.find()?;
        let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        let (stub, linux, initrd) = (read(&stub_path)?, read(&self.kernel)?, read(&self.initrd)?);
        let osrel = "NAME=\"Slipway lab\"\nID=slipway-lab\nPRETTY_NAME=\"Slipway lab\"\n";
        let parts = uki::Parts { linux: &linux, initrd: &initrd, cmdline, osrel, uname: &self.release };
        let image = uki::build(&stub, &parts).with_context(|| format!("cannot build on {}", stub_path.display()))?;
        std::fs::write(path, image).with_context(|| format!("cannot write {}", path.display()))
    }
}
