//! What came of a scenario: for people a table, for programs JSON.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use slipway_wire::http::render_date;

use crate::process::run;

/// How one scenario went.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// The scenario.
    pub name: String,
    /// Whether everything it promises held.
    pub passed: bool,
    /// How long it took in all, in seconds.
    pub seconds: f64,
    /// How long its parts took, where it measures them.
    pub stages: Vec<Stage>,
    /// The firmware and boot programs of its machines, with their versions, in the order in which they ran.
    #[serde(default)]
    pub programs: Vec<String>,
    /// The day on which it ran, in UTC: `06 Nov 1994`.
    #[serde(default)]
    pub date: String,
    /// What was tested, as it says itself: `slipway 0.1.0`.
    #[serde(default)]
    pub slipway: String,
    /// Why it failed.
    pub error: Option<String>,
}

impl Record {
    /// The record of a scenario that begins now and has not come to anything yet.
    pub(crate) fn beginning(name: &str, slipway: &Path) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let version = run(Command::new(slipway).arg("--version")).unwrap_or_default();
        Self {
            name: name.to_owned(),
            passed: false,
            seconds: 0.0,
            stages: Vec::new(),
            programs: Vec::new(),
            // `Sun, 06 Nov 1994 08:49:37 GMT`
            date: render_date(now).get(5..16).unwrap_or_default().to_owned(),
            slipway: version.trim().to_owned(),
            error: None,
        }
    }
}

/// A part of a boot and how long it took, in seconds, from the end of the part before it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Stage {
    /// What was reached at its end.
    pub name: String,
    /// Seconds it took.
    pub seconds: f64,
}

impl Stage {
    /// The stages between moments in order. A moment that never came, or lies before the one before it, is left out.
    #[must_use]
    pub fn between(start: SystemTime, marks: &[(&str, Option<SystemTime>)]) -> Vec<Self> {
        let mut last = start;
        let mut stages = Vec::new();
        for (name, at) in marks {
            let Some((at, took)) = at.and_then(|at| Some((at, at.duration_since(last).ok()?))) else { continue };
            stages.push(Self { name: (*name).to_owned(), seconds: (took.as_secs_f64() * 1000.0).round() / 1000.0 });
            last = at;
        }
        stages
    }
}

/// The records as a table: one line each, the stages behind, the reasons of failures below.
#[must_use]
pub(crate) fn table(records: &[Record]) -> String {
    let width = records.iter().map(|record| record.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for record in records {
        let word = if record.passed { "pass" } else { "FAIL" };
        out += &format!("{word}  {:width$}  {:>6.1} s", record.name, record.seconds);
        let stages: Vec<String> =
            record.stages.iter().map(|stage| format!("{} {:.1}", stage.name, stage.seconds)).collect();
        if !stages.is_empty() {
            out += &format!("  ({})", stages.join(", "));
        }
        out.push('\n');
    }
    for record in records.iter().filter(|record| !record.passed) {
        out += &format!("\n{}: {}\n", record.name, record.error.as_deref().unwrap_or("failed without saying why"));
    }
    let failed = records.iter().filter(|record| !record.passed).count();
    out + &format!("{} passed, {failed} failed\n", records.len() - failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_stage_runs_from_the_one_before_it_and_one_that_never_came_is_left_out() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let stages = Stage::between(SystemTime::UNIX_EPOCH, &[("a", at(3)), ("b", None), ("c", at(10)), ("d", at(9))]);
        let seen: Vec<(&str, f64)> = stages.iter().map(|stage| (stage.name.as_str(), stage.seconds)).collect();
        assert_eq!(seen, [("a", 3.0), ("c", 7.0)]);
    }

    #[test]
    fn the_table_ends_with_the_count_and_tells_why_something_failed() {
        let record = |name: &str, error: Option<&str>| Record {
            passed: error.is_none(),
            seconds: 12.34,
            stages: vec![Stage { name: "kernel up".to_owned(), seconds: 7.04 }],
            error: error.map(str::to_owned),
            ..Record::beginning(name, std::path::Path::new("/nowhere"))
        };
        let text = table(&[record("uefi-pxe-uki", None), record("bios", Some("no DISCOVER"))]);
        insta::assert_snapshot!(text, @r"
        pass  uefi-pxe-uki    12.3 s  (kernel up 7.0)
        FAIL  bios            12.3 s  (kernel up 7.0)

        bios: no DISCOVER
        1 passed, 1 failed
        ");
    }
}
