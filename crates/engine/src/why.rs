//! Why a request gets no answer, or not the one it asked for: a closed set, with stable codes.

use core::fmt;

use slipway_wire::ClientArch;

/// Why a request was declined. The code is stable: logs, metrics, `explain` and policy tests name it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Why {
    /// The client is not booting, and we give no addresses here.
    NotNetboot,
    /// No rule matched.
    NoRule,
    /// A rule says to ignore this machine.
    Ignored {
        /// That rule.
        rule: String,
    },
    /// A rule names an image that the store does not hold.
    NoImage {
        /// The image that was asked for.
        image: String,
    },
    /// The image cannot run on this machine, or this loader cannot load it.
    CannotRun {
        /// The image.
        image: String,
        /// What stands against it.
        reason: &'static str,
    },
    /// The network disk cannot be had by this machine, or not by the program that asks.
    CannotAttach {
        /// The disk.
        disk: String,
        /// What stands against it.
        reason: &'static str,
    },
    /// A boot loader for this architecture is not installed.
    NoLoader {
        /// Its file name, such as `snponly.efi`.
        file: &'static str,
    },
    /// The machine has loaded this boot loader over and over, and nothing else was heard of it: it is not given it for a while.
    LoaderLoop {
        /// The loader's path.
        loader: String,
        /// How often it was loaded in a row.
        loads: usize,
    },
    /// Beside another DHCP server, the program that asks would take our answer for a whole one.
    UnservedLoader {
        /// Its name, as rules spell it.
        loader: &'static str,
    },
    /// The machine runs no iPXE, whose menu the rule offers.
    NoMenu {
        /// What asks instead.
        firmware: &'static str,
    },
    /// The architecture is one that nothing is served to.
    UnknownArch {
        /// Option 93's value.
        arch: u16,
    },
    /// The machine is told to boot from its own disk.
    LocalBoot {
        /// The rule that says so.
        rule: String,
    },
    /// The machine has booted an installer again and again, and the guard has tripped: it is told to boot from its own disk.
    ReinstallGuard {
        /// The installer.
        image: String,
        /// How often it was booted.
        boots: u8,
    },
    /// The machine's installer has said that it is done: the machine is told to boot from its own disk.
    Installed {
        /// The installer.
        image: String,
    },
    /// Nobody knows the machine, and no enrolment window is open.
    NoWindow,
    /// The machine is enrolled: it is told to boot from its own disk.
    Enrolled,
    /// The machine is suspended: it is told to boot from its own disk, where it will learn so.
    Suspended,
    /// The machine was revoked: it is left without an answer.
    Revoked,
    /// Whoever says that an installer is done does not show the machine's pass, or one that was used up.
    WrongPass,
    /// GRUB asks for its configuration where the rule offers the menu, which is iPXE's.
    MenuNeedsIpxe {
        /// The rule.
        rule: String,
    },
    /// Every address of the subnet is taken.
    PoolEmpty,
    /// No subnet is configured for the interface or relay that this came from.
    NoSubnet,
    /// The request names another DHCP server.
    OtherServer,
    /// The address asked for is not this client's (answered with a NAK where we are authoritative, otherwise with silence).
    WrongAddress,
    /// The address is held by somebody else on the network (DECLINE, or a probe answered).
    AddressInUse,
    /// The message is no request, or not one that this port answers.
    NotForUs,
    /// No such file in our namespace.
    NotFound,
    /// The path is not one that can be asked for (`..`, control bytes, too long).
    BadPath,
    /// The operation is one that we never do (writing).
    Forbidden,
    /// The source may not ask: outside the served networks, broadcast, or port 0.
    NotServed,
    /// In a TLS handshake the machine said that it does not know the CA of our certificate.
    UnknownCa,
    /// The machine left the TLS handshake when it had seen our certificate, and did not say why. edk2 that does not know our CA does
    /// that (seen with 2022.11), and iPXE.
    CertificateRefused,
    /// The machine said that our certificate is not valid now: by its clock.
    WrongClock,
    /// The machine said that our certificate is not for the name or address that it asked.
    WrongName,
    /// The machine and we have no cipher suite, key exchange or signature in common.
    NoCommonCipher,
    /// The machine speaks no TLS 1.2 or newer.
    OldTls,
    /// Something else than TLS came to the port of HTTPS.
    NotTls,
    /// A limit that protects us or others was reached.
    Limited {
        /// Which one.
        limit: &'static str,
    },
    /// The org refused the machine, which was told so.
    Refused {
        /// Why, as a stable code of the org's protocol.
        code: &'static str,
        /// The same as it was told.
        told: &'static str,
    },
}

