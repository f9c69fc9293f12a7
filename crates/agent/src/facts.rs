//! What the agent reports: one `key=value` a line.

use core::fmt;
use std::fs;
use std::path::Path;

use crate::cmdline::Cmdline;
use crate::net::Network;

/// Boot loaders' variables (Boot Loader Interface).
const LOADER_GUID: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// A report is at most 4 KiB: the rest is left for everything but the command line.
const CMDLINE_LIMIT: usize = 2048;

/// Everything in a report.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) mac: String,
    pub(crate) ip: String,
    pub(crate) interface: String,
    pub(crate) uuid: Option<String>,
    pub(crate) kernel: String,
    pub(crate) cmdline: String,
    pub(crate) uptime_ms: u64,
    pub(crate) firmware: &'static str,
    pub(crate) booted_from: &'static str,
}

impl Facts {
    /// Gathers what this machine says about itself.
    pub(crate) fn gather(network: &Network, kernel: String, cmdline: &Cmdline) -> Self {
        Self {
            mac: network.link.mac.to_string(),
            ip: network.ip.to_string(),
            interface: network.link.name.clone(),
            uuid: line_of("/sys/class/dmi/id/product_uuid").map(|uuid| uuid.to_ascii_lowercase()),
            kernel,
            cmdline: cmdline.text().to_owned(),
            uptime_ms: uptime_ms(&line_of("/proc/uptime").unwrap_or_default()),
            firmware: if Path::new("/sys/firmware/efi").is_dir() { "efi" } else { "bios" },
            booted_from: booted_from(),
        }
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "agent={}", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "mac={}", self.mac)?;
        writeln!(f, "ip={}", self.ip)?;
        writeln!(f, "interface={}", self.interface)?;
        if let Some(uuid) = &self.uuid {
            writeln!(f, "uuid={uuid}")?;
        }
        writeln!(f, "kernel={}", self.kernel)?;
        writeln!(f, "firmware={}", self.firmware)?;
        writeln!(f, "booted_from={}", self.booted_from)?;
        writeln!(f, "uptime_ms={}", self.uptime_ms)?;
        writeln!(f, "cmdline={}", cut(&self.cmdline, CMDLINE_LIMIT))
    }
}

/// The kernel's release, as `uname -r` prints it.
pub(crate) fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// `network` or `disk` as far as systemd's stub can tell: it says which file on which partition it was loaded from, and an image
/// from the network has neither. (A disk without GPT has no partition id, but a path from its root; iPXE gives an image a bare name.)
pub(crate) fn booted_from() -> &'static str {
    let variable = |name: &str| fs::read(format!("/sys/firmware/efi/efivars/{name}-{LOADER_GUID}")).ok();
    where_from(
        variable("StubInfo").is_some(),
        variable("LoaderDevicePartUUID").as_deref(),
        variable("LoaderImageIdentifier").as_deref(),
    )
}

/// The same from the variables: four bytes of attributes, then UTF-16.
fn where_from(stub: bool, partition: Option<&[u8]>, path: Option<&[u8]>) -> &'static str {
    let says = |value: Option<&[u8]>| {
        value.and_then(|value| value.get(4..)).is_some_and(|text| text.iter().any(|byte| *byte != 0))
    };
    let file = path.and_then(|value| value.get(4..)).is_some_and(|text| text.starts_with(b"\\\0"));
    match (stub, says(partition) || file) {
        (_, true) => "disk",
        (true, false) => "network",
        (false, false) => "unknown",
    }
}

fn line_of(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.trim().replace(char::is_control, " ");
    (!line.is_empty()).then_some(line)
}

/// Milliseconds since the kernel started, from the text of `/proc/uptime`: seconds with two decimals.
fn uptime_ms(text: &str) -> u64 {
    let uptime = text.split_whitespace().next().unwrap_or_default();
    let (seconds, hundredths) = uptime.split_once('.').unwrap_or((uptime, "0"));
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    number(seconds).saturating_mul(1000).saturating_add(number(hundredths).saturating_mul(10))
}

/// At most `limit` bytes of `text`, at a character's boundary.
fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(cmdline: &str) -> Facts {
        Facts {
            mac: "52:54:00:12:34:56".into(),
            ip: "10.0.2.15".into(),
            interface: "eth0".into(),
            uuid: Some("564d0000-0000-0000-0000-000000000001".into()),
            kernel: "6.1.0".into(),
            cmdline: cmdline.into(),
            uptime_ms: uptime_ms("12.34 8.00"),
            firmware: "efi",
            booted_from: "network",
        }
    }

    #[test]
    fn a_report_is_one_fact_a_line() {
        let report = facts("console=ttyS0 root=/dev/x").to_string();
        for line in
            ["mac=52:54:00:12:34:56", "uptime_ms=12340", "cmdline=console=ttyS0 root=/dev/x", "booted_from=network"]
        {
            assert!(report.lines().any(|found| found == line), "{line} in\n{report}");
        }
    }

    #[test]
    fn the_longest_report_fits_in_four_kibibytes() {
        assert!(facts(&"é".repeat(4000)).to_string().len() < 4096);
    }

    #[test]
    fn where_a_machine_booted_from_is_told_by_the_stubs_variables() {
        assert_eq!(where_from(true, None, Some(&[6, 0, 0, 0, 0, 0])), "network");
        assert_eq!(where_from(true, None, Some(&[6, 0, 0, 0, 1, 0, 0x75, 0, 0, 0])), "network", "iPXE's name for it");
        assert_eq!(where_from(true, None, Some(&[6, 0, 0, 0, 0x5c, 0, 0, 0])), "disk");
        assert_eq!(where_from(true, Some(&[6, 0, 0, 0, 0x31, 0, 0, 0]), None), "disk");
        assert_eq!(where_from(false, None, None), "unknown");
    }

    #[test]
    fn nonsense_in_proc_is_no_time_at_all() {
        assert_eq!(uptime_ms(""), 0);
        assert_eq!(uptime_ms("x.y"), 0);
    }
}
