//! The registry from its rows.

use super::{Change, Registry, Table};
use crate::audit::Broken;
use crate::decode;
use crate::id::Time;
use crate::org::OrgManifest;
use crate::record::{Denied, EkList, InviteRecord, MachineRecord, Ticket, WindowRecord};
use crate::seal::Signed;

/// A row that is not what it should be.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadRow {
    /// It does not read, or stands in another's place.
    #[error("a row of the table {} is damaged", table.name())]
    Damaged {
        /// Where.
        table: Table,
    },
    /// The audit log's chain is broken.
    #[error("the audit log is damaged")]
    Audit(#[source] Broken),
}

impl Registry {
    /// Reads all rows; those of one table in the order of their keys.
    ///
    /// # Errors
    /// The first row that is damaged, or where the audit log's chain breaks.
    pub fn load(rows: impl IntoIterator<Item = (Table, Vec<u8>, Vec<u8>)>) -> Result<Self, BadRow> {
        let (mut registry, mut end) = (Self::default(), None);
        for (table, key, value) in rows {
            if table == Table::Audit {
                registry.audit.follow(&value).map_err(BadRow::Audit)?;
                continue;
            }
            let change = read(table, &key, &value).ok_or(BadRow::Damaged { table })?;
            // What a row says of itself must be where it stands.
            if change.row().1 != key {
                return Err(BadRow::Damaged { table });
            }
            if let Change::Head(head) = change {
                end = Some(head);
            }
            registry.apply(&change);
        }
        if end.is_some_and(|end| end != registry.audit) {
            let number = registry.audit.count.saturating_add(1);
            return Err(BadRow::Audit(Broken {
                number,
                what: "is missing: the log was cut off, or what says where it ends was changed",
            }));
        }
        Ok(registry)
    }

    /// All rows but those of the audit log.
    pub fn rows(&self) -> impl Iterator<Item = (Table, Vec<u8>, Vec<u8>)> {
        let changes = self.machines.values().map(|machine| Change::Machine(Box::new(machine.clone())));
        let changes = changes.chain(self.tickets.values().map(|ticket| Change::Ticket(Box::new(ticket.clone()))));
        let changes = changes.chain(self.invites.values().map(|invite| Change::Invite(Box::new(invite.clone()))));
        let changes = changes.chain(self.denied.values().cloned().map(Change::Deny));
        let changes = changes.chain(self.window.iter().map(|window| Change::Window(Box::new(window.clone()))));
        let changes =
            changes.chain(self.ek_list.iter().map(|(signed, list)| Change::EkList(signed.clone(), list.clone())));
        let changes = changes.chain(self.org.iter().map(|(epoch, signed)| Change::Org(*epoch, signed.clone())));
        let changes = changes.chain(core::iter::once_with(|| Change::Recoveries(self.recoveries.clone())));
        let changes = changes.chain((self.audit.count > 0).then_some(Change::Head(self.audit)));
        changes.filter_map(|change| {
            let (table, key, value) = change.row();
            value.map(|value| (table, key, value))
        })
    }
}

fn read(table: Table, key: &[u8], value: &[u8]) -> Option<Change> {
    Some(match table {
        Table::Machines => Change::Machine(Box::new(decode::<MachineRecord>(value).ok()?)),
        Table::Tickets => Change::Ticket(Box::new(decode::<Ticket>(value).ok()?)),
        Table::Invites => Change::Invite(Box::new(decode::<InviteRecord>(value).ok()?)),
        Table::Denied => Change::Deny(decode::<Denied>(value).ok()?),
        Table::Singles => read_single(key, value)?,
        Table::Audit => return None,
    })
}

fn read_single(name: &[u8], value: &[u8]) -> Option<Change> {
    match name {
        b"window" => Some(Change::Window(Box::new(decode::<WindowRecord>(value).ok()?))),
        b"ek-list" => {
            let signed: Signed = decode(value).ok()?;
            let list: EkList = signed.peek().ok()?;
            Some(Change::EkList(signed, list))
        }
        b"org" => {
            let signed: Signed = decode(value).ok()?;
            let manifest: OrgManifest = signed.peek().ok()?;
            Some(Change::Org(manifest.epoch, signed))
        }
        b"audit" => Some(Change::Head(decode(value).ok()?)),
        b"recoveries" => Some(Change::Recoveries(decode::<Vec<Time>>(value).ok()?)),
        _ => None,
    }
}
