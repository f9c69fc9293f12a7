//! Secure Boot in virtual machines: UEFI firmware's variable store with keys enrolled in it.
//!
//! The store is what edk2 keeps in flash (its `VariableFormat.h`): a firmware volume, in it a store header, behind that the variables,
//! each with a header of 60 bytes, aligned to 4.

use anyhow::{Context as _, Result, bail};

/// Whose keys a machine's firmware trusts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keys {
    /// Microsoft's, as most machines have them from the factory.
    Microsoft,
    /// An owner's.
    Own(Enrolled),
}

/// The content of the three variables, each an EFI signature list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enrolled {
    /// The platform key: its presence switches Secure Boot on.
    pub pk: Vec<u8>,
    /// Who may change `db`.
    pub kek: Vec<u8>,
    /// Whose programs are started.
    pub db: Vec<u8>,
}

/// `EFI_GLOBAL_VARIABLE`, 8be4df61-93ca-11d2-aa0d-00e098032b8c, as it stands in memory.
const GLOBAL: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];
/// `EFI_IMAGE_SECURITY_DATABASE`, d719b2cb-3d3a-4596-a3bc-dad00e67656f.
const DATABASE: [u8; 16] =
    [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
/// `EFI_AUTHENTICATED_VARIABLE`, aaf32c78-947b-439a-a180-2e144ec37792: the store's format.
const AUTHENTICATED: [u8; 16] =
    [0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92];

/// Where the firmware volume's header says how long it is.
const HEADER_LENGTH: usize = 48;
/// Length of the store's own header: format, size, two bytes of state, reserved.
const STORE_HEADER: usize = 28;
/// Non-volatile, for boot services and at run time, written with a time-based signature.
const ATTRIBUTES: u32 = 0x27;
/// A variable that was written whole.
const ADDED: u8 = 0x3f;

/// Puts keys into an empty variable store, as if they had been enrolled in the firmware's setup.
///
/// # Errors
/// It is not such a store, not empty, or too small.
pub(crate) fn enrol(store: &mut [u8], keys: &Enrolled) -> Result<()> {
    let header = store.get(HEADER_LENGTH..HEADER_LENGTH + 2).context("the variable store is cut short")?;
    let start = header.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let format = store.get(start..start.saturating_add(16));
    if format != Some(AUTHENTICATED.as_slice()) {
        bail!("the variable store is of another format than edk2's authenticated one");
    }
    let mut variables = Vec::new();
    for (name, vendor, data) in [("PK", GLOBAL, &keys.pk), ("KEK", GLOBAL, &keys.kek), ("db", DATABASE, &keys.db)] {
        append(&mut variables, name, vendor, data)?;
    }
    let at = start.saturating_add(STORE_HEADER);
    let place = store.get_mut(at..at.saturating_add(variables.len())).context("the variable store is too small")?;
    if place.iter().any(|byte| *byte != 0xff) {
        bail!("the variable store is not empty");
    }
    place.copy_from_slice(&variables);
    Ok(())
}

fn append(out: &mut Vec<u8>, name: &str, vendor: [u8; 16], data: &[u8]) -> Result<()> {
    let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
    out.extend(0x55aa_u16.to_le_bytes());
    out.extend([ADDED, 0]);
    out.extend(ATTRIBUTES.to_le_bytes());
    // No monotonic count; the time of the signature is that of 2020-01-01, so that a later update is newer; no public key's index.
    out.extend(0_u64.to_le_bytes());
    out.extend(2020_u16.to_le_bytes());
    out.extend([1, 1, 0, 0, 0, 0]);
    out.extend([0; 8]);
    out.extend(0_u32.to_le_bytes());
    out.extend(u32::try_from(name.len())?.to_le_bytes());
    out.extend(u32::try_from(data.len())?.to_le_bytes());
    out.extend(vendor);
    out.extend(name);
    out.extend(data);
    out.resize(out.len().next_multiple_of(4), 0xff);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Vec<u8> {
        let mut store = vec![0xff; 4096];
        store[48..50].copy_from_slice(&72_u16.to_le_bytes());
        store[72..88].copy_from_slice(&AUTHENTICATED);
        store
    }

    fn keys() -> Enrolled {
        Enrolled { pk: vec![1; 5], kek: vec![2; 8], db: vec![3; 8] }
    }

    #[test]
    fn three_variables_stand_one_behind_the_other_each_aligned() {
        let mut store = empty();
        enrol(&mut store, &keys()).unwrap();
        // 60 bytes of header, the name with its NUL, the data, and up to the next multiple of 4.
        let starts = [100, 100 + 60 + 6 + 5 + 1, 100 + 72 + 60 + 8 + 8];
        for (at, name) in starts.into_iter().zip(["P\0K\0\0\0", "K\0E\0K\0\0\0", "d\0b\0\0\0"]) {
            assert_eq!(&store[at..at + 3], [0xaa, 0x55, 0x3f], "at {at}");
            assert_eq!(&store[at + 60..at + 60 + name.len()], name.as_bytes());
        }
        assert!(store[starts[2] + 60 + 6 + 8 + 2..].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn what_is_no_empty_store_is_left_alone() {
        assert!(enrol(&mut [0xff; 10], &keys()).is_err());
        assert!(enrol(&mut [0; 4096], &keys()).unwrap_err().to_string().contains("another format"));
        let mut full = empty();
        full[150] = 7;
        assert!(enrol(&mut full, &keys()).unwrap_err().to_string().contains("not empty"));
        let big = Enrolled { db: vec![3; 5000], ..keys() };
        assert!(enrol(&mut empty(), &big).unwrap_err().to_string().contains("too small"));
    }
}
