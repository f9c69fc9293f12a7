//! What our agent says of each step of a machine's life: `[ok]`, `[..]` under way, `[!!]` failed with the reason.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{HOPELESS, Machine};
use crate::log::Line;

/// How long a step may take: an emulated machine that restarts, loads tens of MiB and waits for its TPM.
const STEP: Duration = Duration::from_secs(300);
/// What begins the line with the six words.
const WORDS: &str = "words: ";
/// What begins the line of a generation.
const HELLO: &str = "hello from generation ";

impl Machine {
    /// Waits, from the console's line number `mark` on, until the agent has taken this step: the words that stand behind `[ok]`.
    ///
    /// # Errors
    /// It says that it failed there, with its reason; or the machine gives up; or nothing is said in five minutes. What was said last is in
    /// the error.
    pub fn wait_step(&self, mark: usize, step: &str) -> Result<Line> {
        let (done, failed) = (format!("[ok] {step}"), format!("[!!] {step}"));
        let texts: Vec<&str> = [done.as_str(), failed.as_str()].into_iter().chain(HOPELESS.iter().copied()).collect();
        let line = self.console().wait_for_any(mark, &texts, STEP).map_err(|error| self.with_trouble(mark, error))?;
        if !line.text.contains(&done) {
            bail!("{}: {}", self.name(), line.text);
        }
        Ok(line)
    }

    /// Waits, from the console's line number `mark` on, until the agent says that a step has failed, and returns its line.
    ///
    /// # Errors
    /// It takes the step, or nothing is said of it in five minutes.
    pub fn wait_failure(&self, mark: usize, step: &str) -> Result<Line> {
        let (done, failed) = (format!("[ok] {step}"), format!("[!!] {step}"));
        let line = self
            .console()
            .wait_for_any(mark, &[&done, &failed], STEP)
            .map_err(|error| self.with_trouble(mark, error))?;
        if line.text.contains(&done) {
            bail!("{} was to fail at {step:?}: {}", self.name(), line.text);
        }
        Ok(line)
    }

    /// Waits for the six words on its console, those that were shown last.
    ///
    /// # Errors
    /// It shows none in five minutes.
    pub fn six_words(&self) -> Result<String> {
        self.console().wait_for(WORDS, STEP).map_err(|error| self.with_trouble(0, error))?;
        let last = self.console().find_last(WORDS).context("the words are gone")?;
        let (_, words) = last.text.split_once(WORDS).context("no words")?;
        Ok(words.trim().to_owned())
    }

    /// Waits, from the console's line number `mark` on, until a generation says hello.
    ///
    /// # Errors
    /// It does not in five minutes.
    pub fn wait_hello(&self, mark: usize) -> Result<Line> {
        let texts: Vec<&str> = std::iter::once(HELLO).chain(HOPELESS.iter().copied()).collect();
        let line = self.console().wait_for_any(mark, &texts, STEP).map_err(|error| self.with_trouble(mark, error))?;
        if !line.text.contains(HELLO) {
            bail!("{}: {}", self.name(), line.text);
        }
        Ok(line)
    }

    /// An error with the failures that the agent told of before it.
    fn with_trouble(&self, mark: usize, error: anyhow::Error) -> anyhow::Error {
        match self.console().find_last_from(mark, "[!!] ") {
            Some(line) => error.context(format!("{} said before: {}", self.name(), line.text)),
            None => error,
        }
    }
}
