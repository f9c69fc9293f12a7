//! The kernel modules that a machine may need before its operating system is there: to reach the network, a disk, a keyboard, a TPM.
//!
//! No firmware files go with them: we ship nothing that is not ours or the kernel package's. Of these drivers those that ask for a
//! file work without it, in the mode that the card's own flash gives them (docs/images.md names the exceptions).

/// Which machines an image is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fleet {
    /// Servers as they are sold, and virtual machines.
    Servers,
    /// Virtual machines only: a much smaller image.
    Virtual,
}

/// Loaded at every start, in this order: too few to be worth asking for, or asked for by nothing that can be seen.
pub const ALWAYS: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "virtio_blk",
    "virtio_rng",
    "af_packet",
    "efivarfs",
    "fat",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "nls_utf8",
    "nls_iso8859_1",
    "dm_mod",
    "dm_crypt",
];

/// Loaded when a device or the kernel asks for them, on virtual machines.
const VIRTUAL: &[&str] = &[
    // Paravirtual network and disks: KVM, VMware, Hyper-V, Amazon, Google.
    "virtio_mmio",
    "virtio_scsi",
    "virtio_console",
    "vmxnet3",
    "vmw_pvscsi",
    "hv_vmbus",
    "hv_netvsc",
    "hv_storvsc",
    "pci_hyperv",
    "ena",
    "gve",
    "e1000",
    "e1000e",
    // Disks and media.
    "nvme",
    "ahci",
    "ata_piix",
    "sd_mod",
    "sr_mod",
    "isofs",
    // Keyboards and USB sticks.
    "xhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "usbhid",
    "hid_generic",
    "atkbd",
    "i8042",
    "usb_storage",
    "uas",
    // What disks are encrypted with; the fast ones are asked for by the processor's features.
    "xts",
    "aes_generic",
    "aesni_intel",
    "aes_arm64",
    "aes_ce_blk",
    "sha256_generic",
    "sha256_ssse3",
    "sha512_generic",
    "sha512_ssse3",
    "sha2_ce",
    "ecb",
    "essiv",
    // TPM, clock, what the hypervisor hands in.
    "tpm_crb",
    "tpm_tis",
    "rtc_cmos",
    "rtc_efi",
    "rtc_pl031",
    "qemu_fw_cfg",
    "dmi_sysfs",
];

/// Loaded when a device asks for them, on physical machines.
const PHYSICAL: &[&str] = &[
    // Network cards: Intel, Mellanox, Broadcom, Realtek, and what bare-metal clouds have.
    "igb",
    "igc",
    "ixgbe",
    "ixgbevf",
    "i40e",
    "iavf",
    "ice",
    "mlx4_en",
    "mlx5_core",
    "bnxt_en",
    "tg3",
    "broadcom",
    "r8169",
    "realtek",
    "r8152",
    "cdc_ether",
    "ax88179_178a",
    "be2net",
    "enic",
    "atlantic",
    "amd_xgbe",
    "hns3",
    // Disk controllers: Broadcom and LSI, HPE and Microchip, Adaptec, and Intel's RAID domains.
    "megaraid_sas",
    "mpt3sas",
    "mpi3mr",
    "smartpqi",
    "hpsa",
    "aacraid",
    "vmd",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    // Keyboards and the buses that they and TPMs are behind.
    "ohci_pci",
    "hid_logitech_dj",
    "tpm_tis_spi",
    "i2c_i801",
];

/// Of [`Fleet::Servers`], what an image is not worth building without.
pub const REQUIRED: &[&str] = &[
    "virtio_net",
    "virtio_blk",
    "e1000e",
    "igb",
    "ixgbe",
    "i40e",
    "ice",
    "mlx5_core",
    "bnxt_en",
    "tg3",
    "r8169",
    "nvme",
    "ahci",
    "megaraid_sas",
    "mpt3sas",
    "sd_mod",
    "usb_storage",
    "usbhid",
    "vfat",
    "dm_crypt",
    "efivarfs",
];

impl Fleet {
    /// What such machines may need beside [`ALWAYS`].
    #[must_use]
    pub fn by_need(self) -> Vec<&'static str> {
        match self {
            Self::Virtual => VIRTUAL.to_vec(),
            Self::Servers => [VIRTUAL, PHYSICAL].concat(),
        }
    }
}