impl Why {
    /// Whether it tells the machine to boot from its own disk: then nothing is wrong with what it asked.
    #[must_use]
    pub const fn is_local_boot(&self) -> bool {
        matches!(
            self,
            Self::LocalBoot { .. }
                | Self::ReinstallGuard { .. }
                | Self::Installed { .. }
                | Self::Enrolled
                | Self::Suspended
        )
    }

    /// The stable code: lower case with dashes.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotNetboot => "not-netboot",
            Self::NoRule => "no-rule",
            Self::Ignored { .. } => "ignored",
            Self::NoImage { .. } => "no-image",
            Self::CannotRun { .. } => "cannot-run",
            Self::CannotAttach { .. } => "cannot-attach",
            Self::NoLoader { .. } => "no-loader",
            Self::LoaderLoop { .. } => "loader-loop",
            Self::UnservedLoader { .. } => "unserved-loader",
            Self::NoMenu { .. } => "no-menu",
            Self::UnknownArch { .. } => "unknown-arch",
            Self::LocalBoot { .. } => "local-boot",
            Self::ReinstallGuard { .. } => "reinstall-guard",
            Self::Installed { .. } => "installed",
            Self::NoWindow => "no-window",
            Self::Enrolled => "enrolled",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::WrongPass => "wrong-pass",
            Self::MenuNeedsIpxe { .. } => "menu-needs-ipxe",
            Self::PoolEmpty => "pool-empty",
            Self::NoSubnet => "no-subnet",
            Self::OtherServer => "other-server",
            Self::WrongAddress => "wrong-address",
            Self::AddressInUse => "address-in-use",
            Self::NotForUs => "not-for-us",
            Self::NotFound => "not-found",
            Self::BadPath => "bad-path",
            Self::Forbidden => "forbidden",
            Self::NotServed => "not-served",
            Self::UnknownCa => "unknown-ca",
            Self::CertificateRefused => "certificate-refused",
            Self::WrongClock => "wrong-clock",
            Self::WrongName => "wrong-name",
            Self::NoCommonCipher => "no-common-cipher",
            Self::OldTls => "old-tls",
            Self::NotTls => "not-tls",
            Self::Limited { .. } => "limited",
            Self::Refused { code, .. } => code,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNetboot => {
                f.write_str("the client is not booting from the network, and no addresses are given here")
            }
            Self::NoRule => f.write_str("no rule matches this machine"),
            Self::Ignored { rule } => write!(f, "rule `{rule}` says to ignore this machine"),
            Self::NoImage { image } => write!(f, "image `{image}` is not in the store"),
            Self::CannotRun { image, reason } => write!(f, "image `{image}` cannot be booted here: {reason}"),
            Self::CannotAttach { disk, reason } => write!(f, "network disk `{disk}` cannot be attached here: {reason}"),
            Self::NoLoader { file } => {
                write!(f, "boot loader `{file}` is not installed: {}", brought_by(file))
            }
            Self::LoaderLoop { loader, loads } => write!(
                f,
                "{loader} was loaded {loads} times in a row, and then never asked for anything: it does not start here, or hides that it \
                 is iPXE (user class, option 175); it is not given for ten minutes or until `slipway machine release`. Have its \
                 requests come unchanged, or import another build (docs/menus.md, \"Loops\")"
            ),
            Self::UnservedLoader { loader } => {
                write!(f, "beside another DHCP server {loader} would take an offer of ours for an address")
            }
            Self::NoMenu { firmware } => {
                write!(f, "the menu is iPXE's, which does not run on {firmware}: give it a rule with `boot`")
            }
            Self::UnknownArch { arch } => match ClientArch(*arch).name() {
                Some(name) => write!(f, "nothing is served to {name} (architecture {arch})"),
                None => write!(f, "nothing is served to architecture {arch}"),
            },
            Self::LocalBoot { rule } => write!(f, "rule `{rule}` says to boot from the local disk"),
            Self::ReinstallGuard { image, boots } => write!(
                f,
                "the reinstall guard has tripped: installer `{image}` was booted {boots} times and never said that it is done; the \
                 machine is told to boot from the local disk until `slipway machine release`"
            ),
            Self::Installed { image } => write!(
                f,
                "installer `{image}` said that it is done: the machine is told to boot from the local disk until `slipway machine \
                 release`"
            ),
            Self::NoWindow => f.write_str(
                "nobody knows this machine, and no enrolment window is open: open one (`slipway window open`), or set \
                 `open-discovery = true` in [enrolment]",
            ),
            Self::Enrolled => f.write_str("the machine is enrolled, and boots from its own disk"),
            Self::Suspended => {
                f.write_str("the machine is suspended until `slipway machine resume`; it is left to its own disk")
            }
            Self::Revoked => f.write_str("the machine was revoked: it is given nothing"),
            Self::WrongPass => f.write_str(
                "not this machine's pass, or one that was used up: the URL is good for one word of one installation",
            ),
            Self::MenuNeedsIpxe { rule } => {
                write!(f, "rule `{rule}` offers the menu, which is iPXE's, and this machine came by shim and GRUB")
            }
            Self::PoolEmpty => f.write_str("every address of the subnet is taken"),
            Self::NoSubnet => f.write_str("no subnet is configured for where this came from"),
            Self::OtherServer => f.write_str("the request is for another DHCP server"),
            Self::WrongAddress => f.write_str("the address asked for is not this client's"),
            Self::AddressInUse => f.write_str("the address is in use by somebody else"),
            Self::NotForUs => f.write_str("not a message that this port answers"),
            Self::NotFound => f.write_str("no such file"),
            Self::BadPath => f.write_str("not a path that can be asked for"),
            Self::Forbidden => f.write_str("writing is never allowed"),
            Self::NotServed => f.write_str("the source is not one that is served"),
            Self::UnknownCa => {
                f.write_str("the machine does not know our CA: enrol it in the firmware (`slipway ca export`)")
            }
            Self::CertificateRefused => {
                f.write_str("the machine left when it saw our certificate: it does not know our CA, most likely: enrol it in the ")?;
                f.write_str("firmware (`slipway ca export`); or its clock is weeks ahead")
            }
            Self::WrongClock => f.write_str("our certificate is not valid by the machine's clock: set it"),
            Self::WrongName => {
                f.write_str("our certificate is not for the name that the machine asked: add it to `names` in [https]")
            }
            Self::NoCommonCipher => f.write_str("no common cipher: the machine offers nothing that we speak"),
            Self::OldTls => f.write_str("the machine speaks no TLS 1.2"),
            Self::NotTls => f.write_str("not TLS: this port is for https:// only"),
            Self::Limited { limit } => write!(f, "limit reached: {limit}"),
            Self::Refused { told, .. } => f.write_str(told),
        }
    }
}

