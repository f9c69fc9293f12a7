//! `POST /agent/report`: what a booted machine says about itself, in lines of `key=value`.

use std::collections::BTreeMap;

use slipway_engine::http::Plan;
use slipway_engine::journal::{About, Outcome, Proto};
use slipway_engine::namespace::normalise;
use slipway_wire::MacAddr;
use slipway_wire::http::{Method, Request, Status};

use super::answer::{Body, Note, Reply, method_not_allowed, told_uuid};

/// The longest value that the journal keeps.
const LONGEST_VALUE: usize = 512;

/// Whether a request is for this.
pub(super) fn is_meant(request: &Request) -> bool {
    normalise(&request.path).is_ok_and(|path| path == "agent/report")
}

/// Takes a report in.
pub(super) fn answer(request: &Request, body: &[u8]) -> Reply {
    if request.method != Method::Post {
        return method_not_allowed(request, "POST");
    }
    let facts = facts(body);
    let Some(mac) = facts.get("mac").and_then(|mac| mac.parse::<MacAddr>().ok()) else {
        return refused(request, Status::BadRequest, "the report has no line mac=...");
    };
    let mut note = Note::of(request, Outcome::Answered("204".to_owned()));
    note.proto = Proto::Agent;
    note.mac = Some(mac);
    note.uuid = told_uuid(facts.get("uuid").map(String::as_str));
    note.about = About::Report;
    note.asked = told(&facts);
    Reply { plan: Plan { status: Status::NoContent, headers: Vec::new(), body: 0..0 }, body: Body::None, note }
}

/// A report that is not taken in.
pub(super) fn refused(request: &Request, status: Status, fault: &str) -> Reply {
    let mut reply = super::answer::text(request, status, format!("{fault}\n"), Outcome::Peer(fault.to_owned()));
    reply.note.proto = Proto::Agent;
    reply
}

/// The lines of `key=value`, without what could spoil a log: control characters become `?`. A key's first line counts.
fn facts(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let mut facts = BTreeMap::new();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        let clean = |text: &str| -> String {
            text.trim().chars().take(LONGEST_VALUE).map(|c| if c.is_control() { '?' } else { c }).collect()
        };
        facts.entry(clean(key)).or_insert_with(|| clean(value));
    }
    facts
}

/// The journal's line: the facts in a fixed order, the command line last, as it is the longest.
fn told(facts: &BTreeMap<String, String>) -> String {
    let mut line = "report".to_owned();
    for key in ["agent", "kernel", "firmware", "booted_from", "uptime_ms", "cmdline"] {
        if let Some(value) = facts.get(key) {
            let quote = if value.contains(' ') { "\"" } else { "" };
            line.push_str(&format!(" {key}={quote}{value}{quote}"));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_one_line() {
        let body = b"mac=52:54:00:12:34:56\nuptime_ms=12340\nkernel=6.1.0\r\ncmdline=console=ttyS0 root=/dev/x\nkernel=no\nnonsense\nx\x1b=\x07\n";
        let facts = facts(body);
        assert_eq!(told(&facts), "report kernel=6.1.0 uptime_ms=12340 cmdline=\"console=ttyS0 root=/dev/x\"");
        assert_eq!(facts.get("x?").map(String::as_str), Some("?"));
    }
}
