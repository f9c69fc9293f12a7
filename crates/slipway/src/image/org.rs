//! The org that images are built for.

use std::path::Path;

use anyhow::Result;
use slipway_trust::OrgFacts;

/// What an image is to trust. None where there is no org yet. Version and time are the image's own, and zero here.
pub(super) fn facts(_data: &Path) -> Result<Option<OrgFacts>> {
    Ok(None)
}
