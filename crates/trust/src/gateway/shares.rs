//! The org's shares of a machine's disk key: a new one with each new generation, the old one destroyed when no key slot needs it any more.
//!
//! The share is made first, the machine adds a key slot for it, starts, and is well; at the next start it destroys the old slot, and at the one
//! after that says so. Whatever is interrupted in between, and how often: for each key slot there is a share.

use crate::assurance::Assurance;
use crate::audit::Said;
use crate::frames::Volume;
use crate::id::Digest;
use crate::node::Fresh;
use crate::record::{MachineRecord, Share};
use crate::registry::{Pen, name_of};

/// Moves the shares of a machine that has just attested on. One that is known by what it claims alone gets none.
pub(super) fn turn(
    machine: &mut MachineRecord,
    volume: Option<&Volume>,
    generation: Digest,
    fresh: &Fresh,
    pen: &mut Pen,
) {
    if !machine.state.gets_share() || machine.assurance <= Assurance::Claimed {
        return;
    }
    if machine.shares.is_empty() {
        make(machine, generation, fresh, pen);
        return;
    }
    // What it does not tell of may be needed.
    let Some(volume) = volume else { return };
    drop_old(machine, volume, pen);
    if machine.keyed != Some(generation) && is_settled(machine, volume) {
        make(machine, generation, fresh, pen);
    }
}

/// Destroys what is older than the newest share that has a key slot, and has none itself.
fn drop_old(machine: &mut MachineRecord, volume: &Volume, pen: &mut Pen) {
    let has_slot = |share: &Share| volume.epochs.contains(&share.epoch);
    let Some(newest) = machine.shares.iter().filter(|share| has_slot(share)).map(|share| share.epoch).max() else {
        return;
    };
    let is_needed = |share: &Share| share.epoch >= newest || has_slot(share);
    for gone in machine.shares.iter().filter(|share| !is_needed(share)) {
        say(machine, "share-destroyed", gone.epoch, pen);
    }
    machine.shares.retain(is_needed);
}

/// Whether the newest share's key slot is there, and no other.
fn is_settled(machine: &MachineRecord, volume: &Volume) -> bool {
    matches!((machine.shares.as_slice(), volume.epochs.as_slice()), ([share], [epoch]) if share.epoch == *epoch)
}

fn make(machine: &mut MachineRecord, generation: Digest, fresh: &Fresh, pen: &mut Pen) {
    machine.epochs = machine.epochs.saturating_add(1);
    machine.keyed = Some(generation);
    machine.shares.push(Share { epoch: machine.epochs, secret: fresh.share });
    say(machine, "share-made", machine.epochs, pen);
}

fn say(machine: &MachineRecord, event: &'static str, epoch: u64, pen: &mut Pen) {
    let detail = format!("epoch {epoch}");
    pen.say(Said { actor: "policy".to_owned(), event, subject: name_of(&machine.id), detail, ..Said::default() });
}
