//! The journal: one entry per packet's outcome, to the log and to each machine's journey.

use std::sync::Arc;

use slipway_engine::journal::Entry;

/// A handle on the journal; cheap to clone, never blocks a packet.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<()>);

impl Journal {
    /// Notes one outcome.
    pub fn note(&self, entry: Entry) {
        tracing::info!(proto = entry.proto.name(), asked = entry.asked, outcome = %entry.outcome);
    }
}
