//! A server's end of a boot: M11 to M13.

mod boot;
mod healthy;
mod shares;

pub(crate) use boot::on_boot;
pub(crate) use healthy::on_healthy;
