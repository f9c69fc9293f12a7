//! M13, over TLS with the machine's certificate.

use crate::audit::Said;
use crate::frames::{Healthy, Reply};
use crate::life::Event;
use crate::node::{Door, Note, Peer, Step, View};
use crate::record::MachineRecord;
use crate::refusal::Refusal;
use crate::registry::{Change, Pen, name_of};

/// M13: the certificate was checked by TLS; what it says is checked against the record, at each request.
pub(crate) fn on_healthy(healthy: &Healthy, view: &View<'_>, peer: &Peer, door: &mut Door) -> Step {
    let mut pen = Pen::new(view.registry, view.now);
    let note = Note { what: "healthy", ..Note::default() };
    let mut machine = match known(view, peer, door) {
        Ok(machine) => machine,
        Err(why) => return Step::refuse(pen, why, note),
    };
    let note = Note { subject: name_of(&machine.id), ..note };
    pen.settle(&mut machine);
    let said = Said { actor: name_of(&machine.id), event: "machine-healthy", ..Said::default() };
    let said = Said { detail: format!("generation {}", healthy.generation), ..said };
    let is_known = view.images.known().iter().any(|known| known.manifest.sha256 == healthy.generation);
    let before = machine.state;
    let advanced = before.after(Event::Healthy);
    match advanced {
        Err(why) => return Step::refuse(Pen::new(view.registry, view.now), why, note),
        Ok(_) if !is_known => return Step::refuse(Pen::new(view.registry, view.now), Refusal::BadEvidence, note),
        Ok(after) if after == before && machine.generation == Some(healthy.generation) => {}
        Ok(_) => {
            let _ = pen.advance(&mut machine, Event::Healthy, said);
        }
    }
    machine.generation = Some(healthy.generation);
    machine.well = machine.preboot;
    machine.heard = view.now;
    pen.write(Change::Machine(Box::new(machine)));
    Step::answer(pen, &Reply::Noted, note)
}

fn known(view: &View<'_>, peer: &Peer, door: &mut Door) -> Result<MachineRecord, Refusal> {
    if !view.gateway {
        return Err(Refusal::NotHere);
    }
    let caller = peer.certificate.ok_or(Refusal::BadSignature)?;
    let machine = view.registry.machine(&caller.machine).ok_or(Refusal::Unknown)?;
    if machine.key != caller.key {
        return Err(Refusal::Unknown);
    }
    door.listen(machine.id.0, view.now)?;
    if machine.state.after(Event::Healthy).is_ok() && view.registry.denies(machine) {
        return Err(Refusal::Revoked);
    }
    if caller.epoch < machine.epoch { Err(machine.state.refusal()) } else { Ok(machine.clone()) }
}
