//! Where the agent speaks: every console the kernel uses, and the first serial port, where a lab or a server's management
//! controller listens.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::checkpoint::{self, Checkpoint};

/// The open consoles.
#[derive(Debug)]
pub(crate) struct Console {
    outputs: Mutex<Vec<File>>,
}

impl Console {
    /// Opens what there is; with nothing to open, the agent is silent but works.
    pub(crate) fn open() -> Self {
        // The kernel's notices on the same line would tear ours apart; its errors still show.
        let _ = fs::write("/proc/sys/kernel/printk", "4");
        let open = |name: String| OpenOptions::new().write(true).open(Path::new("/dev").join(name)).ok();
        Self { outputs: Mutex::new(names().into_iter().filter_map(open).collect()) }
    }

    /// One whose words are heard.
    #[cfg(test)]
    pub(crate) fn heard() -> (Self, Heard) {
        let (mouth, ear) = std::os::unix::net::UnixStream::pair().unwrap();
        ear.set_nonblocking(true).unwrap();
        (Self { outputs: Mutex::new(vec![File::from(std::os::fd::OwnedFd::from(mouth))]) }, Heard(ear))
    }

    /// Says one line, with the program's name in front.
    pub(crate) fn say(&self, line: &str) {
        self.show(&format!("\nslipway-agent: {line}\n"));
    }

    /// Says that a step was taken.
    pub(crate) fn ok(&self, step: Checkpoint, detail: &str) {
        self.say(&checkpoint::ok(step, detail));
    }

    /// Says that a step takes its time.
    pub(crate) fn under_way(&self, step: Checkpoint, detail: &str) {
        self.say(&checkpoint::under_way(step, detail));
    }

    /// Says that a step failed, why, and what happens next.
    pub(crate) fn failed(&self, step: Checkpoint, reason: &str, next: &str) {
        self.say(&checkpoint::failed(step, reason, next));
    }

    /// Shows text as it is.
    pub(crate) fn show(&self, text: &str) {
        if let Ok(mut outputs) = self.outputs.lock() {
            for output in outputs.iter_mut() {
                // A console that fails cannot be complained about on itself.
                let _ = output.write_all(text.as_bytes());
            }
        }
    }
}

/// What a console said.
#[cfg(test)]
pub(crate) struct Heard(std::os::unix::net::UnixStream);

#[cfg(test)]
impl Heard {
    /// All that it said since it was last asked.
    pub(crate) fn text(&mut self) -> String {
        let mut bytes = Vec::new();
        // It ends where nothing more was said yet.
        let _ = std::io::Read::read_to_end(&mut self.0, &mut bytes);
        String::from_utf8(bytes).unwrap()
    }
}

/// The names of all consoles under `/dev`.
pub(crate) fn names() -> Vec<String> {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let mut names: Vec<&str> = active.split_whitespace().collect();
    // `type` is 0 where the kernel made the device node for a port that does not exist.
    let serial = fs::read_to_string("/sys/class/tty/ttyS0/type").is_ok_and(|kind| kind.trim() != "0");
    if serial && !names.contains(&"ttyS0") {
        names.push("ttyS0");
    }
    // A screen is where a person looks, even if the kernel was told to speak elsewhere.
    let screen = |name: &&str| name.strip_prefix("tty").is_some_and(|number| number.parse::<u8>().is_ok());
    if !names.iter().any(screen) && Path::new("/dev/tty0").exists() {
        names.push("tty0");
    }
    if names.is_empty() {
        names.push("console");
    }
    names.into_iter().map(str::to_owned).collect()
}
