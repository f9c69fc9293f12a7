//! The escrow of a disk key: a key slot of its own in each data partition, whose key is sealed to the org's escrow key. Persons open it, where
//! what the disk usually opens with is lost: the TPM with its mainboard, or the state that the TPM had sealed to.
//!
//! The escrow key is kept offline, whole or [split] into parts of which some are needed. It never comes near a machine: who has it
//! opens the slot's key and seals it anew, to the TPM of the machine that may open the disk ([`Opening`]).

mod opening;
pub mod split;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use minicbor::{CborLen, Decode, Encode};
use p256::elliptic_curve::sec1::ToSec1Point as _;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::id::{Digest, MachineId, OrgId};
use crate::key::{Kid, PublicKey};
use crate::keyfile::PrivateKey;

pub use opening::{NoOpening, Opening};

/// The key of an escrow slot, sealed to the org's escrow key.
#[derive(Clone, CborLen, Debug, Decode, Encode, Eq, PartialEq)]
pub struct Escrow {
    /// The escrow key that opens it.
    #[n(0)]
    pub to: Kid,
    /// The point of a key that was made for this one, compressed.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub ephemeral: [u8; 33],
    /// The slot's key, encrypted.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub sealed: [u8; 32],
    /// HMAC-SHA256 over the two before.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub tag: [u8; 32],
}

/// Why a sealed key is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unopened {
    /// It is sealed to another key.
    #[error("it is sealed to the escrow key {0}, and this is another one")]
    OtherKey(Kid),
    /// It was changed, or belongs to another machine or org.
    #[error("it is damaged, or it is another machine's")]
    Damaged,
}

impl Escrow {
    /// Seals a slot's key of this machine's volume to the org's escrow key. `entropy` is random, and used for nothing else. None: the escrow
    /// key is none that can be sealed to, or, once in 2^32 times, the random bytes are none that can be used: draw again.
    #[must_use]
    pub fn seal(to: &PublicKey, org: &OrgId, machine: &MachineId, key: &[u8; 32], entropy: &[u8; 32]) -> Option<Self> {
        let PublicKey::P256(point) = to else { return None };
        let ours = p256::SecretKey::from_slice(entropy).ok()?;
        let ephemeral: [u8; 33] = ours.public_key().to_sec1_point(true).as_bytes().try_into().ok()?;
        let keys = keys(&ours, point, (&ephemeral, point), org, machine)?;
        let mut sealed = *key;
        sealed.iter_mut().zip(keys.pad.iter()).for_each(|(byte, pad)| *byte ^= pad);
        let tag = keys.mac(&ephemeral, &sealed)?.finalize().into_bytes().into();
        Some(Self { to: to.kid(), ephemeral, sealed, tag })
    }

    /// Opens it.
    ///
    /// # Errors
    /// It is sealed to another key, was changed, or is another machine's.
    pub fn open(&self, key: &PrivateKey, org: &OrgId, machine: &MachineId) -> Result<Zeroizing<[u8; 32]>, Unopened> {
        let (PrivateKey::P256(ours), PublicKey::P256(point)) = (key, key.public()) else {
            return Err(Unopened::OtherKey(self.to));
        };
        if key.public().kid() != self.to {
            return Err(Unopened::OtherKey(self.to));
        }
        let ours = p256::SecretKey::from(ours.as_nonzero_scalar());
        let keys = keys(&ours, &self.ephemeral, (&self.ephemeral, &point), org, machine).ok_or(Unopened::Damaged)?;
        let mac = keys.mac(&self.ephemeral, &self.sealed).ok_or(Unopened::Damaged)?;
        mac.verify_slice(&self.tag).map_err(|_| Unopened::Damaged)?;
        let mut key = Zeroizing::new(self.sealed);
        key.iter_mut().zip(keys.pad.iter()).for_each(|(byte, pad)| *byte ^= pad);
        Ok(key)
    }

    /// What names it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&crate::encode(self))
    }
}

/// What one sealing is encrypted and proved with. Both are of one Diffie-Hellman secret, which serves once: to XOR is enough.
struct Keys {
    pad: Zeroizing<[u8; 32]>,
    mac: Zeroizing<[u8; 32]>,
}

impl Keys {
    fn mac(&self, ephemeral: &[u8; 33], sealed: &[u8; 32]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.mac.as_slice()).ok()?;
        mac.update(ephemeral);
        mac.update(sealed);
        Some(mac)
    }
}

/// HKDF-SHA256(ikm = x of the shared point, salt = both points, info = "slipway-escrow-v1" ‖ org ‖ machine), 64 bytes.
fn keys(
    ours: &p256::SecretKey,
    theirs: &[u8; 33],
    points: (&[u8; 33], &[u8; 33]),
    org: &OrgId,
    machine: &MachineId,
) -> Option<Keys> {
    let theirs = p256::PublicKey::from_sec1_bytes(theirs).ok()?;
    let shared = ours.diffie_hellman(&theirs);
    let salt = [points.0.as_slice(), points.1].concat();
    let info = [b"slipway-escrow-v1".as_slice(), &org.0, &machine.0].concat();
    let mut both = Zeroizing::new([0; 64]);
    Hkdf::<Sha256>::new(Some(&salt), shared.raw_secret_bytes()).expand(&info, both.as_mut_slice()).ok()?;
    let (pad, mac) = both.split_at(32);
    Some(Keys { pad: Zeroizing::new(pad.try_into().ok()?), mac: Zeroizing::new(mac.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyfile::Kind;

    const ORG: OrgId = OrgId([1; 16]);
    const MACHINE: MachineId = MachineId([2; 16]);

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_seed(Kind::Escrow, &[seed; 32]).unwrap()
    }

    fn sealed() -> Escrow {
        Escrow::seal(&key(3).public(), &ORG, &MACHINE, &[7; 32], &[9; 32]).unwrap()
    }

    #[test]
    fn the_escrow_key_opens_what_was_sealed_to_it_and_no_other_does() {
        assert_eq!(*sealed().open(&key(3), &ORG, &MACHINE).unwrap(), [7; 32]);
        let kid = key(3).public().kid();
        assert_eq!(sealed().open(&key(4), &ORG, &MACHINE).unwrap_err(), Unopened::OtherKey(kid));
        let admin = PrivateKey::from_seed(Kind::Admin, &[3; 32]).unwrap();
        assert_eq!(sealed().open(&admin, &ORG, &MACHINE).unwrap_err(), Unopened::OtherKey(kid));
        assert_ne!(sealed().sealed, [7; 32]);
        assert_eq!(Escrow::seal(&admin.public(), &ORG, &MACHINE, &[7; 32], &[9; 32]), None);
        assert_eq!(Escrow::seal(&key(3).public(), &ORG, &MACHINE, &[7; 32], &[0; 32]), None, "no number of the curve");
    }

    #[test]
    fn what_was_changed_or_is_another_machines_is_not_opened() {
        assert_eq!(sealed().open(&key(3), &OrgId([9; 16]), &MACHINE).unwrap_err(), Unopened::Damaged);
        assert_eq!(sealed().open(&key(3), &ORG, &MachineId([9; 16])).unwrap_err(), Unopened::Damaged);
        for at in 0..32 {
            for field in 0..3 {
                let mut changed = sealed();
                match field {
                    0 => changed.ephemeral[at] ^= 1,
                    1 => changed.sealed[at] ^= 1,
                    _ => changed.tag[at] ^= 1,
                }
                assert_eq!(changed.open(&key(3), &ORG, &MACHINE).unwrap_err(), Unopened::Damaged, "{field} {at}");
            }
        }
    }
}
