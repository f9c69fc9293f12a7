//! Journal to API.

use std::sync::Arc;

use slipway_api::{Boot, Event, Machine, MachineStory};
use slipway_engine::Timestamp;
use slipway_engine::journal::{About, Entry, Outcome};
use slipway_wire::MacAddr;

/// RFC 3339 in UTC with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// What is known of a machine by its entries.
pub(super) fn machine(mac: MacAddr, entries: &[Arc<Entry>]) -> Machine {
    let last = entries.last();
    let newest = |pick: fn(&Entry) -> Option<String>| entries.iter().rev().find_map(|entry| pick(entry));
    Machine {
        mac: mac.to_string(),
        last_seen: last.map(|entry| time(entry.at)).unwrap_or_default(),
        ip: newest(|entry| entry.ip.map(|ip| ip.to_string())),
        uuid: newest(|entry| entry.uuid.map(|uuid| uuid.to_string())),
        arch: newest(|entry| match &entry.about {
            About::Dhcp { arch, .. } => Some(arch.to_string()),
            _ => None,
        }),
        loader: newest(|entry| match &entry.about {
            About::Dhcp { loader, .. } => Some(loader.to_string()),
            _ => None,
        }),
        interface: newest(|entry| Some(entry.interface.clone()).filter(|name| !name.is_empty())),
        ..Machine::default()
    }
}

/// A machine's boots, stage by stage.
pub(super) fn story(mac: MacAddr, entries: &[Arc<Entry>]) -> MachineStory {
    let events = entries.iter().map(|entry| event(entry)).collect();
    MachineStory { machine: machine(mac, entries), boots: vec![Boot { events, ..Boot::default() }] }
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
