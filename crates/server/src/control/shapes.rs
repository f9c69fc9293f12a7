//! Journal and journeys in the shapes of the API.

use std::sync::Arc;
use std::time::Duration;

use slipway_api::{
    Boot, Event, Installer, Intent, LoaderLoop, Machine, MachineStory, Offers, PastIntent, Remembered, Stage,
};
use slipway_engine::journal::{About, DhcpMessage, Entry, Outcome};
use slipway_engine::ladder::{Ladder, Rung};
use slipway_engine::machine::{Aim, Held, Installs, Memory};
use slipway_engine::request::{Loader, Place};
use slipway_engine::{Timestamp, journey};
use slipway_wire::MacAddr;

use crate::machines::Machines;

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is known of a machine by its entries, oldest first, and what is remembered of it.
pub(super) fn machine(mac: MacAddr, entries: &[Arc<Entry>], memory: Option<&Memory>, now: Timestamp) -> Machine {
    summed_up(mac, entries, memory, journey::boots(entries).last(), now)
}

/// What is remembered of a machine.
pub(super) fn remembered(memory: &Memory) -> Remembered {
    let intent = memory.intent.as_ref().map(|intent| {
        let (boot, append) = match &intent.aim {
            Aim::Boot(boot) => ("image", boot.append.clone()),
            Aim::Menu => ("menu", None),
            Aim::Local => ("local", None),
        };
        Intent {
            boot: boot.to_owned(),
            image: matches!(intent.aim, Aim::Boot(_)).then(|| intent.aim.to_string()),
            append,
            once: intent.once,
            since: time(intent.since),
            attempts: intent.attempts,
        }
    });
    let past_intent = memory.past.as_ref().map(|past| PastIntent {
        boot: past.aim.to_string(),
        at: time(past.at),
        fulfilled: past.fulfilled,
    });
    Remembered {
        uuid: memory.uuid.map(|uuid| uuid.to_string()),
        intent,
        past_intent,
        installer: memory.installs.as_ref().and_then(installer),
        looping: memory.looping.as_ref().map(|held| LoaderLoop {
            loader: held.loader.clone(),
            loads: held.loads,
            since: time(held.since),
        }),
    }
}

fn installer(installs: &Installs) -> Option<Installer> {
    let (state, since) = match installs.held {
        None => ("installing", None),
        Some(Held::Done { at }) => ("done", Some(at)),
        Some(Held::Tripped { at }) => ("guarded", Some(at)),
    };
    // What is left after a release are the passes that were used.
    let named = Some(&installs.image).filter(|image| !image.is_empty())?;
    Some(Installer {
        image: named.clone(),
        boots: installs.boots.iter().map(|at| time(*at)).collect(),
        state: state.to_owned(),
        since: since.map(time),
    })
}

/// The kind of offer that a machine is made, where that is not the usual one, or where it ignores every kind.
pub(super) fn offers(machines: &Machines, mac: MacAddr) -> Option<Offers> {
    let known = machines.known().get(mac).and_then(|memory| memory.offers);
    let asked = machines.ladders().get(mac).cloned();
    let rung = asked.as_ref().map(Ladder::rung).or(known.map(|known| known.rung)).unwrap_or_default();
    let rounds = asked.as_ref().map_or(0, Ladder::rounds);
    if rung == Rung::Plain && rounds == 0 {
        return None;
    }
    let works = known.filter(|known| known.rung == rung);
    let because = asked.and_then(|ladder| ladder.because()).or(works.map(|works| works.because));
    Some(Offers {
        rung: rung.name().to_owned(),
        about: rung.about().to_owned(),
        because: because.map(|because| because.to_string()),
        works_since: works.map(|works| time(works.since)),
        rounds,
    })
}

/// A machine's boots, stage by stage.
pub(super) fn story(mac: MacAddr, entries: &[Arc<Entry>], memory: Option<&Memory>, now: Timestamp) -> MachineStory {
    let boots = journey::boots(entries);
    let machine = summed_up(mac, entries, memory, boots.last(), now);
    let boots = boots.into_iter().map(|told| {
        let events = entries.get(told.entries.clone()).unwrap_or_default();
        boot(&told, events, now)
    });
    MachineStory { machine, boots: boots.collect() }
}

