//! The registry and its database: whoever holds the book decides alone, and nothing is answered that is not on disk.

use std::path::Path;

use slipway_store::org::{Org, OrgError, Row, Write};
use slipway_trust::audit;
use slipway_trust::registry::{BadRow, Change, Draft, Registry, Table, Unsettled};

/// Why the registry cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] OrgError),
    /// What is in it.
    #[error("the org's database {path} holds what it should not: restore it from a backup", path = .path.display())]
    Row {
        /// The database.
        path: std::path::PathBuf,
        /// What.
        source: BadRow,
    },
    /// A row of a table that this version does not know.
    #[error("the org's database has a table `{0}` that this version does not know: it was written by a later one")]
    Table(String),
    /// Something else was decided between a decision and its end.
    #[error("two decisions were made at once")]
    Outrun,
}

/// The registry in memory, and its rows on disk.
#[derive(Debug)]
pub(super) struct Book {
    registry: Registry,
    store: Org,
}

/// So many entries of the audit log are read at once.
const AUDIT_PAGE: usize = 1000;

impl Book {
    /// Reads what there is, and checks the audit log's chain from end to end.
    pub(super) fn open(data: &Path) -> Result<Self, Error> {
        let store = Org::open(data)?;
        let mut rows = Vec::new();
        for Row { table, key, value } in store.rows()? {
            let known = Table::ALL.into_iter().find(|one| one.name() == table);
            rows.push((known.ok_or(Error::Table(table))?, key, value));
        }
        let mut next = 1_u64;
        loop {
            let page = store.audit(next, AUDIT_PAGE)?;
            let Ok(count) = u64::try_from(page.len()) else { break };
            rows.extend((next..).zip(page).map(|(number, entry)| (Table::Audit, number.to_be_bytes().to_vec(), entry)));
            if count == 0 {
                break;
            }
            next = next.saturating_add(count);
        }
        let path = data.join(Org::FILE);
        let registry = Registry::load(rows).map_err(|source| Error::Row { path, source })?;
        Ok(Self { registry, store })
    }

    /// What is known.
    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Makes a draft's changes durable and takes them in; then, and only then, its answer is free.
    pub(super) fn settle<R>(&mut self, draft: Draft<R>) -> Result<R, Error> {
        let Self { registry, store } = self;
        let settled = draft.settle(registry, |changes| {
            let writes: Vec<Write> = changes.iter().map(write).collect();
            store.commit(&writes)
        });
        settled.map_err(|unsettled| match unsettled {
            Unsettled::Outrun => Error::Outrun,
            Unsettled::Commit(error) => Error::Store(error),
        })
    }

    /// Entries of the audit log from this number on, as they are stored.
    pub(super) fn audit(&self, from: u64, most: usize) -> Result<Vec<Vec<u8>>, Error> {
        Ok(self.store.audit(from, most)?)
    }

    /// The end of the audit log.
    pub(super) const fn head(&self) -> audit::Head {
        self.registry.audit()
    }
}

fn write(change: &Change) -> Write {
    if let Change::Audit(entry) = change {
        return Write::Append { number: entry.number, entry: slipway_trust::encode(entry) };
    }
    let (table, key, value) = change.row();
    let table = table.name().to_owned();
    match value {
        Some(value) => Write::Put(Row { table, key, value }),
        None => Write::Drop { table, key },
    }
}
