//! A machine that has an identity and comes from the bootstrap image: its ESP is lost, or its installation was interrupted. It never gets a
//! second identity, another role or a wipe, and no secret before its preboot has proved itself.

use super::policy::Automatic;
use super::proven::Proven;
use super::ticket;
use crate::id::Time;
use crate::life::{FLEET_PERCENT_AN_HOUR, RECOVERIES_A_DAY, State};
use crate::node::{Fresh, Peer, View};
use crate::org::RecoveryPolicy;
use crate::record::{DiskPlan, Inventory, MachineRecord, Ticket};
use crate::refusal::Refusal;
use crate::registry::{Pen, Registry};

const DAY: u64 = 24 * 3600;
const HOUR: u64 = 3600;

/// What a recovery may do to a disk: rewrite the ESP that is there.
const ESP_ONLY: DiskPlan = DiskPlan { disk: None, wipe: false, esp_mib: 512, data: false };

/// Decides on a machine that has an identity.
pub(crate) fn decide(
    proven: &Proven,
    machine: &MachineRecord,
    pen: &mut Pen,
    view: &View<'_>,
    peer: &Peer,
    fresh: &Fresh,
) -> Result<Ticket, Refusal> {
    let state = machine.state.at(machine.since, view.now);
    if machine.tpm.as_ref().map(|tpm| tpm.ek) != proven.tpm.as_ref().map(|tpm| tpm.ek) {
        return Err(Refusal::BadEvidence);
    }
    let mut ticket = ticket::new(proven, peer, fresh, view);
    ticket.recovers = Some(machine.id);
    ticket.invite = None;
    ticket.assurance = machine.assurance;
    let automatic = match state {
        State::Pending => Some(resume(&mut ticket, machine, view.registry)),
        State::Confirmed | State::Active | State::Recovery => {
            ticket.plan = Some(ESP_ONLY);
            ticket.flags = reasons(proven, machine, view);
            ticket.flags.is_empty().then(|| "policy: recovery".to_owned())
        }
        other => return Err(other.refusal()),
    };
    let automatic =
        automatic.map(|by| Automatic { by, name: Some(machine.name.clone()), role: machine.role.clone(), wipe: false });
    ticket::make_room(&ticket, pen, view)?;
    ticket::open(&mut ticket, pen, automatic)?;
    Ok(ticket)
}

/// The installation was interrupted before the first boot: the same enrolment goes on, with the plan that was approved.
fn resume(ticket: &mut Ticket, machine: &MachineRecord, registry: &Registry) -> String {
    let before = registry.tickets().find(|before| before.granted == Some(machine.id) && before.plan.is_some());
    ticket.plan = before.and_then(|before| before.plan.clone()).or(Some(ESP_ONLY));
    ticket.approval = before.and_then(|before| before.approval.clone());
    ticket.granted = Some(machine.id);
    "policy: interrupted installation".to_owned()
}

/// Why a person must look at it; none: the machine's own proof is enough.
fn reasons(proven: &Proven, machine: &MachineRecord, view: &View<'_>) -> Vec<String> {
    let mut reasons = Vec::new();
    if proven.tpm.is_none() {
        reasons.push("a recovery without a TPM: nothing proves what booted".to_owned());
    }
    if view.org.policy.recovery == RecoveryPolicy::Manual {
        reasons.push("the org's policy asks for a person at each recovery".to_owned());
    }
    if has_other_disks(&proven.inventory, &machine.inventory) {
        reasons.push("the machine has other disks than when it enrolled".to_owned());
    }
    if machine.recoveries.iter().filter(|at| view.now.since(**at) < DAY).count() >= RECOVERIES_A_DAY {
        reasons.push(format!("the machine has recovered {RECOVERIES_A_DAY} times in a day"));
    }
    if is_fleet_limit(view.registry, view.now) {
        reasons.push(format!("more than {FLEET_PERCENT_AN_HOUR} % of the fleet recover in an hour"));
    }
    reasons
}

fn has_other_disks(now: &Inventory, before: &Inventory) -> bool {
    !before.disks.is_empty() && !before.disks.iter().any(|old| now.disks.iter().any(|disk| disk.id == old.id))
}

/// Whether one more recovery would be more than the fleet may do in an hour; one machine always may.
pub(crate) fn is_fleet_limit(registry: &Registry, now: Time) -> bool {
    let most = (registry.living().count() * FLEET_PERCENT_AN_HOUR / 100).max(1);
    registry.recoveries().iter().filter(|at| now.since(**at) < HOUR).count() >= most
}
