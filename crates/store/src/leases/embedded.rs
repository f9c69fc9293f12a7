//! The lease database on disk.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};
use slipway_engine::dhcp4::Record;
use slipway_engine::dhcp6;
use slipway_wire::dhcp6::Duid;

use super::codec::{decode, encode};
use super::{LeaseError, LeaseStore, codec6};

/// Address (as a number) to record.
const LEASES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("leases4");
/// The same for IPv6.
const LEASES6: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("leases6");
/// What we are known by.
const IDENTITY: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("identity");
/// Our DUID's place in it.
const DUID: &str = "duid";

/// The lease database: one file, opened by one process at a time. A commit that returned is on disk.
#[derive(Debug)]
pub struct Embedded {
    db: Database,
    path: PathBuf,
}

impl Embedded {
    /// File name in the data folder.
    pub const FILE: &str = "leases.redb";

    /// Opens the database in this data folder, made where it is missing.
    ///
    /// # Errors
    /// Any of [`LeaseError`].
    pub fn open(data: &Path) -> Result<Self, LeaseError> {
        let path = data.join(Self::FILE);
        let unavailable = |source: Box<dyn std::error::Error + Send + Sync>| LeaseError::Unavailable {
            path: path.clone(),
            action: "opened",
            source,
        };
        std::fs::create_dir_all(data).map_err(|error| unavailable(error.into()))?;
        let corrupt = |detail: String| LeaseError::Corrupt { path: path.clone(), detail };
        // Who has which address is for the server's user and group. What is wrong with the place, the database will say.
        let _ = OpenOptions::new().create(true).append(true).mode(0o640).open(&path);
        let db = Database::create(&path).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LeaseError::InUse { path: path.clone() },
            DatabaseError::RepairAborted | DatabaseError::UpgradeRequired(_) => corrupt(error.to_string()),
            DatabaseError::Storage(StorageError::Corrupted(detail)) => corrupt(detail),
            // redb's word for a file that is none of its own.
            DatabaseError::Storage(StorageError::Io(io)) if io.kind() == std::io::ErrorKind::InvalidData => {
                corrupt("not a lease database".to_owned())
            }
            error => unavailable(error.into()),
        })?;
        Ok(Self { db, path })
    }

    /// One transaction, flushed to disk when this returns: the promise that an ACK makes.
    fn transact(
        &self,
        work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), LeaseError> {
        let write = |error: redb::Error| self.fail("written", error);
        let mut transaction = self.db.begin_write().map_err(|error| write(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| write(error.into()))?;
        work(&transaction).map_err(write)?;
        transaction.commit().map_err(|error| write(error.into()))
    }

    /// Every row of a table; none where there is no such table yet.
    fn rows<K: redb::Key + 'static, T>(
        &self,
        table: TableDefinition<'_, K, &'static [u8]>,
        read: impl Fn(K::SelfType<'_>, &[u8]) -> Result<T, String>,
    ) -> Result<Vec<T>, LeaseError> {
        let transaction = self.db.begin_read().map_err(|error| self.fail("read", error))?;
        let table = match transaction.open_table(table) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            Err(error) => return Err(self.fail("read", error)),
        };
        let rows = table.iter().map_err(|error| self.fail("read", error))?;
        rows.map(|row| {
            let (key, bytes) = row.map_err(|error| self.fail("read", error))?;
            read(key.value(), bytes.value()).map_err(|detail| LeaseError::Corrupt { path: self.path.clone(), detail })
        })
        .collect()
    }

    fn fail(&self, action: &'static str, error: impl Into<redb::Error>) -> LeaseError {
        match error.into() {
            redb::Error::Corrupted(detail) => LeaseError::Corrupt { path: self.path.clone(), detail },
            error => LeaseError::Unavailable { path: self.path.clone(), action, source: error.into() },
        }
    }
}

impl LeaseStore for Embedded {
    fn restore(&self) -> Result<Vec<Record>, LeaseError> {
        self.rows(LEASES, |ip, bytes| {
            let ip = Ipv4Addr::from_bits(ip);
            decode(ip, bytes).map_err(|what| format!("{what}, for {ip}"))
        })
    }

    fn commit(&mut self, records: &[Record]) -> Result<(), LeaseError> {
        self.transact(|transaction| {
            let mut table = transaction.open_table(LEASES)?;
            for record in records {
                table.insert(record.ip.to_bits(), encode(record).as_slice())?;
            }
            Ok(())
        })
    }

    fn restore6(&self) -> Result<Vec<dhcp6::Record>, LeaseError> {
        self.rows(LEASES6, |ip, bytes| {
            let ip = Ipv6Addr::from_bits(ip);
            codec6::decode(ip, bytes).map_err(|what| format!("{what}, for {ip}"))
        })
    }

    fn commit6(&mut self, writes: &[dhcp6::Write]) -> Result<(), LeaseError> {
        self.transact(|transaction| {
            let mut table = transaction.open_table(LEASES6)?;
            for write in writes {
                match write {
                    dhcp6::Write::Put(record) => {
                        table.insert(record.ip.to_bits(), codec6::encode(record).as_slice())?;
                    }
                    dhcp6::Write::Drop(ip) => {
                        table.remove(ip.to_bits())?;
                    }
                }
            }
            Ok(())
        })
    }

