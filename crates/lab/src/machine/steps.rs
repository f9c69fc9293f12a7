//! What our agent says of each step of a machine's life: `[ok]`, `[..]` under way, `[!!]` failed with the reason.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::{HOPELESS, Machine};
use crate::log::{Line, indent};

/// How long a step may take: an emulated machine that restarts, loads tens of MiB and waits for its TPM.
const STEP: Duration = Duration::from_secs(300);
/// What Linux says last before the firmware has the machine again.
const RESTARTING: &str = "reboot: Restarting system";
/// How long firmware may say nothing at all after that: it paints its first screen within ten seconds on a machine that has time for it.
const SILENCE: Duration = Duration::from_secs(120);
/// How often a machine that says nothing is looked at.
const LOOK: Duration = Duration::from_secs(30);
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
        let line = self.hear(mark, &texts).map_err(|error| self.with_trouble(mark, error))?;
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
        let line = self.hear(mark, &[&done, &failed]).map_err(|error| self.with_trouble(mark, error))?;
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
        self.hear(0, &[WORDS]).map_err(|error| self.with_trouble(0, error))?;
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
        let line = self.hear(mark, &texts).map_err(|error| self.with_trouble(mark, error))?;
        if !line.text.contains(HELLO) {
            bail!("{}: {}", self.name(), line.text);
        }
        Ok(line)
    }

    /// Waits, from the console's line number `mark` on, for any of these texts. Emulated firmware that fell silent after a restart has its
    /// reset button pressed, once, and that is said, with what QEMU tells of the machine.
    fn hear(&self, mark: usize, texts: &[&str]) -> Result<Line> {
        let mut deadline = Instant::now() + STEP;
        let mut pressed = false;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let heard = self.console().wait_for_any(mark, texts, left.min(LOOK));
            if heard.is_ok() || left <= LOOK || self.process.wait_exit(Duration::ZERO).is_ok() {
                return heard;
            }
            if !pressed && self.fell_silent() {
                let state = indent(&self.state());
                self.monitor.reset().with_context(|| format!("{} hangs in its restart:\n{state}", self.name))?;
                println!("note: {} hung in its restart, so its reset button was pressed:\n{state}", self.name);
                pressed = true;
                deadline = Instant::now() + STEP;
            }
        }
    }

    fn fell_silent(&self) -> bool {
        let last = self.console().last().filter(|line| line.text.contains(RESTARTING));
        let since = last.and_then(|line| SystemTime::now().duration_since(line.at).ok());
        since.is_some_and(|since| since >= SILENCE)
    }

    /// An error with the failures that the agent told of before it.
    fn with_trouble(&self, mark: usize, error: anyhow::Error) -> anyhow::Error {
        match self.console().find_last_from(mark, "[!!] ") {
            Some(line) => error.context(format!("{} said before: {}", self.name(), line.text)),
            None => error,
        }
    }
}
