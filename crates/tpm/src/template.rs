//! The keys that are made the same each time they are asked for: what is asked decides what key comes out.

use crate::hash::sha256;
use crate::{Algorithm, Attributes, Curve, Kind, Public, Scheme, Symmetric};

/// Which endorsement key: the templates of the TCG EK Credential Profile (2.5, annex B) that we know, in the order in
/// which they are looked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EkKind {
    /// L-1: RSA-2048.
    Rsa2048,
    /// L-2: P-256.
    P256,
    /// H-3: P-384.
    P384,
}

/// PolicySecret(endorsement): who may use the EKs of the low range (EK Credential Profile §B.3.2).
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd, 0x52, 0xd7,
    0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// Policy B for SHA-384: who may administer the EKs of the high range (EK Credential Profile §B.6.5).
const POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07, 0x41, 0x48,
    0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47, 0xba, 0x09, 0x69, 0x96,
    0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

/// Born in its TPM, and never leaves it.
pub(crate) const NATIVE: Attributes =
    Attributes(Attributes::FIXED_TPM.0 | Attributes::FIXED_PARENT.0 | Attributes::SENSITIVE_DATA_ORIGIN.0);
const STORAGE: Attributes = Attributes(NATIVE.0 | Attributes::RESTRICTED.0 | Attributes::DECRYPT.0);

impl EkKind {
    /// All, in the order in which they are looked for.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::P256, Self::P384];

    /// Where the maker's certificate for it lies.
    #[must_use]
    pub const fn certificate_index(self) -> u32 {
        match self {
            Self::Rsa2048 => 0x01c0_0002,
            Self::P256 => 0x01c0_000a,
            Self::P384 => 0x01c0_0016,
        }
    }

    /// What it is called where people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "RSA-2048",
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    /// Its template: what the TPM makes the same key of, always, under the endorsement hierarchy.
    #[must_use]
    pub fn template(self) -> Public {
        let low = STORAGE | Attributes::ADMIN_WITH_POLICY;
        let ecc = |curve, symmetric, unique: &[u8]| Kind::Ecc {
            symmetric,
            scheme: Scheme::NULL,
            curve,
            kdf: Scheme::NULL,
            x: unique.to_vec(),
            y: unique.to_vec(),
        };
        let (name_algorithm, attributes, policy, kind) = match self {
            Self::Rsa2048 => {
                let modulus = vec![0; 256];
                let (symmetric, scheme) = (Symmetric::AES128_CFB, Scheme::NULL);
                let kind = Kind::Rsa { symmetric, scheme, bits: 2048, exponent: 0, modulus };
                (Algorithm::SHA256, low, POLICY_A.to_vec(), kind)
            }
            Self::P256 => {
                let kind = ecc(Curve::P256, Symmetric::AES128_CFB, &[0; 32]);
                (Algorithm::SHA256, low, POLICY_A.to_vec(), kind)
            }
            Self::P384 => {
                let kind = ecc(Curve::P384, Symmetric::AES256_CFB, &[]);
                (Algorithm::SHA384, low | Attributes::USER_WITH_AUTH, POLICY_B_SHA384.to_vec(), kind)
            }
        };
        Public { name_algorithm, attributes, policy, kind }
    }

    /// Whether a public part could be this EK: the template with a key in it.
    #[must_use]
    pub fn fits(self, public: &Public) -> bool {
        let mut emptied = public.clone();
        let mut template = self.template();
        for side in [&mut emptied, &mut template] {
            match &mut side.kind {
                Kind::Rsa { modulus, .. } => modulus.clear(),
                Kind::Ecc { x, y, .. } => (*x, *y) = (Vec::new(), Vec::new()),
                Kind::KeyedHash { unique, .. } => unique.clear(),
            }
        }
        emptied == template
    }
}

fn p256(attributes: Attributes, symmetric: Symmetric, scheme: Scheme, x: [u8; 32]) -> Public {
    let (x, y) = (x.to_vec(), vec![0; 32]);
    let kind = Kind::Ecc { symmetric, scheme, curve: Curve::P256, kdf: Scheme::NULL, x, y };
    Public { name_algorithm: Algorithm::SHA256, attributes, policy: Vec::new(), kind }
}

/// The machine's identity within one org: a P-256 key that signs what it is given. Under the owner hierarchy, so that
/// clearing the TPM ends it.
#[must_use]
pub fn identity(org_id: &[u8; 16]) -> Public {
    let attributes = NATIVE | Attributes::USER_WITH_AUTH | Attributes::NO_DA | Attributes::SIGN;
    p256(attributes, Symmetric::NULL, Scheme::ECDSA_SHA256, sha256(&[b"slipway-identity-v1", org_id]))
}

/// The machine's attestation key (AK) within one org: signs only what the TPM itself says.
#[must_use]
pub fn attestation(org_id: &[u8; 16]) -> Public {
    let attributes =
        NATIVE | Attributes::USER_WITH_AUTH | Attributes::NO_DA | Attributes::SIGN | Attributes::RESTRICTED;
    p256(attributes, Symmetric::NULL, Scheme::ECDSA_SHA256, sha256(&[b"slipway-attestation-v1", org_id]))
}

/// The storage root that secrets are sealed under: the TCG's template for P-256 (TPM 2.0 Provisioning Guidance §7.5.1).
#[must_use]
pub fn storage() -> Public {
    let attributes = STORAGE | Attributes::USER_WITH_AUTH | Attributes::NO_DA;
    p256(attributes, Symmetric::AES128_CFB, Scheme::NULL, [0; 32])
}

/// A sealed secret that only a policy opens.
#[must_use]
pub fn sealed(policy: &[u8; 32]) -> Public {
    Public {
        name_algorithm: Algorithm::SHA256,
        attributes: Attributes::FIXED_TPM
            | Attributes::FIXED_PARENT
            | Attributes::ADMIN_WITH_POLICY
            | Attributes::NO_DA,
        policy: policy.to_vec(),
        kind: Kind::KeyedHash { scheme: Scheme::NULL, unique: Vec::new() },
    }
}

/// A P-256 key of somebody else, known to the TPM only for its signatures.
#[must_use]
pub fn verifier(point: &[u8; 64]) -> Public {
    let (x, y) = point.split_at(32);
    let kind = Kind::Ecc {
        symmetric: Symmetric::NULL,
        scheme: Scheme::ECDSA_SHA256,
        curve: Curve::P256,
        kdf: Scheme::NULL,
        x: x.to_vec(),
        y: y.to_vec(),
    };
    let attributes = Attributes::SIGN | Attributes::USER_WITH_AUTH;
    Public { name_algorithm: Algorithm::SHA256, attributes, policy: Vec::new(), kind }
}
