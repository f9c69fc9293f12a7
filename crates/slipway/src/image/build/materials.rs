//! Where a kernel, an agent and a stub come from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use slipway_image::Kernel;
use slipway_image::drivers::{Fleet, REQUIRED};
use slipway_image::kernel::Module;
use slipway_image::recipe::{self, BUILD_AGENT};
use slipway_lab::kernels;
use slipway_trust::Arch;
use slipway_wire::Cpu;

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources<'a> {
    /// Packages of a kernel, as files.
    pub(super) packages: &'a [PathBuf],
    /// Take the kernel that is installed.
    pub(super) installed: bool,
    /// The agent, where it was named.
    pub(super) agent: Option<&'a Path>,
    /// The stub, where it was named.
    pub(super) stub: Option<&'a Path>,
    /// The folder that packages are fetched into.
    pub(super) cache: &'a Path,
}

/// What an image is made of, in memory.
#[derive(Clone, Debug)]
pub(super) struct Materials {
    pub(super) stub: Vec<u8>,
    pub(super) kernel: Vec<u8>,
    pub(super) release: String,
    pub(super) modules: Vec<Module>,
    /// Drivers that the image should have and this kernel has not.
    pub(super) missing: Vec<&'static str>,
    pub(super) agent: Vec<u8>,
    pub(super) agent_path: PathBuf,
}

impl Materials {
    pub(super) fn borrowed(&self) -> recipe::Materials<'_> {
        let Self { stub, kernel, release, modules, agent, .. } = self;
        recipe::Materials { stub, kernel, release, modules, agent }
    }
}

/// The places of systemd's stub on Debian, Ubuntu, Fedora and Arch.
const STUBS: &str = "/usr/lib/systemd/boot/efi";

impl Sources<'_> {
    /// Finds and reads everything.
    ///
    /// # Errors
    /// What is missing, and how to get it.
    pub(super) fn find(&self, arch: Arch, fleet: Fleet) -> Result<Materials> {
        // First what costs nothing to look for.
        let (agent_path, agent) = self.agent(arch)?;
        let unpacked = tempfile::tempdir().context("cannot make a temporary folder")?;
        let (root, fetched_stub) = self.kernel_root(arch, fleet, unpacked.path())?;
        let stub = self.stub(arch, fetched_stub)?;
        let kernel = Kernel::find(&root).context("cannot find a kernel")?;
        let (modules, missing) = recipe::choose(&kernel, fleet).context("cannot read the kernel's modules")?;
        let required = |name: &&'static str| fleet == Fleet::Servers && arch == Arch::X64 && REQUIRED.contains(name);
        Ok(Materials {
            stub,
            kernel: kernel.read().context("cannot read the kernel")?,
            release: kernel.release,
            modules,
            missing: missing.into_iter().filter(required).collect(),
            agent,
            agent_path,
        })
    }

    fn kernel_root(&self, arch: Arch, fleet: Fleet, unpacked: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
        if self.installed {
            return Ok((PathBuf::from("/"), None));
        }
        if !self.packages.is_empty() {
            kernels::unpack(self.packages, unpacked).context("cannot unpack the kernel's package")?;
            return Ok((unpacked.to_owned(), None));
        }
        let cpu = match arch {
            Arch::X64 => Cpu::X64,
            Arch::Arm64 => Cpu::Arm64,
        };
        let fetched = kernels::fetch(cpu, fleet == Fleet::Virtual, &self.cache.join("packages")).context(
            "cannot fetch the distribution's kernel: name its package with --kernel-package FILE, or take the one that is installed \
             with --installed-kernel",
        )?;
        Ok((fetched.root, fetched.stub))
    }

    fn stub(&self, arch: Arch, fetched: Option<PathBuf>) -> Result<Vec<u8>> {
        let name = match arch {
            Arch::X64 => "linuxx64.efi.stub",
            Arch::Arm64 => "linuxaa64.efi.stub",
        };
        let path = self.stub.map(Path::to_owned).or(fetched).unwrap_or_else(|| Path::new(STUBS).join(name));
        fs::read(&path).with_context(|| {
            format!("no EFI stub at {}: install the package systemd-boot-efi, or name it with --stub", path.display())
        })
    }

    fn agent(&self, arch: Arch) -> Result<(PathBuf, Vec<u8>)> {
        let places = self.agent.map_or_else(|| places_of_agent(arch), |path| vec![path.to_owned()]);
        let read = |path: &PathBuf| Some((path.clone(), fs::read(path).ok()?));
        let found: Vec<_> = places.iter().filter_map(read).collect();
        // A build folder holds one that is not static: it is passed over where there is a better one.
        let fits = found.iter().position(|(_, agent)| recipe::is_static(agent)).unwrap_or(0);
        found.into_iter().nth(fits).ok_or_else(|| {
            let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
            anyhow!(
                "no agent for {arch} (looked for {}): build it with `{BUILD_AGENT}`, and name it with --agent",
                places.join(", ")
            )
        })
    }
}

/// Beside this program, where a package puts it, and where cargo does.
fn places_of_agent(arch: Arch) -> Vec<PathBuf> {
    let (names, target): (&[&str], _) = match arch {
        Arch::X64 => (&["slipway-agent-x64", "slipway-agent"], "x86_64-unknown-linux-gnu"),
        Arch::Arm64 => (&["slipway-agent-arm64"], "aarch64-unknown-linux-gnu"),
    };
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let folders = beside.clone().into_iter().chain([PathBuf::from("/usr/lib/slipway")]);
    let packaged = folders.flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    let target_folder = beside.as_deref().and_then(Path::parent).map(Path::to_owned);
    let built = target_folder.map(|folder| folder.join(target).join("agent/slipway-agent"));
    packaged.chain(built).collect()
}
