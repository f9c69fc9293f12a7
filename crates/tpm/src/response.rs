//! A TPM's refusals in words: `TPM_RC` (part 2 §6.6).

use core::fmt;

/// A response code other than success, as it came.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ResponseCode(pub u32);

/// What a response code of format 1 complains about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// The command's handle, counted from 1; 0 where it is not said.
    Handle(u8),
    /// The command's parameter, counted from 1.
    Parameter(u8),
    /// The command's session, counted from 1.
    Session(u8),
}

/// The codes, by number without their subject: constant, name, words.
macro_rules! codes {
    ($($constant:ident = $code:literal, $words:literal;)*) => {
        impl ResponseCode {
            $(#[doc = concat!("`TPM_RC_", stringify!($constant), "`: ", $words, ".")] pub const $constant: Self = Self($code);)*

            /// Its name in the specification, where we know it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                Some(match self.bare() { $(Self::$constant => concat!("TPM_RC_", stringify!($constant)),)* _ => return None })
            }

            /// What it means, where we know it.
            #[must_use]
            pub const fn words(self) -> Option<&'static str> {
                Some(match self.bare() { $(Self::$constant => $words,)* _ => return None })
            }
        }
    };
}

codes! {
    BAD_TAG = 0x01e, "this is a TPM 1.2, or something that speaks like one";
    INITIALIZE = 0x100, "the TPM was not started by the firmware";
    FAILURE = 0x101, "the TPM has failed its own test and does nothing until the machine loses power";
    DISABLED = 0x120, "the command is disabled";
    EXCLUSIVE = 0x121, "another session has the TPM for itself";
    AUTH_TYPE = 0x124, "this kind of authorisation does not do";
    AUTH_MISSING = 0x125, "an authorisation is missing";
    POLICY = 0x126, "the policy has nothing to say about this command";
    PCR = 0x127, "this PCR cannot be used so";
    PCR_CHANGED = 0x128, "a PCR changed while the policy was being checked";
    UPGRADE = 0x12d, "the TPM waits for the rest of a firmware update";
    AUTH_UNAVAILABLE = 0x12f, "this object is not used with a password";
    REBOOT = 0x130, "the TPM needs a restart of the machine";
    COMMAND_SIZE = 0x142, "the command's length is wrong";
    COMMAND_CODE = 0x143, "the TPM does not know this command";
    AUTHSIZE = 0x144, "the authorisations' length is wrong";
    AUTH_CONTEXT = 0x145, "the command takes no authorisation";
    NV_RANGE = 0x146, "that part of the NV index does not exist";
    NV_SIZE = 0x147, "the NV index is too large";
    NV_LOCKED = 0x148, "the NV index is locked";
    NV_AUTHORIZATION = 0x149, "the NV index is not for this reader";
    NV_UNINITIALIZED = 0x14a, "the NV index was never written";
    NV_SPACE = 0x14b, "the TPM's memory is full";
    NV_DEFINED = 0x14c, "the NV index or persistent object exists already";
    CPHASH = 0x151, "the session is for another command";
    SENSITIVE = 0x155, "the private part is unusable";
    NEEDS_TEST = 0x153, "the TPM wants to test itself first";
    NO_RESULT = 0x154, "the TPM cannot compute this";
    ASYMMETRIC = 0x081, "the TPM does not know this kind of key";
    ATTRIBUTES = 0x082, "the attributes do not go together";
    HASH = 0x083, "the TPM does not know this hash algorithm";
    VALUE = 0x084, "the value is out of range or not the one expected";
    HIERARCHY = 0x085, "the hierarchy is disabled, by the firmware's settings or by software";
    KEY_SIZE = 0x087, "the TPM does not know keys of this size";
    MODE = 0x089, "the TPM does not know this mode";
    TYPE = 0x08a, "the object is of the wrong kind";
    HANDLE = 0x08b, "there is nothing of this handle";
    KDF = 0x08c, "the TPM does not know this key derivation";
    RANGE = 0x08d, "the value is out of range";
    AUTH_FAIL = 0x08e, "the password is wrong, and the TPM counts wrong ones";
    NONCE = 0x08f, "the nonce has the wrong length";
    SCHEME = 0x092, "the TPM does not know this scheme, or not for this key";
    SIZE = 0x095, "the size is wrong";
    SYMMETRIC = 0x096, "the TPM does not know this cipher, or not for this key";
    TAG = 0x097, "the structure is of the wrong kind";
    SELECTOR = 0x098, "the choice is not one of this structure's";
    INSUFFICIENT = 0x09a, "the structure ends too early";
    SIGNATURE = 0x09b, "the signature is not valid";
    KEY = 0x09c, "the key does not fit";
    POLICY_FAIL = 0x09d, "the policy is not met";
    INTEGRITY = 0x09f, "this was not made by or for this TPM, or it was changed";
    TICKET = 0x0a0, "the ticket is not valid";
    RESERVED_BITS = 0x0a1, "reserved bits are set";
    BAD_AUTH = 0x0a2, "the password is wrong: somebody has set one";
    EXPIRED = 0x0a3, "the policy's time is over";
    POLICY_CC = 0x0a4, "the policy is for another command";
    BINDING = 0x0a5, "the public and private parts do not belong together";
    CURVE = 0x0a6, "the TPM does not know this curve";
    ECC_POINT = 0x0a7, "the point is not on its curve";
    CONTEXT_GAP = 0x901, "too many sessions were saved";
    OBJECT_MEMORY = 0x902, "the TPM has no room for another object";
    SESSION_MEMORY = 0x903, "the TPM has no room for another session";
    MEMORY = 0x904, "the TPM has no room";
    SESSION_HANDLES = 0x905, "too many sessions are open";
    OBJECT_HANDLES = 0x906, "too many objects are loaded";
    LOCALITY = 0x907, "not from this locality";
    YIELDED = 0x908, "the TPM did something else instead; ask again";
    CANCELED = 0x909, "the command was cancelled";
    TESTING = 0x90a, "the TPM is testing itself; ask again";
    REFERENCE_H0 = 0x910, "the first handle is not loaded";
    REFERENCE_S0 = 0x918, "the first session is not loaded";
    NV_RATE = 0x920, "the TPM saves its memory from too many writes; ask again later";
    LOCKOUT = 0x921, "the TPM is locked after too many wrong passwords; it opens by itself after a while, or when it is cleared";
    RETRY = 0x922, "the TPM could not begin; ask again";
    NV_UNAVAILABLE = 0x923, "the TPM's memory cannot be reached";
}

