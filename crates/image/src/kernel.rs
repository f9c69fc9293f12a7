//! Kernels as distributions package them: `boot/vmlinuz-<release>` and `lib/modules/<release>` under some root folder, which is `/`
//! or where a package was unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::bytes::{u16_at, until_nul};
use crate::modinfo;
use crate::pe::{Machine, Pe};

/// Why a kernel or a module of it cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No kernel under the root.
    #[error("no kernel in {0} (looked for vmlinuz-*)")]
    NoKernel(PathBuf),
    /// A kernel without its modules.
    #[error("kernel {release} has no modules in {folder}")]
    NoModules {
        /// Its release.
        release: String,
        /// Where they were looked for.
        folder: PathBuf,
    },
    /// A module that is neither there nor built in.
    #[error("kernel {release} has no module {name}")]
    NoModule {
        /// The kernel's release.
        release: String,
        /// The module's name.
        name: String,
    },
    /// A file that is no kernel module, or is compressed in a way unknown here.
    #[error("{0} is not a kernel module of this kind (64-bit ELF, plain or compressed with zstd or xz)")]
    NotAModule(PathBuf),
    /// A file that cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A kernel and where its modules are.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The kernel itself.
    pub image: PathBuf,
    /// Its release, as `uname -r` prints it.
    pub release: String,
    /// Where each module's file is, by normalised name.
    modules: BTreeMap<String, PathBuf>,
    /// Names of those compiled in.
    builtin: BTreeSet<String>,
}

/// A module, ready to load.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name with `_` for `-`.
    pub name: String,
    /// Its ELF file, uncompressed and with its signature.
    pub content: Vec<u8>,
    /// The modules to load before it, by normalised name: what it needs, and its soft dependencies that the kernel has. Those
    /// compiled in are left out.
    pub depends: Vec<String>,
}

impl Kernel {
    /// The kernel under this root with the highest release.
    ///
    /// # Errors
    /// None there, or no modules for it.
    pub fn find(root: &Path) -> Result<Self, KernelError> {
        let boot = root.join("boot");
        let named = |entry: &fs::DirEntry| Some(entry.file_name().to_str()?.strip_prefix("vmlinuz-")?.to_owned());
        let releases = fs::read_dir(&boot).map_err(at(&boot))?.flatten().filter_map(|entry| named(&entry));
        let release = releases.max_by_key(|release| by_number(release)).ok_or(KernelError::NoKernel(boot.clone()))?;
        // Debian 13 and others keep modules in /usr/lib only.
        let folders = ["lib", "usr/lib"].map(|lib| root.join(lib).join("modules").join(&release));
        let folder = folders.iter().find(|folder| folder.is_dir());
        let [expected, _] = &folders;
        let folder = folder.ok_or(KernelError::NoModules { release: release.clone(), folder: expected.clone() })?;
        let mut modules = BTreeMap::new();
        find_modules(&folder.join("kernel"), &mut modules)?;
        let builtin = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        let builtin = builtin.lines().filter_map(|line| name_of(Path::new(line))).collect();
        Ok(Self { image: boot.join(format!("vmlinuz-{release}")), release, modules, builtin })
    }

    /// The kernel's bytes.
    ///
    /// # Errors
    /// The file system's.
    pub fn read(&self) -> Result<Vec<u8>, KernelError> {
        fs::read(&self.image).map_err(at(&self.image))
    }

