//! What this machine says of itself. None of it is proof; a person sees it beside the six words.

use std::fs::{self, File};
use std::path::Path;

use slipway_disk::gpt::{self, Present};
use slipway_disk::{Device, devices};
use slipway_trust::record::{Disk, Inventory};

/// Gathers it.
pub(crate) fn gather(disks: &[Device], tpm: Option<String>) -> Inventory {
    let model = [dmi("sys_vendor"), dmi("product_name")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Inventory {
        uuid: dmi("product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
        serial: dmi("product_serial"),
        model: (!model.is_empty()).then_some(model),
        macs: macs(),
        disks: disks.iter().map(disk).collect(),
        memory_mib: fs::read_to_string("/proc/meminfo").ok().and_then(|text| memory_mib(&text)),
        tpm,
    }
}

/// The disks that something could be installed on.
pub(crate) fn disks() -> Vec<Device> {
    let all = devices::list(Path::new("/sys")).unwrap_or_default();
    all.into_iter().filter(|disk| !disk.removable && !disk.read_only).collect()
}

fn disk(device: &Device) -> Disk {
    let present = File::open(&device.path).and_then(|file| gpt::read(&file, device));
    Disk {
        id: device.id.to_string(),
        size: device.size,
        model: (!device.model.is_empty()).then(|| device.model.clone()),
        // What cannot be read may hold something.
        used: !matches!(present, Ok(Present::Blank)),
    }
}

fn dmi(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/sys/class/dmi/id").join(name)).ok()?;
    let text = text.trim().replace(char::is_control, " ");
    // What makers leave in when they forget to fill it in is nobody's name.
    let nothing =
        ["", "none", "not specified", "default string", "to be filled by o.e.m.", "system serial number", "0"];
    (!nothing.contains(&text.to_ascii_lowercase().as_str())).then_some(text)
}

fn macs() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let real = entries.map(|entry| entry.path()).filter(|path| path.join("device").exists());
    let mut macs: Vec<String> = real.filter_map(|path| fs::read_to_string(path.join("address")).ok()).collect();
    macs.iter_mut().for_each(|mac| *mac = mac.trim().to_owned());
    macs.sort();
    macs.dedup();
    macs
}

/// From the text of `/proc/meminfo`.
fn memory_mib(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
}

/// The most memory that this program has had at once, in KiB, from the text of `/proc/self/status`.
pub(crate) fn peak_kib(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_the_kernels_tables() {
        assert_eq!(memory_mib("MemTotal:        2048000 kB\nMemFree: 1 kB\n"), Some(2000));
        assert_eq!(peak_kib("Name:\tinit\nVmHWM:\t    8123 kB\n"), Some(8123));
        assert_eq!((memory_mib(""), peak_kib("VmHWM: x")), (None, None));
    }
}
