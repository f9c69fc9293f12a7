//! A key slot's area: the volume key, split so that losing a little of it loses all, and encrypted.

use aes::Aes256;
use aes::cipher::KeyInit as _;
use pbkdf2::pbkdf2_hmac;
use sha2::{Digest as _, Sha256};
use xts_mode::{Xts128, get_tweak_default};
use zeroize::Zeroizing;

use super::{Random, VolumeKey};

/// Stripes that a key is split into; the number of the format's first version, which all tools keep.
pub(super) const STRIPES: usize = 4000;
/// Bytes of a volume key.
pub(super) const KEY: usize = 64;
/// Bytes of a split key.
pub(super) const SPLIT: usize = STRIPES * KEY;
/// A split key, filled up to a multiple of 4 KiB: what a slot takes on the disk.
pub(super) const AREA: usize = SPLIT.next_multiple_of(4096);
/// Key slots are encrypted in sectors of this size, whatever the data is.
const SECTOR: usize = 512;

/// The area's bytes for a volume key under a slot's key.
pub(super) fn seal(volume: &VolumeKey, derived: &[u8; KEY], random: Random<'_>) -> Vec<u8> {
    let mut area = split(volume.bytes(), random);
    cipher(derived).encrypt_area(&mut area, SECTOR, 0, get_tweak_default);
    area.resize(AREA, 0);
    area
}

/// The volume key of an area under a slot's key; if that is the wrong one, a wrong one. `None`: the area is too short.
pub(super) fn unseal(area: &[u8], derived: &[u8; KEY]) -> Option<VolumeKey> {
    let mut split = Zeroizing::new(area.get(..SPLIT)?.to_vec());
    cipher(derived).decrypt_area(&mut split, SECTOR, 0, get_tweak_default);
    Some(VolumeKey(merge(&split)))
}

/// PBKDF2 with HMAC-SHA-256.
pub(super) fn derive<const N: usize>(secret: &[u8], salt: &[u8], rounds: u32) -> Zeroizing<[u8; N]> {
    let mut key = Zeroizing::new([0; N]);
    pbkdf2_hmac::<Sha256>(secret, salt, rounds, key.as_mut_slice());
    key
}

fn cipher(key: &[u8; KEY]) -> Xts128<Aes256> {
    let (data, tweak) = key.split_at(KEY / 2);
    let half = |half: &[u8]| {
        let mut array = Zeroizing::new([0; KEY / 2]);
        array.copy_from_slice(half);
        Aes256::new(&(*array).into())
    };
    Xts128::new(half(data), half(tweak))
}

/// Splits a key: random stripes, and a last one such that all together give the key.
fn split(key: &[u8; KEY], random: Random<'_>) -> Vec<u8> {
    let mut stripes = vec![0; SPLIT - KEY];
    random(&mut stripes);
    let sum = fold(&stripes);
    stripes.extend(sum.iter().zip(key).map(|(sum, key)| sum ^ key));
    stripes
}

fn merge(split: &[u8]) -> Zeroizing<[u8; KEY]> {
    let (stripes, last) = split.split_at(split.len().saturating_sub(KEY));
    let mut key = fold(stripes);
    for (sum, last) in key.iter_mut().zip(last) {
        *sum ^= last;
    }
    key
}

/// Adds the stripes up, hashing after each.
fn fold(stripes: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut sum = Zeroizing::new([0; KEY]);
    for stripe in stripes.chunks_exact(KEY) {
        for (sum, byte) in sum.iter_mut().zip(stripe) {
            *sum ^= byte;
        }
        // Each piece as long as a digest is hashed with its number before it.
        for (number, piece) in (0_u32..).zip(sum.chunks_mut(32)) {
            let digest = Sha256::new().chain_update(number.to_be_bytes()).chain_update(&*piece).finalize();
            piece.copy_from_slice(digest.get(..piece.len()).unwrap_or_default());
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_key_comes_back_and_one_lost_bit_loses_it() {
        let key = VolumeKey(Zeroizing::new([7; KEY]));
        let derived = [9; KEY];
        let mut counter = 0_u8;
        let mut random = |bytes: &mut [u8]| {
            bytes.fill_with(|| {
                counter = counter.wrapping_mul(29).wrapping_add(17);
                counter
            });
        };
        let mut area = seal(&key, &derived, &mut random);
        assert_eq!(area.len(), 258_048, "as cryptsetup lays it out");
        assert_eq!(unseal(&area, &derived).unwrap().bytes(), key.bytes());
        assert_ne!(unseal(&area, &[8; KEY]).unwrap().bytes(), key.bytes());
        area[100_000] ^= 1;
        assert_ne!(unseal(&area, &derived).unwrap().bytes(), key.bytes());
    }
}
