//! A program's output, line by line as it comes: kept in a file, and waited on by what it says.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

/// One line of output, without its line ending and without terminal control sequences.
#[derive(Clone, Debug)]
pub struct Line {
    /// When its last byte was read.
    pub at: SystemTime,
    /// The printable text.
    pub text: String,
}

/// The growing output of one program. Clones share it.
#[derive(Clone, Debug)]
pub struct Log {
    name: String,
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    /// What was said since the last line's end: a prompt.
    unfinished: String,
    sources: usize,
    ended: bool,
}

impl Log {
    /// An empty log that is called `name` in errors.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), shared: Arc::default() }
    }

    /// Reads `source` to its end on a thread of its own; every byte also goes to the file `path`. A log may follow several
    /// sources, and ends with the last of them.
    ///
    /// # Errors
    /// The file can't be opened.
    pub fn follow(&self, mut source: impl Read + Send + 'static, path: &Path) -> Result<()> {
        let opened = File::options().create(true).append(true).open(path);
        let mut file = opened.with_context(|| format!("{}: cannot write the log", path.display()))?;
        let mut state = self.state();
        state.sources += 1;
        // A first source may have ended already.
        state.ended = false;
        drop(state);
        let log = self.clone();
        std::thread::spawn(move || {
            let mut partial = Vec::new();
            let mut buffer = [0_u8; 8192];
            while let Ok(read @ 1..) = source.read(&mut buffer) {
                let bytes = buffer.get(..read).unwrap_or_default();
                // A full disk must not stop the program that we listen to.
                let _unwritten = file.write_all(bytes);
                partial.extend_from_slice(bytes);
                log.take_lines(&mut partial);
            }
            if !partial.is_empty() {
                partial.push(b'\n');
                log.take_lines(&mut partial);
            }
            log.end();
        });
        Ok(())
    }

    /// Adds a line of our own.
    pub fn push(&self, text: &str) {
        self.state().lines.push(Line { at: SystemTime::now(), text: text.to_owned() });
        self.shared.1.notify_all();
    }

    fn take_lines(&self, bytes: &mut Vec<u8>) {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let rest = bytes.split_off(whole);
        let at = SystemTime::now();
        let lines = bytes.split(|&byte| byte == b'\n').map(|raw| Line { at, text: printable(raw) });
        // The piece after the last ending is empty: not a line.
        let count = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let mut state = self.state();
        state.lines.extend(lines.take(count));
        state.unfinished = printable(&rest);
        drop(state);
        *bytes = rest;
        self.shared.1.notify_all();
    }

    fn end(&self) {
        let mut state = self.state();
        state.sources = state.sources.saturating_sub(1);
        state.ended = state.sources == 0;
        drop(state);
        self.shared.1.notify_all();
    }

    /// How many lines there are by now: where a later wait may start from.
    #[must_use]
    pub fn mark(&self) -> usize {
        self.state().lines.len()
    }

    /// The last `count` lines, and what was said since: firmware paints whole screens without ending a line.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<String> {
        let state = self.state();
        let lines = state.lines.iter().rev().take(count).rev().map(|line| line.text.clone());
        lines.chain(Some(state.unfinished.clone()).filter(|text| !text.is_empty())).collect()
    }

    /// The last line, while nothing at all was said since.
    pub(crate) fn last(&self) -> Option<Line> {
        let state = self.state();
        state.lines.last().filter(|_| state.unfinished.is_empty()).cloned()
    }

    /// The first line so far that holds `text`.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<Line> {
        self.state().lines.iter().find(|line| line.text.contains(text)).cloned()
    }

    /// How many lines so far hold `text`.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.state().lines.iter().filter(|line| line.text.contains(text)).count()
    }

    /// The last line so far that holds `text`.
    #[must_use]
    pub fn find_last(&self, text: &str) -> Option<Line> {
        self.find_last_from(0, text)
    }

    /// The same from the line number `mark` on.
    #[must_use]
    pub fn find_last_from(&self, mark: usize, text: &str) -> Option<Line> {
        self.state().lines.iter().skip(mark).rfind(|line| line.text.contains(text)).cloned()
    }

    /// What the first line so far gives that gives anything.
    pub(crate) fn find_map<T>(&self, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.state().lines.iter().find_map(|line| read(&line.text))
    }

    /// Waits until some line holds `text`.
    ///
    /// # Errors
    /// `within` passed, or the output ended first: the last lines are in the error.
    pub fn wait_for(&self, text: &str, within: Duration) -> Result<Line> {
        self.wait_from(0, text, within)
    }

    /// As [`wait_for`](Self::wait_for), from the line number `mark` on.
    ///
    /// # Errors
    /// As there.
    pub fn wait_from(&self, mark: usize, text: &str, within: Duration) -> Result<Line> {
        self.wait_for_any(mark, &[text], within)
    }

    /// Waits, from the line number `mark` on, until some line holds any of these texts.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_any(&self, mark: usize, texts: &[&str], within: Duration) -> Result<Line> {
        self.wait(mark, texts, false, within)
    }

    /// Waits, from the line number `mark` on, for a prompt: `text` in a line that may have no end yet. Blanks at its end do not count, as a
    /// line's own do not.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_for_prompt(&self, mark: usize, text: &str, within: Duration) -> Result<Line> {
        self.wait(mark, &[text.trim_end()], true, within)
    }

    /// Hands over every line, also those that came before, until the output ends.
    pub(crate) fn for_each(&self, mut hear: impl FnMut(&Line)) {
        let mut state = self.state();
        let mut next = 0;
        loop {
            let fresh: Vec<Line> = state.lines.iter().skip(next).cloned().collect();
            if fresh.is_empty() {
                if state.ended {
                    return;
                }
                state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            next += fresh.len();
            fresh.iter().for_each(&mut hear);
            state = self.state();
        }
    }

    fn wait(&self, mark: usize, texts: &[&str], prompts: bool, within: Duration) -> Result<Line> {
        let deadline = Instant::now() + within;
        let mut state = self.state();
        let mut next = mark;
        loop {
            if let Some(line) =
                state.lines.iter().skip(next).find(|line| texts.iter().any(|text| line.text.contains(text)))
            {
                return Ok(line.clone());
            }
            let prompts = prompts && state.lines.len() >= mark;
            if prompts && texts.iter().any(|text| state.unfinished.contains(text)) {
                return Ok(Line { at: SystemTime::now(), text: state.unfinished.clone() });
            }
            next = state.lines.len().max(mark);
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let why = if state.ended { "ended" } else { "went on" };
                drop(state);
                bail!(
                    "{} {why} without saying {texts:?} (waited at most {} s); its last lines:\n{}",
                    self.name,
                    within.as_secs(),
                    indent(&self.tail(12))
                );
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lines as a block that stands apart from the text around it.
#[must_use]
pub(crate) fn indent(lines: &[String]) -> String {
    lines.iter().map(|line| format!("    | {line}\n")).collect()
}

/// Drops terminal control sequences (firmware paints its console) and other bytes that are not text. A carriage return
/// starts the line anew unless it ends it.
fn printable(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let mut out = String::new();
    let mut chars = text.trim_end_matches('\r').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                if chars.next_if_eq(&'[').is_some() {
                    while chars.next_if(|c| !c.is_ascii_alphabetic()).is_some() {}
                }
                chars.next();
            }
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firmware_console_reads_as_plain_text() {
        assert_eq!(
            printable(b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: loading\x1b[0m Boot0001\r"),
            "BdsDxe: loading Boot0001"
        );
        assert_eq!(printable(b"\x1b"), "");
        assert_eq!(printable(b"tab\there \r\r"), "tab here");
    }

    fn said(log: &Log, text: &str) {
        log.take_lines(&mut text.as_bytes().to_vec());
    }

    #[test]
    fn a_wait_sees_lines_that_came_before_it_and_a_mark_hides_them() {
        let log = Log::new("it");
        said(&log, "ready\n");
        assert_eq!(log.wait_for("ready", Duration::ZERO).unwrap().text, "ready");
        let mark = log.mark();
        assert_eq!(mark, 1);
        said(&log, "steady\n");
        assert!(log.wait_from(mark, "ready", Duration::ZERO).is_err());
        assert_eq!(log.wait_from(mark, "steady", Duration::ZERO).unwrap().text, "steady");
    }

    #[test]
    fn a_prompt_is_seen_before_its_line_ends() {
        let log = Log::new("it");
        let mut bytes = b"welcome\niPXE> ".to_vec();
        log.take_lines(&mut bytes);
        assert_eq!(log.mark(), 1);
        assert_eq!(log.wait_for_prompt(0, "iPXE>", Duration::ZERO).unwrap().text, "iPXE>");
        assert!(log.wait_for("iPXE>", Duration::ZERO).is_err(), "half a line is not a line");
        assert_eq!(log.tail(1), ["welcome", "iPXE>"]);
        assert!(log.last().is_none(), "it spoke on");
        let behind = log.mark() + 1;
        assert!(log.wait_for_prompt(behind, "iPXE>", Duration::ZERO).is_err(), "that is the prompt of before");
        bytes.extend(b"dhcp\n");
        log.take_lines(&mut bytes);
        assert_eq!((log.tail(1), log.last().unwrap().text), (vec!["iPXE> dhcp".to_owned()], "iPXE> dhcp".to_owned()));
        assert!(log.wait_for_prompt(2, "iPXE>", Duration::ZERO).is_err());
    }

    #[test]
    fn whoever_listens_hears_every_line_until_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new("it");
        log.push("before");
        log.follow(&b"one\ntwo"[..], &folder.path().join("it.log")).unwrap();
        let mut heard = Vec::new();
        log.for_each(|line| heard.push(line.text.clone()));
        assert_eq!(heard, ["before", "one", "two"]);
    }

    #[test]
    fn a_wait_ends_when_the_output_does_and_shows_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::new("node1's console");
        log.follow(&b"one\nlast words"[..], &folder.path().join("console.log")).unwrap();
        let error = log.wait_for("booted", Duration::from_secs(3600)).unwrap_err().to_string();
        assert!(error.contains("node1's console ended") && error.contains("last words"), "{error}");
    }
}
