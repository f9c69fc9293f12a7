//! A server's end of enrolment and of recovery: M1 to M10. One struct per state, consumed by its message.

mod evidence;
mod grant;
mod hello;
mod policy;
mod poll;
mod proven;
mod recovery;
mod ticket;
mod tpm;

pub use evidence::Activating;
pub use hello::Challenged;

pub(crate) use hello::on_hello;
pub(crate) use poll::{on_installed, on_poll};
pub(crate) use tpm::check_boot;
