//! What the org knows, durable: machines, tickets, invites, windows, and the audit log.
//!
//! A database of its own: it holds the org's shares of disk keys, so that only the server's user may read it, and it is what a backup of the org
//! must have. What a row means is `slipway-trust`'s business; here it is bytes. The audit log only grows, and without a gap: whoever asks for
//! anything else is told so and nothing is written.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata as _, StorageError,
    TableDefinition, TableError, WriteTransaction,
};

/// Table and key to value.
const ROWS: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("rows");
/// Number to entry.
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");

/// Why the org's database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OrgError {
    /// Another process has it open.
    #[error("the org's database {} is in use by another process: stop that one, or give this one a data folder of its own", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Its content cannot be trusted.
    #[error(
        "the org's database {} is damaged ({detail}): restore it from a backup; without one, every machine must enrol anew",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// An audit entry that is not the next one. Nothing was written.
    #[error("audit entry {number} does not follow entry {last}")]
    OutOfPlace {
        /// The entry's number.
        number: u64,
        /// The last entry's that is there.
        last: u64,
    },
    /// Reading or writing failed.
    #[error("the org's database {} cannot be {action}: check free space and permissions of its folder", path.display())]
    Unavailable {
        /// The database file.
        path: PathBuf,
        /// What was tried: `opened`, `read`, `written`.
        action: &'static str,
        /// The database's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// One change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Write {
    /// A row is made, or made anew.
    Put(Row),
    /// A row is taken out, if it is there.
    Drop {
        /// Its table.
        table: String,
        /// Its key.
        key: Vec<u8>,
    },
    /// The audit log's next entry.
    Append {
        /// Its place, from 1.
        number: u64,
        /// The entry.
        entry: Vec<u8>,
    },
}

/// A row.
#[derive(Clone, Eq, PartialEq)]
pub struct Row {
    /// Its table.
    pub table: String,
    /// Its key in the table.
    pub key: Vec<u8>,
    /// Its value, which may be secret.
    pub value: Vec<u8>,
}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Row({}/{:02x?}, {} bytes)", self.table, self.key, self.value.len())
    }
}

/// The database: one file, opened by one process at a time. A commit that returned is on disk.
#[derive(Debug)]
pub struct Org {
    db: Database,
    path: PathBuf,
}

impl Org {
    /// File name in the data folder.
    pub const FILE: &str = "org.redb";

