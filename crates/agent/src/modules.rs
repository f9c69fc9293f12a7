//! Kernel modules from the initramfs.

use std::fs::{self, File};
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::system::finit_module;

/// The modules to load, one path a line, dependencies first.
const LIST: &str = "/etc/slipway/modules";

/// Loads the listed modules in order. What failed, in words; a driver for hardware that is not there is not a failure.
pub(crate) fn load_listed() -> Vec<String> {
    let list = match fs::read_to_string(LIST) {
        Ok(list) => list,
        Err(error) => return vec![format!("no modules loaded: {LIST}: {error}")],
    };
    list.lines().filter(|line| !line.is_empty()).filter_map(load).collect()
}

fn load(path: &str) -> Option<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Some(format!("cannot load {path}: {error}")),
    };
    match finit_module(file.as_fd(), c"", 0) {
        Ok(()) | Err(Errno::EXIST | Errno::NODEV) => None,
        Err(error) => Some(format!("cannot load {path}: {error}")),
    }
}
