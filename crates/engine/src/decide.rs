//! The decision: one function for every protocol.

use crate::Why;
use crate::answer::{Answer, ServerAddr};
use crate::catalog::Catalog;
use crate::request::BootRequest;
use crate::rules::Rules;

/// Decides what one machine is given next. Pure: the same request, catalog and rules give the same answer.
///
/// # Errors
/// The reason why there is no answer, from the closed set.
pub fn decide(_request: &BootRequest, _rules: &Rules, _catalog: &Catalog, _server: ServerAddr) -> Result<Answer, Why> {
    Err(Why::NoRule)
}
