//! Invites: the right to ask, or to be let in.
//!
//! An invite is a seed that the machine is given out of band. From it grows an Ed25519 key that signs the conversation; the org keeps the
//! public half only, so a stolen database lets nobody in, and nothing secret is ever sent.

use core::fmt;
use core::str::FromStr;

use data_encoding::{Encoding, Specification};
use hkdf::Hkdf;
use minicbor::{CborLen, Decode, Encode};
use sha2::Sha256;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::assurance::Assurance;
use crate::id::{Digest, InviteId, OrgId, Time};
use crate::image::Arch;
use crate::key::{Kid, PublicKey, SigningKey};

/// What kind of invite it is.
#[derive(Clone, Copy, CborLen, Debug, Decode, Encode, Eq, Hash, PartialEq)]
#[cbor(index_only)]
pub enum Kind {
    /// A public label, which may stand in the netboot image: it grants no more than the right to ask.
    #[n(0)]
    Open,
    /// Out of band: on a USB stick, typed, in a QR code.
    #[n(1)]
    Secret,
    /// In a virtual machine's user-data, where its provider can read it.
    #[n(2)]
    Cloud,
}

/// Who decides when a machine comes with it.
#[derive(Clone, Copy, CborLen, Debug, Decode, Default, Encode, Eq, Hash, PartialEq)]
#[cbor(index_only)]
pub enum ApprovalMode {
    /// A person, who compares six words.
    #[default]
    #[n(0)]
    Manual,
    /// The invite is enough.
    #[n(1)]
    Automatic,
}

/// Which machines an invite is for. Each list that is not empty must hold one of the machine's.
#[derive(Clone, CborLen, Debug, Decode, Default, Encode, Eq, PartialEq)]
pub struct Match {
    /// MAC addresses, as `52:54:00:12:34:56`. Anybody can claim one.
    #[n(0)]
    pub mac: Vec<String>,
    /// SMBIOS UUIDs. Anybody can claim one.
    #[n(1)]
    pub uuid: Vec<String>,
    /// Serial numbers. Anybody can claim one.
    #[n(2)]
    pub serial: Vec<String>,
    /// TPMs: SHA-256 of the endorsement key's public area. These are proved.
    #[n(3)]
    pub ek: Vec<Digest>,
    /// Networks that the connection must come from, as `10.0.0.0/8`.
    #[n(4)]
    pub cidr: Vec<String>,
    /// Processors.
    #[n(5)]
    pub arch: Vec<Arch>,
}

/// An invite as the org keeps it, signed by an admin ([`crate::Domain::Invite`]).
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Invite {
    /// Its name.
    #[n(0)]
    pub id: InviteId,
    /// What people call it.
    #[n(1)]
    pub label: String,
    /// What its holders sign with; none for an open one.
    #[n(2)]
    pub key: Option<PublicKey>,
    /// What kind it is.
    #[n(3)]
    pub kind: Kind,
    /// How many machines it lets in, 1 to 1000.
    #[n(4)]
    pub max_uses: u32,
    /// From when.
    #[n(5)]
    pub not_before: Time,
    /// Until when: at most 30 days later, 24 hours for a cloud invite.
    #[n(6)]
    pub expires: Time,
    /// The role that machines get.
    #[n(7)]
    pub role: String,
    /// Which machines it is for.
    #[n(8)]
    pub only: Match,
    /// Who decides.
    #[n(9)]
    pub approval: ApprovalMode,
    /// The least that must be known of a machine.
    #[n(10)]
    pub min_assurance: Assurance,
    /// Whether the machine's disk may be wiped.
    #[n(11)]
    pub wipe: bool,
    /// The admin who made it.
    #[n(12)]
    pub created_by: Kid,
    /// An admin takes the risk of an open invite that lets machines in by their TPM's maker alone.
    #[n(13)]
    pub trusts_lan: bool,
    /// An admin takes the risk of machines that are known by what they claim alone: their role gets no secret.
    #[n(14)]
    pub insecure_match: bool,
}

