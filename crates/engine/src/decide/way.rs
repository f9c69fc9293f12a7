//! The ways from firmware to image: which there are, and what stands against each.

use slipway_wire::Cpu;

use crate::catalog::{FileRef, Image, ImageKind, Media};
use crate::grub;
use crate::request::{Firmware, Loader};
use crate::script::command_line;

/// How iPXE starts an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Launch {
    /// `kernel`, `initrd`, `boot`.
    Linux {
        /// The initrds' file names, in order.
        initrds: Vec<String>,
        /// The whole command line.
        cmdline: String,
    },
    /// `chain` of a UKI.
    Uki {
        /// The whole command line, where it is not the UKI's own.
        cmdline: Option<String>,
    },
    /// `chain` of another EFI program.
    Efi {
        /// What follows its name.
        arguments: String,
    },
    /// `sanboot` of an ISO image over HTTP.
    Iso,
    /// The operator's script.
    Template {
        /// Its file.
        file: FileRef,
    },
}

impl Launch {
    /// The last file of the image that iPXE loads, where we know it.
    pub(super) fn last(&self) -> Option<&str> {
        Some(match self {
            Self::Linux { initrds, .. } => initrds.last().map_or(Image::LINUX, String::as_str),
            Self::Uki { .. } => Image::UKI,
            Self::Efi { .. } => Image::EFI,
            Self::Iso | Self::Template { .. } => return None,
        })
    }
}

pub(super) const MISSING: &str = "a file of it is missing from the store";
pub(super) const NOTHING_TO_START: &str = "a tree of files has nothing to start";
/// Why other firmware cannot use a Raspberry Pi's boot partition.
pub(super) const PI_ONLY: &str = "only a Raspberry Pi's own boot loader knows what to do with these files";

/// The file that the firmware loads and starts by itself.
///
/// # Errors
/// What stands against it.
pub(super) fn by_firmware(
    image: &Image,
    firmware: Firmware,
    loader: Loader,
    append: Option<&str>,
) -> Result<&'static str, &'static str> {
    runs_on(image, firmware)?;
    if firmware == Firmware::Bios {
        return Err("a BIOS starts nothing but a boot loader by itself: it needs a rule whose `path` is not `direct`");
    }
    let file = match image.kind {
        ImageKind::Uki => Image::UKI,
        ImageKind::Efi => Image::EFI,
        ImageKind::Iso(_) if loader == Loader::UefiHttp => Image::ISO,
        ImageKind::Iso(_) => return Err("PXE loads programs, and no disk images: an ISO needs iPXE or UEFI HTTP Boot"),
        ImageKind::Linux => {
            return Err("firmware passes no initrd and no command line: a kernel needs iPXE, not `path = \"direct\"`");
        }
        ImageKind::IpxeScript => return Err("an iPXE script needs iPXE, not `path = \"direct\"`"),
        ImageKind::RaspberryPi => return Err(PI_ONLY),
        ImageKind::Tree => return Err(NOTHING_TO_START),
    };
    if append.is_some() {
        return Err("firmware passes no command line: `append` needs iPXE, not `path = \"direct\"`");
    }
    if image.files.contains_key(file) { Ok(file) } else { Err(MISSING) }
}

/// How iPXE starts it.
///
/// # Errors
/// What stands against it.
pub(super) fn by_ipxe(image: &Image, firmware: Firmware, append: Option<&str>) -> Result<Launch, &'static str> {
    runs_on(image, firmware)?;
    let whole = || command_line(&[image.cmdline.as_deref().unwrap_or_default(), append.unwrap_or_default()].join(" "));
    let file = |name: &str| image.files.get(name).copied();
    match (image.kind, firmware) {
        (_, Firmware::UBoot(_) | Firmware::RaspberryPi) => Err("iPXE does not run there"),
        (ImageKind::Linux, _) => linux(image, whole()?).ok_or(MISSING),
        (ImageKind::Uki, Firmware::Bios) => linux(image, whole()?)
            .ok_or("a BIOS starts no EFI program, and the store does not have the UKI's kernel by itself"),
        (ImageKind::Uki, Firmware::Uefi(_)) => {
            file(Image::UKI).ok_or(MISSING)?;
            Ok(Launch::Uki { cmdline: append.map(|_| whole()).transpose()? })
        }
        (ImageKind::Efi, Firmware::Uefi(_)) => {
            file(Image::EFI).ok_or(MISSING)?;
            Ok(Launch::Efi { arguments: whole()? })
        }
        (ImageKind::Efi, Firmware::Bios) => Err("a BIOS starts no EFI program"),
        (ImageKind::IpxeScript, _) => Ok(Launch::Template { file: file(Image::SCRIPT).ok_or(MISSING)? }),
        (ImageKind::Iso(_), _) if append.is_some() => {
            Err("the command line is inside the ISO: `append` cannot reach it")
        }
        (ImageKind::Iso(_), _) => {
            file(Image::ISO).ok_or(MISSING)?;
            Ok(Launch::Iso)
        }
        (ImageKind::RaspberryPi, _) => Err(PI_ONLY),
        (ImageKind::Tree, _) => Err(NOTHING_TO_START),
    }
}

