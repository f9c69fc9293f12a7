//! Kernel modules from the initramfs: some at once, the others when a device or the kernel asks for them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use rustix::system::finit_module;
use slipway_image::modalias::{ALIASES, DEPENDS, FOLDER, Table};
use slipway_image::recipe::MODULES;

/// Where the kernel shows its devices.
const DEVICES: &str = "/sys/devices";
/// The kernel's own group of messages about devices.
const KERNEL_EVENTS: u32 = 1;
/// Longer than any such message (Linux, `UEVENT_BUFFER_SIZE`).
const LONGEST_EVENT: usize = 8192;

/// Loads the listed modules in order. What failed, in words; a driver for hardware that is not there is not a failure.
pub(crate) fn load_listed() -> Vec<String> {
    let list = match fs::read_to_string(in_root(MODULES)) {
        Ok(list) => list,
        Err(error) => return vec![format!("no modules loaded: /{MODULES}: {error}")],
    };
    list.lines().filter(|line| !line.is_empty()).filter_map(|path| load(Path::new(path))).collect()
}

/// Loads the drivers of every device that there is, and from then on those of every device that appears. What failed, in words. An
/// image without tables of modules has all of its modules listed.
pub(crate) fn follow_devices() -> Vec<String> {
    let Some(table) = read_table() else { return Vec::new() };
    // Before looking: what appears while we look is told here.
    let events = listen();
    let drivers = Drivers { table: Arc::new(table), tried: Arc::default() };
    let mut faults = drivers.for_present();
    match events {
        Ok(socket) => {
            thread::spawn(move || drivers.for_appearing(&socket));
        }
        Err(error) => faults.push(format!("devices that appear later get no drivers: {error}")),
    }
    faults
}

/// What the kernel runs as `/sbin/modprobe -q -- NAME` when it needs a module by name.
pub(crate) fn modprobe(arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(table) = read_table() else { return ExitCode::FAILURE };
    let names: Vec<String> = arguments.filter(|argument| !argument.starts_with('-')).collect();
    let wanted: Vec<&str> = names.iter().flat_map(|name| table.wanted(name)).collect();
    let failed = wanted.iter().filter(|name| load(&file_of(name)).is_some()).count();
    if wanted.is_empty() || failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The modules there are, and those that were tried: once is enough for each.
#[derive(Clone, Debug)]
struct Drivers {
    table: Arc<Table>,
    tried: Arc<Mutex<BTreeSet<String>>>,
}

impl Drivers {
    /// Until a look at all devices finds nothing new: a bus's driver makes devices appear on it.
    fn for_present(&self) -> Vec<String> {
        let mut faults = Vec::new();
        loop {
            let mut asked = BTreeSet::new();
            find_asked(Path::new(DEVICES), &mut asked);
            let fresh: Vec<String> = asked.iter().flat_map(|asked| self.untried(asked)).collect();
            if fresh.is_empty() {
                return faults;
            }
            faults.extend(fresh.iter().filter_map(|name| load(&file_of(name))));
        }
    }

    fn for_appearing(&self, socket: &OwnedFd) {
        let mut buffer = vec![0_u8; LONGEST_EVENT];
        loop {
            let length = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => length,
                // More than the socket could hold: look at everything again.
                Err(Errno::NOBUFS) => {
                    self.for_present();
                    continue;
                }
                Err(Errno::INTR) => continue,
                Err(_) => return,
            };
            let asked = buffer.get(..length).and_then(asked_in);
            for name in asked.map(|asked| self.untried(asked)).unwrap_or_default() {
                load(&file_of(&name));
            }
        }
    }

    /// The modules for this, in their order, that were not tried yet. From now on they were.
    fn untried(&self, asked: &str) -> Vec<String> {
        let Ok(mut tried) = self.tried.lock() else { return Vec::new() };
        let wanted = self.table.wanted(asked).into_iter().map(str::to_owned);
        wanted.filter(|name| tried.insert(name.clone())).collect()
    }
}

/// What a message of the kernel says that a device asks for, if the device is new.
fn asked_in(event: &[u8]) -> Option<&str> {
    let mut lines = event.split(|byte| *byte == 0).filter_map(|line| core::str::from_utf8(line).ok());
    lines.next().filter(|first| first.starts_with("add@"))?;
    lines.find_map(|line| line.strip_prefix("MODALIAS="))
}

/// What the devices under this folder ask for.
fn find_asked(folder: &Path, out: &mut BTreeSet<String>) {
    // Devices come and go while we look: what cannot be read is not there any more.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find_asked(&entry.path(), out);
        } else if entry.file_name() == "modalias" {
            out.extend(fs::read_to_string(entry.path()).ok());
        }
    }
}

fn listen() -> io::Result<OwnedFd> {
    let kind = (AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC);
    let socket = socket_with(kind.0, kind.1, kind.2, Some(netlink::KOBJECT_UEVENT))?;
    bind(&socket, &SocketAddrNetlink::new(0, KERNEL_EVENTS))?;
    Ok(socket)
}

fn read_table() -> Option<Table> {
    let depends = fs::read_to_string(in_root(DEPENDS)).ok()?;
    Some(Table::parse(&depends, &fs::read_to_string(in_root(ALIASES)).unwrap_or_default()))
}

fn in_root(path: &str) -> std::path::PathBuf {
    Path::new("/").join(path)
}

fn file_of(name: &str) -> std::path::PathBuf {
    in_root(FOLDER).join(format!("{name}.ko"))
}

fn load(path: &Path) -> Option<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Some(format!("cannot load {}: {error}", path.display())),
    };
    match finit_module(file.as_fd(), c"", 0) {
        Ok(()) | Err(Errno::EXIST | Errno::NODEV) => None,
        Err(error) => Some(format!("cannot load {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_device_says_what_it_asks_for() {
        let event = b"add@/devices/pci0000:00/0000:00:04.0\0ACTION=add\0MODALIAS=pci:v00001AF4d00001041\0SEQNUM=7\0";
        assert_eq!(asked_in(event), Some("pci:v00001AF4d00001041"));
        for event in [
            &b"remove@/devices/x\0ACTION=remove\0MODALIAS=pci:v00001AF4\0"[..],
            b"add@/devices/x\0ACTION=add\0",
            b"libudev\0\xfe\xed",
            b"",
        ] {
            assert_eq!(asked_in(event), None, "{}", event.escape_ascii());
        }
    }

    #[test]
    fn each_module_is_tried_once_and_after_what_it_needs() {
        let table =
            Table::parse("igb: dca\ndca: \nixgbe: dca\n", "alias pci:v8086d10C9* igb\nalias pci:v8086d10FB* ixgbe\n");
        let drivers = Drivers { table: Arc::new(table), tried: Arc::default() };
        assert_eq!(drivers.untried("pci:v8086d10C9sv0"), ["dca", "igb"]);
        assert_eq!(drivers.untried("pci:v8086d10FBsv0"), ["ixgbe"]);
        assert_eq!(drivers.untried("pci:v8086d10C9sv1"), [""; 0]);
    }
}
