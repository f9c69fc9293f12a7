//! The firmware and boot programs that machines of the lab run, and how each tells its version: a column of the firmware table.

use std::process::Command;

use slipway_wire::Cpu;

use crate::log::Log;
use crate::parts::{self, AAVMF_CODE, Known, OVMF_CODE, OVMF_CODE_SECURE};
use crate::process::run;

/// What a scenario boots: a row of the firmware table.
#[derive(Clone, Copy, Debug)]
pub struct Boots {
    /// The processor of its machines; the Linux they boot is built for it.
    pub cpu: Cpu,
    /// The firmware, and what it loads before Linux, in the order in which they run.
    pub programs: &'static [Program],
    /// How it is booted, in a few words: the protocols, and what each brings.
    pub way: &'static str,
    /// Whether the lab's org is made ready, with its images: machines join it.
    pub org: bool,
}

impl Boots {
    /// A machine with a 64-bit x86 processor.
    #[must_use]
    pub const fn x64(programs: &'static [Program], way: &'static str) -> Option<Self> {
        Some(Self { cpu: Cpu::X64, programs, way, org: false })
    }

    /// A machine with a 64-bit ARM processor.
    #[must_use]
    pub const fn arm64(programs: &'static [Program], way: &'static str) -> Option<Self> {
        Some(Self { cpu: Cpu::Arm64, programs, way, org: false })
    }

    /// A machine of either kind that joins the lab's org.
    #[must_use]
    pub const fn joining(cpu: Cpu, programs: &'static [Program], way: &'static str) -> Option<Self> {
        Some(Self { cpu, programs, way, org: true })
    }
}

/// A firmware or boot program, and where its version is to be had: from its own words on the console, else from the package that
/// its file came with.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the table.
    pub name: &'static str,
    /// What it says on the console before and after its version.
    pub(crate) says: Option<(&'static str, &'static str)>,
    /// Its file on this computer.
    pub(crate) file: Option<Known>,
}

/// edk2 for x86-64 virtual machines. On its console it does not name its version.
pub const OVMF: Program = Program { name: "OVMF", says: None, file: Some(OVMF_CODE) };
/// edk2 for 64-bit ARM virtual machines. As Debian builds it, it does not know its version either.
pub const AAVMF: Program = Program { name: "AAVMF", says: None, file: Some(AAVMF_CODE) };
/// edk2 for x86-64 virtual machines with Secure Boot switched on.
pub const OVMF_SECURE: Program = Program { name: "OVMF with Secure Boot", says: None, file: Some(OVMF_CODE_SECURE) };
/// The distribution's shim, signed by Microsoft.
pub const SHIM: Program = Program { name: "shim", says: None, file: Some(parts::SHIM) };
/// The distribution's GRUB, signed by it.
pub const GRUB: Program = Program { name: "GRUB", says: None, file: Some(parts::GRUB) };
/// SeaBIOS: QEMU's BIOS.
pub const SEABIOS: Program = Program { name: "SeaBIOS", says: Some(("SeaBIOS (version ", ")")), file: None };
/// iPXE, in a ROM or loaded.
pub const IPXE: Program = Program { name: "iPXE", says: Some(("iPXE ", " -- Open Source Network Boot")), file: None };
/// pxelinux, as the distribution packages it.
pub const PXELINUX: Program =
    Program { name: "PXELINUX", says: Some(("PXELINUX ", " lwIP Copyright")), file: Some(parts::PXELINUX) };
/// U-Boot for QEMU's 64-bit ARM board.
pub const U_BOOT: Program = Program { name: "U-Boot", says: Some(("U-Boot ", " (")), file: None };

impl Program {
    /// Its name and version, as far as they can be found out.
    pub(crate) fn told(&self, consoles: &[Log]) -> String {
        let said = consoles.iter().find_map(|log| log.find_map(|line| self.version_in(line)));
        let version = said.or_else(|| self.packaged());
        format!("{} {}", self.name, version.as_deref().unwrap_or("(version unknown)"))
    }

    /// The version in a line of the console.
    fn version_in(&self, line: &str) -> Option<String> {
        let (before, after) = self.says?;
        let (_, rest) = line.split_once(before)?;
        let (version, _) = rest.split_once(after)?;
        Some(version.trim().to_owned())
    }

    /// The version of the package that owns its file, where dpkg knows it.
    fn packaged(&self) -> Option<String> {
        let path = self.file.as_ref()?.find().ok()?;
        let owner = run(Command::new("dpkg-query").arg("--search").arg(path)).ok()?;
        let (package, _) = owner.split_once(':')?;
        let version = run(Command::new("dpkg-query").args(["--show", "--showformat", "${Version}", package])).ok()?;
        Some(version.trim().to_owned()).filter(|version| !version.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_the_programs_own_words() {
        let rows = [
            (SEABIOS, "SeaBIOS (version 1.16.2-debian-1.16.2-1)", Some("1.16.2-debian-1.16.2-1")),
            (
                IPXE,
                "iPXE 1.0.0+git-20190125.36a4c85-5.1 -- Open Source Network Boot Firmware -- http",
                Some("1.0.0+git-20190125.36a4c85-5.1"),
            ),
            (IPXE, "iPXE (http://ipxe.org) 00:01.0 C000 PCI2.10 PnP PMM", None),
            (IPXE, "iPXE initialising devices...ok", None),
            (OVMF, "BdsDxe: loading Boot0001", None),
        ];
        for (program, line, version) in rows {
            assert_eq!(program.version_in(line).as_deref(), version, "{line:?}");
        }
    }
}