/// How GRUB starts it: never an image that iPXE alone understands.
///
/// # Errors
/// What stands against it.
pub(super) fn by_grub(image: &Image, firmware: Firmware, append: Option<&str>) -> Result<Launch, &'static str> {
    runs_on(image, firmware)?;
    let whole = || {
        let text = [image.cmdline.as_deref().unwrap_or_default(), append.unwrap_or_default()].join(" ");
        grub::command_line(&text).map(|_| text)
    };
    match image.kind {
        ImageKind::Linux => linux(image, whole()?).ok_or(MISSING),
        // As one file it keeps its signature; with another command line it has to be taken apart.
        ImageKind::Uki if append.is_none() => {
            image.files.get(Image::UKI).ok_or(MISSING)?;
            Ok(Launch::Uki { cmdline: None })
        }
        ImageKind::Uki => linux(image, whole()?).ok_or(MISSING),
        ImageKind::Efi => Err("an EFI program is for the firmware itself or for iPXE, not for GRUB"),
        ImageKind::IpxeScript => Err("an iPXE script needs iPXE, not shim and GRUB"),
        ImageKind::Iso(_) => Err("an ISO is for UEFI HTTP Boot or for iPXE, not for GRUB"),
        ImageKind::RaspberryPi => Err(PI_ONLY),
        ImageKind::Tree => Err(NOTHING_TO_START),
    }
}

fn linux(image: &Image, cmdline: String) -> Option<Launch> {
    image.files.get(Image::LINUX)?;
    Some(Launch::Linux { initrds: initrds(image), cmdline })
}

/// The names of an image's initrds, in the order to load them in.
pub(super) fn initrds(image: &Image) -> Vec<String> {
    image.files.keys().filter(|name| Image::is_initrd(name)).cloned().collect()
}

/// Whether an image is built for this firmware's processor.
///
/// # Errors
/// It is not.
pub(super) fn runs_on(image: &Image, firmware: Firmware) -> Result<(), &'static str> {
    let right = match (firmware, image.cpu) {
        (_, None) | (Firmware::UBoot(None), _) => true,
        (Firmware::RaspberryPi, Some(cpu)) => matches!(cpu, Cpu::Arm64 | Cpu::Arm32),
        (Firmware::Bios, Some(cpu)) => matches!(cpu, Cpu::X64 | Cpu::Ia32),
        (Firmware::Uefi(machine) | Firmware::UBoot(Some(machine)), Some(cpu)) => machine == cpu,
    };
    match (image.cpu, image.kind, firmware) {
        (Some(cpu), ..) if !right => Err(built_for(cpu)),
        (_, ImageKind::Iso(Media::Bios), Firmware::Uefi(_)) => {
            Err("the ISO boots on a BIOS only: it has no EFI boot image")
        }
        (_, ImageKind::Iso(Media::Uefi), Firmware::Bios) => {
            Err("the ISO boots on UEFI only: it has no boot image for a BIOS")
        }
        _ => Ok(()),
    }
}

const fn built_for(cpu: Cpu) -> &'static str {
    match cpu {
        Cpu::Ia32 => "it is built for ia32, and this firmware is another processor's",
        Cpu::X64 => "it is built for x64, and this firmware is another processor's",
        Cpu::Arm32 => "it is built for arm32, and this firmware is another processor's",
        Cpu::Arm64 => "it is built for arm64, and this firmware is another processor's",
        Cpu::RiscV64 => "it is built for riscv64, and this firmware is another processor's",
        Cpu::LoongArch64 => "it is built for loongarch64, and this firmware is another processor's",
    }
}

/// The builds of iPXE that suit a firmware, best first. `snponly.efi` and `undionly.kpxe` use the firmware's own driver of the card
/// that it booted from; `ipxe.efi` brings drivers of its own.
pub(super) const fn loaders(firmware: Firmware) -> &'static [&'static str] {
    match firmware {
        Firmware::UBoot(_) | Firmware::RaspberryPi => &[],
        Firmware::Bios => &["undionly.kpxe"],
        Firmware::Uefi(Cpu::X64) => &["snponly.efi", "ipxe.efi"],
        Firmware::Uefi(Cpu::Ia32) => &["snponly-ia32.efi", "ipxe-ia32.efi"],
        Firmware::Uefi(Cpu::Arm32) => &["snponly-arm32.efi", "ipxe-arm32.efi"],
        Firmware::Uefi(Cpu::Arm64) => &["snponly-arm64.efi", "ipxe-arm64.efi"],
        Firmware::Uefi(Cpu::RiscV64) => &["snponly-riscv64.efi", "ipxe-riscv64.efi"],
        Firmware::Uefi(Cpu::LoongArch64) => &["snponly-loong64.efi", "ipxe-loong64.efi"],
    }
}

/// shim and the GRUB that it loads, by the names that shim knows.
///
/// # Errors
/// What stands against it.
pub(super) const fn chain(firmware: Firmware) -> Result<[&'static str; 2], &'static str> {
    match firmware {
        Firmware::Uefi(Cpu::X64) => Ok(["shimx64.efi", "grubx64.efi"]),
        Firmware::Uefi(Cpu::Arm64) => Ok(["shimaa64.efi", "grubaa64.efi"]),
        Firmware::Uefi(_) => Err("no shim is built for its processor: it needs a rule whose `path` is not `shim`"),
        Firmware::Bios | Firmware::UBoot(_) | Firmware::RaspberryPi => {
            Err("shim and GRUB are for UEFI: other firmware needs a rule whose `path` is not `shim`")
        }
    }
}