    /// Opens the database in this data folder, made where it is missing.
    ///
    /// # Errors
    /// Any of [`OrgError`].
    pub fn open(data: &Path) -> Result<Self, OrgError> {
        let path = data.join(Self::FILE);
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| OrgError::Unavailable {
            path: path.clone(),
            action: "opened",
            source,
        };
        std::fs::create_dir_all(data).map_err(|error| unavailable(error.into()))?;
        let corrupt = |detail: String| OrgError::Corrupt { path: path.clone(), detail };
        // Shares of disk keys are in it. What is wrong with the place, the database will say.
        let _ = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let db = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => OrgError::InUse { path: path.clone() },
            DatabaseError::RepairAborted | DatabaseError::UpgradeRequired(_) => corrupt(error.to_string()),
            DatabaseError::Storage(StorageError::Corrupted(detail)) => corrupt(detail),
            // redb's word for a file that is none of its own.
            DatabaseError::Storage(StorageError::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => {
                corrupt("not an org's database".to_owned())
            }
            error => unavailable(error.into()),
        })?;
        Ok(Self { db, path })
    }

    /// Every row, as of the last commit that returned `Ok`, by table and key.
    ///
    /// # Errors
    /// [`OrgError::Corrupt`] and [`OrgError::Unavailable`].
    pub fn rows(&self) -> Result<Vec<Row>, OrgError> {
        self.read(|transaction| {
            let table = match transaction.open_table(ROWS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut rows = Vec::new();
            for row in table.iter()? {
                let (at, value) = row?;
                let (table, key) = at.value();
                rows.push(Row { table: table.to_owned(), key: key.to_vec(), value: value.value().to_vec() });
            }
            Ok(rows)
        })
    }

    /// Entries of the audit log from this number on, at most so many; the first has number 1.
    ///
    /// # Errors
    /// [`OrgError::Corrupt`] and [`OrgError::Unavailable`].
    pub fn audit(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>, OrgError> {
        self.read(|transaction| {
            let table = match transaction.open_table(AUDIT) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            table.range(from..)?.take(most).map(|row| Ok(row?.1.value().to_vec())).collect()
        })
    }

    /// Makes these changes durable in their order, all or none.
    ///
    /// # Errors
    /// [`OrgError::OutOfPlace`], and [`OrgError::Unavailable`]: none of them may be relied on.
    pub fn commit(&self, writes: &[Write]) -> Result<(), OrgError> {
        let failed = |error: redb::Error| self.fail("written", error);
        let mut transaction = self.db.begin_write().map_err(|error| failed(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| failed(error.into()))?;
        let broken = write(&transaction, writes).map_err(failed)?;
        if let Some((number, last)) = broken {
            transaction.abort().map_err(|error| failed(error.into()))?;
            return Err(OrgError::OutOfPlace { number, last });
        }
        transaction.commit().map_err(|error| failed(error.into()))
    }

    fn read<T>(&self, work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, OrgError> {
        let transaction = self.db.begin_read().map_err(|error| self.fail("read", error))?;
        work(&transaction).map_err(|error| self.fail("read", error))
    }

    fn fail(&self, action: &'static str, error: impl Into<redb::Error>) -> OrgError {
        match error.into() {
            redb::Error::Corrupted(detail) => OrgError::Corrupt { path: self.path.clone(), detail },
            error => OrgError::Unavailable { path: self.path.clone(), action, source: error.into() },
        }
    }
}

/// Writes; tells the number and the last one before it of an audit entry that is out of place.
fn write(transaction: &WriteTransaction, writes: &[Write]) -> Result<Option<(u64, u64)>, redb::Error> {
    let mut rows = transaction.open_table(ROWS)?;
    let mut audit = transaction.open_table(AUDIT)?;
    let mut last = if audit.is_empty()? { 0 } else { audit.last()?.map_or(0, |(number, _)| number.value()) };
    for one in writes {
        match one {
            Write::Put(Row { table, key, value }) => {
                rows.insert((table.as_str(), key.as_slice()), value.as_slice())?;
            }
            Write::Drop { table, key } => {
                rows.remove((table.as_str(), key.as_slice()))?;
            }
            Write::Append { number, .. } if *number != last.saturating_add(1) => return Ok(Some((*number, last))),
            Write::Append { number, entry } => {
                audit.insert(number, entry.as_slice())?;
                last = *number;
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(table: &str, key: u8, value: &str) -> Write {
        Write::Put(Row { table: table.to_owned(), key: vec![key], value: value.into() })
    }

    fn entry(number: u64) -> Write {
        Write::Append { number, entry: vec![u8::try_from(number).unwrap()] }
    }

    fn read(org: &Org) -> Vec<(String, u8, String)> {
        let text = |row: Row| (row.table, row.key[0], String::from_utf8(row.value).unwrap());
        org.rows().unwrap().into_iter().map(text).collect()
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart_and_is_nobody_elses() {
        let data = tempfile::tempdir().unwrap();
        let org = Org::open(data.path()).unwrap();
        assert_eq!((read(&org), org.audit(1, 9).unwrap()), (vec![], vec![]));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join(Org::FILE)).unwrap());
        assert_eq!(mode & 0o077, 0, "shares are in it");
        org.commit(&[put("machine", 1, "a"), put("ticket", 1, "t"), put("machine", 2, "b"), entry(1)]).unwrap();
        let drop_one = Write::Drop { table: "machine".to_owned(), key: vec![1] };
        org.commit(&[put("machine", 2, "c"), drop_one, entry(2), entry(3)]).unwrap();
        assert!(matches!(Org::open(data.path()), Err(OrgError::InUse { .. })));
        drop(org);
        let org = Org::open(data.path()).unwrap();
        assert_eq!(read(&org), [("machine".to_owned(), 2, "c".to_owned()), ("ticket".to_owned(), 1, "t".to_owned())]);
        assert_eq!(org.audit(2, 9).unwrap(), [[2], [3]]);
        assert_eq!(org.audit(1, 1).unwrap(), [[1]]);
    }

    #[test]
    fn the_audit_log_takes_the_next_entry_only_and_a_refused_batch_changes_nothing() {
        let data = tempfile::tempdir().unwrap();
        let org = Org::open(data.path()).unwrap();
        org.commit(&[entry(1), entry(2)]).unwrap();
        for (batch, number, last) in
            [(vec![entry(2)], 2, 2), (vec![entry(4)], 4, 2), (vec![entry(3), put("machine", 1, "a"), entry(3)], 3, 3)]
        {
            match org.commit(&batch) {
                Err(OrgError::OutOfPlace { number: n, last: l }) => assert_eq!((n, l), (number, last)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((read(&org), org.audit(1, 9).unwrap().len()), (vec![], 2));
    }

    #[test]
    fn a_secret_value_is_not_printed() {
        let row = Row { table: "machine".to_owned(), key: vec![1], value: b"secret".to_vec() };
        assert_eq!(format!("{row:?}"), "Row(machine/[01], 6 bytes)");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_a_remedy_and_left_alone() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(Org::FILE);
        std::fs::write(&path, b"not a database at all").unwrap();
        let error = Org::open(data.path()).unwrap_err();
        assert!(matches!(error, OrgError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("org.redb is damaged") && error.to_string().contains("backup"));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a database at all");
    }
}
