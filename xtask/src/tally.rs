//! Counting what passed and what failed, and how long each phase took.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Everything that was checked so far.
#[derive(Debug)]
pub(crate) struct Tally {
    start: Instant,
    passed: usize,
    failures: Vec<String>,
    phases: Vec<(String, Duration)>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { start: Instant::now(), passed: 0, failures: Vec::new(), phases: Vec::new() }
    }
}

impl Tally {
    /// Notes one check.
    pub(crate) fn note(&mut self, name: &str, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failures.push(name.to_owned());
        }
    }

    /// Notes a whole group: `passed` checks that held, and the names of those that did not.
    pub(crate) fn add(&mut self, passed: usize, failures: impl IntoIterator<Item = String>) {
        self.passed += passed;
        self.failures.extend(failures);
    }

    /// Runs one phase under its heading. A phase that cannot run at all is a failure, never a skip.
    pub(crate) fn phase(&mut self, name: &str, work: impl FnOnce(&mut Self) -> Result<()>) {
        eprintln!("\n==> {name}");
        let start = Instant::now();
        if let Err(error) = work(self) {
            eprintln!("error: {error:#}");
            self.failures.push(format!("{name}: {error:#}"));
        }
        self.phases.push((name.to_owned(), start.elapsed()));
    }

    /// One check that is a phase of its own.
    pub(crate) fn check(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        self.phase(name, |tally| {
            work()?;
            tally.note(name, true);
            Ok(())
        });
    }

    /// Prints timings, failures and, alone on the last line, the sum.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\nTime by phase:");
        for (name, took) in &self.phases {
            println!("  {:>7.1} s  {name}", took.as_secs_f64());
        }
        println!("  {:>7.1} s  in all", self.start.elapsed().as_secs_f64());
        if !self.failures.is_empty() {
            println!("\nFailed:");
            for failure in &self.failures {
                println!("  {failure}");
            }
        }
        println!("\n{}", self.sum());
        if self.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn sum(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failures.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_that_cannot_run_is_a_failure() {
        let mut tally = Tally::default();
        tally.check("good", || Ok(()));
        tally.check("bad", || anyhow::bail!("no such tool"));
        tally.add(3, ["one_test".to_owned()]);
        assert_eq!(tally.sum(), "4 passed, 2 failed");
        assert_eq!(tally.failures, ["bad: no such tool", "one_test"]);
    }
}
