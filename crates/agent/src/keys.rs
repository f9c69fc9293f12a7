//! What is typed at any of the consoles.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::console;

/// The longest line that is taken.
const LONGEST: usize = 200;

/// The keyboards of all consoles.
#[derive(Debug)]
pub(crate) struct Keys {
    inputs: Vec<File>,
}

/// Whether what is typed can be seen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Echo {
    Plain,
    Stars,
}

impl Keys {
    /// Opens them, each key for itself from now on. What was typed before counts for nothing: firmware leaves things behind.
    pub(crate) fn open() -> Self {
        let inputs: Vec<File> = console::names().iter().filter_map(|name| input(name)).collect();
        Self { inputs }
    }

    /// Waits for a key for at most this long.
    pub(crate) fn key(&self, patience: Duration) -> Option<u8> {
        self.any(patience).map(|(_, key)| key)
    }

    /// Forgets what was typed.
    pub(crate) fn forget(&self) {
        for input in &self.inputs {
            // A console that cannot forget has nothing to forget.
            let _ = tcflush(input, QueueSelector::IFlush);
        }
    }

    /// Reads a line, as long as something is typed at least this often.
    pub(crate) fn line(&self, idle: Duration, echo: Echo) -> Option<Zeroizing<String>> {
        let mut line = Line::default();
        loop {
            let (input, key) = self.any(idle)?;
            let done = line.take(key);
            let shown = match (key, echo) {
                (b'\r' | b'\n', _) => "\r\n".to_owned(),
                (8 | 127, _) => "\u{8} \u{8}".to_owned(),
                (b' '..=b'~', Echo::Plain) => char::from(key).to_string(),
                (b' '..=b'~', Echo::Stars) => "*".to_owned(),
                _ => String::new(),
            };
            // What cannot be shown was typed all the same.
            let _ = (&mut &*input).write_all(shown.as_bytes());
            if done {
                return Some(line.text);
            }
        }
    }

    /// A keyboard at which this was typed, and its screen.
    #[cfg(test)]
    pub(crate) fn typed(text: &str) -> (Self, std::os::unix::net::UnixStream) {
        let (mut person, input) = std::os::unix::net::UnixStream::pair().unwrap();
        input.set_nonblocking(true).unwrap();
        person.write_all(text.as_bytes()).unwrap();
        (Self { inputs: vec![File::from(std::os::fd::OwnedFd::from(input))] }, person)
    }

    fn any(&self, patience: Duration) -> Option<(&File, u8)> {
        let until = Instant::now().checked_add(patience)?;
        loop {
            for input in &self.inputs {
                let mut byte = [0];
                if matches!((&mut &*input).read(&mut byte), Ok(1)) {
                    return Some((input, byte[0]));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let mut polled: Vec<PollFd<'_>> =
                self.inputs.iter().map(|input| PollFd::new(input, PollFlags::IN)).collect();
            // A line that hangs up is always ready: look at it ten times a second, not without end.
            let _ = poll(&mut polled, Timespec::try_from(left).ok().as_ref());
            if polled.iter().any(|fd| fd.revents().intersects(PollFlags::HUP | PollFlags::ERR)) {
                std::thread::sleep(left.min(Duration::from_millis(100)));
            }
        }
    }
}

fn input(name: &str) -> Option<File> {
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(Path::new("/dev").join(name)).ok()?;
    let mut modes = tcgetattr(&file).ok()?;
    modes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
    // A console that stays as it is gives its keys line by line: that is enough.
    let _ = tcsetattr(&file, OptionalActions::Now, &modes);
    let _ = tcflush(&file, QueueSelector::IFlush);
    Some(file)
}

/// A line as it is typed. It may be a secret.
struct Line {
    text: Zeroizing<String>,
}

impl Default for Line {
    fn default() -> Self {
        // It never grows, so it leaves no copies behind.
        Self { text: Zeroizing::new(String::with_capacity(LONGEST)) }
    }
}

impl Line {
    /// Takes a key; whether the line is done.
    fn take(&mut self, key: u8) -> bool {
        match key {
            b'\r' | b'\n' => return true,
            8 | 127 => {
                self.text.pop();
            }
            b' '..=b'~' if self.text.len() < LONGEST => self.text.push(char::from(key)),
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_is_left_after_corrections() {
        let mut line = Line::default();
        let done: Vec<bool> = b"re\x1bx\x7ftry\r".iter().map(|key| line.take(*key)).collect();
        assert_eq!(line.text.as_str(), "retry");
        assert_eq!(done.iter().filter(|done| **done).count(), 1);
        for _ in 0..300 {
            line.take(b'x');
        }
        assert_eq!(line.text.len(), LONGEST);
    }
}
