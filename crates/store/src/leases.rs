//! Leases, durable before they are acknowledged.
//!
//! One record per address in an embedded database; a commit takes any number of them in one transaction and one flush to disk, so
//! that a storm of a thousand clients costs a handful of flushes ([`LeaseStore::commit`] is what the group commit calls).

mod codec;
mod codec6;
mod embedded;
mod memory;

use std::path::PathBuf;

use slipway_engine::dhcp4::Record;
use slipway_engine::dhcp6;
use slipway_wire::dhcp6::Duid;

pub use embedded::Embedded;
pub use memory::Memory;

/// Where lease records outlive the process.
pub trait LeaseStore: Send {
    /// Every record, as of the last commit that returned `Ok`.
    ///
    /// # Errors
    /// [`LeaseError::Corrupt`] and [`LeaseError::Unavailable`].
    fn restore(&self) -> Result<Vec<Record>, LeaseError>;

    /// Makes these records durable, all or none, in their order: of two for one address the later one stands.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`]: none of them may be relied on.
    fn commit(&mut self, records: &[Record]) -> Result<(), LeaseError>;

    /// Every IPv6 record, as of the last commit that returned `Ok`.
    ///
    /// # Errors
    /// [`LeaseError::Corrupt`] and [`LeaseError::Unavailable`].
    fn restore6(&self) -> Result<Vec<dhcp6::Record>, LeaseError>;

    /// Makes these changes of IPv6 addresses durable, all or none, in their order.
    ///
    /// # Errors
    /// [`LeaseError::Unavailable`]: none of them may be relied on.
    fn commit6(&mut self, writes: &[dhcp6::Write]) -> Result<(), LeaseError>;

    /// Our own DUID: made at random the first time, the same ever after (RFC 8415 §11).
    ///
    /// # Errors
    /// [`LeaseError::Corrupt`] and [`LeaseError::Unavailable`].
    fn server_id(&mut self) -> Result<Duid, LeaseError>;
}

/// Why the lease database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process has it open.
    #[error("the lease database {} is in use by another process: stop that one, or give this one a data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Its content cannot be trusted.
    #[error(
        "the lease database {} is damaged ({detail}): restore it from a backup, or move it away and start again; clients then keep their addresses by asking for them",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("the lease database {} cannot be {action}: check free space and permissions of its folder", path.display())]
    Unavailable {
        /// The database file.
        path: PathBuf,
        /// What was tried: `opened`, `read`, `written`.
        action: &'static str,
        /// The database's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
