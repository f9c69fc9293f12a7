//! Client system architectures.

use core::fmt;

/// Client system architecture: DHCP option 93, RFC 4578 §2.1, values as in the IANA registry ("Processor Architecture Types").
/// A value without a name here is kept, not refused: firmware in the field invents them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientArch(pub u16);

/// The processor family that a boot file must be built for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cpu {
    /// 32-bit x86.
    Ia32,
    /// 64-bit x86.
    X64,
    /// 32-bit ARM.
    Arm32,
    /// 64-bit ARM.
    Arm64,
    /// 64-bit RISC-V.
    RiscV64,
    /// 64-bit LoongArch.
    LoongArch64,
}

impl Cpu {
    /// The lower-case name in configuration, file names and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ia32 => "ia32",
            Self::X64 => "x64",
            Self::Arm32 => "arm32",
            Self::Arm64 => "arm64",
            Self::RiscV64 => "riscv64",
            Self::LoongArch64 => "loongarch64",
        }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl ClientArch {
    /// x86 BIOS.
    pub const BIOS: Self = Self(0);
    /// 32-bit x86 UEFI.
    pub const IA32_UEFI: Self = Self(6);
    /// 64-bit x86 UEFI. RFC 4578 as printed says 9; erratum 4624 and all firmware say 7.
    pub const X64_UEFI: Self = Self(7);
    /// EFI byte code; old firmware that followed the printed RFC sends it on x64, so it is served as x64.
    pub const EBC: Self = Self(9);
    /// 32-bit ARM UEFI.
    pub const ARM32_UEFI: Self = Self(10);
    /// 64-bit ARM UEFI.
    pub const ARM64_UEFI: Self = Self(11);
    /// 32-bit x86 UEFI HTTP Boot.
    pub const IA32_UEFI_HTTP: Self = Self(15);
    /// 64-bit x86 UEFI HTTP Boot.
    pub const X64_UEFI_HTTP: Self = Self(16);
    /// EFI byte code HTTP Boot, served as x64.
    pub const EBC_HTTP: Self = Self(17);
    /// 32-bit ARM UEFI HTTP Boot.
    pub const ARM32_UEFI_HTTP: Self = Self(18);
    /// 64-bit ARM UEFI HTTP Boot.
    pub const ARM64_UEFI_HTTP: Self = Self(19);
    /// x86 BIOS HTTP.
    pub const BIOS_HTTP: Self = Self(20);
    /// 32-bit ARM U-Boot.
    pub const ARM32_UBOOT: Self = Self(21);
    /// 64-bit ARM U-Boot.
    pub const ARM64_UBOOT: Self = Self(22);
    /// 32-bit ARM U-Boot, HTTP.
    pub const ARM32_UBOOT_HTTP: Self = Self(23);
    /// 64-bit ARM U-Boot, HTTP.
    pub const ARM64_UBOOT_HTTP: Self = Self(24);
    /// 32-bit RISC-V UEFI.
    pub const RISCV32_UEFI: Self = Self(25);
    /// 64-bit RISC-V UEFI.
    pub const RISCV64_UEFI: Self = Self(27);
    /// 64-bit RISC-V UEFI HTTP Boot.
    pub const RISCV64_UEFI_HTTP: Self = Self(28);
    /// 64-bit LoongArch UEFI.
    pub const LOONGARCH64_UEFI: Self = Self(39);
    /// 64-bit LoongArch UEFI HTTP Boot.
    pub const LOONGARCH64_UEFI_HTTP: Self = Self(40);
    /// Raspberry Pi `rpiboot`.
    pub const RPIBOOT: Self = Self(41);

    /// Whether this is UEFI firmware (PXE or HTTP Boot), so that the boot file is a PE image.
    #[must_use]
    pub const fn is_uefi(self) -> bool {
        matches!(self.0, 6..=11 | 15..=19 | 25..=30 | 33..=40)
    }

    /// Whether this value belongs to HTTP Boot, so that the boot file is a URL.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self.0, 15..=20 | 23 | 24 | 26 | 28 | 30 | 38 | 40)
    }

    /// The processor family to serve, where this project knows one. BIOS is served as 32-bit x86's superset: `X64`.
    #[must_use]
    pub const fn cpu(self) -> Option<Cpu> {
        match self.0 {
            0 | 7 | 9 | 16 | 17 | 20 => Some(Cpu::X64),
            6 | 15 => Some(Cpu::Ia32),
            10 | 18 | 21 | 23 => Some(Cpu::Arm32),
            11 | 19 | 22 | 24 | 41 => Some(Cpu::Arm64),
            27 | 28 => Some(Cpu::RiscV64),
            39 | 40 => Some(Cpu::LoongArch64),
            _ => None,
        }
    }

    /// The registry's name, where it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "x86 BIOS",
            1 => "NEC PC-98",
            2 => "Itanium EFI",
            3 => "DEC Alpha",
            4 => "Arc x86",
            5 => "Intel Lean Client",
            6 => "IA32 UEFI",
            7 => "x64 UEFI",
            8 => "EFI Xscale",
            9 => "EBC (x64 UEFI)",
            10 => "ARM32 UEFI",
            11 => "ARM64 UEFI",
            12 => "PowerPC Open Firmware",
            13 => "PowerPC ePAPR",
            14 => "POWER OPAL v3",
            15 => "IA32 UEFI HTTP",
            16 => "x64 UEFI HTTP",
            17 => "EBC HTTP (x64 UEFI)",
            18 => "ARM32 UEFI HTTP",
            19 => "ARM64 UEFI HTTP",
            20 => "x86 BIOS HTTP",
            21 => "ARM32 U-Boot",
            22 => "ARM64 U-Boot",
            23 => "ARM32 U-Boot HTTP",
            24 => "ARM64 U-Boot HTTP",
            25 => "RISC-V 32 UEFI",
            26 => "RISC-V 32 UEFI HTTP",
            27 => "RISC-V 64 UEFI",
            28 => "RISC-V 64 UEFI HTTP",
            29 => "RISC-V 128 UEFI",
            30 => "RISC-V 128 UEFI HTTP",
            31 => "s390 basic",
            32 => "s390 extended",
            33 => "MIPS 32 UEFI",
            34 => "MIPS 64 UEFI",
            35 => "Sunway 32 UEFI",
            36 => "Sunway 64 UEFI",
            37 => "LoongArch32 UEFI",
            38 => "LoongArch32 UEFI HTTP",
            39 => "LoongArch64 UEFI",
            40 => "LoongArch64 UEFI HTTP",
            41 => "Raspberry Pi rpiboot",
            _ => return None,
        })
    }
}

impl fmt::Display for ClientArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "architecture {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_rfcs_numbers_are_served_as_x64() {
        for arch in [ClientArch::X64_UEFI, ClientArch::EBC, ClientArch::X64_UEFI_HTTP, ClientArch::EBC_HTTP] {
            assert_eq!(arch.cpu(), Some(Cpu::X64), "{arch}");
            assert!(arch.is_uefi(), "{arch}");
        }
        assert!(ClientArch::EBC_HTTP.is_http() && !ClientArch::EBC.is_http());
    }

    #[test]
    fn an_unnamed_architecture_keeps_its_number() {
        assert_eq!(ClientArch(4711).to_string(), "architecture 4711");
        assert_eq!(ClientArch(4711).cpu(), None);
    }
}
