//! The disk key: half of it is sealed in the machine, half of it comes from the org. Either alone opens nothing.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::id::{MachineId, OrgId};
use crate::record::Share;

/// The key of one epoch: HKDF-SHA256(ikm = machine's secret ‖ org's share, salt = org ‖ machine, info = "slipway-disk-v1" ‖ epoch).
#[must_use]
pub fn derive(org: &OrgId, machine: &MachineId, own_secret: &[u8; 32], share: &Share) -> Zeroizing<[u8; 32]> {
    let mut ikm = Zeroizing::new([0; 64]);
    let (first, second) = ikm.split_at_mut(32);
    first.copy_from_slice(own_secret);
    second.copy_from_slice(&share.secret);
    let salt = [org.0, machine.0].concat();
    let info = [b"slipway-disk-v1".as_slice(), &share.epoch.to_be_bytes()].concat();
    let mut key = Zeroizing::new([0; 32]);
    // 32 bytes are within HKDF's limit, so this cannot fail.
    let _ = Hkdf::<Sha256>::new(Some(&salt), ikm.as_slice()).expand(&info, key.as_mut_slice());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts() {
        let key = |org, machine, own: u8, epoch, share| {
            let share = Share { epoch, secret: [share; 32] };
            *derive(&OrgId([org; 16]), &MachineId([machine; 16]), &[own; 32], &share)
        };
        let keys = [
            key(1, 1, 1, 1, 1),
            key(2, 1, 1, 1, 1),
            key(1, 2, 1, 1, 1),
            key(1, 1, 2, 1, 1),
            key(1, 1, 1, 2, 1),
            key(1, 1, 1, 1, 2),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert_eq!(key(1, 1, 1, 1, 1), key(1, 1, 1, 1, 1));
    }
}
