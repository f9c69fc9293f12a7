//! Randomness, from the kernel.

use rustix::rand::{GetRandomFlags, getrandom};
use uuid::Uuid;

/// Random bytes. Waits until the kernel has enough to go by.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let got = getrandom(rest, GetRandomFlags::empty()).map_err(|error| format!("no randomness: {error}"))?;
        done = done.saturating_add(got);
    }
    Ok(bytes)
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<Uuid, String> {
    Ok(uuid::Builder::from_random_bytes(bytes()?).into_uuid())
}
