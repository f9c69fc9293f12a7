//! What the lab is made of, and where it is found: programs, firmware, a kernel, our own two programs.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use slipway_wire::Cpu;

use crate::linux::Linux;
use crate::org::Made;

/// Everything that a scenario takes from outside its own network; handed to the scenario's process as one value.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Parts {
    /// The `slipway` program under test.
    pub slipway: PathBuf,
    /// The folder in which each scenario has a folder of its name; caches live in `cache` there.
    pub work: PathBuf,
    /// What machines boot, for scenarios that have machines.
    pub linux: Option<Linux>,
    /// The org that machines join, for scenarios that have one.
    pub org: Option<Made>,
}

/// A program of the lab, and the Debian or Ubuntu package that brings it.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// The program's name.
    pub program: &'static str,
    /// Its package.
    pub package: &'static str,
}

/// The QEMU that emulates a processor.
///
/// # Errors
/// The lab has none for it.
pub(crate) fn qemu(cpu: Cpu) -> Result<Tool> {
    match cpu {
        Cpu::X64 => Ok(QEMU),
        Cpu::Arm64 => Ok(QEMU_ARM64),
        other => bail!("the lab has no machines with a processor of the kind {other}"),
    }
}

/// What every scenario uses.
pub(crate) const TOOLS: &[Tool] = &[
    Tool { program: "ip", package: "iproute2" },
    Tool { program: "nsenter", package: "util-linux" },
    Tool { program: "setpriv", package: "util-linux" },
    Tool { program: "unshare", package: "util-linux" },
];

/// QEMU, for scenarios with a machine.
pub(crate) const QEMU: Tool = Tool { program: "qemu-system-x86_64", package: "qemu-system-x86" };
/// QEMU for 64-bit ARM.
pub(crate) const QEMU_ARM64: Tool = Tool { program: "qemu-system-aarch64", package: "qemu-system-arm" };
/// The foreign DHCP server.
pub(crate) const DNSMASQ: Tool = Tool { program: "dnsmasq", package: "dnsmasq-base" };
/// The foreign HTTP and TFTP client.
pub(crate) const CURL: Tool = Tool { program: "curl", package: "curl" };
/// The foreign relay agent.
pub(crate) const DHCRELAY: Tool = Tool { program: "dhcrelay", package: "isc-dhcp-relay" };

/// A foreign TFTP client, of the oldest kind.
pub(crate) const TFTP_HPA: Tool = Tool { program: "tftp", package: "tftp-hpa" };
/// A foreign TFTP client that knows windows.
pub(crate) const ATFTP: Tool = Tool { program: "atftp", package: "atftp" };
/// A foreign TFTP client, as in many an initramfs.
pub(crate) const BUSYBOX: Tool = Tool { program: "busybox", package: "busybox" };

/// A foreign DHCP client, as in many an initramfs.
pub(crate) const UDHCPC: Tool = Tool { program: "udhcpc", package: "udhcpc" };
/// A foreign DHCP client, ISC's.
pub(crate) const DHCLIENT: Tool = Tool { program: "dhclient", package: "isc-dhcp-client" };
/// A foreign DHCP client, Roy Marples's.
pub(crate) const DHCPCD: Tool = Tool { program: "dhcpcd", package: "dhcpcd-base" };

/// A foreign iSCSI target.
pub(crate) const TGTD: Tool = Tool { program: "tgtd", package: "tgt" };
/// A foreign AoE target.
pub(crate) const VBLADE: Tool = Tool { program: "vblade", package: "vblade" };
/// Makes a FAT file system.
pub(crate) const MFORMAT: Tool = Tool { program: "mformat", package: "mtools" };
/// Makes folders in one.
pub(crate) const MMD: Tool = Tool { program: "mmd", package: "mtools" };
/// Puts files into one.
pub(crate) const MCOPY: Tool = Tool { program: "mcopy", package: "mtools" };
/// Lists the files in one.
pub(crate) const MDIR: Tool = Tool { program: "mdir", package: "mtools" };
/// Makes and checks partition tables.
pub(crate) const SGDISK: Tool = Tool { program: "sgdisk", package: "gdisk" };
/// A TPM.
pub(crate) const SWTPM: Tool = Tool { program: "swtpm", package: "swtpm" };
/// Makes a TPM, as its maker would.
pub(crate) const SWTPM_SETUP: Tool = Tool { program: "swtpm_setup", package: "swtpm-tools" };
/// Makes it boot on a BIOS.
pub(crate) const SYSLINUX: Tool = Tool { program: "syslinux", package: "syslinux" };
/// Makes ISO images.
pub(crate) const XORRISO: Tool = Tool { program: "xorriso", package: "xorriso" };

/// Where the programs are looked for, also when the caller's `PATH` has no `sbin`.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Files that distributions put in different places, each with the package that brings it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    what: &'static str,
    package: &'static str,
    paths: &'static [&'static str],
}

