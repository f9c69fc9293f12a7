//! The rows.

use slipway_wire::ClientArch;

use super::{Departure, Packet, Quirk};
use crate::ladder::Rung;
use crate::request::{BootRequest, Exchange, Loader};

const OVMF: &str = "dhcp4/tianocore-ovmf-x64-pxe-discover";
const INTEL: &str = "dhcp4/intel-bootagent-bios-discover";
const PI_3: &str = "dhcp4/raspberrypi-3b-rom-discover";
const PI_4: &str = "dhcp4/raspberrypi-4b-eeprom-discover";

/// Every departure that this program makes.
pub const TABLE: &[Quirk] = &[
    Quirk {
        who: "any PXE or iPXE client beside another DHCP server",
        when: |r| matches!(r.loader, Loader::Pxe | Loader::Ipxe) && !gives_address(r),
        departure: Departure::SayPxeClient,
        because: "an offer without address is a ProxyDHCP offer only with it",
        source: "PXE 2.1; measured: OVMF, SeaBIOS with iPXE",
        seen: Packet::beside(OVMF),
        unlike: Packet::dhcp(OVMF),
    },
    Quirk {
        who: "the Raspberry Pi's boot loader",
        when: is_pi,
        departure: Departure::SayPxeClient,
        because: "it takes no offer without",
        source: "its documentation; not tried on one",
        seen: Packet::dhcp(PI_4),
        unlike: Packet::dhcp(INTEL),
    },
    Quirk {
        who: "the Raspberry Pi's boot loader",
        when: is_pi,
        departure: Departure::RaspberryPiMenu,
        because: "a Pi 3 takes no offer without, and wants three blanks behind the text; a Pi 4 does not mind",
        source: "its documentation, reported; not tried on one",
        seen: Packet::beside(PI_3),
        unlike: Packet::beside(INTEL),
    },
    Quirk {
        who: "the Raspberry Pi's boot loader",
        when: |r| is_pi(r) && gives_address(r),
        departure: Departure::OfferIsLease,
        because: "a Pi 3 never asks for what it was offered, and uses the address at once",
        source: "its documentation; not tried on one",
        seen: Packet::dhcp(PI_3),
        unlike: Packet::dhcp(INTEL),
    },
    Quirk {
        who: "BIOS PXE ROMs beside another DHCP server",
        when: |r| is_bios_pxe(r) && r.exchange == Exchange::ProxyDhcp && r.rung != Rung::BootServer,
        departure: Departure::UseThisBootFile,
        because: "without 43.6 they turn to port 4011 or give up; UEFI gets none, vendors' ROMs mishandle it",
        source: "measured: iPXE as SeaBIOS' ROM; reported: vendors' UEFI",
        seen: Packet::beside(INTEL),
        unlike: Packet::beside(OVMF),
    },
    Quirk {
        who: "PXE ROMs that ignored the plain offer",
        when: |r| r.loader == Loader::Pxe && gives_address(r) && matches!(r.rung, Rung::BootServer | Rung::ThisFile),
        departure: Departure::SayPxeClient,
        because: "some take only what calls itself PXE; OVMF then comes to port 4011 although it was told everything",
        source: "PXE 2.1; measured: OVMF boots by it (lab `ignored-offer-ladder`)",
        seen: Packet::dhcp(OVMF).on(Rung::BootServer),
        unlike: Packet::dhcp(OVMF),
    },
    Quirk {
        who: "PXE ROMs that ignored the plain offer and port 4011",
        when: |r| r.loader == Loader::Pxe && r.exchange != Exchange::BootServer && r.rung == Rung::ThisFile,
        departure: Departure::UseThisBootFile,
        because: "the other form of PXE 2.1: the boot file is in the offer, nobody needs port 4011",
        source: "PXE 2.1; measured: OVMF boots by it (lab `ignored-offer-ladder`)",
        seen: Packet::dhcp(OVMF).on(Rung::ThisFile),
        unlike: Packet::dhcp(OVMF).on(Rung::BootServer),
    },
    Quirk {
        who: "UEFI that ignored every form of the offer",
        when: |r| r.loader == Loader::Pxe && r.rung == Rung::OtherLoader,
        departure: Departure::OtherLoader,
        because: "it may be the file that it cannot load: its size, its name, its drivers",
        source: "reported: cards that `snponly.efi` cannot use, and `ipxe.efi` can",
        seen: Packet::dhcp(OVMF).on(Rung::OtherLoader),
        unlike: Packet::dhcp(OVMF).on(Rung::ThisFile),
    },
    Quirk {
        who: "UEFI HTTP Boot",
        when: |r| r.loader == Loader::UefiHttp,
        departure: Departure::SayHttpClient,
        because: "edk2 never considers an offer without it",
        source: "measured: OVMF 2022.11; edk2 HttpBootDhcp4.c",
        seen: Packet::dhcp("dhcp4/tianocore-ovmf-x64-http-discover"),
        unlike: Packet::dhcp(OVMF),
    },
    Quirk {
        who: "UEFI PXE that we give the address and send to its own disk",
        when: |r| r.loader == Loader::Pxe && r.arch.is_uefi() && gives_address(r),
        departure: Departure::CancelledBoot,
        because: "an offer without a boot file costs a minute; by this it says PXE-E21 after 4 s and goes on",
        source: "measured: OVMF 2022.11",
        seen: Packet::dhcp(OVMF),
        unlike: Packet::dhcp(INTEL),
    },
    Quirk {
        who: "UEFI HTTP Boot that we give the address and send to its own disk",
        when: |r| r.loader == Loader::UefiHttp && gives_address(r),
        departure: Departure::MissingFile,
        because: "an offer without a URL costs a minute; by this it is told 404 after 5 s and goes on",
        source: "measured: OVMF 2022.11",
        seen: Packet::dhcp("dhcp4/tianocore-ovmf-x64-http-discover"),
        unlike: Packet::dhcp(OVMF),
    },
    Quirk {
        who: "our agent",
        when: |r| r.loader == Loader::Agent,
        departure: Departure::SaySlipwayAgent,
        because: "beside another DHCP server it tells our offer from that server's by it",
        source: "its own code",
        seen: Packet::beside("dhcp4/slipway-agent-os-discover"),
        unlike: Packet::beside("dhcp4/busybox-udhcpc-os-discover"),
    },
    Quirk {
        who: "iPXE that we give the address",
        when: |r| r.loader == Loader::Ipxe && gives_address(r),
        departure: Departure::NoProxyWait,
        because: "otherwise it waits 2-3 s for a ProxyDHCP offer; with it 4 ms",
        source: "measured: iPXE 1.0.0+git-20190125",
        seen: Packet::dhcp("dhcp4/ipxe-bios-rom-virtio-discover"),
        unlike: Packet::beside("dhcp4/ipxe-bios-rom-virtio-discover"),
    },
    Quirk {
        who: "PXE ROMs that we give the address",
        when: |r| r.loader == Loader::Pxe && gives_address(r),
        departure: Departure::ServerAsText,
        because: "`siaddr` says the same; no ROM that was tried minds it",
        source: "measured: OVMF, SeaBIOS with iPXE",
        seen: Packet::dhcp(OVMF),
        unlike: Packet::dhcp("dhcp4/tianocore-ovmf-x64-http-discover"),
    },
    Quirk {
        who: "clients of port 4011",
        when: |r| r.exchange == Exchange::BootServer,
        departure: Departure::ServerName,
        because: "BOOTP's place for the server that answers: some vendors' UEFI wants it; no ROM that was tried minds it",
        source: "reported: laptops' UEFI; measured: OVMF, iPXE",
        seen: Packet::boot_server("dhcp4/tianocore-ovmf-x64-bootserver-request"),
        unlike: Packet::dhcp("dhcp4/tianocore-ovmf-x64-pxe-request"),
    },
    Quirk {
        who: "every boot loader",
        when: |r| !matches!(r.loader, Loader::Os),
        departure: Departure::NoNak,
        because: "edk2 aborts the whole boot on a NAK (`PXE-E07`); silence makes it ask again",
        source: "measured: OVMF 2022.11",
        seen: Packet::dhcp("dhcp4/tianocore-ovmf-x64-pxe-request"),
        unlike: Packet::dhcp("dhcp4/isc-dhclient-os-request"),
    },
    Quirk {
        who: "U-Boot beside another DHCP server",
        when: |r| r.loader == Loader::UBoot,
        departure: Departure::NoProxyOffer,
        because: "it takes the first offer that it hears, and would be without an address",
        source: "from its protocol, not tried",
        seen: Packet::beside("dhcp4/uboot-x64-bootp-discover"),
        unlike: Packet::beside(OVMF),
    },
];

fn is_bios_pxe(request: &BootRequest) -> bool {
    request.loader == Loader::Pxe && request.arch == ClientArch::BIOS
}

const fn is_pi(request: &BootRequest) -> bool {
    matches!((request.loader, request.arch), (Loader::Pxe, ClientArch::RPIBOOT))
}

const fn gives_address(request: &BootRequest) -> bool {
    matches!(request.exchange, Exchange::Dhcp)
}
