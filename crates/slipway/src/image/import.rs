//! From files as people have them to an image: what each must be is checked before anything is stored.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use slipway_engine::answer::ServerAddr;
use slipway_engine::catalog::{FileRef, Image, ImageKind, Media};
use slipway_engine::script::{Values, command_line, from_template};
use slipway_image::kernel::bzimage_release;
use slipway_image::uki::UkiError;
use slipway_image::{Iso, Machine, Pe, Uki};
use slipway_server::secureboot::Keys;
use slipway_store::images::{Added, Images, NewImage, Writer, walk};
use slipway_wire::{ClientArch, Cpu, MacAddr};

use super::progress::Progress;
use super::{Add, signatures};

/// What is to be added.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Uki(PathBuf),
    Linux { kernel: PathBuf, initrds: Vec<PathBuf>, cmdline: Option<String>, devicetrees: Vec<(String, PathBuf)> },
    Efi(PathBuf),
    IpxeScript(PathBuf),
    Iso(PathBuf),
    RaspberryPi { root: PathBuf, files: Vec<(String, PathBuf)> },
    Tree { root: PathBuf, files: Vec<(String, PathBuf)> },
}

impl Content {
    /// The one that was asked for; the argument parser has seen to it that there is one.
    pub(super) fn from_arguments(add: &Add) -> Result<Self> {
        let file = add.uki.clone().map(Self::Uki).or_else(|| add.efi.clone().map(Self::Efi));
        let file = file.or_else(|| add.ipxe.clone().map(Self::IpxeScript)).or_else(|| add.iso.clone().map(Self::Iso));
        match (file, &add.kernel, &add.rpi, &add.tree) {
            (Some(content), ..) => Ok(content),
            (None, Some(kernel), ..) => Ok(Self::Linux {
                kernel: kernel.clone(),
                initrds: add.initrd.clone(),
                cmdline: add.cmdline.clone(),
                devicetrees: devicetrees(add)?,
            }),
            (None, None, Some(root), _) => Ok(Self::RaspberryPi { root: root.clone(), files: boot_partition(root)? }),
            (None, None, None, Some(root)) => Ok(Self::Tree { root: root.clone(), files: files_in(root)? }),
            (None, None, None, None) => {
                bail!("nothing to add: give --uki, --kernel, --efi, --ipxe, --iso, --rpi or --tree")
            }
        }
    }

    /// Every file of it, for the progress bar.
    pub(super) fn size(&self) -> Result<u64> {
        let files: Vec<&Path> = match self {
            Self::Uki(path) | Self::Efi(path) | Self::IpxeScript(path) | Self::Iso(path) => vec![path],
            Self::Linux { kernel, initrds, devicetrees, .. } => {
                let trees = devicetrees.iter().map(|(_, path)| path);
                std::iter::once(kernel).chain(initrds).chain(trees).map(PathBuf::as_path).collect()
            }
            Self::RaspberryPi { files, .. } | Self::Tree { files, .. } => {
                files.iter().map(|(_, path)| path.as_path()).collect()
            }
        };
        files.iter().map(|path| Ok(fs::metadata(path).with_context(|| reading(path))?.len())).sum()
    }

    /// What iPXE loads of it, by the names that it is stored under.
    fn loaded(&self) -> Vec<(String, &Path)> {
        match self {
            Self::Uki(path) => vec![(Image::UKI.to_owned(), path)],
            Self::Efi(path) => vec![(Image::EFI.to_owned(), path)],
            Self::Linux { kernel, initrds, .. } => {
                let initrds = (1_u32..).zip(initrds).map(|(nth, path)| (initrd_name(nth), path.as_path()));
                [(Image::LINUX.to_owned(), kernel.as_path())].into_iter().chain(initrds).collect()
            }
            Self::IpxeScript(_) | Self::Iso(_) | Self::RaspberryPi { .. } | Self::Tree { .. } => Vec::new(),
        }
    }

    fn source(&self) -> String {
        let path = match self {
            Self::Uki(path) | Self::Efi(path) | Self::IpxeScript(path) | Self::Iso(path) => path,
            Self::Linux { kernel, .. } => kernel,
            Self::RaspberryPi { root, .. } | Self::Tree { root, .. } => root,
        };
        std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
    }
}

/// Checks it, stores its files, and records it.
pub(super) fn add(
    images: &Images,
    name: &str,
    version: Option<&str>,
    content: &Content,
    signed_by: &[PathBuf],
    keys: Option<&Keys>,
    progress: &Progress,
) -> Result<Added> {
    let signed_by = signatures::of(&content.loaded(), signed_by)?;
    let writer = images.writer()?;
    let store = Store { writer: &writer, keys, progress };
    let Parsed { kind, cpu, cmdline, mut files } = match content {
        Content::Uki(path) => store.uki(path)?,
        Content::Linux { kernel, initrds, cmdline, devicetrees } => {
            store.linux(kernel, initrds, cmdline.clone(), devicetrees)?
        }
        Content::Efi(path) => store.efi(path)?,
        Content::IpxeScript(path) => store.script(path)?,
        Content::Iso(path) => store.iso(path)?,
        Content::RaspberryPi { files, .. } => store.tree(ImageKind::RaspberryPi, files)?,
        Content::Tree { files, .. } => store.tree(ImageKind::Tree, files)?,
    };
    for (stored, path) in signed_by {
        files.insert(stored, writer.put(File::open(&path).with_context(|| reading(&path))?, &mut |_| {})?);
    }
    let new = NewImage {
        name: name.to_owned(),
        version: version.map(str::to_owned),
        kind,
        cpu,
        cmdline,
        source: Some(content.source()),
        built: None,
        files,
    };
    Ok(writer.add(new)?)
}