impl ResponseCode {
    /// The code without the number of its subject.
    #[must_use]
    pub const fn bare(self) -> Self {
        if self.0 & 0x80 != 0 { Self(self.0 & 0xbf) } else { self }
    }

    /// Which part of the command a code of format 1 is about.
    #[must_use]
    pub fn subject(self) -> Option<Subject> {
        if self.0 & 0x80 == 0 {
            return None;
        }
        let [_, _, high, low] = self.0.to_be_bytes();
        let nth = high & 0x0f;
        Some(match (low & 0x40 != 0, nth >= 8) {
            (true, _) => Subject::Parameter(nth),
            (false, true) => Subject::Session(nth.saturating_sub(8)),
            (false, false) => Subject::Handle(nth),
        })
    }

    /// What a person can do about it, where there is something.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        Some(match self.bare() {
            Self::HIERARCHY | Self::DISABLED => "enable the TPM's hierarchies in the firmware's settings",
            Self::BAD_AUTH | Self::AUTH_FAIL => {
                "somebody owns this TPM: clear it in the firmware's settings, if nothing else needs its keys"
            }
            Self::LOCKOUT => "wait, or clear the TPM in the firmware's settings, if nothing else needs its keys",
            Self::FAILURE | Self::REBOOT | Self::UPGRADE | Self::INITIALIZE => {
                "take the machine off power, then start it again"
            }
            Self::OBJECT_MEMORY | Self::SESSION_MEMORY | Self::SESSION_HANDLES | Self::OBJECT_HANDLES => {
                "something else holds the TPM's memory: use /dev/tpmrm0, or restart the machine"
            }
            Self::BAD_TAG => "switch the firmware's setting to TPM 2.0, where it has one",
            _ => return None,
        })
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "TPM response code {:#05x}", self.0)?,
        }
        match self.subject() {
            Some(Subject::Handle(0)) | None => {}
            Some(Subject::Handle(nth)) => write!(f, " for handle {nth}")?,
            Some(Subject::Parameter(nth)) => write!(f, " for parameter {nth}")?,
            Some(Subject::Session(nth)) => write!(f, " for session {nth}")?,
        }
        match self.words() {
            Some(words) => write!(f, " ({words})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_in_words_with_what_they_are_about() {
        let rows = [
            (0x18b, "TPM_RC_HANDLE for handle 1 (there is nothing of this handle)"),
            (0x9a2, "TPM_RC_BAD_AUTH for session 1 (the password is wrong: somebody has set one)"),
            (0x1c4, "TPM_RC_VALUE for parameter 1 (the value is out of range or not the one expected)"),
            (0x99d, "TPM_RC_POLICY_FAIL for session 1 (the policy is not met)"),
            (0x922, "TPM_RC_RETRY (the TPM could not begin; ask again)"),
            (0x085, "TPM_RC_HIERARCHY (the hierarchy is disabled, by the firmware's settings or by software)"),
            (0x7_0000, "TPM response code 0x70000"),
        ];
        for (code, words) in rows {
            assert_eq!(ResponseCode(code).to_string(), words);
        }
    }
}
