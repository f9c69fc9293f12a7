//! AES in CFB mode with full blocks, as TPMs protect what they keep outside and what crosses the bus.

use aes::{Aes128, Aes256};
use cfb_mode::cipher::KeyIvInit as _;
use cfb_mode::{Decryptor, Encryptor};

/// Encrypts in place. The key's length chooses AES-128 or AES-256; nothing is done, and nothing returned, for another.
pub(crate) fn encrypt(key: &[u8], iv: &[u8; 16], bytes: &mut [u8]) -> Option<()> {
    match key.len() {
        16 => Encryptor::<Aes128>::new_from_slices(key, iv).ok()?.encrypt(bytes),
        32 => Encryptor::<Aes256>::new_from_slices(key, iv).ok()?.encrypt(bytes),
        _ => return None,
    }
    Some(())
}

/// Decrypts in place with AES-128.
pub(crate) fn decrypt(key: &[u8], iv: &[u8; 16], bytes: &mut [u8]) -> Option<()> {
    Decryptor::<Aes128>::new_from_slices(key, iv).ok()?.decrypt(bytes);
    Some(())
}