/// What is wrong with an invite.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadInvite {
    /// Nobody, or too many.
    #[error("an invite is for 1 to 1000 machines")]
    Uses,
    /// It ends before it begins, or too late.
    #[error("an invite holds for at most 30 days, a cloud invite for at most 24 hours")]
    Length,
    /// Public, and yet enough.
    #[error(
        "an open invite lets nobody in by itself: name the machines' TPMs, or ask for `tpm-chain` and say --i-trust-this-lan, or name what the machines claim and say --insecure-match"
    )]
    OpenAutomatic,
    /// Secret without a secret, or open with one.
    #[error("a secret or cloud invite has a key, an open one has none")]
    Key,
    /// A cloud invite is one machine's.
    #[error("a cloud invite is for one machine")]
    Cloud,
}

impl Invite {
    /// The most machines.
    pub const MOST_USES: u32 = 1000;
    /// The longest life, in seconds: 30 days.
    pub const LONGEST: u64 = 30 * 24 * 3600;
    /// The longest life of a cloud invite, in seconds: 24 hours.
    pub const LONGEST_CLOUD: u64 = 24 * 3600;

    /// Whether it may exist at all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BadInvite> {
        if self.max_uses == 0 || self.max_uses > Self::MOST_USES {
            return Err(BadInvite::Uses);
        }
        let longest = if self.kind == Kind::Cloud { Self::LONGEST_CLOUD } else { Self::LONGEST };
        if self.expires <= self.not_before || self.expires.since(self.not_before) > longest {
            return Err(BadInvite::Length);
        }
        if self.key.is_some() != (self.kind != Kind::Open) {
            return Err(BadInvite::Key);
        }
        if self.kind == Kind::Cloud && self.max_uses != 1 {
            return Err(BadInvite::Cloud);
        }
        let claimed = !(self.only.mac.is_empty() && self.only.uuid.is_empty() && self.only.serial.is_empty());
        if self.believes_claims() && !(self.insecure_match && claimed) {
            return Err(BadInvite::OpenAutomatic);
        }
        Ok(())
    }

    /// Whether it lets machines in by what they claim and by nothing else. What else they have (a TPM that nobody vouches for, say) is then no
    /// reason to trust them: anybody can claim the same, and bring such a TPM.
    #[must_use]
    pub fn believes_claims(&self) -> bool {
        let chained = self.min_assurance >= Assurance::TpmChain && self.trusts_lan;
        let open = self.kind == Kind::Open && self.approval == ApprovalMode::Automatic;
        open && self.only.ek.is_empty() && !chained
    }

    /// Whether it holds at this time.
    #[must_use]
    pub fn is_valid(&self, now: Time) -> bool {
        self.check().is_ok() && self.not_before <= now && now < self.expires
    }
}

/// The secret half of an invite, as text: `inv1-` and Crockford's base 32.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Token {
    /// The org.
    #[zeroize(skip)]
    pub org: OrgId,
    /// The invite.
    #[zeroize(skip)]
    pub invite: InviteId,
    /// What the key grows from.
    seed: [u8; 32],
    /// The machine CA's pin: who holds the token needs no other.
    #[zeroize(skip)]
    pub ca_spki: Digest,
}

/// Version, org, invite, seed, pin, check.
const TOKEN_LENGTH: usize = 1 + 16 + 8 + 32 + 32 + 4;
const TOKEN_VERSION: u8 = 1;
const TOKEN_PREFIX: &str = "inv1-";

impl Token {
    /// A token with this random seed.
    #[must_use]
    pub fn new(org: OrgId, invite: InviteId, seed: [u8; 32], ca_spki: Digest) -> Self {
        Self { org, invite, seed, ca_spki }
    }

    /// The key that grows from it: HKDF-SHA256 of the seed with the info `invite-sign`, the salt being org and invite.
    #[must_use]
    pub fn key(&self) -> SigningKey {
        let salt = [self.org.0.as_slice(), &self.invite.0].concat();
        let mut grown = [0; 32];
        // 32 bytes are within HKDF's limit, so this cannot fail.
        let _ = Hkdf::<Sha256>::new(Some(&salt), &self.seed).expand(b"invite-sign", &mut grown);
        let key = SigningKey::from_seed(&grown);
        grown.zeroize();
        key
    }

