//! The boot request, normalised: what a machine said about itself, whatever protocol it said it in.

use core::fmt;
use core::net::IpAddr;
use slipway_wire::{AgentId, ClientArch, Cpu, MacAddr};

use crate::ladder::Rung;

/// The program that asks: it decides what kind of answer can be understood.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Loader {
    /// No boot loader at all: an operating system's DHCP client.
    Os,
    /// A PXE ROM (BIOS) or UEFI's PXE driver: wants a network boot program (NBP) over TFTP.
    Pxe,
    /// UEFI HTTP Boot: wants a URL.
    UefiHttp,
    /// iPXE, in ROM or chainloaded: wants a script.
    Ipxe,
    /// U-Boot.
    UBoot,
    /// GRUB, behind shim: wants a configuration. It asks for a file by name, never by DHCP.
    Grub,
    /// Our own agent in an initramfs (option 60 `slipway-agent`): wants to know where to report in.
    Agent,
}

impl Loader {
    /// The name in configuration, journal and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Pxe => "pxe",
            Self::UefiHttp => "uefi-http",
            Self::Ipxe => "ipxe",
            Self::UBoot => "u-boot",
            Self::Grub => "grub",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The firmware, or what has taken its place, that a boot file must suit.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Firmware {
    /// x86 BIOS: starts NBPs in low memory only, no EFI program.
    Bios,
    /// UEFI on this processor: starts PE images built for it.
    Uefi(Cpu),
    /// U-Boot that asks as itself, on this processor where it says which: loads kernels by a configuration.
    UBoot(Option<Cpu>),
    /// A Raspberry Pi's own boot loader: loads a folder of files.
    RaspberryPi,
}

impl Firmware {
    /// The firmware that this program of this architecture type runs on, where it is one that something can be served to.
    #[must_use]
    pub const fn of(loader: Loader, arch: ClientArch) -> Option<Self> {
        match (loader, arch.cpu(), arch) {
            // It sends no type where its build knows none, which reads like a BIOS.
            (Loader::UBoot, _, ClientArch::BIOS) => Some(Self::UBoot(None)),
            (Loader::UBoot, Some(cpu), _) => Some(Self::UBoot(Some(cpu))),
            (Loader::Pxe, _, ClientArch::RPIBOOT) => Some(Self::RaspberryPi),
            (Loader::UefiHttp, _, ClientArch::BIOS) => None,
            (_, _, ClientArch::BIOS) => Some(Self::Bios),
            // HTTP Boot of U-Boot is that of its EFI.
            (Loader::UefiHttp, Some(cpu), ClientArch::ARM32_UBOOT_HTTP | ClientArch::ARM64_UBOOT_HTTP) => {
                Some(Self::Uefi(cpu))
            }
            (_, Some(cpu), _) if arch.is_uefi() => Some(Self::Uefi(cpu)),
            _ => None,
        }
    }
}

/// The architecture that iPXE's `${buildarch}` and `${platform}` describe, as option 93 would have said it; a number in the
/// first is option 93's own. None for what iPXE was never built for.
#[must_use]
pub fn ipxe_arch(buildarch: &str, platform: Option<&str>) -> Option<ClientArch> {
    if let Ok(number) = buildarch.parse() {
        return Some(ClientArch(number));
    }
    Some(match (buildarch, platform) {
        ("i386" | "x86_64", Some("pcbios")) => ClientArch::BIOS,
        ("x86_64", Some("efi") | None) => ClientArch::X64_UEFI,
        ("i386", Some("efi")) => ClientArch::IA32_UEFI,
        ("arm32", Some("efi") | None) => ClientArch::ARM32_UEFI,
        ("arm64", Some("efi") | None) => ClientArch::ARM64_UEFI,
        ("riscv64", Some("efi") | None) => ClientArch::RISCV64_UEFI,
        ("loong64", Some("efi") | None) => ClientArch::LOONGARCH64_UEFI,
        _ => return None,
    })
}

/// The exchange in which the machine asks.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Exchange {
    /// DHCP on port 67 where we give the address too.
    Dhcp,
    /// ProxyDHCP on port 67: another server gives the address.
    ProxyDhcp,
    /// The PXE boot server on port 4011.
    BootServer,
    /// A script or a configuration asked for over HTTP or TFTP.
    Script,
}