/// UEFI firmware without Secure Boot keys.
pub(crate) const OVMF_CODE: Known = Known {
    what: "UEFI firmware",
    package: "ovmf",
    paths: &[
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
    ],
};
/// The empty variable store that belongs to it.
pub(crate) const OVMF_VARS: Known = Known {
    what: "the UEFI firmware's variable store",
    package: "ovmf",
    paths: &[
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
        "/usr/share/OVMF/OVMF_VARS.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ],
};
/// UEFI firmware for 64-bit ARM.
pub(crate) const AAVMF_CODE: Known = Known {
    what: "UEFI firmware for ARM64",
    package: "qemu-efi-aarch64",
    paths: &[
        "/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd",
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw",
        "/usr/share/edk2/aarch64/QEMU_CODE.fd",
    ],
};
/// The empty variable store that belongs to it.
pub(crate) const AAVMF_VARS: Known = Known {
    what: "the ARM64 UEFI firmware's variable store",
    package: "qemu-efi-aarch64",
    paths: &[
        "/usr/share/AAVMF/AAVMF_VARS.fd",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
        "/usr/share/edk2/aarch64/QEMU_VARS.fd",
    ],
};
/// UEFI firmware with Secure Boot.
pub(crate) const OVMF_CODE_SECURE: Known = Known {
    what: "UEFI firmware with Secure Boot",
    package: "ovmf",
    paths: &["/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"],
};
/// The variable store that belongs to it, with Microsoft's keys.
pub(crate) const OVMF_VARS_MICROSOFT: Known = Known {
    what: "the UEFI firmware's variable store with Microsoft's keys",
    package: "ovmf",
    paths: &["/usr/share/OVMF/OVMF_VARS_4M.ms.fd"],
};
/// shim, signed by Microsoft.
pub(crate) const SHIM: Known = Known {
    what: "the signed shim",
    package: "shim-signed",
    paths: &[
        "/usr/lib/shim/shimx64.efi.signed",
        "/usr/lib/shim/shimx64.efi.signed.latest",
        "/usr/lib/shim/shimx64.efi.dualsigned",
    ],
};
/// GRUB for booting over the network, signed by the distribution.
pub(crate) const GRUB: Known = Known {
    what: "the signed GRUB",
    package: "grub-efi-amd64-signed",
    paths: &["/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"],
};
/// iPXE as the option ROM of QEMU's virtio card, for BIOS and UEFI in one file.
pub(crate) const IPXE_ROM: Known = Known {
    what: "iPXE as an option ROM",
    package: "ipxe-qemu",
    paths: &[
        "/usr/lib/ipxe/qemu/efi-virtio.rom",
        "/usr/share/qemu/efi-virtio.rom",
        "/usr/share/ipxe/qemu/efi-virtio.rom",
    ],
};
/// What a BIOS boots from an ISO image.
pub(crate) const ISOLINUX: Known =
    Known { what: "isolinux", package: "isolinux", paths: &["/usr/lib/ISOLINUX/isolinux.bin"] };
/// What isolinux loads first.
pub(crate) const LDLINUX: Known = Known {
    what: "isolinux's core module",
    package: "syslinux-common",
    paths: &["/usr/lib/syslinux/modules/bios/ldlinux.c32"],
};
/// pxelinux: Slipway finds it by itself.
pub(crate) const PXELINUX: Known = Known {
    what: "pxelinux",
    package: "pxelinux",
    paths: &["/usr/lib/PXELINUX/lpxelinux.0", "/usr/lib/syslinux/bios/lpxelinux.0", "/usr/share/syslinux/lpxelinux.0"],
};
/// U-Boot for QEMU's 64-bit ARM board.
pub(crate) const U_BOOT: Known =
    Known { what: "U-Boot for 64-bit ARM", package: "u-boot-qemu", paths: &["/usr/lib/u-boot/qemu_arm64/u-boot.bin"] };
/// The EFI program that a UKI's parts are put behind.
pub(crate) const UKI_STUB: Known = Known {
    what: "systemd's EFI stub",
    package: "systemd-boot-efi",
    paths: &["/usr/lib/systemd/boot/efi/linuxx64.efi.stub"],
};

impl Known {
    /// The first of its places where the file is.
    ///
    /// # Errors
    /// It is nowhere: the error names the package.
    pub(crate) fn find(&self) -> Result<PathBuf> {
        let found = self.paths.iter().map(Path::new).find(|path| path.exists());
        found.map(Path::to_owned).ok_or_else(|| {
            anyhow!(
                "{} is missing (looked for {}): install the package {}",
                self.what,
                self.paths.join(", "),
                self.package
            )
        })
    }
}

/// Fails with one message that names every missing program and the packages to install.
///
/// # Errors
/// Some program is missing.
pub(crate) fn require(tools: &[Tool]) -> Result<()> {
    let missing: Vec<&Tool> = tools.iter().filter(|tool| !installed(tool.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    bail!("missing: {}. Install with: apt-get install {}", programs.join(", "), packages.join(" "))
}

fn installed(program: &str) -> bool {
    PATH.split(':').any(|folder| Path::new(folder).join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_package() {
        let error =
            require(&[Tool { program: "no-such-program", package: "some-package" }, QEMU]).unwrap_err().to_string();
        assert!(error.contains("no-such-program") && error.contains("apt-get install some-package"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named_with_its_places() {
        let known = Known { what: "firmware", package: "the-package", paths: &["/nowhere/a", "/nowhere/b"] };
        let error = known.find().unwrap_err().to_string();
        assert!(error.contains("/nowhere/a, /nowhere/b") && error.contains("the-package"), "{error}");
    }
}