    /// The token as text, for a file, a QR code or user-data. It is a secret.
    #[must_use]
    pub fn reveal(&self) -> String {
        let mut bytes = vec![TOKEN_VERSION];
        for part in [self.org.0.as_slice(), &self.invite.0, &self.seed, &self.ca_spki.0] {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(&check_of(&bytes));
        let text = crockford().map(|encoding| encoding.encode(&bytes)).unwrap_or_default();
        bytes.zeroize();
        format!("{TOKEN_PREFIX}{text}")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(invite {})", self.invite)
    }
}

/// A text that is no token. Which character it was is not told: it is a secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadToken {
    /// It is something else.
    #[error("this is no invite: it does not begin with {TOKEN_PREFIX}")]
    Prefix,
    /// A character is wrong or missing.
    #[error("this invite is damaged: a character is wrong or missing")]
    Damaged,
    /// From the future.
    #[error("this invite is of a kind that this version does not know")]
    Version,
}

impl FromStr for Token {
    type Err = BadToken;

    fn from_str(text: &str) -> Result<Self, BadToken> {
        let text = text.trim();
        let rest = text.get(TOKEN_PREFIX.len()..);
        let head = text.get(..TOKEN_PREFIX.len()).filter(|head| head.eq_ignore_ascii_case(TOKEN_PREFIX));
        let (Some(rest), Some(_)) = (rest, head) else { return Err(BadToken::Prefix) };
        let bytes = crockford().and_then(|encoding| encoding.decode(rest.as_bytes()).ok()).ok_or(BadToken::Damaged)?;
        let mut bytes = zeroize::Zeroizing::new(bytes);
        if bytes.len() != TOKEN_LENGTH {
            return Err(BadToken::Damaged);
        }
        let check = bytes.split_off(TOKEN_LENGTH - 4);
        if check != check_of(&bytes) {
            return Err(BadToken::Damaged);
        }
        let mut rest = bytes.as_slice();
        let [version] = take(&mut rest).ok_or(BadToken::Damaged)?;
        if version != TOKEN_VERSION {
            return Err(BadToken::Version);
        }
        let mut part = || take(&mut rest);
        let org = part().ok_or(BadToken::Damaged)?;
        let invite = take(&mut rest).ok_or(BadToken::Damaged)?;
        let seed = take(&mut rest).ok_or(BadToken::Damaged)?;
        let ca_spki = take(&mut rest).ok_or(BadToken::Damaged)?;
        Ok(Self { org: OrgId(org), invite: InviteId(invite), seed, ca_spki: Digest(ca_spki) })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// Four bytes that find typing errors: the first of SHA-256.
fn check_of(bytes: &[u8]) -> [u8; 4] {
    *Digest::of(bytes).0.first_chunk().unwrap_or(&[0; 4])
}

/// Crockford's base 32: no I, L, O, U; what looks alike is read alike; case and hyphens do not count.
fn crockford() -> Option<Encoding> {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    spec.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
    spec.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    spec.ignore.push_str("- \n");
    spec.encoding().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token::new(OrgId([1; 16]), InviteId([2; 8]), [3; 32], Digest([4; 32]))
    }

    #[test]
    fn a_token_survives_its_text() {
        let text = token().reveal();
        assert_eq!(text.len(), 5 + 149);
        let read: Token = text.to_uppercase().parse().unwrap();
        assert_eq!(read.reveal(), text);
        assert_eq!(read.key().public(), token().key().public());
    }

    #[test]
    fn every_single_wrong_character_is_found() {
        let text = token().reveal();
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'7' { b'8' } else { b'7' };
            assert!(String::from_utf8(wrong).unwrap().parse::<Token>().is_err(), "at {at}");
        }
    }
}