/// An image without its name.
struct Parsed {
    kind: ImageKind,
    cpu: Option<Cpu>,
    cmdline: Option<String>,
    files: BTreeMap<String, FileRef>,
}

struct Store<'a> {
    writer: &'a Writer<'a>,
    /// To sign the program with, if that is wanted.
    keys: Option<&'a Keys>,
    progress: &'a Progress,
}

impl Store<'_> {
    fn uki(&self, path: &Path) -> Result<Parsed> {
        let bytes = read(path)?;
        let uki = Uki::parse(&bytes).map_err(|error| not_a_uki(path, &bytes, error))?;
        let cpu = cpu(uki.machine).with_context(|| format!("cannot add {}", path.display()))?;
        let part = |range| bytes.get(range).unwrap_or_default();
        let mut files = BTreeMap::new();
        files.insert(Image::UKI.to_owned(), self.program(path, &bytes)?);
        // Machines that start no EFI program get the parts. They were counted with the whole.
        files.insert(Image::LINUX.to_owned(), self.writer.put(part(uki.linux), &mut |_| {})?);
        if let Some(initrd) = uki.initrd {
            files.insert(Image::INITRD.to_owned(), self.writer.put(part(initrd), &mut |_| {})?);
        }
        Ok(Parsed { kind: ImageKind::Uki, cpu: Some(cpu), cmdline: uki.cmdline, files })
    }

    fn linux(
        &self,
        kernel: &Path,
        initrds: &[PathBuf],
        cmdline: Option<String>,
        devicetrees: &[(String, PathBuf)],
    ) -> Result<Parsed> {
        let bytes = read(kernel)?;
        if Uki::parse(&bytes).is_ok() {
            bail!("{} is a UKI, which has its initrd and command line in it: add it with --uki", kernel.display());
        }
        if let Err(problem) = command_line(cmdline.as_deref().unwrap_or_default()) {
            bail!("the kernel cannot be given this command line: {problem}");
        }
        let cpu = slipway_image::kernel::machine(&bytes).and_then(|machine| cpu(machine).ok());
        let mut files = BTreeMap::new();
        files.insert(Image::LINUX.to_owned(), self.program(kernel, &bytes)?);
        for (nth, initrd) in (1_u32..).zip(initrds) {
            files.insert(initrd_name(nth), self.file(initrd)?);
        }
        if files.len() > 99 {
            bail!("more than 98 initrds: put them together with cat");
        }
        for (name, path) in devicetrees {
            files.insert(name.clone(), self.file(path)?);
        }
        Ok(Parsed { kind: ImageKind::Linux, cpu, cmdline, files })
    }

    fn efi(&self, path: &Path) -> Result<Parsed> {
        let bytes = read(path)?;
        let pe = Pe::parse(&bytes).with_context(|| format!("{} is not an EFI program", path.display()))?;
        if !pe.is_efi_program() {
            bail!("{} is a program for something else than EFI (PE subsystem {})", path.display(), pe.subsystem);
        }
        let cpu = cpu(pe.machine).with_context(|| format!("cannot add {}", path.display()))?;
        let files = BTreeMap::from([(Image::EFI.to_owned(), self.program(path, &bytes)?)]);
        Ok(Parsed { kind: ImageKind::Efi, cpu: Some(cpu), cmdline: None, files })
    }

    fn script(&self, path: &Path) -> Result<Parsed> {
        let bytes = read(path)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is not a text", path.display()))?;
        // A template that fails must fail here, not at a machine.
        from_template(text, &sample()).with_context(|| format!("{} cannot be an image", path.display()))?;
        let files = BTreeMap::from([(Image::SCRIPT.to_owned(), self.bytes(&bytes)?)]);
        Ok(Parsed { kind: ImageKind::IpxeScript, cpu: None, cmdline: None, files })
    }

    fn iso(&self, path: &Path) -> Result<Parsed> {
        let mut file = File::open(path).with_context(|| reading(path))?;
        let iso = Iso::read(&mut file).with_context(|| format!("cannot add {}", path.display()))?;
        let media = match (iso.bios, iso.uefi) {
            (true, false) => Media::Bios,
            (false, true) => Media::Uefi,
            _ => Media::Both,
        };
        // With programs for several processors in it, it is for all of them.
        let cpu = match iso.machines.as_slice() {
            [one] => cpu(*one).ok(),
            _ => None,
        };
        let files = BTreeMap::from([(Image::ISO.to_owned(), self.file(path)?)]);
        Ok(Parsed { kind: ImageKind::Iso(media), cpu, cmdline: None, files })
    }

    fn tree(&self, kind: ImageKind, files: &[(String, PathBuf)]) -> Result<Parsed> {
        let files = files.iter().map(|(name, path)| Ok((name.clone(), self.file(path)?)));
        Ok(Parsed { kind, cpu: None, cmdline: None, files: files.collect::<Result<_>>()? })
    }

    fn file(&self, path: &Path) -> Result<FileRef> {
        let file = File::open(path).with_context(|| reading(path))?;
        self.writer.put(file, &mut |bytes| self.progress.advance(bytes)).with_context(|| storing(path))
    }

    /// The program that firmware starts, signed if that is wanted.
    fn program(&self, path: &Path, bytes: &[u8]) -> Result<FileRef> {
        match self.keys {
            Some(keys) => self.bytes(&keys.sign(bytes).with_context(|| format!("cannot sign {}", path.display()))?),
            None => self.bytes(bytes),
        }
    }

    fn bytes(&self, bytes: &[u8]) -> Result<FileRef> {
        Ok(self.writer.put(bytes, &mut |bytes| self.progress.advance(bytes))?)
    }
}

