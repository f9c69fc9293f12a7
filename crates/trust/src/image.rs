//! What the build host says of an image, and whether a machine may run it.

use core::fmt;
use core::str::FromStr;

use minicbor::{CborLen, Decode, Encode};

use crate::id::{Digest, OrgId, Time};
use crate::key::SignatureBytes;
use crate::org::OrgManifest;
use crate::seal::{Bound, Domain, Signed};

/// What an image is for.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(index_only)]
pub enum Role {
    /// Public, netbooted: enrols a machine, or repairs it.
    #[n(0)]
    Bootstrap,
    /// On the machine's own ESP: proves the machine to the org at each boot.
    #[n(1)]
    Preboot,
    /// The operating system proper.
    #[n(2)]
    Generation,
}

/// A processor that images are built for.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[cbor(index_only)]
pub enum Arch {
    /// x86-64.
    #[n(0)]
    X64,
    /// 64-bit ARM.
    #[n(1)]
    Arm64,
}

/// What the build host says of an image. Signed by as many image keys as the org's manifest asks for ([`Domain::ImageManifest`]).
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct ImageManifest {
    /// The org that it is for.
    #[n(0)]
    pub org: OrgId,
    /// Its name, as in the image store.
    #[n(1)]
    pub name: String,
    /// What it is for.
    #[n(2)]
    pub role: Role,
    /// The processor it runs on.
    #[n(3)]
    pub arch: Arch,
    /// Its version: a later one is greater. By default the time of the build, in seconds.
    #[n(4)]
    pub version: u64,
    /// Who runs this one takes nothing below this version from then on.
    #[n(5)]
    pub floor: u64,
    /// The file's size, in bytes.
    #[n(6)]
    pub size: u64,
    /// SHA-256 over the file: what it is fetched by.
    #[n(7)]
    pub sha256: Digest,
    /// Its Authenticode digest (SHA-256): what firmware measures into PCR 4 when it starts the file.
    #[n(8)]
    pub authenticode: Digest,
    /// The Authenticode digest of the kernel inside, which firmware measures too when the stub starts it.
    #[n(9)]
    pub kernel_authenticode: Option<Digest>,
    /// PCR 11 (SHA-256 bank) after systemd's stub has measured the sections.
    #[n(10)]
    pub pcr11: Option<Digest>,
    /// The PCR policy key's signature of the policy that `pcr11` makes: it lets a TPM unseal to this image and its successors.
    #[n(11)]
    #[cbor(with = "minicbor::bytes")]
    pub pcr_policy: Option<SignatureBytes>,
    /// When it was built.
    #[n(12)]
    pub created: Time,
    /// Not to be installed after this.
    #[n(13)]
    pub not_after: Option<Time>,
    /// Whether it is signed for Secure Boot with the org's keys.
    #[n(14)]
    pub secure_boot: bool,
}

/// Why an image is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejected {
    /// Not signed as the org demands.
    #[error("its manifest: {0}")]
    Unproven(#[from] crate::seal::Unproven),
    /// For another org.
    #[error("it is for another org")]
    WrongOrg,
    /// Not for this.
    #[error("it is a {found} image, not a {wanted} image")]
    WrongRole {
        /// What it is.
        found: Role,
        /// What is needed.
        wanted: Role,
    },
    /// Not for this processor.
    #[error("it is for {found}, this machine is {wanted}")]
    WrongArch {
        /// What it is for.
        found: Arch,
        /// The machine's.
        wanted: Arch,
    },
    /// Older than what is still allowed.
    #[error("its version {version} is below the floor {floor}")]
    BelowFloor {
        /// Its version.
        version: u64,
        /// The lowest that is allowed.
        floor: u64,
    },
    /// Its time is over.
    #[error("its manifest has expired")]
    Expired,
}

/// What a machine is about to use an image for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    /// As what.
    pub role: Role,
    /// On which processor.
    pub arch: Arch,
    /// The lowest version that the machine itself remembers; the org's floor counts beside it.
    pub floor: u64,
    /// Now.
    pub now: Time,
}

/// The image's manifest, if it may be used for this: signed by enough image keys of the org, for this org, role and processor, not below
/// any floor, not expired.
///
/// # Errors
/// The first reason against it.
pub fn admit(signed: &Signed, org: &OrgManifest, wanted: &Wanted) -> Result<ImageManifest, Rejected> {
    let needed = usize::from(org.images.threshold);
    let manifest: ImageManifest = signed.open(Domain::ImageManifest, Bound::Org(&org.org), &org.images.keys, needed)?;
    if manifest.org != org.org {
        return Err(Rejected::WrongOrg);
    }
    if manifest.role != wanted.role {
        return Err(Rejected::WrongRole { found: manifest.role, wanted: wanted.role });
    }
    if manifest.arch != wanted.arch {
        return Err(Rejected::WrongArch { found: manifest.arch, wanted: wanted.arch });
    }
    let floor = wanted.floor.max(org.floor(manifest.role, manifest.arch));
    if manifest.version < floor {
        return Err(Rejected::BelowFloor { version: manifest.version, floor });
    }
    if manifest.not_after.is_some_and(|end| end < wanted.now) {
        return Err(Rejected::Expired);
    }
    Ok(manifest)
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Bootstrap, Self::Preboot, Self::Generation];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bootstrap => "bootstrap",
            Self::Preboot => "preboot",
            Self::Generation => "generation",
        }
    }
}

impl Arch {
    /// The one that this program was built for, if it is one that images are built for.
    #[must_use]
    pub const fn own() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Arm64)
        } else {
            None
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownWord("bootstrap, preboot or generation"))
    }
}

impl FromStr for Arch {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::X64, Self::Arm64].into_iter().find(|arch| arch.name() == text).ok_or(UnknownWord("x64 or arm64"))
    }
}

/// A word that is none of these.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it must be {0}")]
pub struct UnknownWord(pub &'static str);