    /// When the kernel's file was made, in seconds since the Unix epoch, as its package says: the same wherever it is unpacked.
    ///
    /// # Errors
    /// The file system's.
    pub fn made(&self) -> Result<u64, KernelError> {
        let modified = fs::metadata(&self.image).and_then(|metadata| metadata.modified()).map_err(at(&self.image))?;
        Ok(modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// Whether it has this module, loadable or built in.
    #[must_use]
    pub fn has_module(&self, name: &str) -> bool {
        let name = normalised(name);
        self.builtin.contains(&name) || self.modules.contains_key(&name)
    }

    /// These modules and those they need, in the order to load them in. Those compiled into the kernel are left out.
    ///
    /// Dependencies are read from the modules themselves, because a package that was only unpacked has no `modules.dep`.
    ///
    /// # Errors
    /// A module that is neither there nor built in, or cannot be read.
    pub fn modules(&self, names: &[&str]) -> Result<Vec<Module>, KernelError> {
        let mut loaded = Vec::new();
        let mut seen = BTreeSet::new();
        for name in names {
            self.collect(name, &mut seen, &mut loaded)?;
        }
        Ok(loaded)
    }

    fn collect(&self, name: &str, seen: &mut BTreeSet<String>, out: &mut Vec<Module>) -> Result<(), KernelError> {
        let name = normalised(name);
        if self.builtin.contains(&name) || !seen.insert(name.clone()) {
            return Ok(());
        }
        let missing = || KernelError::NoModule { release: self.release.clone(), name: name.clone() };
        let path = self.modules.get(&name).ok_or_else(missing)?;
        let content = read_module(path)?;
        let hard = modinfo::depends(&content).ok_or_else(|| KernelError::NotAModule(path.clone()))?;
        let soft = modinfo::soft_depends(&content).into_iter().filter(|name| self.has_module(name));
        let depends: Vec<String> = hard.into_iter().chain(soft).map(normalised).collect();
        let depends: Vec<String> = depends.into_iter().filter(|name| !self.builtin.contains(name)).collect();
        for dependency in &depends {
            self.collect(dependency, seen, out)?;
        }
        out.push(Module { name, content, depends });
        Ok(())
    }
}

/// The release that a bzImage states in its header (Linux x86 boot protocol, `kernel_version`), if it is one.
#[must_use]
pub fn bzimage_release(kernel: &[u8]) -> Option<&str> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let at = usize::from(u16_at(kernel, 0x20e)?).checked_add(0x200)?;
    core::str::from_utf8(until_nul(kernel.get(at..)?)).ok()?.split_whitespace().next()
}

/// The processor that a kernel is built for, as its file says in whatever form it has: PE (a kernel with an EFI stub), bzImage, zImage,
/// the `Image` of 64-bit ARM and RISC-V, U-Boot's legacy image, ELF. None for what says nothing, such as a compressed `Image`.
#[must_use]
pub fn machine(kernel: &[u8]) -> Option<Machine> {
    if let Ok(pe) = Pe::parse(kernel) {
        return Some(pe.machine);
    }
    let is = |at: usize, magic: &[u8]| kernel.get(at..).is_some_and(|rest| rest.starts_with(magic));
    // Linux, Documentation/arch/x86/boot.rst: bit 0 of `xloadflags` tells of a 64-bit entry point.
    if is(0x202, b"HdrS") {
        let is_64 = kernel.get(0x236).is_some_and(|flags| flags & 1 == 1);
        return Some(if is_64 { Machine::X64 } else { Machine::IA32 });
    }
    // Documentation/arch/arm64/booting.rst, riscv/boot-image-header.rst; the zImage's magic number since ever.
    let images = [
        (0x38, b"ARM\x64", Machine::ARM64),
        (0x38, b"RSC\x05", Machine::RISCV64),
        (0x24, b"\x18\x28\x6f\x01", Machine::ARM32),
    ];
    if let Some((.., machine)) = images.into_iter().find(|(at, magic, _)| is(*at, *magic)) {
        return Some(machine);
    }
    if is(0, &[0x27, 0x05, 0x19, 0x56]) {
        return uimage_machine(*kernel.get(29)?);
    }
    // ELF of 32 or 64 bits, little-endian.
    if is(0, b"\x7fELF") && kernel.get(5) == Some(&1) {
        return elf_machine(u16_at(kernel, 18)?);
    }
    None
}

/// `ih_arch` of U-Boot's legacy image header.
const fn uimage_machine(arch: u8) -> Option<Machine> {
    Some(match arch {
        2 => Machine::ARM32,
        3 => Machine::IA32,
        22 => Machine::ARM64,
        24 => Machine::X64,
        26 => Machine::RISCV64,
        _ => return None,
    })
}

/// `e_machine` of an ELF header.
const fn elf_machine(number: u16) -> Option<Machine> {
    Some(match number {
        3 => Machine::IA32,
        40 => Machine::ARM32,
        62 => Machine::X64,
        183 => Machine::ARM64,
        243 => Machine::RISCV64,
        258 => Machine::LOONGARCH64,
        _ => return None,
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> KernelError {
    let path = path.to_owned();
    move |source| KernelError::Io { path, source }
}

/// A release in the order people mean: runs of digits as numbers, so that `6.1.0-9` comes before `6.1.0-10`.
fn by_number(release: &str) -> Vec<(u64, String)> {
    let parts = release.split_inclusive(|c: char| !c.is_ascii_digit());
    let number = |part: &str| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    parts.map(|part| (number(part), part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned())).collect()
}

fn normalised(name: &str) -> String {
    name.replace('-', "_")
}

/// The module's name from its file: `drivers/net/net-failover.ko.zst` is `net_failover`.
fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    Some(normalised(file.split_once(".ko")?.0))
}

fn find_modules(folder: &Path, out: &mut BTreeMap<String, PathBuf>) -> Result<(), KernelError> {
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        if entry.file_type().map_err(at(&path))?.is_dir() {
            find_modules(&path, out)?;
        } else if let Some(name) = name_of(&path) {
            out.insert(name, path);
        }
    }
    Ok(())
}

fn read_module(path: &Path) -> Result<Vec<u8>, KernelError> {
    let content = fs::read(path).map_err(at(path))?;
    match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("ko") => Ok(content),
        Some("zst") => zstd::decode_all(content.as_slice()).map_err(at(path)),
        Some("xz") => unxz(&content).map_err(at(path)),
        _ => Err(KernelError::NotAModule(path.to_owned())),
    }
}

fn unxz(compressed: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    lzma_rs::xz_decompress(&mut io::Cursor::new(compressed), &mut out).map_err(|error| match error {
        lzma_rs::error::Error::IoError(error) => error,
        error => io::Error::new(io::ErrorKind::InvalidData, format!("{error:?}")),
    })?;
    Ok(out)
}
