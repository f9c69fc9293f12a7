//! Firmware that does not say what it means, and how it is read.

use slipway_wire::{ClientArch, Cpu};

use crate::request::{BootRequest, Loader};

/// One row: a request that is read as something else than its plainest sign says.
#[derive(Debug)]
pub struct Reading {
    /// The firmware as people know it.
    pub who: &'static str,
    /// What it says.
    pub says: &'static str,
    /// What it is read as.
    pub is: &'static str,
    /// The same, to be checked.
    pub read: fn(&BootRequest) -> bool,
    /// Where that was seen, read or told.
    pub source: &'static str,
    /// A packet of it: folder and name under `fixtures/`, without `.hex`.
    pub seen: &'static str,
    /// Its nearest neighbour, which is read otherwise.
    pub unlike: &'static str,
}

const OVMF: &str = "dhcp4/tianocore-ovmf-x64-pxe-discover";
const INTEL: &str = "dhcp4/intel-bootagent-bios-discover";

/// Every such reading.
pub const READINGS: &[Reading] = &[
    Reading {
        who: "iPXE, in ROM or chain-loaded",
        says: "option 60 `PXEClient` with its firmware's architecture; option 77 `iPXE` without RFC 3004's length; option 175",
        is: "iPXE, before anything else is looked at",
        read: |r| r.loader == Loader::Ipxe,
        source: "measured: who looks at the architecture first hands it its own loader for ever",
        seen: "dhcp4/ipxe-efi-snponly-discover",
        unlike: OVMF,
    },
    Reading {
        who: "gPXE, its ancestor",
        says: "option 77 `gPXE`",
        is: "iPXE",
        read: |r| r.loader == Loader::Ipxe,
        source: "reported",
        seen: "dhcp4/etherboot-gpxe-discover",
        unlike: INTEL,
    },
    Reading {
        who: "old x64 UEFI that obeys RFC 4578 as printed",
        says: "architecture 9 (EFI byte code)",
        is: "x64 UEFI",
        read: |r| r.arch == ClientArch::EBC && r.arch.is_uefi() && r.arch.cpu() == Some(Cpu::X64),
        source: "RFC 4578, erratum 4624",
        seen: "dhcp4/uefi-rfc4578-x64-discover",
        unlike: OVMF,
    },
    Reading {
        who: "UEFI without option 93 in its DISCOVER",
        says: "option 60 `PXEClient:Arch:00007:…` alone",
        is: "the architecture of those digits",
        read: |r| r.loader == Loader::Pxe && r.arch == ClientArch::X64_UEFI,
        source: "reported: laptops",
        seen: "dhcp4/uefi-noarch-x64-discover",
        unlike: INTEL,
    },
    Reading {
        who: "Raspberry Pi's boot loaders",
        says: "architecture 0 (x86 BIOS), and a machine id that is no UUID",
        is: "Raspberry Pi (41)",
        read: |r| r.arch == ClientArch::RPIBOOT,
        source: "its documentation",
        seen: "dhcp4/raspberrypi-4b-eeprom-discover",
        unlike: INTEL,
    },
];