fn summed_up(
    mac: MacAddr,
    entries: &[Arc<Entry>],
    memory: Option<&Memory>,
    last_boot: Option<&journey::Boot>,
    now: Timestamp,
) -> Machine {
    fn newest(entries: &[Arc<Entry>], pick: impl Fn(&Entry) -> Option<String>) -> Option<String> {
        entries.iter().rev().find_map(|entry| pick(entry))
    }
    let last = entries.last();
    // All from one message: a machine that is now plugged in elsewhere, or here, is nowhere else. Renewals go past a relay, so a system's
    // messages do not count where they tell nothing.
    let placed = |entry: &&Arc<Entry>| {
        matches!(&entry.about, About::Dhcp { message, relay, place, .. }
        if *message == DhcpMessage::Discover || relay.is_some() || **place != Place::default())
    };
    let (relay, place) = match entries.iter().rev().find(placed).map(|entry| &entry.about) {
        Some(About::Dhcp { relay, place, .. }) => (*relay, Place::clone(place)),
        _ => (None, Place::default()),
    };
    Machine {
        mac: mac.to_string(),
        last_seen: last.map(|entry| time(entry.at)).unwrap_or_default(),
        ip: newest(entries, |entry| entry.ip.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string())),
        uuid: newest(entries, |entry| entry.uuid.map(|uuid| uuid.to_string())),
        arch: newest(entries, |entry| match &entry.about {
            // Systems tell no architecture; what is assumed of them would hide what the firmware told.
            About::Dhcp { loader: Loader::Os | Loader::Agent, .. } => None,
            About::Dhcp { arch, .. } => Some(arch.to_string()),
            _ => None,
        }),
        loader: newest(entries, |entry| match &entry.about {
            About::Dhcp { loader, .. } => Some(loader.to_string()),
            _ => None,
        }),
        interface: newest(entries, |entry| Some(entry.interface.clone()).filter(|name| !name.is_empty())),
        relay: relay.map(|relay| relay.to_string()),
        circuit_id: place.circuit_id.map(|id| id.to_string()),
        remote_id: place.remote_id.map(|id| id.to_string()),
        image: last_boot.and_then(|boot| boot.image.clone()),
        state: last_boot.map_or("idle", |boot| boot.word(now)).to_owned(),
        summary: last_boot.map(|boot| boot.summary(now)).unwrap_or_default(),
        remembered: memory.map(remembered),
        offers: None,
    }
}

fn boot(told: &journey::Boot, events: &[Arc<Entry>], now: Timestamp) -> Boot {
    let stage = |stage: &journey::Stage| Stage {
        name: stage.name.to_owned(),
        at_ms: millis(stage.at.since(told.started)),
        took_ms: millis(stage.took),
        what: stage.what.clone(),
    };
    Boot {
        started: time(told.started),
        took_ms: millis(told.last.since(told.started)),
        state: told.word(now).to_owned(),
        summary: told.summary(now),
        image: told.image.clone(),
        rule: told.rule.clone(),
        stages: told.stages.iter().map(stage).collect(),
        events: events.iter().map(|entry| event(entry)).collect(),
    }
}

fn event(entry: &Entry) -> Event {
    let (kind, why) = match &entry.outcome {
        Outcome::Answered(_) => ("answered", None),
        Outcome::Declined(why) => ("declined", Some(why.code().to_owned())),
        Outcome::Peer(_) => ("peer", None),
        Outcome::Ourselves(_) => ("ourselves", None),
    };
    Event {
        at: time(entry.at),
        proto: entry.proto.name().to_owned(),
        interface: entry.interface.clone(),
        asked: entry.asked.clone(),
        outcome: entry.outcome.to_string(),
        kind: kind.to_owned(),
        why,
    }
}
