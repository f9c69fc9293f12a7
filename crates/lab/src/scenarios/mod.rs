//! The scenarios: each a short file that reads like a story, and a row in [`SCENARIOS`].

use slipway_wire::Cpu;

use crate::firmware::{AAVMF, Boots, GRUB, IPXE, OVMF, OVMF_SECURE, PXELINUX, SEABIOS, SHIM, U_BOOT};
use crate::parts::{
    ATFTP, BUSYBOX, CURL, DHCLIENT, DHCPCD, DHCRELAY, DNSMASQ, MFORMAT, SGDISK, SWTPM, SWTPM_SETUP, SYSLINUX, TFTP_HPA,
    TGTD, UDHCPC, VBLADE, XORRISO,
};

mod arm64_uefi;
mod bios_ipxe_linux;
mod bios_ipxe_loop;
mod bios_proxy_linux;
mod bios_pxelinux;
mod bios_undionly_linux;
mod boot;
mod boot_intent_once;
pub(crate) mod demo;
mod dhcp6_clients;
mod dhcp_clients;
mod double_spend;
mod enrol;
mod enrol_cloud_token;
mod enrol_ek_list;
mod enrol_elsewhere;
mod enrol_manual;
mod enrol_secret_invite;
mod enrol_usb;
mod fake_gateway;
mod http_clients;
mod https_clients;
mod ignored_offer_ladder;
mod image_servers;
mod ipxe_http_iso;
mod ipxe_menu;
mod ipxe_san;
mod joined;
mod lease_crash;
mod no_configuration;
mod old_bootstrap;
mod power_cut;
mod preboot_generation;
mod preboot_offline;
mod preboot_revoked;
mod recover_esp;
mod recover_firmware;
mod recover_tpm;
mod reinstall_loop_guard;
mod relay_option82;
mod rogue_bootstrap;
mod rpi4_exchange;
mod scenario;
mod secureboot;
mod secureboot_enrol;
mod secureboot_shim_grub;
mod serve_reload;
mod tftp_clients;
mod two_subnets;
mod uboot_pxelinux;
mod uefi_http6_uki;
mod uefi_http_iso;
mod uefi_http_uki;
mod uefi_https;
mod uefi_ipxe_uki;
mod uefi_own_order;
mod uefi_proxy_late;
mod uefi_proxy_uki;
mod uefi_pxe6_uki;
mod uefi_pxe_relay;
mod uefi_pxe_uki;

pub use scenario::Scenario;
use scenario::{JOINING, boots_nothing, joins};