    fn server_id(&mut self) -> Result<Duid, LeaseError> {
        let read = |_: &str, bytes: &[u8]| Duid::new(bytes).ok_or_else(|| "no DUID, for the server".to_owned());
        if let Some(duid) = self.rows(IDENTITY, read)?.pop() {
            return Ok(duid);
        }
        let mut random = [0; 16];
        let source = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random));
        source.map_err(|error| self.fail("written", redb::Error::Io(error)))?;
        let duid = Duid::of_uuid(random);
        self.transact(|transaction| {
            transaction.open_table(IDENTITY)?.insert(DUID, duid.as_bytes())?;
            Ok(())
        })?;
        Ok(duid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_engine::Timestamp;
    use slipway_engine::dhcp4::{ClientKey, Holder};
    use slipway_wire::MacAddr;
    use tempfile::tempdir;

    fn lease(last: u8, mac: u8, until: u64) -> Record {
        let holder = Holder::Client(ClientKey::Ethernet(MacAddr([2, 0, 0, 0, 0, mac])));
        Record { ip: Ipv4Addr::new(10, 0, 0, last), holder, until: Timestamp(until) }
    }

    #[test]
    fn what_was_committed_is_there_after_a_restart_and_the_later_record_stands() {
        let data = tempdir().unwrap();
        let mut store = Embedded::open(data.path()).unwrap();
        assert_eq!(store.restore().unwrap(), []);
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(data.path().join(Embedded::FILE)).unwrap());
        assert_eq!(mode & 0o007, 0, "not for everybody to read");
        store.commit(&[lease(1, 1, 10), lease(2, 2, 10), lease(1, 3, 20)]).unwrap();
        store.commit(&[lease(2, 2, 30)]).unwrap();
        drop(store);
        let store = Embedded::open(data.path()).unwrap();
        assert_eq!(store.restore().unwrap(), [lease(1, 3, 20), lease(2, 2, 30)]);
    }

    #[test]
    fn ipv6_leases_and_our_name_outlive_the_process() {
        let data = tempdir().unwrap();
        let mut store = Embedded::open(data.path()).unwrap();
        let name = store.server_id().unwrap();
        let record = |last: u16, until| dhcp6::Record {
            ip: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, last),
            holder: dhcp6::Holder::Stranger,
            until: Timestamp(until),
        };
        let put = |last, until| dhcp6::Write::Put(record(last, until));
        store.commit6(&[put(1, 10), put(2, 10), put(1, 20)]).unwrap();
        store.commit6(&[dhcp6::Write::Drop(record(2, 0).ip), put(3, 30)]).unwrap();
        store.commit(&[lease(1, 1, 10)]).unwrap();
        drop(store);
        let mut store = Embedded::open(data.path()).unwrap();
        assert_eq!(store.restore6().unwrap(), [record(1, 20), record(3, 30)]);
        assert_eq!(store.restore().unwrap(), [lease(1, 1, 10)]);
        assert_eq!(store.server_id().unwrap(), name);
        let other = tempdir().unwrap();
        assert_ne!(Embedded::open(other.path()).unwrap().server_id().unwrap(), name);
    }

    #[test]
    fn a_second_opening_is_refused_and_says_so() {
        let data = tempdir().unwrap();
        let _first = Embedded::open(data.path()).unwrap();
        let error = Embedded::open(data.path()).unwrap_err();
        assert!(matches!(error, LeaseError::InUse { .. }), "{error}");
        assert!(error.to_string().contains("leases.redb is in use by another process"));
    }

    #[test]
    fn a_file_that_is_no_lease_database_is_refused_with_a_remedy_and_left_alone() {
        for content in [&b"not a database at all"[..], &[0; 8192][..]] {
            let data = tempdir().unwrap();
            let path = data.path().join(Embedded::FILE);
            std::fs::write(&path, content).unwrap();
            let error = Embedded::open(data.path()).unwrap_err();
            assert!(matches!(error, LeaseError::Corrupt { .. }), "{error:?}");
            assert!(error.to_string().contains("leases.redb is damaged") && error.to_string().contains("move it away"));
            assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_database_cut_short_is_an_error_and_never_an_empty_book() {
        let data = tempdir().unwrap();
        let mut store = Embedded::open(data.path()).unwrap();
        store.commit(&(1..200).map(|n| lease(n, n, 10)).collect::<Vec<_>>()).unwrap();
        drop(store);
        let path = data.path().join(Embedded::FILE);
        let whole = std::fs::read(&path).unwrap();
        for len in [100, 4096, whole.len() / 2] {
            std::fs::write(&path, &whole[..len]).unwrap();
            let outcome = std::panic::catch_unwind(|| Embedded::open(data.path()).and_then(|store| store.restore()));
            let outcome = outcome.unwrap_or_else(|_| panic!("panicked at {len} of {} bytes", whole.len()));
            assert!(outcome.is_err(), "{len} of {} bytes: {outcome:?}", whole.len());
        }
    }
}