/// Where a machine is plugged in, as relays and switches tell. No better known than they are trusted: a machine that sits before the
/// first of them can say the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// An address of the machine's network, where the relay names another than its own (RFC 3527, RFC 3011).
    pub link: Option<IpAddr>,
    /// Its port: option 82's circuit id, DHCPv6's interface id.
    pub circuit_id: Option<AgentId>,
    /// The switch or relay that has the port, or the customer behind it: the remote id of option 82 or of DHCPv6.
    pub remote_id: Option<AgentId>,
}

/// What a machine said about itself, and where we heard it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BootRequest {
    /// How it asks.
    pub exchange: Exchange,
    /// Who asks.
    pub loader: Loader,
    /// Its architecture: option 93, else the digits in option 60, else BIOS.
    pub arch: ClientArch,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Its SMBIOS UUID in text order, where it told (option 97 or a script's query).
    pub uuid: Option<uuid::Uuid>,
    /// Our interface that heard it.
    pub interface: String,
    /// The relay that passed it on (`giaddr`), if any.
    pub relay: Option<IpAddr>,
    /// Where it is plugged in, as far as relays and switches tell.
    pub place: Place,
    /// The address the machine has or is being given, where known: what subnet matches look at.
    pub client_ip: Option<IpAddr>,
    /// User class (option 77), undecoded from its RFC 3004 length prefix where it has one.
    pub user_class: Option<String>,
    /// Vendor class (option 60).
    pub vendor_class: Option<String>,
    /// The kind of offer that it is made: where it stands on its [ladder](crate::ladder), and [`Rung::Plain`] for who has none.
    pub rung: Rung,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ipxe_says_of_itself_becomes_option_93s_value() {
        for (buildarch, platform, arch) in [
            ("i386", Some("pcbios"), Some(ClientArch::BIOS)),
            ("x86_64", Some("pcbios"), Some(ClientArch::BIOS)),
            ("x86_64", Some("efi"), Some(ClientArch::X64_UEFI)),
            ("i386", Some("efi"), Some(ClientArch::IA32_UEFI)),
            ("arm64", Some("efi"), Some(ClientArch::ARM64_UEFI)),
            ("arm64", None, Some(ClientArch::ARM64_UEFI)),
            ("7", Some("efi"), Some(ClientArch::X64_UEFI)),
            ("0", None, Some(ClientArch::BIOS)),
            ("i386", None, None),
            ("x86_64", Some("linux"), None),
            ("", Some("efi"), None),
            ("65536", None, None),
        ] {
            assert_eq!(ipxe_arch(buildarch, platform), arch, "{buildarch} {platform:?}");
        }
    }

    #[test]
    fn the_firmware_follows_from_the_program_and_its_architecture() {
        use Loader::{Ipxe, Pxe, UBoot, UefiHttp};
        for (loader, arch, firmware) in [
            (Pxe, ClientArch::BIOS, Some(Firmware::Bios)),
            (Ipxe, ClientArch::BIOS, Some(Firmware::Bios)),
            (UefiHttp, ClientArch::BIOS, None),
            (UefiHttp, ClientArch::BIOS_HTTP, None),
            (Pxe, ClientArch::EBC, Some(Firmware::Uefi(Cpu::X64))),
            (UefiHttp, ClientArch::EBC_HTTP, Some(Firmware::Uefi(Cpu::X64))),
            (UBoot, ClientArch::BIOS, Some(Firmware::UBoot(None))),
            (UBoot, ClientArch::ARM64_UBOOT, Some(Firmware::UBoot(Some(Cpu::Arm64)))),
            (UBoot, ClientArch::RISCV64_UEFI, Some(Firmware::UBoot(Some(Cpu::RiscV64)))),
            (Pxe, ClientArch::ARM64_UEFI, Some(Firmware::Uefi(Cpu::Arm64))),
            (Pxe, ClientArch::ARM64_UBOOT, None),
            (UefiHttp, ClientArch::ARM64_UBOOT_HTTP, Some(Firmware::Uefi(Cpu::Arm64))),
            (Pxe, ClientArch::RPIBOOT, Some(Firmware::RaspberryPi)),
            (Pxe, ClientArch(1), None),
            (UBoot, ClientArch(999), None),
        ] {
            assert_eq!(Firmware::of(loader, arch), firmware, "{loader} {arch}");
        }
    }
}
