//! A change of the registry: one row of one table.

use crate::audit::{Entry, Head};
use crate::encode;
use crate::id::{Digest, InviteId, MachineId, TicketId, Time};
use crate::record::{Denied, EkList, InviteRecord, MachineRecord, Ticket, WindowRecord};
use crate::seal::Signed;

/// A table of the registry.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Table {
    /// Machines, by id.
    Machines,
    /// Tickets, by id.
    Tickets,
    /// Invites, by id.
    Invites,
    /// The deny list, by digest.
    Denied,
    /// Single values, by name: `window`, `ek-list`, `org`, `recoveries`, `audit`.
    Singles,
    /// The audit log, by number (8 bytes, big-endian).
    Audit,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 6] = [Self::Machines, Self::Tickets, Self::Invites, Self::Denied, Self::Singles, Self::Audit];

    /// Its name on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Machines => "machines",
            Self::Tickets => "tickets",
            Self::Invites => "invites",
            Self::Denied => "denied",
            Self::Singles => "singles",
            Self::Audit => "audit",
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// What is known of a machine.
    Machine(Box<MachineRecord>),
    /// A machine that never came to be is forgotten.
    ForgetMachine(MachineId),
    /// Where an enrolment stands.
    Ticket(Box<Ticket>),
    /// An enrolment is forgotten.
    ForgetTicket(TicketId),
    /// An invite.
    Invite(Box<InviteRecord>),
    /// An invite is forgotten.
    ForgetInvite(InviteId),
    /// The window.
    Window(Box<WindowRecord>),
    /// TPMs that may enrol by themselves.
    EkList(Signed, EkList),
    /// A key or a TPM that is never let in.
    Deny(Denied),
    /// It is let in again.
    Allow(Digest),
    /// The org's manifest, with its epoch.
    Org(u64, Signed),
    /// When machines of the fleet recovered.
    Recoveries(Vec<Time>),
    /// An entry of the audit log.
    Audit(Entry),
    /// Where the audit log ends: kept beside it, so that it is not cut off unseen.
    Head(Head),
}

impl Change {
    /// The row that it writes: table, key, and its value; none if the row goes.
    #[must_use]
    pub fn row(&self) -> (Table, Vec<u8>, Option<Vec<u8>>) {
        let single = |name: &str, value| (Table::Singles, name.as_bytes().to_vec(), Some(value));
        match self {
            Self::Machine(machine) => (Table::Machines, machine.id.0.to_vec(), Some(encode(&**machine))),
            Self::ForgetMachine(id) => (Table::Machines, id.0.to_vec(), None),
            Self::Ticket(ticket) => (Table::Tickets, ticket.id.0.to_vec(), Some(encode(&**ticket))),
            Self::ForgetTicket(id) => (Table::Tickets, id.0.to_vec(), None),
            Self::Invite(record) => (Table::Invites, record.invite.id.0.to_vec(), Some(encode(&**record))),
            Self::ForgetInvite(id) => (Table::Invites, id.0.to_vec(), None),
            Self::Window(record) => single("window", encode(&**record)),
            Self::EkList(signed, _) => single("ek-list", encode(signed)),
            Self::Deny(denied) => (Table::Denied, denied.what.0.to_vec(), Some(encode(denied))),
            Self::Allow(what) => (Table::Denied, what.0.to_vec(), None),
            Self::Org(_, signed) => single("org", encode(signed)),
            Self::Recoveries(times) => single("recoveries", encode(times)),
            Self::Head(head) => single("audit", encode(head)),
            Self::Audit(entry) => (Table::Audit, entry.number.to_be_bytes().to_vec(), Some(encode(entry))),
        }
    }
}
