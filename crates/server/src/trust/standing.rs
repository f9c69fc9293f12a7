//! What the boot planes are told of the org's machines: by their hardware addresses, as they say them themselves. It decides what they are
//! given when they boot from the network, which is public, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use slipway_engine::Timestamp;
use slipway_engine::enrol::{Standing, State};
use slipway_trust::life;
use slipway_trust::record::{Inventory, MachineRecord, Ticket};
use slipway_trust::registry::{Change, Registry};
use slipway_trust::{MachineId, TicketId, Time};
use slipway_wire::MacAddr;

/// The hardware addresses that these changes are about, by what is known before them.
pub(super) fn touched(registry: &Registry, changes: &[Change]) -> BTreeSet<MacAddr> {
    let machine = |id: &MachineId| registry.machine(id).map(|machine| &machine.inventory);
    let ticket = |id: &TicketId| registry.ticket(id).map(|ticket| &ticket.inventory);
    let told = changes.iter().flat_map(|change| match change {
        Change::Machine(changed) => [Some(&changed.inventory), machine(&changed.id)],
        Change::ForgetMachine(id) => [machine(id), None],
        Change::Ticket(changed) => [Some(&changed.inventory), ticket(&changed.id)],
        Change::ForgetTicket(id) => [ticket(id), None],
        Change::Deny(denied) => [machine(&denied.machine), None],
        Change::Allow(what) => [registry.denied(what).and_then(|denied| machine(&denied.machine)), None],
        _ => [None, None],
    });
    told.flatten().flat_map(macs).collect()
}

/// Every hardware address that anything is known of.
pub(super) fn all(registry: &Registry) -> BTreeSet<MacAddr> {
    let machines = registry.machines().map(|machine| &machine.inventory);
    machines.chain(registry.tickets().map(|ticket| &ticket.inventory)).flat_map(macs).collect()
}

/// Where the machines with these addresses stand. Everything that is known is gone through once, however many addresses these are: a stranger
/// may say many.
pub(super) fn of(registry: &Registry, wanted: BTreeSet<MacAddr>) -> Vec<(MacAddr, Option<Standing>)> {
    let mut said: BTreeMap<MacAddr, Said<'_>> = wanted.into_iter().map(|mac| (mac, Said::default())).collect();
    for machine in registry.machines() {
        for mac in macs(&machine.inventory) {
            said.entry(mac).and_modify(|said| said.machines.push(machine));
        }
    }
    for ticket in registry.tickets().filter(|ticket| asks(ticket)) {
        for mac in macs(&ticket.inventory) {
            said.entry(mac).and_modify(|said| said.asking.push(ticket));
        }
    }
    said.into_iter().map(|(mac, said)| (mac, said.standing(registry))).collect()
}

/// Who says one address.
#[derive(Default)]
struct Said<'a> {
    machines: Vec<&'a MachineRecord>,
    asking: Vec<&'a Ticket>,
}

impl Said<'_> {
    /// Several may say the same address. A recovery that is asked for counts first, then a machine that lives, then one that must not come back,
    /// then who asks.
    fn standing(&self, registry: &Registry) -> Option<Standing> {
        let Self { machines, asking } = self;
        let living = machines.iter().find_map(|machine| known(machine, living(machine)?));
        let recovering = asking.iter().find(|ticket| ticket.recovers.is_some());
        let revoked = machines
            .iter()
            .find(|machine| machine.state == life::State::Revoked && registry.denied(&machine.key.digest()).is_some());
        recovering
            .map(|ticket| asker(ticket))
            .or(living)
            .or_else(|| revoked.and_then(|machine| known(machine, State::Revoked)))
            .or_else(|| asking.first().map(|ticket| asker(ticket)))
    }
}

fn asks(ticket: &Ticket) -> bool {
    matches!(ticket.state, life::State::Requested | life::State::Approved) && ticket.granted.is_none()
}

const fn living(machine: &MachineRecord) -> Option<State> {
    match machine.state {
        // Its disk has something to start: if firmware asks the network all the same, it is sent there, and helped if it is not heard.
        life::State::Pending | life::State::Recovery if machine.installed.is_some() => Some(State::Enrolled),
        life::State::Pending | life::State::Recovery => Some(State::Awaited),
        life::State::Confirmed | life::State::Active => Some(State::Enrolled),
        life::State::Suspended => Some(State::Suspended),
        _ => None,
    }
}

fn known(machine: &MachineRecord, state: State) -> Option<Standing> {
    Some(Standing { state, uuid: uuid(&machine.inventory), heard: stamp(machine.heard) })
}

fn asker(ticket: &Ticket) -> Standing {
    Standing { state: State::Asking, uuid: uuid(&ticket.inventory), heard: stamp(ticket.since) }
}

fn macs(inventory: &Inventory) -> impl Iterator<Item = MacAddr> {
    inventory.macs.iter().filter_map(|mac| mac.parse().ok())
}

fn uuid(inventory: &Inventory) -> Option<uuid::Uuid> {
    inventory.uuid.as_ref().and_then(|uuid| uuid.parse().ok())
}

const fn stamp(time: Time) -> Timestamp {
    Timestamp(time.0.saturating_mul(1000))
}
