//! What we write judged by the programs that everybody uses, and what they write read by us.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "test code"
)]

mod fat;
mod gpt;
mod luks;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use slipway_disk::Device;

/// Runs a judge; what it said, if it was content.
pub fn judge(program: &str, arguments: &[&str]) -> String {
    let (content, said) = ask(program, arguments);
    assert!(content, "{program} {arguments:?}:\n{said}");
    said
}

/// Runs a judge: whether it was content, and what it said.
pub fn ask(program: &str, arguments: &[&str]) -> (bool, String) {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(arguments).env("PATH", path).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` installs it"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}

/// A file that is used like a disk.
pub struct Image {
    pub folder: tempfile::TempDir,
    pub path: PathBuf,
}

impl Image {
    pub fn new(mib: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk.img");
        File::create(&path).unwrap().set_len(mib << 20).unwrap();
        Self { folder, path }
    }

    pub fn open(&self) -> File {
        File::options().read(true).write(true).open(&self.path).unwrap()
    }

    pub fn text(&self) -> &str {
        self.path.to_str().unwrap()
    }

    pub fn device(&self, sector: u32) -> Device {
        Device::from_file(&self.path, "serial:ONE", sector).unwrap()
    }

    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Numbers that look random and are the same each time.
pub fn dice(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed | 1;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
