//! LUKS2 headers ("LUKS2 On-Disk Format Specification", version 1.1): made, read, opened, changed. Any administrator opens the same
//! disk with `cryptsetup`; we do without it, because it and its libraries are ten MB, and the agent's initramfs is a few
//! (`docs/decisions/0020-own-luks2-headers.md`).
//!
//! What we make has one shape: two copies of 16 KiB, key slots up to 16 MiB, the data behind that; AES-256-XTS; anti-forensic stripes
//! and key derivation by SHA-256. Of what `cryptsetup` makes we read every header, and open the key slots that are so derived.
//!
//! **Key derivation has 1,000 rounds, the least that the format allows.** Rounds make guessing slow, and there is nothing to
//! guess: our keys are 32 bytes of HKDF's output, uniform, and 2^256 tries take as long at any number of rounds. A *person's* passphrase
//! does not belong into such a slot: `cryptsetup luksAddKey` makes one with Argon2 for it, beside ours.
//!
//! A change is a list of [`Step`](crate::Step)s, ordered so that after a power cut the header is the old one or the new one, and every
//! key slot that it lists opens, but for one that was just being killed.

mod area;
mod header;
mod metadata;
mod shell;
#[cfg(test)]
mod tests;

pub use header::{Header, HeaderError};
pub use metadata::{Keyslot, New, OpenError, Token, TokenKind, add_key, create, kill_key, open, set_token, with_token};
pub use shell::{HEAD, apply, read, read_head, with_random};

use zeroize::Zeroizing;

/// The key that data is encrypted with: two AES-256 keys, for XTS.
pub struct VolumeKey(pub(crate) Zeroizing<[u8; 64]>);

impl VolumeKey {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// Where randomness comes from: filled completely. [`with_random`] lends the kernel's.
pub type Random<'a> = &'a mut dyn FnMut(&mut [u8]);