/// All scenarios, as they are listed. The first that is lent a joined machine (`joined`) stands well before the others: they wait for it.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "uefi-pxe-uki",
        about: "UEFI PXE loads a UKI by TFTP, Slipway being the DHCP server",
        boots: Boots::x64(&[OVMF], "PXE: UKI by TFTP"),
        tools: &[],
        run: uefi_pxe_uki::run,
    },
    Scenario {
        name: "uefi-proxy-uki",
        about: "UEFI PXE loads a UKI by TFTP, Slipway being a ProxyDHCP server (67 and 4011) beside dnsmasq",
        boots: Boots::x64(&[OVMF], "PXE beside dnsmasq (ProxyDHCP, port 4011): UKI by TFTP"),
        tools: &[DNSMASQ],
        run: uefi_proxy_uki::run,
    },
    Scenario {
        name: "no-configuration",
        about: "Slipway as it comes, beside dnsmasq: UEFI PXE loads iPXE, a menu is shown, its first entry boots",
        boots: Boots::x64(&[OVMF, IPXE], "PXE beside dnsmasq, no configuration: iPXE by TFTP; menu and UKI by HTTP"),
        tools: &[DNSMASQ],
        run: no_configuration::run,
    },
    Scenario {
        name: "uefi-proxy-late",
        about: "UEFI PXE uses a ProxyDHCP offer that comes seconds after the address",
        boots: Boots::x64(&[OVMF], "PXE beside dnsmasq, the boot offer seconds late: UKI by TFTP"),
        tools: &[DNSMASQ],
        run: uefi_proxy_late::run,
    },
    Scenario {
        name: "ignored-offer-ladder",
        about: "UEFI PXE that hears only later kinds of offer is made one after the other, and what it boots by is remembered",
        boots: Boots::x64(&[OVMF], "PXE, deaf to the usual offer and to port 4011: UKI by TFTP"),
        tools: &[],
        run: ignored_offer_ladder::run,
    },
    Scenario {
        name: "uefi-own-order",
        about: "UEFI in its own order: past an empty disk to the network, then from the disk alone, through a power cut; with a TPM",
        boots: Boots::x64(&[OVMF], "its own disk (NVMe), by an entry of its own"),
        tools: &[SGDISK, MFORMAT, SWTPM, SWTPM_SETUP],
        run: uefi_own_order::run,
    },
    Scenario {
        name: "uefi-http-uki",
        about: "UEFI HTTP Boot loads a UKI",
        boots: Boots::x64(&[OVMF], "HTTP Boot: UKI"),
        tools: &[],
        run: uefi_http_uki::run,
    },
    Scenario {
        name: "uefi-pxe6-uki",
        about: "UEFI PXE loads a UKI by TFTP on a network without any IPv4",
        boots: Boots::x64(&[OVMF], "PXE over IPv6: UKI by TFTP"),
        tools: &[],
        run: uefi_pxe6_uki::run,
    },
    Scenario {
        name: "uefi-http6-uki",
        about: "UEFI HTTP Boot loads a UKI on a network without any IPv4",
        boots: Boots::x64(&[OVMF], "HTTP Boot over IPv6: UKI"),
        tools: &[],
        run: uefi_http6_uki::run,
    },
    Scenario {
        name: "uefi-https-uki",
        about: "UEFI HTTPS Boot loads a UKI, our CA being enrolled in firmware that knows no elliptic curves",
        boots: Boots::x64(&[OVMF], "HTTPS Boot: UKI"),
        tools: &[],
        run: uefi_https::boots,
    },
    Scenario {
        name: "uefi-https-unknown-ca",
        about: "UEFI HTTPS Boot with another CA enrolled: the firmware refuses us, and the journal says why",
        boots: Boots::x64(&[OVMF], "HTTPS Boot with another CA enrolled: refused by the firmware"),
        tools: &[],
        run: uefi_https::refused,
    },
    Scenario {
        name: "secureboot-signed",
        about: "Secure Boot with our own keys enrolled: a UKI that `slipway image sign` signed boots",
        boots: Boots::x64(&[OVMF_SECURE], "PXE, Secure Boot with our own keys: signed UKI by TFTP"),
        tools: &[],
        run: secureboot::boots,
    },
    Scenario {
        name: "secureboot-unsigned-refused",
        about: "the same machine refuses a UKI that nobody signed, and the journal says why it asks again",
        boots: Boots::x64(&[OVMF_SECURE], "PXE, Secure Boot with our own keys: an unsigned UKI is refused"),
        tools: &[],
        run: secureboot::refused,
    },
    Scenario {
        name: "secureboot-shim-grub",
        about: "Secure Boot with Microsoft's keys: the distribution's signed shim, GRUB and kernel by TFTP, unasked",
        boots: Boots::x64(
            &[OVMF_SECURE, SHIM, GRUB],
            "PXE, Secure Boot with Microsoft's keys: shim, GRUB, kernel and initrd by TFTP",
        ),
        tools: &[],
        run: secureboot_shim_grub::run,
    },
    Scenario {
        name: "uefi-ipxe-uki",
        about: "UEFI PXE loads iPXE, which loads its script and a UKI that keeps its own command line",
        boots: Boots::x64(&[OVMF, IPXE], "PXE: iPXE by TFTP; script and UKI by HTTP"),
        tools: &[],
        run: uefi_ipxe_uki::run,
    },
    Scenario {
        name: "bios-ipxe-linux",
        about: "BIOS with iPXE in ROM loads script, kernel and initrd",
        boots: Boots::x64(&[SEABIOS, IPXE], "iPXE in ROM: script, kernel and initrd by HTTP"),
        tools: &[],
        run: bios_ipxe_linux::run,
    },
    Scenario {
        name: "bios-proxy-linux",
        about: "BIOS with iPXE in ROM boots beside dnsmasq as the DHCP server",
        boots: Boots::x64(
            &[SEABIOS, IPXE],
            "iPXE in ROM beside dnsmasq (ProxyDHCP): script, kernel and initrd by HTTP",
        ),
        tools: &[DNSMASQ],
        run: bios_proxy_linux::run,
    },
    Scenario {
        name: "bios-undionly-linux",
        about: "BIOS loads undionly.kpxe by TFTP, which finds its script by itself",
        boots: Boots::x64(&[SEABIOS, IPXE], "undionly.kpxe by TFTP; script, kernel and initrd by HTTP"),
        tools: &[],
        run: bios_undionly_linux::run,
    },
    Scenario {
        name: "bios-ipxe-loop",
        about: "a relay hides that iPXE is iPXE, so that it loads itself over and over: noticed, stopped, named, and released",
        boots: Boots::x64(
            &[SEABIOS, IPXE],
            "iPXE that loads itself behind a relay that hides what it is: stopped, then released",
        ),
        tools: &[],
        run: bios_ipxe_loop::run,
    },
    Scenario {
        name: "ipxe-menu",
        about: "a person before a menu of the operator's own: what cannot work is hidden, the second system boots",
        boots: Boots::x64(&[SEABIOS, IPXE], "iPXE in ROM: menu, kernel and initrd by HTTP"),
        tools: &[],
        run: ipxe_menu::run,
    },
    Scenario {
        name: "bios-pxelinux",
        about: "BIOS boots by pxelinux, over HTTP and over TFTP alone, each machine by its own configuration",
        boots: Boots::x64(&[SEABIOS, PXELINUX], "pxelinux: configuration, kernel and initrd by HTTP, or by TFTP"),
        tools: &[],
        run: bios_pxelinux::run,
    },
    Scenario {
        name: "uboot-pxelinux",
        about: "U-Boot on ARM64, left to itself, boots by the script and the configuration that are made for it",
        boots: Boots::arm64(&[U_BOOT], "U-Boot: script, configuration, kernel and initrd by TFTP"),
        tools: &[],
        run: uboot_pxelinux::run,
    },
    Scenario {
        name: "uefi-pxe-relay",
        about: "UEFI PXE through a DHCP relay and a router",
        boots: Boots::x64(&[OVMF], "PXE through a DHCP relay and a router: UKI by TFTP"),
        tools: &[DHCRELAY],
        run: uefi_pxe_relay::run,
    },
    Scenario {
        name: "arm64-uefi-pxe",
        about: "an ARM64 machine: UEFI PXE loads a UKI by TFTP",
        boots: Boots::arm64(&[AAVMF], "PXE: UKI by TFTP"),
        tools: &[],
        run: arm64_uefi::pxe,
    },
    Scenario {
        name: "arm64-uefi-http",
        about: "an ARM64 machine: UEFI HTTP Boot loads a UKI",
        boots: Boots::arm64(&[AAVMF], "HTTP Boot: UKI"),
        tools: &[],
        run: arm64_uefi::http,
    },
    Scenario {
        name: "arm64-ipxe-linux",
        about: "an ARM64 machine: iPXE loads kernel and initrd, and an image for another processor is refused by name",
        boots: Boots::arm64(&[AAVMF, IPXE], "PXE: iPXE by TFTP; script, kernel and initrd by HTTP"),
        tools: &[],
        run: arm64_uefi::ipxe,
    },
    Scenario {
        name: "boot-intent-once",
        about: "an operator tells a UEFI machine to boot an image once; then it boots its own disk, by the rules",
        boots: Boots::x64(&[OVMF], "PXE: UKI by TFTP once, by an operator's word; then its own disk"),
        tools: &[],
        run: boot_intent_once::run,
    },
    Scenario {
        name: "reinstall-loop-guard",
        about: "a BIOS machine would install for ever: the guard trips, is released, and an installer says that it is done",
        boots: Boots::x64(
            &[SEABIOS, IPXE],
            "iPXE in ROM: an installer again and again, until the guard trips; its own disk",
        ),
        tools: &[],
        run: reinstall_loop_guard::run,
    },
    Scenario {
        name: "relay-option82",
        about: "machines behind a relay boot by the port that it tells, over TFTP and by iPXE's script",
        boots: Boots::x64(&[OVMF, SEABIOS], "PXE by a relay's port (option 82): UKI by TFTP, or iPXE"),
        tools: &[DHCRELAY],
        run: relay_option82::run,
    },
    Scenario {
        name: "two-subnets",
        about: "one server, two networks, one of them of two subnets: a boot in each, and a client that moves",
        boots: Boots::x64(&[OVMF, SEABIOS], "PXE and iPXE in three subnets on two networks"),
        tools: &[DHCLIENT],
        run: two_subnets::run,
    },
    Scenario {
        name: "ipxe-iscsi",
        about: "iPXE boots from an iSCSI disk: on UEFI by script with name and secret, on BIOS by the root path in DHCP",
        boots: Boots::x64(&[OVMF, IPXE], "PXE: iPXE, iSCSI disk (tgt) with CHAP"),
        tools: &[TGTD, MFORMAT, SYSLINUX],
        run: ipxe_san::iscsi,
    },
    Scenario {
        name: "ipxe-sanhook",
        about: "iPXE loads kernel and initrd with an iSCSI disk attached, for which a person types name and secret",
        boots: Boots::x64(&[SEABIOS, IPXE], "iPXE in ROM: kernel by HTTP beside an iSCSI disk"),
        tools: &[TGTD, MFORMAT, SYSLINUX],
        run: ipxe_san::beside_an_image,
    },
    Scenario {
        name: "ipxe-aoe",
        about: "BIOS with iPXE in ROM boots from an AoE disk",
        boots: Boots::x64(&[SEABIOS, IPXE], "iPXE in ROM: AoE disk (vblade)"),
        tools: &[VBLADE, MFORMAT, SYSLINUX],
        run: ipxe_san::aoe,
    },
    Scenario {
        name: "ipxe-http-iso",
        about: "iPXE boots an ISO over HTTP, read piece by piece, on BIOS and on UEFI",
        boots: Boots::x64(&[SEABIOS, IPXE], "iPXE in ROM: ISO by HTTP, in pieces"),
        tools: &[MFORMAT, XORRISO],
        run: ipxe_http_iso::run,
    },
    Scenario {
        name: "uefi-http-iso",
        about: "UEFI HTTP Boot loads an ISO into memory and boots from it",
        boots: Boots::x64(&[OVMF], "HTTP Boot: ISO as RAM disk"),
        tools: &[MFORMAT, XORRISO],
        run: uefi_http_iso::run,
    },
    joins(
        "enrol-manual",
        "a blank machine with a TPM joins the org: PXE, words compared, ESP, gateway, a generation by kexec; then from disk alone",
        "PXE: bootstrap image by TFTP; then its own disk: preboot, generation",
        enrol_manual::with_tpm,
    ),
    joins(
        "enrol-no-tpm",
        "the same without a TPM: a person alone vouches for it; a power cut in its first start from disk costs nothing",
        "the same without a TPM",
        enrol_manual::without_tpm,
    ),
    recover_esp::SCENARIO,
    recover_tpm::SCENARIO,
    recover_firmware::SCENARIO,
    joins(
        "enrol-ek-list",
        "a machine whose TPM stands in the signed list joins with no hand laid on it; another TPM waits for a person",
        "PXE: bootstrap image, let in by its TPM",
        enrol_ek_list::run,
    ),
    Scenario {
        name: "enrol-cloud-token",
        about: "a virtual machine spends the invite in its user-data; a thief with the same one gets an alarm, and nothing else",
        boots: Boots::joining(Cpu::X64, &[OVMF], "PXE: bootstrap image, let in by its user-data"),
        tools: &[SWTPM, SWTPM_SETUP, XORRISO],
        run: enrol_cloud_token::run,
    },
    joins(
        "enrol-secret-invite",
        "a secret invite in the SMBIOS lets one machine in with no hand laid on it; a second one, by a USB stick, is refused",
        "PXE: bootstrap image, let in by a secret invite",
        enrol_secret_invite::run,
    ),
    joins(
        "enrol-usb",
        "a blank machine starts from a USB stick of ours with a secret invite, and joins; its firmware asks no network",
        "USB stick: bootstrap image with a secret invite",
        enrol_usb::run,
    ),
    joins(
        "enrol-http-boot",
        "the same by UEFI HTTP Boot: a blank machine joins the org without one file by TFTP",
        "HTTP Boot: bootstrap image",
        enrol_elsewhere::http_boot,
    ),
    Scenario {
        name: "enrol-arm64",
        about: "the same on 64-bit ARM, where the preboot lays the generation out in memory itself",
        boots: Boots::joining(Cpu::Arm64, &[AAVMF], "PXE on ARM64: bootstrap image by TFTP; then its own disk"),
        tools: JOINING,
        run: enrol_elsewhere::arm64,
    },
    Scenario {
        name: "secureboot-enrol",
        about: "a machine under Secure Boot with the owner's keys joins; it starts a generation that they signed, and no other",
        boots: Boots::joining(Cpu::X64, &[OVMF_SECURE], "PXE, Secure Boot with our own keys: all images signed"),
        tools: JOINING,
        run: secureboot_enrol::run,
    },
    joins(
        "image-servers",
        "the bootstrap image with the drivers of common servers has at most 25 MiB, and a machine starts from it",
        "PXE: bootstrap image with the drivers of servers, by TFTP",
        image_servers::run,
    ),
    power_cut::SCENARIO,
    joins(
        "preboot-revoked",
        "a revoked machine is refused by the gateway, its disk stays closed, and the network gives it nothing",
        "its own disk: preboot, refused",
        preboot_revoked::run,
    ),
    joins(
        "preboot-generation",
        "a newer generation is fetched and started, an older one refused; a newer preboot is tried, and stands first once it went well",
        "its own disk: preboot, newer generation; newer preboot on trial",
        preboot_generation::run,
    ),
    joins(
        "preboot-offline",
        "the gateway is down: three tries, a person is asked; without the org it starts by policy and PIN alone, over a network set by hand with it",
        "its own disk: preboot, generation without the org",
        preboot_offline::run,
    ),
    joins(
        "fake-gateway",
        "another org's server stands where the gateway should be, and boots the genuine image: the image refuses it",
        "PXE: the genuine bootstrap image from a stranger, refusing his gateway",
        fake_gateway::run,
    ),
    joins(
        "old-bootstrap",
        "a stranger serves a bootstrap image that the org has signed, but below the floor by now: no ticket, no grant",
        "PXE: an old bootstrap image, refused",
        old_bootstrap::run,
    ),
    joins(
        "rogue-bootstrap",
        "a stranger's bootstrap image relays a real enrolment with the machine's own TPM: its boot log tells",
        "PXE: a stranger's bootstrap image, refused",
        rogue_bootstrap::run,
    ),
    Scenario {
        name: "double-spend",
        about: "a hundred machines spend one use of a secret invite at the same moment: exactly one is let in",
        boots: Boots::joining(Cpu::X64, &[], "no firmware: the lab speaks for a hundred machines"),
        tools: &[],
        run: double_spend::run,
    },
    boots_nothing(
        "rpi4-exchange",
        "a Raspberry Pi 4 and a Pi 3, played by the lab from their documentation: offers to the byte, files by serial number",
        &[],
        rpi4_exchange::run,
    ),
    boots_nothing(
        "tftp-clients",
        "tftp-hpa, atftp, curl and busybox fetch files of awkward sizes over IPv4 and IPv6",
        &[TFTP_HPA, ATFTP, CURL, BUSYBOX],
        tftp_clients::run,
    ),
    boots_nothing(
        "http-clients",
        "curl fetches files and parts of files over IPv4 and IPv6, forty at once",
        &[CURL],
        http_clients::run,
    ),
    boots_nothing(
        "https-clients",
        "curl over TLS, old and new, while the server gains HTTPS, an address and another port, and loses HTTPS again",
        &[CURL],
        https_clients::run,
    ),
    boots_nothing(
        "serve-reload",
        "one server with DHCP on one network and ProxyDHCP on another: changes while it runs, and its end",
        &[DNSMASQ, CURL],
        serve_reload::run,
    ),
    boots_nothing(
        "dhcp6-clients",
        "dhclient gets, renews and returns an IPv6 lease, also through a relay, and asks for parameters alone",
        &[DHCLIENT, DHCRELAY],
        dhcp6_clients::run,
    ),
    boots_nothing(
        "dhcp-clients",
        "udhcpc, dhclient and dhcpcd get, renew and return a lease",
        &[UDHCPC, DHCLIENT, DHCPCD],
        dhcp_clients::run,
    ),
    boots_nothing(
        "lease-crash",
        "fifty kills at random moments under load: no address for two, no lease forgotten",
        &[],
        lease_crash::run,
    ),
];
