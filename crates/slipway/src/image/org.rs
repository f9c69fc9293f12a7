//! The org that images are built for.

use std::path::Path;

use anyhow::Result;

use crate::org::place::Org;

/// The org that this data folder's server belongs to. None where there is none yet.
///
/// # Errors
/// There is one, and it cannot be read or believed.
pub(super) fn find(data: &Path) -> Result<Option<Org>> {
    if !data.join(slipway_trust::keyfile::place::FOLDER).join(slipway_trust::keyfile::place::MANIFEST).exists() {
        return Ok(None);
    }
    Org::open(data).map(Some)
}
