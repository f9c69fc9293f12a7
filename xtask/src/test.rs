//! `cargo xtask test`: everything, and one line at the end that says how much held.

use std::io::{BufRead as _, BufReader};
use std::process::{ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::lint::{self, Policy};
use crate::needs::Work;
use crate::programs::Programs;
use crate::tally::Tally;
use crate::{fuzz, lab, setup, sh};

const FUZZ_SECONDS: u32 = 60;

/// Runs the gate: all of it, or the tier that a change is tried with while it is written.
pub(crate) fn run(quick: bool) -> Result<ExitCode> {
    let mut tally = Tally::default();
    if quick {
        tally.check("system packages", || setup::ensure(&[Work::Build, Work::Judges]));
        lint::checks(&mut tally, Policy::Left, Programs::WithTests);
        tally.phase("unit tests", unit_tests);
    } else {
        tally.check("system packages", || {
            setup::ensure(&[Work::Build, Work::Judges, Work::Fuzz, Work::Boot, Work::Peers])
        });
        beside_fuzzers(&mut tally, |tally| {
            lint::checks(tally, Policy::Checked, Programs::WithTests);
            tally.phase("unit tests", unit_tests);
        });
        tally.phase("lab scenarios and the demo", |tally| lab::all(tally, Programs::WithTests));
    }
    Ok(tally.finish())
}

/// Does other work, and then fuzzes with targets that were built meanwhile: one long crate after the other, and tests that wait, leave
/// a processor idle.
fn beside_fuzzers(tally: &mut Tally, work: impl FnOnce(&mut Tally)) {
    thread::scope(|scope| {
        let builder = scope.spawn(|| [fuzz::build(), lint::fuzz_targets()]);
        work(tally);
        let mut built = Ok(());
        tally.check("clippy on the fuzz targets, built meanwhile", || {
            let linted;
            [built, linted] = builder.join().map_err(|_| anyhow!("the thread that builds them panicked"))?;
            linted
        });
        tally.phase("fuzzing", |tally| {
            built?;
            fuzz::all(tally, FUZZ_SECONDS, &[])
        });
    });
}

/// `cargo test`, counted. A crate that does not even compile is a failure too.
fn unit_tests(tally: &mut Tally) -> Result<()> {
    let mut cargo = sh::cargo(["test", "--workspace", "--locked", "--no-fail-fast"]);
    eprintln!("$ cargo test --workspace --locked --no-fail-fast");
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let mut results = Results::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if results.read(&line) {
                println!("{line}");
            }
        }
    }
    let status = child.wait()?;
    let silent = !status.success() && results.failures.is_empty();
    tally.add(results.passed, results.failures);
    if silent {
        bail!("cargo test failed before it could run the tests: {status}");
    }
    Ok(())
}

/// What libtest printed so far.
#[derive(Debug, Default)]
struct Results {
    passed: usize,
    failures: Vec<String>,
}

impl Results {
    /// Reads one line and says whether it is worth showing: a test that passed is not.
    fn read(&mut self, line: &str) -> bool {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.passed += count(counts, " passed");
            return true;
        }
        let Some((name, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.rsplit_once(" ... ")) else {
            return !line.is_empty() && !line.starts_with("running ");
        };
        match verdict {
            "ok" => false,
            // A part of another test, which runs it as a process of its own.
            verdict if verdict.starts_with("ignored, run by `") => false,
            verdict if verdict.starts_with("ignored") => {
                self.failures.push(format!("{name} (ignored, and no test is skipped here)"));
                true
            }
            _ => {
                self.failures.push(name.to_owned());
                true
            }
        }
    }
}

/// The number that stands before a word: `3 passed` in `ok. 3 passed; 0 failed`.
fn count(text: &str, word: &str) -> usize {
    let number = text.split(word).next().and_then(|before| before.rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_output_is_counted_and_a_skipped_test_is_a_failure() {
        let mut results = Results::default();
        let lines = [
            ("running 4 tests", false),
            ("test a::good ... ok", false),
            ("test a::bad ... FAILED", true),
            ("test a::later ... ignored, needs root", true),
            ("test kill::victim ... ignored, run by `a_killed_process_loses_nothing`", false),
            ("test src/lib.rs - x (line 3) ... ok", false),
            ("test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out", true),
            ("test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out", true),
        ];
        for (line, shown) in lines {
            assert_eq!(results.read(line), shown, "{line}");
        }
        assert_eq!(results.passed, 14);
        assert_eq!(results.failures, ["a::bad", "a::later (ignored, and no test is skipped here)"]);
    }
}
