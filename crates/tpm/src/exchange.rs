//! Giving a secret to a TPM: by Diffie-Hellman on a curve (part 1 §C.6), or by RSA-OAEP (part 1 §B.4).

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U64, U2048};
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{AffinePoint, CurveArithmetic, FieldBytesSize, PublicKey, SecretKey};
use zeroize::Zeroizing;

use crate::Curve;
use crate::hash::Hash;
use crate::public::pad;
use crate::wire::Writer;

/// A seed that both ends know, and what is sent so that the TPM knows it too.
pub(crate) struct Shared {
    pub(crate) seed: Zeroizing<Vec<u8>>,
    pub(crate) sent: Vec<u8>,
}

/// Diffie-Hellman between an ephemeral scalar and a TPM's point. Nothing if either is none of the curve.
pub(crate) fn by_curve(curve: Curve, x: &[u8], y: &[u8], ephemeral: &[u8], hash: Hash, label: &str) -> Option<Shared> {
    match curve {
        Curve::P256 => diffie_hellman::<p256::NistP256>(32, x, y, ephemeral, hash, label),
        Curve::P384 => diffie_hellman::<p384::NistP384>(48, x, y, ephemeral, hash, label),
        _ => None,
    }
}

fn diffie_hellman<C>(size: usize, x: &[u8], y: &[u8], ephemeral: &[u8], hash: Hash, label: &str) -> Option<Shared>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let mut point = vec![0; size.checked_mul(2)?.checked_add(1)?];
    let (tag, rest) = point.split_at_mut(1);
    tag.copy_from_slice(&[4]);
    let (left, right) = rest.split_at_mut(size);
    pad(x, left)?;
    pad(y, right)?;
    let theirs = PublicKey::<C>::from_sec1_bytes(&point).ok()?;
    let ours = SecretKey::<C>::from_slice(ephemeral.get(..size)?).ok()?;
    let z = ours.diffie_hellman(&theirs);
    let public = ours.public_key().to_sec1_point(false);
    let (our_x, our_y) = (public.x()?, public.y()?);
    // KDFe takes x as numbers of the curve's size (part 1 §C.6.1): zeros are not left out.
    let their_x = point.get(1..)?.get(..size)?;
    let seed = hash.kdfe(z.raw_secret_bytes(), label, our_x, their_x, hash.size());
    Some(Shared { seed, sent: Writer::new().sized(our_x).sized(our_y).done() })
}

/// RSAES-OAEP (RFC 8017 §7.1.1) of a seed for an RSA-2048 key, whose exponent is 65537. `mask` is the random seed of the padding.
/// Nothing if the modulus is none.
pub(crate) fn by_rsa(modulus: &[u8], seed: &[u8], mask: &[u8], hash: Hash, label: &str) -> Option<Vec<u8>> {
    let modulus: &[u8; 256] = modulus.try_into().ok()?;
    let encoded = oaep(256, seed, mask.get(..hash.size())?, hash, label)?;
    let modulus = Odd::new(U2048::from_be_slice(modulus)).into_option()?;
    // A modulus of 2048 bits has its highest bit set, so the encoded message, which begins with a zero, is smaller.
    let message = U2048::from_be_slice(&encoded);
    (message < *modulus.as_ref()).then_some(())?;
    let parameters = FixedMontyParams::new_vartime(modulus);
    let power = FixedMontyForm::new(&message, &parameters).pow_vartime(&U64::from_u32(65537)).retrieve();
    Some(power.to_be_bytes().as_ref().to_vec())
}

/// The encoding of OAEP, of `size` bytes.
fn oaep(size: usize, message: &[u8], mask: &[u8], hash: Hash, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let label = hash.digest(&[label.as_bytes(), &[0]]);
    let room = size.checked_sub(hash.size())?.checked_sub(1)?;
    let zeros = room.checked_sub(hash.size())?.checked_sub(message.len())?.checked_sub(1)?;
    let mut block = Zeroizing::new([&label[..], &vec![0; zeros], &[1], message].concat());
    xor(&mut block, &hash.mgf1(mask, room));
    let mut seed = Zeroizing::new(mask.to_vec());
    xor(&mut seed, &hash.mgf1(&block, hash.size()));
    Some(Zeroizing::new([&[0], &seed[..], &block].concat()))
}

fn xor(bytes: &mut [u8], mask: &[u8]) {
    bytes.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
}
