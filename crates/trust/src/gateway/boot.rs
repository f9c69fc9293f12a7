//! M11 in, M12 out: nothing secret leaves before the preboot has proved itself.

use slipway_tpm::Public;
use subtle::ConstantTimeEq as _;

use super::shares;
use crate::audit::Said;
use crate::enroller::{self, Challenged};
use crate::frames::{Boot, Material, Volume};
use crate::id::{Digest, Time};
use crate::image::{Role, Wanted};
use crate::life::{Event, State};
use crate::node::{CertificateWanted, Fresh, Heard, Known, NeedsCertificate, Note, Peer, Step, Unfinished, View};
use crate::record::MachineRecord;
use crate::refusal::Refusal;
use crate::registry::{Change, Pen, name_of};
use crate::seal::{Bound, Domain};

/// A certificate is this long, in seconds: a day.
const CERTIFICATE: u64 = DAY;
const DAY: u64 = 24 * 3600;

/// M11.
pub(crate) fn on_boot(
    challenged: Challenged,
    boot: &Boot,
    heard: &Heard<'_>,
    view: &View<'_>,
    peer: &Peer,
    fresh: &Fresh,
) -> Step {
    let note = Note { what: "boot", subject: name_of(&boot.machine), ends: true, ..Note::default() };
    let mut pen = Pen::new(view.registry, view.now);
    let attested = attest(&challenged, boot, heard, view, peer, &mut pen, fresh);
    match attested.and_then(|(machine, well)| Ok((material(&challenged, &machine, well, view)?, machine))) {
        Err(why) => Step::refuse(Pen::new(view.registry, view.now), why, note),
        Ok((material, machine)) => {
            let wanted =
                CertificateWanted { key: machine.key, machine: machine.id, epoch: machine.epoch, seconds: CERTIFICATE };
            pen.write(Change::Machine(Box::new(machine)));
            let answer = Unfinished::Material(Box::new(material));
            Step::Certificate(Box::new(NeedsCertificate::new(wanted, answer, pen, note)))
        }
    }
}

/// Checks everything, and gives the machine as it stands afterwards, and whether its last start was by this same preboot and went well.
fn attest(
    challenged: &Challenged,
    boot: &Boot,
    heard: &Heard<'_>,
    view: &View<'_>,
    peer: &Peer,
    pen: &mut Pen,
    fresh: &Fresh,
) -> Result<(MachineRecord, bool), Refusal> {
    challenged.is_commitment(&boot.reveal)?;
    let mut machine = view.registry.machine(&boot.machine).ok_or(Refusal::Unknown)?.clone();
    let th2 = challenged.transcript.hash();
    let bound = Bound::Moment { transcript: th2, channel: &peer.channel };
    if heard.signed.signers(Domain::Frame, bound, &[machine.key]).is_empty() {
        return Err(Refusal::BadSignature);
    }
    pen.settle(&mut machine);
    let before = machine.state;
    // Before anything else is looked at: this state leads on.
    before.after(Event::Attest)?;
    if view.registry.denies(&machine) {
        return Err(Refusal::Revoked);
    }
    if boot.counter <= machine.boots {
        return Err(Refusal::Replayed);
    }
    if challenged.hello.arch != machine.arch || challenged.hello.image_version < machine.floor {
        return Err(Refusal::OldImage);
    }
    check_confirm(&machine, boot)?;
    check_quote(&mut machine, challenged, boot, view)?;
    let said = Said {
        actor: name_of(&machine.id),
        event: "machine-attested",
        detail: format!("preboot {}, boot {}", challenged.hello.image_version, boot.counter),
        evidence: Some(Digest::of(heard.frame)),
        ..Said::default()
    };
    pen.advance(&mut machine, Event::Attest, said)?;
    machine.confirm = None;
    machine.boots = boot.counter;
    machine.heard = view.now;
    let running = view.images.find(Role::Preboot, machine.arch, challenged.hello.image_version);
    machine.floor = machine.floor.max(running.map_or(0, |known| known.manifest.floor));
    let generation = generation(&machine, view)?.manifest.sha256;
    shares::turn(&mut machine, boot.volume.as_ref(), generation, fresh, pen);
    hear_escrow(&mut machine, boot.volume.as_ref(), pen);
    machine.offline_until = offline_until(&machine, view);
    // Only what was seen to be well stands first in a boot order: another preboot, or another start, must show itself anew.
    let version = challenged.hello.image_version;
    let well = machine.well.take() == Some(version) && before == State::Active;
    machine.preboot = Some(version);
    Ok((machine, well))
}

