//! `slipway audit`: what was done, by whom, and whether the log of it is whole.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::json;
use slipway_api::org::Audit as Page;
use slipway_store::org::Org as Store;
use slipway_trust::audit::{Broken, Entry, Head};
use slipway_trust::{Digest, Time};

use crate::cli::Global;
use crate::client::Client;
use crate::machines::print_json;
use crate::org::place::data;
use crate::org::show::time;

/// `slipway audit …`
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Show what was done: who, when, to what, why
    Show(Show),
    /// Check that no entry was changed, dropped or put in between
    ///
    /// Each entry names the one before it by its digest. Write the head that this prints down elsewhere, from time to time: compared
    /// with it (`--head`), the log cannot have been rewritten as a whole either.
    Verify(Verify),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Show {
    /// Only the last so many entries
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
    /// Only entries in which this word stands: an event, a machine, an admin
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Verify {
    /// A head that was written down earlier: 64 hexadecimal digits
    #[arg(long, value_name = "SHA256")]
    head: Option<Digest>,
}

pub(crate) fn run(global: &Global, command: &AuditCommand) -> Result<ExitCode> {
    let log = read(global)?;
    match command {
        AuditCommand::Show(words) => show(global, words, &log),
        AuditCommand::Verify(words) => verify(global, words, &log),
    }
}

/// The log as it is stored: from the running server, which has the database open, or from the database.
fn read(global: &Global) -> Result<Vec<Vec<u8>>> {
    let client = Client::of(global);
    let mut log = Vec::new();
    if !client.is_running()? {
        let data = data(global);
        if !data.join(Store::FILE).exists() {
            // Whether there is no org at all, or nothing was done in it yet.
            crate::org::place::Org::open(&data)?;
            return Ok(log);
        }
        let store = Store::open(&data)?;
        loop {
            let from = u64::try_from(log.len())?.saturating_add(1);
            let page = store.audit(from, 1000)?;
            if page.is_empty() {
                return Ok(log);
            }
            log.extend(page);
        }
    }
    loop {
        let from = u64::try_from(log.len())?.saturating_add(1);
        let page: Page = client.get(&format!("/org/audit?from={from}"))?;
        if page.entries.is_empty() {
            return Ok(log);
        }
        for entry in &page.entries {
            log.push(
                HEXLOWER_PERMISSIVE
                    .decode(entry.bytes.as_bytes())
                    .with_context(|| format!("the server told nothing of entry {}", entry.number))?,
            );
        }
    }
}

fn show(global: &Global, words: &Show, log: &[Vec<u8>]) -> Result<ExitCode> {
    // What cannot be read is told by `verify`, with its place.
    let entries: Vec<Entry> = log.iter().filter_map(|bytes| slipway_trust::decode(bytes).ok()).collect();
    let matches = |entry: &&Entry| words.about.as_ref().is_none_or(|about| told(entry).contains(about.as_str()));
    let mut entries: Vec<&Entry> = entries.iter().filter(matches).collect();
    let skip = words.last.map_or(0, |last| entries.len().saturating_sub(last));
    entries.drain(..skip);
    if global.json {
        return print_json(&entries.iter().map(|entry| shown(entry)).collect::<Vec<_>>());
    }
    entries.iter().for_each(|entry| println!("{}", told(entry)));
    Ok(ExitCode::SUCCESS)
}

fn shown(entry: &Entry) -> serde_json::Value {
    let Entry { number, before, at: Time(_), actor, event, subject, from, to, detail, evidence } = entry;
    json!({
        "number": number, "before": before.to_string(), "at": time(entry.at), "actor": actor, "event": event, "subject": subject,
        "from": from, "to": to, "detail": detail, "evidence": evidence.map(|digest| digest.to_string()),
    })
}

fn told(entry: &Entry) -> String {
    let Entry { number, before: _, at, actor, event, subject, from, to, detail, evidence: _ } = entry;
    let states = match (from, to) {
        (Some(from), Some(to)) => format!(", {from} to {to}"),
        (None, Some(to)) => format!(", now {to}"),
        (Some(from), None) => format!(", was {from}"),
        (None, None) => String::new(),
    };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    format!("{number:>5} {} {event} by {actor}: {subject}{states}{detail}", time(*at))
}

/// How a log stands.
#[derive(Debug, Eq, PartialEq)]
struct Standing {
    head: Head,
    broken: Option<Broken>,
    /// The entry that the head is of which was written down earlier; none if there is no such entry.
    found: Option<u64>,
}

fn follow(log: &[Vec<u8>], earlier: Option<Digest>) -> Standing {
    let mut standing = Standing { head: Head::default(), broken: None, found: None };
    let is_it = |head: &Head| earlier == Some(head.last);
    standing.found = is_it(&standing.head).then_some(0);
    for bytes in log {
        if let Err(broken) = standing.head.follow(bytes) {
            standing.broken = Some(broken);
            break;
        }
        if is_it(&standing.head) {
            standing.found = Some(standing.head.count);
        }
    }
    standing
}

fn verify(global: &Global, words: &Verify, log: &[Vec<u8>]) -> Result<ExitCode> {
    let standing = follow(log, words.head);
    let Standing { head, broken, found } = &standing;
    let lost = words.head.is_some() && found.is_none();
    if global.json {
        print_json(&json!({
            "whole": broken.is_none() && !lost,
            "entries": head.count,
            "head": head.last.to_string(),
            "broken_at": broken.map(|broken| broken.number),
            "reason": broken.map(|broken| broken.to_string()),
            "earlier_head_at": found,
        }))?;
    } else {
        println!("{} entries, each following the one before it", head.count);
        println!("head {}", head.last);
        if let Some(found) = found {
            let later = head.count.saturating_sub(*found);
            println!("the head that you wrote down is that of entry {found}; {later} came after it");
        }
    }
    if let Some(broken) = broken {
        eprintln!(
            "slipway: the audit log is broken: {broken}; compare it with a backup, and ask who could write the database"
        );
    }
    if lost {
        eprintln!("slipway: no entry has the head that you wrote down: the log was cut off or rewritten");
    }
    Ok(if broken.is_some() || lost { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

#[cfg(test)]
mod tests {
    use super::*;
    use slipway_trust::audit::Said;

    fn log() -> Vec<Vec<u8>> {
        let mut head = Head::default();
        let said = |n: u64| Said { actor: format!("admin {n}"), event: "window-opened", ..Said::default() };
        (0..5).map(|n| slipway_trust::encode(&head.append(Time(n), said(n)))).collect()
    }

    #[test]
    fn a_head_that_was_written_down_is_found_however_much_came_after() {
        let log = log();
        for count in 0..=5 {
            let head = follow(&log[..count], None).head;
            let standing = follow(&log, Some(head.last));
            assert_eq!((standing.found, standing.broken), (Some(u64::try_from(count).unwrap()), None));
        }
        assert_eq!(follow(&log, Some(Digest([7; 32]))).found, None);
    }

    #[test]
    fn a_log_that_was_cut_off_is_whole_but_lacks_the_head() {
        let log = log();
        let head = follow(&log, None).head;
        let standing = follow(&log[..4], Some(head.last));
        assert_eq!((standing.broken, standing.found), (None, None));
    }

    #[test]
    fn a_changed_entry_is_told_with_its_place() {
        let mut log = log();
        log.remove(2);
        let standing = follow(&log, None);
        assert_eq!((standing.head.count, standing.broken.map(|broken| broken.number)), (2, Some(3)));
    }

    #[test]
    fn an_entry_reads_like_this() {
        let mut head = Head::default();
        let said = Said {
            actor: "admin ebe84be5dd345c5a".to_owned(),
            event: "machine-suspended",
            subject: "machine 00aa".to_owned(),
            from: Some("active".to_owned()),
            to: Some("suspended".to_owned()),
            detail: "stolen".to_owned(),
            evidence: None,
        };
        assert_eq!(
            told(&head.append(Time(1_795_000_000), said)),
            "    1 2026-11-18T11:06:40Z machine-suspended by admin ebe84be5dd345c5a: machine 00aa, active to suspended: stolen"
        );
    }
}