impl core::error::Error for Why {}

/// Which package brings a boot loader: as packaged in Debian 12 and 13, Ubuntu 24.04, Fedora and Arch.
fn brought_by(file: &str) -> &'static str {
    match file {
        "shimx64.efi" | "shimaa64.efi" => return "it comes with the package `shim-signed` (Debian, Ubuntu)",
        "grubx64.efi" => return "it comes with the package `grub-efi-amd64-signed` (Debian, Ubuntu)",
        "grubaa64.efi" => return "it comes with the package `grub-efi-arm64-signed` (Debian, Ubuntu)",
        "lpxelinux.0" | "pxelinux.0" => {
            return "it comes with the package `pxelinux` (Debian, Ubuntu), `syslinux` (Arch) or `syslinux-nonlinux` (Fedora)";
        }
        "ldlinux.c32" => {
            return "it comes with the package `syslinux-common` (Debian, Ubuntu), `syslinux` (Arch) or `syslinux-nonlinux` (Fedora)";
        }
        _ => {}
    }
    let build = file.trim_end_matches(".efi").rsplit_once('-').map(|(_, cpu)| cpu);
    match build {
        None => "it comes with the package `ipxe` (Debian, Ubuntu, Arch) or `ipxe-bootimgs` (Fedora)",
        Some("arm64") => {
            "this or `ipxe-arm64.efi` comes with the package `ipxe` (Debian 13, Arch) or `ipxe-bootimgs-aarch64` \
             (Fedora), or put it into the folder `loaders` of the data folder"
        }
        Some("riscv64") => {
            "`ipxe-riscv64.efi` comes with the package `ipxe` (Debian 13), or put either into the folder `loaders` of \
             the data folder"
        }
        Some("loong64") => {
            "`ipxe-loong64.efi` comes with the package `ipxe` (Debian 13), or put either into the folder `loaders` of \
             the data folder"
        }
        Some("ia32") => {
            "it comes with the package `ipxe` (Arch) or `ipxe-bootimgs-x86` (Fedora); Debian and Ubuntu package none: put \
             one into the folder `loaders` of the data folder"
        }
        Some(_) => {
            "Debian and Ubuntu package none for this processor: put one into the folder `loaders` of the data folder"
        }
    }
}