/// The first boot after a grant must show the grant's nonce.
fn check_confirm(machine: &MachineRecord, boot: &Boot) -> Result<(), Refusal> {
    let Some(expected) = machine.confirm else { return Ok(()) };
    let shown = boot.confirm.map(|nonce| Digest::of(&nonce));
    let same = shown.is_some_and(|shown| bool::from(shown.0.ct_eq(&expected.0)));
    if same { Ok(()) } else { Err(Refusal::BadCommitment) }
}

/// A machine that enrolled with a TPM proves what booted; one that did not cannot.
fn check_quote(
    machine: &mut MachineRecord,
    challenged: &Challenged,
    boot: &Boot,
    view: &View<'_>,
) -> Result<(), Refusal> {
    let Some(tpm) = &mut machine.tpm else { return Ok(()) };
    let quote = boot.quote.as_ref().ok_or(Refusal::BadEvidence)?;
    let ak = Public::decode(&tpm.ak).map_err(|_| Refusal::Internal)?;
    let qualifying = Digest::of_all(&[&challenged.quote_nonce, &challenged.transcript.hash().0]);
    let running = (Role::Preboot, challenged.hello.image_version);
    tpm.secure_boot = enroller::check_boot(quote, &ak, &qualifying, running, machine.floor, view)?;
    Ok(())
}

/// What the machine is to start.
fn generation<'a>(machine: &MachineRecord, view: &View<'a>) -> Result<&'a Known, Refusal> {
    view.images.generation(view.org, &machine.role, machine.arch, view.now).ok_or(Refusal::NoImage)
}

/// Keeps what the volume's escrow slot is sealed to. An opening that was made from another one was used, or never will be.
fn hear_escrow(machine: &mut MachineRecord, volume: Option<&Volume>, pen: &mut Pen) {
    let Some(escrow) = volume.and_then(|volume| volume.escrow.as_ref()) else { return };
    if machine.escrow.as_ref() != Some(escrow) {
        machine.escrow = Some(escrow.clone());
        let detail = format!("sealed to the escrow key {}", escrow.to);
        pen.say(Said { detail, ..said_of(machine, "escrow-kept") });
    }
    if machine.opening.as_ref().is_some_and(|opening| opening.escrow != escrow.digest()) {
        machine.opening = None;
        pen.say(said_of(machine, "opening-spent"));
    }
}

fn said_of(machine: &MachineRecord, event: &'static str) -> Said {
    let name = name_of(&machine.id);
    Said { actor: name.clone(), event, subject: name, ..Said::default() }
}

/// Until when it may start without the org from now on: only a machine with a TPM and a disk key may.
fn offline_until(machine: &MachineRecord, view: &View<'_>) -> Option<Time> {
    let days = u64::from(view.org.policy.offline_days);
    let may = days > 0 && machine.tpm.is_some() && !machine.shares.is_empty();
    may.then(|| view.now.plus(days * DAY))
}

fn material(
    challenged: &Challenged,
    machine: &MachineRecord,
    well: bool,
    view: &View<'_>,
) -> Result<Material, Refusal> {
    let generation = generation(machine, view)?;
    let version = challenged.hello.image_version;
    let wanted = Wanted { role: Role::Preboot, arch: machine.arch, floor: version.saturating_add(1), now: view.now };
    let newer = view.images.newest(view.org, &wanted);
    let running = view.images.find(Role::Preboot, machine.arch, version);
    // An opening is worth as much as a share.
    let (shares, opening) = if machine.state.gets_share() && !machine.shares.is_empty() {
        (machine.shares.clone(), machine.opening.clone())
    } else {
        (Vec::new(), None)
    };
    Ok(Material {
        name: machine.name.clone(),
        role: machine.role.clone(),
        org: view.org_signed.clone(),
        generation: generation.signed.clone(),
        sources: view.sources.to_vec(),
        shares,
        certificate: Vec::new(),
        preboot: newer.map(|known| known.signed.clone()),
        time: view.now,
        promote: well,
        running: running.map(|known| known.signed.clone()),
        opening,
    })
}
