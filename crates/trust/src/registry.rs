//! What the org knows: machines, who asks to be one, invites, the window, deny lists. In memory, written through.
//!
//! A decision reads the registry and makes a [`Draft`]: the [`Change`]s that it leads to, and a reply that comes out only after they are durable.

mod change;
mod draft;
mod pen;
mod rows;

use std::collections::BTreeMap;

use crate::audit::Head;
use crate::id::{Digest, InviteId, MachineId, TicketId, Time};
use crate::life::State;
use crate::record::{Denied, EkList, InviteRecord, MachineRecord, Ticket, WindowRecord};
use crate::seal::Signed;

pub use change::{Change, Table};
pub use draft::{Draft, Unsettled};
pub use rows::BadRow;

pub(crate) use pen::{Pen, name_of};

/// What the org knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// How many changes it has seen since the start: a draft that was made before the last of them is void.
    version: u64,
    machines: BTreeMap<MachineId, MachineRecord>,
    /// Living machines by the digest of their key.
    keys: BTreeMap<Digest, MachineId>,
    tickets: BTreeMap<TicketId, Ticket>,
    invites: BTreeMap<InviteId, InviteRecord>,
    window: Option<WindowRecord>,
    ek_list: Option<(Signed, EkList)>,
    denied: BTreeMap<Digest, Denied>,
    org: Option<(u64, Signed)>,
    recoveries: Vec<Time>,
    audit: Head,
}

impl Registry {
    /// The most tickets at once.
    pub const MOST_TICKETS: usize = 1024;
    /// The most invites at once.
    pub const MOST_INVITES: usize = 4096;

    /// All machines that have an identity, or had one.
    pub fn machines(&self) -> impl Iterator<Item = &MachineRecord> {
        self.machines.values()
    }

    /// This machine.
    #[must_use]
    pub fn machine(&self, id: &MachineId) -> Option<&MachineRecord> {
        self.machines.get(id)
    }

    /// The living machine with the key of this digest.
    #[must_use]
    pub fn machine_of_key(&self, key: &Digest) -> Option<&MachineRecord> {
        self.keys.get(key).and_then(|id| self.machines.get(id))
    }

    /// The living machine with this TPM.
    #[must_use]
    pub fn machine_of_ek(&self, ek: &Digest) -> Option<&MachineRecord> {
        self.living().find(|machine| machine.tpm.as_ref().is_some_and(|tpm| tpm.ek == *ek))
    }

    /// The living machine of this name.
    #[must_use]
    pub fn machine_named(&self, name: &str) -> Option<&MachineRecord> {
        self.living().find(|machine| machine.name == name)
    }

    /// Machines whose identity holds.
    pub fn living(&self) -> impl Iterator<Item = &MachineRecord> {
        self.machines.values().filter(|machine| lives(machine.state))
    }

    /// Who asks.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// This ticket.
    #[must_use]
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// All invites that are remembered.
    pub fn invites(&self) -> impl Iterator<Item = &InviteRecord> {
        self.invites.values()
    }

    /// This invite.
    #[must_use]
    pub fn invite(&self, id: &InviteId) -> Option<&InviteRecord> {
        self.invites.get(id)
    }

    /// The last window, open or not.
    #[must_use]
    pub const fn window(&self) -> Option<&WindowRecord> {
        self.window.as_ref()
    }

    /// The window, if it is open now.
    #[must_use]
    pub fn open_window(&self, now: Time) -> Option<&WindowRecord> {
        self.window.as_ref().filter(|record| record.closed.is_none() && record.window.is_open(now))
    }

    /// TPMs that may enrol by themselves.
    #[must_use]
    pub fn ek_list(&self) -> Option<&EkList> {
        self.ek_list.as_ref().map(|(_, list)| list)
    }

    /// What is on the deny list under this digest of a key or a TPM.
    #[must_use]
    pub fn denied(&self, digest: &Digest) -> Option<&Denied> {
        self.denied.get(digest)
    }

    /// Whether this machine's key or its TPM is on the deny list, whatever its own state is: its hardware was revoked under another name.
    #[must_use]
    pub fn denies(&self, machine: &MachineRecord) -> bool {
        let digests = [Some(machine.key.digest()), machine.tpm.as_ref().map(|tpm| tpm.ek)];
        digests.into_iter().flatten().any(|digest| self.denied.contains_key(&digest))
    }

    /// The whole deny list.
    pub fn deny_list(&self) -> impl Iterator<Item = &Denied> {
        self.denied.values()
    }

    /// The org's manifest with the highest epoch that was installed here, and that epoch.
    #[must_use]
    pub fn org(&self) -> Option<(u64, &Signed)> {
        self.org.as_ref().map(|(epoch, signed)| (*epoch, signed))
    }

    /// When machines of the fleet recovered, in the last hour at least.
    #[must_use]
    pub fn recoveries(&self) -> &[Time] {
        &self.recoveries
    }

    /// The end of the audit log.
    #[must_use]
    pub const fn audit(&self) -> Head {
        self.audit
    }

    /// How many changes it has seen.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Takes a change in. It must be durable already.
    pub fn apply(&mut self, change: &Change) {
        self.version = self.version.saturating_add(1);
        match change {
            Change::Machine(machine) => self.put_machine(machine),
            Change::ForgetMachine(id) => {
                self.machines.remove(id);
                self.keys.retain(|_, of| of != id);
            }
            Change::Ticket(ticket) => drop(self.tickets.insert(ticket.id, (**ticket).clone())),
            Change::ForgetTicket(id) => drop(self.tickets.remove(id)),
            Change::Invite(invite) => drop(self.invites.insert(invite.invite.id, (**invite).clone())),
            Change::ForgetInvite(id) => drop(self.invites.remove(id)),
            Change::Window(window) => self.window = Some((**window).clone()),
            Change::EkList(signed, list) => self.ek_list = Some((signed.clone(), list.clone())),
            Change::Deny(denied) => drop(self.denied.insert(denied.what, denied.clone())),
            Change::Allow(what) => drop(self.denied.remove(what)),
            Change::Org(epoch, signed) => self.org = Some((*epoch, signed.clone())),
            Change::Recoveries(times) => self.recoveries.clone_from(times),
            Change::Audit(entry) => self.audit = self.audit.after(entry),
            // The entries themselves say where they end.
            Change::Head(_) => {}
        }
    }

    fn put_machine(&mut self, machine: &MachineRecord) {
        let key = machine.key.digest();
        if lives(machine.state) {
            self.keys.insert(key, machine.id);
        } else if self.keys.get(&key) == Some(&machine.id) {
            self.keys.remove(&key);
        }
        self.machines.insert(machine.id, machine.clone());
    }
}

/// Whether a machine in this state holds its identity.
const fn lives(state: State) -> bool {
    matches!(state, State::Pending | State::Confirmed | State::Active | State::Suspended | State::Recovery)
}
