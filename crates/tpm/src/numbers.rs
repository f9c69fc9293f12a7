//! Numbers of the TPM 2.0 Library specification, part 2: algorithms, curves, commands, handles, attributes.
//! A value without a name here is kept, not refused, wherever we need not understand it.

use core::fmt;
use core::ops::BitOr;

/// An algorithm: `TPM_ALG_ID` (part 2 §6.3).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Algorithm(pub u16);

impl Algorithm {
    /// RSA.
    pub const RSA: Self = Self(0x0001);
    /// SHA-1: only in old logs and banks; nothing here trusts it.
    pub const SHA1: Self = Self(0x0004);
    /// AES.
    pub const AES: Self = Self(0x0006);
    /// A data object, or an HMAC key.
    pub const KEYED_HASH: Self = Self(0x0008);
    /// SHA-256.
    pub const SHA256: Self = Self(0x000b);
    /// SHA-384.
    pub const SHA384: Self = Self(0x000c);
    /// SHA-512.
    pub const SHA512: Self = Self(0x000d);
    /// None.
    pub const NULL: Self = Self(0x0010);
    /// RSA PKCS#1 v1.5 encryption: a scheme without details.
    pub const RSAES: Self = Self(0x0015);
    /// ECDSA.
    pub const ECDSA: Self = Self(0x0018);
    /// Elliptic curve DAA: a scheme with a counter.
    pub const ECDAA: Self = Self(0x001a);
    /// Elliptic curves.
    pub const ECC: Self = Self(0x0023);
    /// Cipher feedback.
    pub const CFB: Self = Self(0x0043);

    /// The size of this hash algorithm's digests, in bytes, where it is one that we know.
    #[must_use]
    pub const fn digest_size(self) -> Option<usize> {
        Some(match self {
            Self::SHA1 => 20,
            Self::SHA256 => 32,
            Self::SHA384 => 48,
            Self::SHA512 => 64,
            _ => return None,
        })
    }
}

/// An elliptic curve: `TPM_ECC_CURVE` (part 2 §6.4).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Curve(pub u16);

impl Curve {
    /// NIST P-256.
    pub const P256: Self = Self(0x0003);
    /// NIST P-384.
    pub const P384: Self = Self(0x0004);
}

/// What a handle names: `TPM_HANDLE` (part 2 §7).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Handle(pub u32);

impl Handle {
    /// The owner's hierarchy: what is made under it lasts until the TPM is cleared.
    pub const OWNER: Self = Self(0x4000_0001);
    /// No hierarchy, no key.
    pub const NULL: Self = Self(0x4000_0007);
    /// The password session: an authorisation in the clear, for empty passwords.
    pub const PASSWORD: Self = Self(0x4000_0009);
    /// Who resets lockouts and clears the TPM.
    pub const LOCKOUT: Self = Self(0x4000_000a);
    /// The hierarchy of the endorsement keys: lasts as long as the TPM, but for its maker.
    pub const ENDORSEMENT: Self = Self(0x4000_000b);
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// A command: `TPM_CC` (part 2 §6.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct CommandCode(pub u32);

/// The commands that we know, by code and name, as one table for code and words.
macro_rules! commands {
    ($($constant:ident = $code:literal, $name:literal;)*) => {
        impl CommandCode {
            $(#[doc = concat!("`", $name, "` (part 3).")] pub const $constant: Self = Self($code);)*

            /// Its name in the specification, where we know it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                Some(match self { $(Self::$constant => $name,)* _ => return None })
            }
        }
    };
}

commands! {
    EVICT_CONTROL = 0x0120, "TPM2_EvictControl";
    CLEAR = 0x0126, "TPM2_Clear";
    CREATE_PRIMARY = 0x0131, "TPM2_CreatePrimary";
    STARTUP = 0x0144, "TPM2_Startup";
    ACTIVATE_CREDENTIAL = 0x0147, "TPM2_ActivateCredential";
    CERTIFY = 0x0148, "TPM2_Certify";
    NV_READ = 0x014e, "TPM2_NV_Read";
    POLICY_SECRET = 0x0151, "TPM2_PolicySecret";
    CREATE = 0x0153, "TPM2_Create";
    LOAD = 0x0157, "TPM2_Load";
    QUOTE = 0x0158, "TPM2_Quote";
    SIGN = 0x015d, "TPM2_Sign";
    UNSEAL = 0x015e, "TPM2_Unseal";
    FLUSH_CONTEXT = 0x0165, "TPM2_FlushContext";
    LOAD_EXTERNAL = 0x0167, "TPM2_LoadExternal";
    NV_READ_PUBLIC = 0x0169, "TPM2_NV_ReadPublic";
    POLICY_AUTHORIZE = 0x016a, "TPM2_PolicyAuthorize";
    READ_PUBLIC = 0x0173, "TPM2_ReadPublic";
    START_AUTH_SESSION = 0x0176, "TPM2_StartAuthSession";
    VERIFY_SIGNATURE = 0x0177, "TPM2_VerifySignature";
    GET_CAPABILITY = 0x017a, "TPM2_GetCapability";
    GET_RANDOM = 0x017b, "TPM2_GetRandom";
    PCR_READ = 0x017e, "TPM2_PCR_Read";
    POLICY_PCR = 0x017f, "TPM2_PolicyPCR";
    PCR_EXTEND = 0x0182, "TPM2_PCR_Extend";
    POLICY_GET_DIGEST = 0x0189, "TPM2_PolicyGetDigest";
}

impl fmt::Display for CommandCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "TPM command {:#06x}", self.0),
        }
    }
}

/// What an object may do and how it was born: `TPMA_OBJECT` (part 2 §8.3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Attributes(pub u32);

impl Attributes {
    /// It never leaves its TPM.
    pub const FIXED_TPM: Self = Self(1 << 1);
    /// It never gets another parent.
    pub const FIXED_PARENT: Self = Self(1 << 4);
    /// The TPM made its private part.
    pub const SENSITIVE_DATA_ORIGIN: Self = Self(1 << 5);
    /// Its password suffices to use it.
    pub const USER_WITH_AUTH: Self = Self(1 << 6);
    /// Only its policy administers it.
    pub const ADMIN_WITH_POLICY: Self = Self(1 << 7);
    /// Wrong guesses do not lock the TPM.
    pub const NO_DA: Self = Self(1 << 10);
    /// It signs only what the TPM itself has made, or decrypts only what the TPM understands.
    pub const RESTRICTED: Self = Self(1 << 16);
    /// It decrypts.
    pub const DECRYPT: Self = Self(1 << 17);
    /// It signs.
    pub const SIGN: Self = Self(1 << 18);

    /// Whether all of these are set.
    #[must_use]
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether none of these is set.
    #[must_use]
    pub const fn lacks(self, unwanted: Self) -> bool {
        self.0 & unwanted.0 == 0
    }
}

impl BitOr for Attributes {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
