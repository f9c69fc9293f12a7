//! What the chores need of the system: which file or program, from which package, and what for.

/// A chore's kind of work, by what it needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// Compiling.
    Build,
    /// Foreign programs that unit tests ask for their judgement.
    Judges,
    /// Fuzzing on the stable toolchain: libFuzzer is C++.
    Fuzz,
    /// Booting firmware in QEMU.
    Boot,
    /// Foreign clients and servers on lab networks.
    Peers,
}

/// How presence is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Probe {
    /// A program in `PATH` or the system folders.
    Program(&'static str),
    /// One of these files.
    File(&'static [&'static str]),
}

/// One need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    /// How we see that it is there.
    pub(crate) probe: Probe,
    /// The package that brings it, by its name in Debian 12 and Ubuntu 24.04 alike.
    pub(crate) package: &'static str,
    /// What it is for.
    pub(crate) why: &'static str,
    /// The work that needs it.
    pub(crate) work: Work,
}

const fn program(program: &'static str, package: &'static str, work: Work, why: &'static str) -> Need {
    Need { probe: Probe::Program(program), package, why, work }
}

const fn file(paths: &'static [&'static str], package: &'static str, work: Work, why: &'static str) -> Need {
    Need { probe: Probe::File(paths), package, why, work }
}

/// All needs.
pub(crate) const NEEDS: &[Need] = &[
    program("git", "git", Work::Build, "lists the files that lint checks"),
    program("cc", "gcc", Work::Build, "links, and compiles zstd"),
    file(
        &["/usr/lib/x86_64-linux-gnu/libc.a", "/usr/lib/aarch64-linux-gnu/libc.a", "/usr/lib/libc.a"],
        "libc6-dev",
        Work::Build,
        "the agent is linked statically",
    ),
    program("pkg-config", "pkgconf", Work::Build, "finds OpenSSL"),
    file(
        &["/usr/include/openssl/ssl.h"],
        "libssl-dev",
        Work::Build,
        "OpenSSL, for HTTPS Boot with what firmware knows of TLS",
    ),
    program("sgdisk", "gdisk", Work::Judges, "the judge of our partition tables"),
    program("fsck.fat", "dosfstools", Work::Judges, "the judge of our FAT file systems"),
    program("mcopy", "mtools", Work::Judges, "a foreign reader and writer of FAT file systems"),
    program("cryptsetup", "cryptsetup-bin", Work::Judges, "the judge of our LUKS2 headers"),
    program("mkfs.ext4", "e2fsprogs", Work::Judges, "a file system of somebody else's"),
    program("mkswap", "util-linux", Work::Judges, "swap space of somebody else's"),
    program("blkid", "util-linux", Work::Judges, "says what is on a disk"),
    program("swtpm", "swtpm", Work::Judges, "the TPM that tests of crates/tpm speak to"),
    program("swtpm_setup", "swtpm-tools", Work::Judges, "puts a maker's certificates into it"),
    program("g++", "g++", Work::Fuzz, "compiles libFuzzer"),
    program("qemu-system-x86_64", "qemu-system-x86", Work::Boot, "the virtual machine"),
    file(
        &["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_CODE.fd"],
        "ovmf",
        Work::Boot,
        "UEFI firmware for the virtual machine",
    ),
    program("qemu-system-aarch64", "qemu-system-arm", Work::Boot, "the virtual machine with an ARM64 processor"),
    program("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu", Work::Boot, "links the agent for it"),
    file(&["/usr/aarch64-linux-gnu/lib/libc.a"], "libc6-dev-arm64-cross", Work::Boot, "the agent is linked statically"),
    file(&["/usr/share/AAVMF/AAVMF_CODE.fd"], "qemu-efi-aarch64", Work::Boot, "UEFI firmware for it"),
    file(
        &["/usr/share/keyrings/debian-archive-keyring.gpg"],
        "debian-archive-keyring",
        Work::Boot,
        "Debian's keys: what ARM64 machines boot is Debian's, downloaded and never installed",
    ),
    file(&["/usr/share/seabios/bios-256k.bin"], "seabios", Work::Boot, "BIOS firmware for the virtual machine"),
    file(&["/usr/lib/ipxe/qemu/pxe-virtio.rom"], "ipxe-qemu", Work::Boot, "iPXE as the virtual network card's ROM"),
    file(&["/usr/lib/ipxe/undionly.kpxe"], "ipxe", Work::Boot, "the loaders that Slipway hands out"),
    file(
        &["/usr/lib/systemd/boot/efi/linuxx64.efi.stub"],
        "systemd-boot-efi",
        Work::Boot,
        "the stub that makes a kernel and an initramfs one UKI",
    ),
    file(
        &[
            "/usr/lib/shim/shimx64.efi.signed",
            "/usr/lib/shim/shimx64.efi.signed.latest",
            "/usr/lib/shim/shimx64.efi.dualsigned",
        ],
        "shim-signed",
        Work::Boot,
        "the loader that Microsoft's Secure Boot keys let pass",
    ),
    file(
        &["/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"],
        "grub-efi-amd64-signed",
        Work::Boot,
        "the GRUB that shim loads over the network",
    ),
    program("swtpm", "swtpm", Work::Boot, "the virtual machines' TPMs"),
    program("swtpm_setup", "swtpm-tools", Work::Boot, "makes TPMs as their maker would"),
    program("sgdisk", "gdisk", Work::Boot, "the judge of our partition tables"),
    program("sbverify", "sbsigntool", Work::Boot, "the judge of our signatures for Secure Boot"),
    program("openssl", "openssl", Work::Boot, "the judge of our signed keys for Secure Boot"),
    file(&["/usr/lib/PXELINUX/lpxelinux.0"], "pxelinux", Work::Boot, "the boot loader, for BIOS machines by rule"),
    file(
        &["/usr/lib/syslinux/modules/bios/ldlinux.c32"],
        "syslinux-common",
        Work::Boot,
        "the part of pxelinux that it loads first",
    ),
    file(&["/usr/lib/u-boot/qemu_arm64/u-boot.bin"], "u-boot-qemu", Work::Boot, "U-Boot for the virtual machine"),
    program("ip", "iproute2", Work::Boot, "network namespaces, bridges, taps"),
    program("unshare", "util-linux", Work::Boot, "namespaces of the lab's own"),
    program("setpriv", "util-linux", Work::Boot, "ends a scenario with the lab"),
    program("dnsmasq", "dnsmasq-base", Work::Peers, "the foreign DHCP server beside which ProxyDHCP works"),
    program("dhclient", "isc-dhcp-client", Work::Peers, "a foreign DHCP client"),
    program("dhcpcd", "dhcpcd-base", Work::Peers, "a foreign DHCP client"),
    program("udhcpc", "udhcpc", Work::Peers, "a foreign DHCP client"),
    program("dhcrelay", "isc-dhcp-relay", Work::Peers, "a foreign DHCP relay"),
    program("tftp", "tftp-hpa", Work::Peers, "a foreign TFTP client"),
    program("atftp", "atftp", Work::Peers, "a foreign TFTP client that speaks RFC 7440 windows"),
    program("tgtd", "tgt", Work::Peers, "a foreign iSCSI target"),
    program("vblade", "vblade", Work::Peers, "a foreign AoE target"),
    program("mcopy", "mtools", Work::Boot, "FAT file systems on disks that boot"),
    program("syslinux", "syslinux", Work::Boot, "makes a disk boot on a BIOS"),
    program("xorriso", "xorriso", Work::Boot, "ISO images that boot"),
    file(&["/usr/lib/ISOLINUX/isolinux.bin"], "isolinux", Work::Boot, "makes an ISO image boot on a BIOS"),
    file(&["/usr/lib/syslinux/modules/bios/ldlinux.c32"], "syslinux-common", Work::Boot, "what isolinux loads first"),
    program("curl", "curl", Work::Peers, "a foreign HTTP and TFTP client"),
    file(&["/etc/services"], "netbase", Work::Peers, "the port names that atftp looks up"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_says_what_it_is_for_and_where_it_comes_from() {
        for need in NEEDS {
            assert!(!need.why.is_empty() && !need.package.is_empty(), "{need:?}");
            if let Probe::File(paths) = need.probe {
                assert!(!paths.is_empty() && paths.iter().all(|path| path.starts_with('/')), "{need:?}");
            }
        }
    }
}
