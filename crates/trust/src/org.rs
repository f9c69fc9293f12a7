//! The org: its root, its manifest, and what is baked into its bootstrap image.

use minicbor::{CborLen, Decode, Encode};

use crate::assurance::Assurance;
use crate::id::{Digest, OrgId, Time};
use crate::image::{Arch, Role};
use crate::key::PublicKey;
use crate::seal::{Bound, Domain, Signed, Unproven};

impl OrgId {
    /// The org of this root key.
    #[must_use]
    pub fn of(root: &PublicKey) -> Self {
        let digest = root.digest().0;
        Self(*digest.first_chunk().unwrap_or(&[0; 16]))
    }
}

/// Keys of which some must sign together.
#[derive(Clone, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Signers {
    /// How many must sign; at least one does.
    #[n(0)]
    pub threshold: u8,
    /// The keys.
    #[n(1)]
    pub keys: Vec<PublicKey>,
}

/// The oldest version of a kind of image that is still allowed.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Floor {
    /// The kind.
    #[n(0)]
    pub role: Role,
    /// The processor.
    #[n(1)]
    pub arch: Arch,
    /// The version.
    #[n(2)]
    pub version: u64,
}

/// Who decides on a recovery.
#[derive(Clone, Copy, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
#[cbor(index_only)]
pub enum RecoveryPolicy {
    /// The machine's own proof is enough, within the limits of the fleet.
    #[default]
    #[n(0)]
    Automatic,
    /// A person approves each.
    #[n(1)]
    Manual,
}

/// What the org allows.
#[derive(Clone, Copy, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Policy {
    /// The least that a machine must be known by to be granted an identity.
    #[n(0)]
    pub min_assurance: Assurance,
    /// Who decides on a recovery.
    #[n(1)]
    pub recovery: RecoveryPolicy,
    /// How many days a machine may start its last generation without the org; 0 forbids it.
    #[n(2)]
    pub offline_days: u16,
}

/// Everything that machines and nodes believe about their org, signed by its root ([`Domain::OrgManifest`]). One with a lower epoch than
/// was seen is refused.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct OrgManifest {
    /// The org.
    #[n(0)]
    pub org: OrgId,
    /// Rises with each manifest.
    #[n(1)]
    pub epoch: u64,
    /// What people call the org.
    #[n(2)]
    pub name: String,
    /// Persons.
    #[n(3)]
    pub admins: Signers,
    /// Build hosts.
    #[n(4)]
    pub images: Signers,
    /// Servers that may grant identities.
    #[n(5)]
    pub enrollers: Vec<PublicKey>,
    /// The machine CA's certificate, DER: servers' and machines' certificates chain to it.
    #[n(6)]
    #[cbor(with = "minicbor::bytes")]
    pub ca_certificate: Vec<u8>,
    /// SHA-256 over that certificate's SubjectPublicKeyInfo: what is pinned.
    #[n(7)]
    pub ca_spki: Digest,
    /// The key whose word on PCR 11 lets TPMs unseal: P-256.
    #[n(8)]
    pub pcr_policy: Option<PublicKey>,
    /// Where the trust plane is to be had, `address:port`, the first tried first.
    #[n(9)]
    pub gateways: Vec<String>,
    /// The oldest images that are still allowed.
    #[n(10)]
    pub floors: Vec<Floor>,
    /// What is allowed.
    #[n(11)]
    pub policy: Policy,
    /// When it was signed.
    #[n(12)]
    pub created: Time,
    /// The key that keys of escrow slots are sealed to: P-256. None: no data partition gets one.
    #[n(13)]
    pub escrow: Option<PublicKey>,
}

impl OrgManifest {
    /// The oldest version of this kind of image that is still allowed.
    #[must_use]
    pub fn floor(&self, role: Role, arch: Arch) -> u64 {
        let floors = self.floors.iter().filter(|floor| floor.role == role && floor.arch == arch);
        floors.map(|floor| floor.version).max().unwrap_or(0)
    }

    /// Reads a manifest that the root has signed.
    ///
    /// # Errors
    /// The root has not signed it, it names another org, or its epoch is below `seen`.
    pub fn open(signed: &Signed, root: &PublicKey, seen: u64) -> Result<Self, BadManifest> {
        let org = OrgId::of(root);
        let manifest: Self = signed.open(Domain::OrgManifest, Bound::Org(&org), &[*root], 1)?;
        if manifest.org != org {
            return Err(BadManifest::WrongOrg);
        }
        if manifest.epoch < seen {
            return Err(BadManifest::Older { epoch: manifest.epoch, seen });
        }
        Ok(manifest)
    }
}

/// Why an org's manifest is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadManifest {
    /// The root has not signed it.
    #[error("the org's manifest: {0}")]
    Unproven(#[from] Unproven),
    /// It is another org's.
    #[error("the org's manifest is another org's")]
    WrongOrg,
    /// A later one was seen.
    #[error("the org's manifest has epoch {epoch}, {seen} was seen before")]
    Older {
        /// Its epoch.
        epoch: u64,
        /// The highest that was seen.
        seen: u64,
    },
}

/// What is baked into an org's bootstrap and preboot images: public, and all that they trust. The file `/etc/slipway/org` of the initramfs.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct OrgFacts {
    /// The org's root key; [`OrgId::of`] it is the org.
    #[n(0)]
    pub root: PublicKey,
    /// What people call the org.
    #[n(1)]
    pub name: String,
    /// SHA-256 of the machine CA's SubjectPublicKeyInfo. A generic image has none: then the six words are the only check of the server.
    #[n(2)]
    pub ca_spki: Option<Digest>,
    /// Where the trust plane is to be had, `address:port`. Empty: DHCP's boot server, at the usual port.
    #[n(3)]
    pub gateways: Vec<String>,
    /// An open invite, if the image carries one.
    #[n(4)]
    pub invite: Option<crate::id::InviteId>,
    /// This image's version.
    #[n(5)]
    pub version: u64,
    /// When it was built: clocks that say less are wrong.
    #[n(6)]
    pub built: Time,
}

/// The name that every gateway and enroller of an org has in its certificate, so that DNS needs no trust.
#[must_use]
pub fn server_name(org: &OrgId) -> String {
    format!("gw.{org}.internal")
}

/// The port of the trust plane unless the org says another.
pub const PORT: u16 = 8444;
