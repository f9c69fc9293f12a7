//! What the journal's entries teach about a machine.

use super::Memory;
use crate::journal::Entry;

/// What is known of a machine's boot under way: as long as the process lives, and no longer.
#[derive(Clone, Debug, Default)]
pub struct Course {}

/// Whether an entry can teach anything: most cannot, and are not even looked at. `known` is whether anything is remembered of its machine.
#[must_use]
pub const fn matters(entry: &Entry, known: bool) -> bool {
    entry.mac.is_some() && known
}

/// What is known after an entry about this machine, where that is something else than before.
#[must_use]
pub fn learn(memory: &Memory, _course: &mut Course, entry: &Entry) -> Option<Memory> {
    // A memory that an operator made before the machine was heard of learns by this whose it is.
    match (memory.uuid, entry.uuid) {
        (None, Some(uuid)) if !memory.is_nothing() => {
            Some(Memory { uuid: Some(uuid), changed: entry.at, ..memory.clone() })
        }
        _ => None,
    }
}
