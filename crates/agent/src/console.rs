//! Where the agent speaks: every console the kernel uses, and the first serial port, where a lab or a server's management
//! controller listens.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

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
        let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
        let mut names: Vec<&str> = active.split_whitespace().collect();
        // `type` is 0 where the kernel made the device node for a port that does not exist.
        let serial = fs::read_to_string("/sys/class/tty/ttyS0/type").is_ok_and(|kind| kind.trim() != "0");
        if serial && !names.contains(&"ttyS0") {
            names.push("ttyS0");
        }
        if names.is_empty() {
            names.push("console");
        }
        let open = |name: &&str| OpenOptions::new().write(true).open(Path::new("/dev").join(name)).ok();
        Self { outputs: Mutex::new(names.iter().filter_map(open).collect()) }
    }

    /// Says one line, with the program's name in front.
    pub(crate) fn say(&self, line: &str) {
        let text = format!("\nslipway-agent: {line}\n");
        if let Ok(mut outputs) = self.outputs.lock() {
            for output in outputs.iter_mut() {
                // A console that fails cannot be complained about on itself.
                let _ = output.write_all(text.as_bytes());
            }
        }
    }
}
