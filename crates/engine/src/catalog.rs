//! What there is to serve: images by name and version, loaders by processor, each file by its digest.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use slipway_wire::Cpu;

/// A SHA-256 digest: the identity of a file's content.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

/// A stored file: enough to serve it without asking the store again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileRef {
    /// What the content is found and checked by.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What an image is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ImageKind {
    /// A unified kernel image. Files: [`Image::UKI`], and its parts [`Image::LINUX`] and [`Image::INITRD`] taken out for machines
    /// that cannot start a PE image.
    Uki,
    /// A kernel, an optional initrd and a command line. Files: [`Image::LINUX`], [`Image::INITRD`], and for U-Boot
    /// [`Image::DEVICETREE`] or those in [`Image::DEVICETREES`].
    Linux,
    /// Any other EFI program. File: [`Image::EFI`].
    Efi,
    /// An iPXE script of the operator's own, a template. File: [`Image::SCRIPT`].
    IpxeScript,
    /// What a Raspberry Pi's own boot loader looks for: the files of its boot partition.
    RaspberryPi,
    /// A tree of files, served as it is.
    Tree,
    /// An ISO 9660 image that boots. File: [`Image::ISO`].
    Iso(Media),
}

/// What an ISO image can be booted by, as its El Torito catalog says.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Media {
    /// A BIOS.
    Bios,
    /// UEFI.
    Uefi,
    /// Both.
    Both,
}

impl ImageKind {
    /// The name in manifests, tables and `--kind`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uki => "uki",
            Self::Linux => "linux",
            Self::Efi => "efi",
            Self::IpxeScript => "ipxe",
            Self::RaspberryPi => "rpi",
            Self::Tree => "tree",
            Self::Iso(Media::Both) => "iso",
            Self::Iso(Media::Bios) => "iso-bios",
            Self::Iso(Media::Uefi) => "iso-uefi",
        }
    }
}

/// One version of a named image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Image {
    /// Its name: `[a-z0-9][a-z0-9._-]{0,62}`.
    pub name: String,
    /// Its version: `[A-Za-z0-9][A-Za-z0-9._-]{0,62}`.
    pub version: String,
    /// What it is.
    pub kind: ImageKind,
    /// The processor it runs on, where that is known.
    pub cpu: Option<Cpu>,
    /// The kernel's command line: the UKI's own `.cmdline`, or the one given with the kernel.
    pub cmdline: Option<String>,
    /// Its files by name (a tree's with `/` between folders).
    pub files: BTreeMap<String, FileRef>,
}

impl Image {
    /// File name of a whole UKI.
    pub const UKI: &str = "uki.efi";
    /// File name of a kernel.
    pub const LINUX: &str = "linux";
    /// File name of an initrd.
    pub const INITRD: &str = "initrd";
    /// File name of a device tree.
    pub const DEVICETREE: &str = "dtb";
    /// Name of the folder of device trees.
    pub const DEVICETREES: &str = "dtbs";
    /// File name of an EFI program.
    pub const EFI: &str = "boot.efi";
    /// File name of an iPXE script.
    pub const SCRIPT: &str = "script.ipxe";
    /// File name of an ISO image: UEFI HTTP Boot goes by its end.
    pub const ISO: &str = "boot.iso";
    /// What the name of a file's detached signature ends in.
    pub const SIGNATURE: &str = ".sig";

    /// The name of a file's detached signature.
    #[must_use]
    pub fn signature_of(file: &str) -> String {
        format!("{file}{}", Self::SIGNATURE)
    }

    /// Whether a file is an initrd: the first, or one after it.
    #[must_use]
    pub fn is_initrd(file: &str) -> bool {
        file == Self::INITRD || (file.starts_with("initrd.") && !file.ends_with(Self::SIGNATURE))
    }
}

/// Everything there is to serve, as one immutable value: it is replaced whole when the store changes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Catalog {
    /// Versions of each image by name, oldest first: the last one is what a rule without a version boots.
    pub images: BTreeMap<String, Vec<Image>>,
    /// Boot loaders by file name (`undionly.kpxe`, `snponly.efi`, `shimx64.efi`, `grubx64.efi`), found in the distribution's packages or imported.
    pub loaders: BTreeMap<String, FileRef>,
    /// Those of them that can load over HTTP what comes next. Distributions build GRUB with and without that.
    pub over_http: BTreeSet<String>,
}

impl Catalog {
    /// The image of this name: the version asked for, else the newest.
    #[must_use]
    pub fn image(&self, name: &str, version: Option<&str>) -> Option<&Image> {
        let versions = self.images.get(name)?;
        match version {
            Some(version) => versions.iter().find(|image| image.version == version),
            None => versions.last(),
        }
    }

    /// As [`image`](Self::image), but without a version the newest that suits; if none does, the newest, so that it can be told why.
    #[must_use]
    pub fn image_for(&self, name: &str, version: Option<&str>, suits: impl Fn(&Image) -> bool) -> Option<&Image> {
        let newest = || self.images.get(name)?.iter().rfind(|image| suits(image));
        version.is_none().then(newest).flatten().or_else(|| self.image(name, version))
    }
}
