//! What is remembered of machines, durable.
//!
//! A database of its own beside the leases': it is written by another thread and at other times, and whoever moves a damaged one away
//! loses intents and no lease, or the other way round. One row for each machine, by MAC address.

mod codec;

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};
use slipway_engine::machine::{Memory, Secret};
use slipway_wire::MacAddr;

/// What passes are made from.
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
/// Its place there.
const PASSES: &str = "passes";

/// MAC address to memory.
const MACHINES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("machines");

/// Why the machines' database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MachinesError {
    /// Another process has it open.
    #[error("the machines' database {} is in use by another process: stop that one, or give this one a data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Its content cannot be trusted.
    #[error(
        "the machines' database {} is damaged ({detail}): restore it from a backup, or move it away and start again; what machines were told to boot (`slipway machine boot`) is to be said again then",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Reading or writing failed.
    #[error("the machines' database {} cannot be {action}: check free space and permissions of its folder", path.display())]
    Unavailable {
        /// The database file.
        path: PathBuf,
        /// What was tried: `opened`, `read`, `written`.
        action: &'static str,
        /// The database's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The database: one file, opened by one process at a time. A commit that returned is on disk.
#[derive(Debug)]
pub struct Machines {
    db: Database,
    path: PathBuf,
}

impl Machines {
    /// File name in the data folder.
    pub const FILE: &str = "machines.redb";

    /// Opens the database in this data folder, made where it is missing.
    ///
    /// # Errors
    /// Any of [`MachinesError`].
    pub fn open(data: &Path) -> Result<Self, MachinesError> {
        let path = data.join(Self::FILE);
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| MachinesError::Unavailable {
            path: path.clone(),
            action: "opened",
            source,
        };
        std::fs::create_dir_all(data).map_err(|error| unavailable(error.into()))?;
        let corrupt = |detail: String| MachinesError::Corrupt { path: path.clone(), detail };
        // For the server's user and group only. What is wrong with the place, the database will say.
        let _ = OpenOptions::new().create(true).append(true).mode(0o640).open(&path);
        let db = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => MachinesError::InUse { path: path.clone() },
            DatabaseError::RepairAborted | DatabaseError::UpgradeRequired(_) => corrupt(error.to_string()),
            DatabaseError::Storage(StorageError::Corrupted(detail)) => corrupt(detail),
            // redb's word for a file that is none of its own.
            DatabaseError::Storage(StorageError::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => {
                corrupt("not a database of machines".to_owned())
            }
            error => unavailable(error.into()),
        })?;
        Ok(Self { db, path })
    }

    /// Every machine's memory, as of the last commit that returned `Ok`.
    ///
    /// # Errors
    /// [`MachinesError::Corrupt`] and [`MachinesError::Unavailable`].
    pub fn restore(&self) -> Result<Vec<(MacAddr, Memory)>, MachinesError> {
        let transaction = self.db.begin_read().map_err(|error| self.fail("read", error))?;
        let table = match transaction.open_table(MACHINES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(self.fail("read", error)),
        };
        let rows = table.iter().map_err(|error| self.fail("read", error))?;
        rows.map(|row| {
            let (key, value) = row.map_err(|error| self.fail("read", error))?;
            let mac = key.value().try_into().map(MacAddr).map_err(|_| self.corrupt("a key that is no MAC address"))?;
            let memory = codec::decode(value.value()).map_err(|what| self.corrupt(&format!("{what}, for {mac}")))?;
            Ok((mac, memory))
        })
        .collect()
    }

    /// What passes are made from: made at random the first time, the same ever after.
    ///
    /// # Errors
    /// [`MachinesError::Corrupt`] and [`MachinesError::Unavailable`].
    pub fn secret(&mut self) -> Result<Secret, MachinesError> {
        if let Some(known) = self.known_secret().map_err(|error| self.fail("read", error))? {
            return known.try_into().map(Secret).map_err(|_| self.corrupt("a secret of wrong length"));
        }
        let mut random = [0; 32];
        let source = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
        source.map_err(|error| self.fail("written", redb::Error::Io(error)))?;
        self.keep_secret(&random).map_err(|error| self.fail("written", error))?;
        Ok(Secret(random))
    }

    fn known_secret(&self) -> Result<Option<Vec<u8>>, redb::Error> {
        let transaction = self.db.begin_read()?;
        let table = match transaction.open_table(SECRETS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            table => table?,
        };
        Ok(table.get(PASSES)?.map(|row| row.value().to_vec()))
    }

    fn keep_secret(&self, secret: &[u8]) -> Result<(), redb::Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        transaction.open_table(SECRETS)?.insert(PASSES, secret)?;
        Ok(transaction.commit()?)
    }

    /// Makes these memories durable, all or none; one that says nothing is taken out.
    ///
    /// # Errors
    /// [`MachinesError::Unavailable`]: none of them may be relied on.
    pub fn commit(&mut self, memories: &[(MacAddr, Memory)]) -> Result<(), MachinesError> {
        self.try_commit(memories).map_err(|error| self.fail("written", error))
    }

    fn try_commit(&self, memories: &[(MacAddr, Memory)]) -> Result<(), redb::Error> {
        let mut transaction = self.db.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(MACHINES)?;
            for (mac, memory) in memories {
                if memory.is_nothing() {
                    table.remove(mac.0.as_slice())?;
                } else {
                    table.insert(mac.0.as_slice(), codec::encode(memory).as_slice())?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    fn corrupt(&self, detail: &str) -> MachinesError {
        MachinesError::Corrupt { path: self.path.clone(), detail: detail.to_owned() }
    }

    fn fail(&self, action: &'static str, error: impl Into<redb::Error>) -> MachinesError {
        match error.into() {
            redb::Error::Corrupted(detail) => self.corrupt(&detail),
            error => MachinesError::Unavailable { path: self.path.clone(), action, source: error.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Timestamp;
    use slipway_engine::machine::{Aim, Change};

    fn wanting(once: bool) -> Memory {
        Memory::NOTHING.after(Change::Boot { aim: Aim::Local, once }, Timestamp(7))
    }

    fn mac(n: u8) -> MacAddr {
        MacAddr([2, 0, 0, 0, 0, n])
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart_and_what_says_nothing_is_gone() {
        let data = tempfile::tempdir().unwrap();
        let mut store = Machines::open(data.path()).unwrap();
        assert_eq!(store.restore().unwrap(), []);
        let secret = store.secret().unwrap();
        assert_eq!(store.secret().unwrap(), secret);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join(Machines::FILE)).unwrap());
        assert_eq!(mode & 0o007, 0, "not for everybody to read");
        store.commit(&[(mac(1), wanting(true)), (mac(2), wanting(true)), (mac(1), wanting(false))]).unwrap();
        store.commit(&[(mac(2), Memory::NOTHING)]).unwrap();
        assert!(matches!(Machines::open(data.path()), Err(MachinesError::InUse { .. })));
        drop(store);
        let mut store = Machines::open(data.path()).unwrap();
        assert_eq!(store.restore().unwrap(), [(mac(1), wanting(false))]);
        assert_eq!(store.secret().unwrap(), secret);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Machines::open(other.path()).unwrap().secret().unwrap(), secret);
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_a_remedy_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(Machines::FILE);
        std::fs::write(&path, b"not a database at all").unwrap();
        let error = Machines::open(data.path()).unwrap_err();
        assert!(matches!(error, MachinesError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("machines.redb is damaged") && error.to_string().contains("move it away"));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a database at all");
    }
}