/// The name of an initrd by its place, from 1. Two digits: the order of names is the order of loading.
fn initrd_name(nth: u32) -> String {
    if nth == 1 { Image::INITRD.to_owned() } else { format!("{}.{nth:02}", Image::INITRD) }
}

/// The device trees that go with a kernel, by the names in the image.
fn devicetrees(add: &Add) -> Result<Vec<(String, PathBuf)>> {
    let one = add.dtb.iter().map(|path| (Image::DEVICETREE.to_owned(), path.clone()));
    let Some(folder) = &add.dtbs else { return Ok(one.collect()) };
    let files = files_in(folder)?.into_iter().filter(|(name, _)| name.ends_with(".dtb") || name.ends_with(".dtbo"));
    let files: Vec<_> = files.map(|(name, path)| (format!("{}/{name}", Image::DEVICETREES), path)).collect();
    if files.is_empty() {
        bail!("{} has no device trees (*.dtb) in it", folder.display());
    }
    Ok(files)
}

/// The files of a Raspberry Pi's boot partition.
fn boot_partition(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let files = files_in(root)?;
    let is_firmware = |name: &str| name == "config.txt" || (name.starts_with("start") && name.ends_with(".elf"));
    if !files.iter().any(|(name, _)| is_firmware(name)) {
        bail!(
            "{} is no boot partition of a Raspberry Pi: it has neither config.txt nor start*.elf in it (another folder is added with --tree)",
            root.display()
        );
    }
    Ok(files)
}

fn files_in(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let files = walk(root)?;
    if files.is_empty() {
        bail!("{} has no files in it", root.display());
    }
    Ok(files)
}

/// A machine to try a script's template on.
fn sample() -> Values {
    Values {
        mac: MacAddr::default(),
        uuid: None,
        arch: ClientArch::X64_UEFI,
        ip: None,
        interface: "eth0".to_owned(),
        server: ServerAddr { ip: Ipv4Addr::LOCALHOST.into(), http_port: 80, https: false },
        image: "sample".to_owned(),
        version: "1".to_owned(),
        cmdline: None,
        append: None,
        done: None,
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| reading(path))?;
    if bytes.is_empty() {
        bail!("{} is empty", path.display());
    }
    Ok(bytes)
}

fn reading(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn storing(path: &Path) -> String {
    format!("cannot store {}", path.display())
}

/// What a file is that was given as a UKI and is none, and how to add it then.
fn not_a_uki(path: &Path, bytes: &[u8], error: UkiError) -> anyhow::Error {
    let path = path.display();
    if bzimage_release(bytes).is_some() {
        anyhow!("{path} is a Linux kernel without an initrd, not a UKI: add it with --kernel FILE --initrd FILE")
    } else if error == UkiError::NoKernel {
        anyhow!("{path} is an EFI program, but not a UKI (it has no .linux section): add it with --efi")
    } else if bytes.starts_with(b"#!ipxe") {
        anyhow!("{path} is an iPXE script, not a UKI: add it with --ipxe")
    } else {
        anyhow::Error::new(error).context(format!("{path} is not a UKI"))
    }
}

fn cpu(machine: Machine) -> Result<Cpu> {
    Ok(match machine {
        Machine::IA32 => Cpu::Ia32,
        Machine::X64 => Cpu::X64,
        Machine::ARM32 => Cpu::Arm32,
        Machine::ARM64 => Cpu::Arm64,
        Machine::RISCV64 => Cpu::RiscV64,
        Machine::LOONGARCH64 => Cpu::LoongArch64,
        other => bail!("{other} is not a processor that Slipway knows"),
    })
}
