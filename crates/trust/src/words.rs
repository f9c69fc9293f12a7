//! Six words that a person compares: on the machine's console and in the list of who asks.

use crate::id::Digest;
use crate::key::PublicKey;

/// How many words there are: 66 bits.
pub const COUNT: usize = 6;

/// The words for this conversation: 66 bits of SHA-256("slipway-words-v1" ‖ th2 ‖ r ‖ machine key ‖ CA SPKI), 11 bits each, from the English list
/// of BIP-39.
///
/// `th2` is the transcript after M2, `r` what the machine committed to in M1 and revealed in M3: somebody in the middle can choose neither
/// side's share after he has seen the other's, and so cannot search for equal words.
#[must_use]
pub fn six(th2: &Digest, reveal: &[u8; 32], machine: &PublicKey, ca_spki: &Digest) -> [&'static str; COUNT] {
    let key = crate::encode(machine);
    let digest = Digest::of_all(&[b"slipway-words-v1", &th2.0, reveal, &key, &ca_spki.0]);
    let list = bip39::Language::English.word_list();
    core::array::from_fn(|n| list.get(bits(&digest.0, n * 11)).copied().unwrap_or_default())
}

/// Eleven bits, the first of them being bit `at` counted from the left.
fn bits(bytes: &[u8; 32], at: usize) -> usize {
    let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| usize::from(byte >> (7 - n % 8) & 1));
    (at..at + 11).fold(0, |value, n| value << 1 | bit(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_conversation_do_not_change() {
        let words = six(&Digest([1; 32]), &[2; 32], &PublicKey::Ed25519([3; 32]), &Digest([4; 32]));
        assert_eq!(words.join(" "), "measure spice veteran shock sense garage");
    }

    #[test]
    fn eleven_bits_are_read_from_the_left() {
        let mut bytes = [0; 32];
        bytes[0] = 0xff;
        bytes[1] = 0xe0;
        assert_eq!((bits(&bytes, 0), bits(&bytes, 11), bits(&bytes, 1)), (2047, 0, 2046));
    }
}
