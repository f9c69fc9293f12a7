//! Text to value: what a configuration's strings may say. Each reader gives the value, or the reason and the remedy.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use slipway_engine::enrol::Enrol;
use slipway_engine::ra::Ra;
use slipway_engine::request::Loader;
use slipway_engine::rules::Path;
use slipway_wire::{AgentId, ClientArch, Cpu};

use crate::site::Mode;

mod addresses;

pub(crate) use addresses::masked;
pub(super) use addresses::{host4, host6, ipv4, ipv6, mac, mask4, net, range, range6, relay, subnet, subnet6};

/// Why a text is not the value that belongs there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Reject {
    pub(super) reason: String,
    pub(super) remedy: String,
}

pub(super) fn reject<T>(reason: impl Into<String>, remedy: impl Into<String>) -> Result<T, Reject> {
    Err(Reject { reason: reason.into(), remedy: remedy.into() })
}

pub(super) fn text(raw: &str) -> Result<String, Reject> {
    Ok(raw.to_owned())
}

pub(super) fn name(raw: &str) -> Result<String, Reject> {
    if raw.is_empty() || raw.len() > 64 || raw.chars().any(char::is_control) {
        return reject("a name is 1 to 64 characters", "give it a short name, such as \"lab\"");
    }
    Ok(raw.to_owned())
}

/// A menu's name: it becomes part of URLs.
pub(super) fn menu(raw: &str) -> Result<String, Reject> {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    let first = raw.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if !first || raw.len() > 63 || !raw.bytes().all(rest) {
        let remedy =
            "use 1 to 63 of a-z, 0-9, `.`, `_` and `-`, the first a letter or digit; `title` is what people read";
        return reject(format!("{raw:?} cannot be a menu's name"), remedy);
    }
    Ok(raw.to_owned())
}

/// An amount of memory in MiB: `512MiB`, `2GiB`.
pub(super) fn memory(raw: &str) -> Result<u64, Reject> {
    let amount = [("MiB", 1), ("GiB", 1024), ("TiB", 1024 * 1024)].into_iter().find_map(|(unit, factor)| {
        let number: u64 = raw.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(factor).filter(|mib| *mib > 0)
    });
    match amount {
        Some(mib) => Ok(mib),
        None => reject(
            format!("{raw:?} is not an amount of memory"),
            "write a number and MiB, GiB or TiB, such as \"2GiB\"",
        ),
    }
}

/// A command line's appendix: one line, because it ends up in an iPXE script and in a kernel command line.
pub(super) fn one_line(raw: &str) -> Result<String, Reject> {
    if raw.chars().any(char::is_control) {
        return reject("holds a control character", "write it on one line, with spaces between the arguments");
    }
    Ok(raw.to_owned())
}

/// An interface's name as Linux takes it (`IFNAMSIZ` 16 with the NUL).
pub(super) fn interface(raw: &str) -> Result<String, Reject> {
    let fits = (1..=15).contains(&raw.len()) && raw != "." && raw != "..";
    if !fits || raw.contains(|c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control()) {
        return reject(format!("{raw:?} cannot be an interface's name"), "`ip -brief address` lists the names");
    }
    if raw == "lo" {
        return reject("\"lo\" is the loopback: no machine is there", "`ip -brief address` lists the names");
    }
    Ok(raw.to_owned())
}

pub(super) fn absolute(raw: &str) -> Result<PathBuf, Reject> {
    let path = PathBuf::from(raw);
    if !path.is_absolute() {
        return reject(format!("{raw:?} is not an absolute path"), "start it with `/`");
    }
    Ok(path)
}

/// A folder of our own or of the operator's files: never all there is.
pub(super) fn folder(raw: &str) -> Result<PathBuf, Reject> {
    let path = absolute(raw)?;
    if path.parent().is_none() {
        return reject("\"/\" is this whole machine", "name a folder for nothing else, such as \"/srv/tftp\"");
    }
    Ok(path)
}

/// A Unix socket's path: Linux takes 107 bytes (`unix(7)`).
pub(super) fn socket(raw: &str) -> Result<PathBuf, Reject> {
    if raw.len() > 107 {
        return reject(
            format!("is {} bytes long, and a socket's path has at most 107", raw.len()),
            "choose a shorter path",
        );
    }
    absolute(raw)
}

/// A user to become, once root is not needed any more.
pub(super) fn user(raw: &str) -> Result<String, Reject> {
    if raw == "root" {
        return reject("\"root\" gives nothing up", "name another user, such as \"nobody\", or remove the key");
    }
    name(raw)
}

/// A circuit or remote id: text, or `0x` with hexadecimal digits; as long as a sub-option can be.
pub(super) fn agent_id(raw: &str) -> Result<AgentId, Reject> {
    match raw.parse::<AgentId>() {
        Ok(id) if id.as_bytes().len() <= 255 => Ok(id),
        Ok(_) => {
            reject("is longer than 255 bytes", "no relay can tell that: `slipway machine show` shows what is told")
        }
        Err(_) if raw.is_empty() => reject("is empty", "write it as `slipway machine show` shows it"),
        Err(_) => reject(
            format!("{raw:?} is not pairs of hexadecimal digits"),
            "write text (\"ge-0/0/1\"), or bytes as pairs of digits (\"0x00040064\")",
        ),
    }
}

pub(super) fn uuid(raw: &str) -> Result<uuid::Uuid, Reject> {
    let Ok(uuid) = raw.parse::<uuid::Uuid>() else {
        return reject(
            format!("{raw:?} is not a UUID"),
            "write it as `dmidecode -s system-uuid` does: 8-4-4-4-12 hexadecimal digits",
        );
    };
    if uuid.is_nil() || uuid.is_max() {
        return reject(
            "every board that was given no UUID says this one",
            "name the machine by its `mac`, or give its board a UUID",
        );
    }
    Ok(uuid)
}

/// `90s`, `1h`, `1h30m`, `2d`: a number and a unit (s m h d w), one or several.
pub(super) fn duration(raw: &str) -> Result<Duration, Reject> {
    let example = "write number and unit (s, m, h, d, w), such as \"1h\", \"90s\" or \"1h30m\"";
    let mut seconds: u64 = 0;
    let mut number = String::new();
    let mut units = 0;
    for c in raw.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return reject(format!("{raw:?} is not a duration"), example),
        };
        let Some(sum) = number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)?.checked_add(seconds)) else {
            return reject(format!("{raw:?} is not a duration"), example);
        };
        seconds = sum;
        number.clear();
        units += 1;
    }
    if units == 0 || !number.is_empty() {
        return reject(format!("{raw:?} has no unit"), example);
    }
    Ok(Duration::from_secs(seconds))
}

/// A lease's length: 60 s to 10 years.
pub(super) fn lease(raw: &str) -> Result<Duration, Reject> {
    let lease = duration(raw)?;
    if !(60..=315_360_000).contains(&lease.as_secs()) {
        return reject(format!("{raw:?} is out of range"), "a lease lasts from \"60s\" to \"3650d\"");
    }
    Ok(lease)
}

/// How long boots are counted over: 1 minute to a year.
pub(super) fn window(raw: &str) -> Result<Duration, Reject> {
    let window = duration(raw)?;
    if !(60..=31_536_000).contains(&window.as_secs()) {
        return reject(format!("{raw:?} is out of range"), "boots are counted over \"1m\" to \"365d\"");
    }
    Ok(window)
}

/// How long a machine that was sent to its disk may take to be heard: 1 second to an hour.
pub(super) fn patience(raw: &str) -> Result<Duration, Reject> {
    let patience = duration(raw)?;
    if patience.is_zero() || patience > Enrol::LONGEST {
        return reject(format!("{raw:?} is out of range"), "a machine is waited for from \"1s\" to \"1h\"");
    }
    Ok(patience)
}

/// A host or domain name: labels of letters, digits and dashes (rfc1123#2.1).
pub(super) fn hostname(raw: &str) -> Result<String, Reject> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if raw.len() > 253 || !raw.split('.').all(label_ok) {
        return reject(
            format!("{raw:?} is not a host name"),
            "use letters, digits and dashes, with dots between labels",
        );
    }
    Ok(raw.to_owned())
}

/// A name in a certificate: what machines ask for that do not ask for an address.
pub(super) fn certificate_name(raw: &str) -> Result<String, Reject> {
    if raw.parse::<IpAddr>().is_ok() {
        return reject(
            format!("{raw} is an address, not a name"),
            "remove it: the addresses of the interfaces are in the certificate anyway",
        );
    }
    hostname(raw)
}

/// Every architecture by its name in configuration: the registry's name in lower case, dashes for spaces.
pub(super) const ARCHS: [(&str, ClientArch); 17] = [
    ("x86-bios", ClientArch::BIOS),
    ("ia32-uefi", ClientArch::IA32_UEFI),
    ("x64-uefi", ClientArch::X64_UEFI),
    ("ebc", ClientArch::EBC),
    ("arm32-uefi", ClientArch::ARM32_UEFI),
    ("arm64-uefi", ClientArch::ARM64_UEFI),
    ("ia32-uefi-http", ClientArch::IA32_UEFI_HTTP),
    ("x64-uefi-http", ClientArch::X64_UEFI_HTTP),
    ("arm32-uefi-http", ClientArch::ARM32_UEFI_HTTP),
    ("arm64-uefi-http", ClientArch::ARM64_UEFI_HTTP),
    ("x86-bios-http", ClientArch::BIOS_HTTP),
    ("arm32-u-boot", ClientArch::ARM32_UBOOT),
    ("arm64-u-boot", ClientArch::ARM64_UBOOT),
    ("riscv64-uefi", ClientArch::RISCV64_UEFI),
    ("riscv64-uefi-http", ClientArch::RISCV64_UEFI_HTTP),
    ("loongarch64-uefi", ClientArch::LOONGARCH64_UEFI),
    ("rpiboot", ClientArch::RPIBOOT),
];

/// An architecture by name, or by its number in option 93.
pub(super) fn arch(raw: &str) -> Result<ClientArch, Reject> {
    if let Ok(number) = raw.parse::<u16>() {
        return Ok(ClientArch(number));
    }
    one_of(raw, &ARCHS, "an architecture (or its number in DHCP option 93)")
}

pub(super) fn cpu(raw: &str) -> Result<Cpu, Reject> {
    let all = [Cpu::Ia32, Cpu::X64, Cpu::Arm32, Cpu::Arm64, Cpu::RiscV64, Cpu::LoongArch64];
    one_of(raw, &all.map(|cpu| (cpu.name(), cpu)), "a processor family")
}

pub(super) fn loader(raw: &str) -> Result<Loader, Reject> {
    let all = [Loader::Os, Loader::Pxe, Loader::UefiHttp, Loader::Ipxe, Loader::UBoot, Loader::Grub, Loader::Agent];
    one_of(raw, &all.map(|loader| (loader.name(), loader)), "a loader")
}

pub(super) fn path(raw: &str) -> Result<Path, Reject> {
    let paths = [
        ("auto", Path::Auto),
        ("direct", Path::Direct),
        ("ipxe", Path::Ipxe),
        ("shim", Path::Shim),
        ("pxelinux", Path::Pxelinux),
    ];
    one_of(raw, &paths, "a path")
}

pub(super) fn mode(raw: &str) -> Result<Mode, Reject> {
    one_of(raw, &[("dhcp", Mode::Dhcp), ("proxy", Mode::Proxy), ("off", Mode::Off)], "a mode")
}

pub(super) fn ra(raw: &str) -> Result<Ra, Reject> {
    let all = [Ra::Off, Ra::BootOnly, Ra::Managed, Ra::Stateless];
    one_of(raw, &all.map(|ra| (ra.name(), ra)), "a kind of router advertisement")
}

pub(super) fn one_of<T: Copy>(raw: &str, all: &[(&str, T)], what: &str) -> Result<T, Reject> {
    if let Some((_, value)) = all.iter().find(|(name, _)| *name == raw) {
        return Ok(*value);
    }
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let remedy = match nearest(raw, &names) {
        Some(near) => format!("did you mean \"{near}\"? One of: {}", names.join(", ")),
        None => format!("one of: {}", names.join(", ")),
    };
    reject(format!("{raw:?} is not {what}"), remedy)
}

/// `name` or `name@version`, each in the store's alphabet.
pub(super) fn image(raw: &str) -> Result<(String, Option<String>), Reject> {
    let (name, version) = raw.split_once('@').map_or((raw, None), |(name, version)| (name, Some(version)));
    let tail = |text: &str| text.len() <= 63 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    let name_ok = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && tail(name)
        && !name.contains(|c: char| c.is_ascii_uppercase());
    let version_ok = version.is_none_or(|v| v.starts_with(|c: char| c.is_ascii_alphanumeric()) && tail(v));
    if !name_ok || !version_ok {
        return reject(
            format!("{raw:?} cannot be an image's name"),
            "write name or name@version, as `slipway image list` shows them",
        );
    }
    Ok((name.to_owned(), version.map(str::to_owned)))
}

/// The known word that a misspelt one was probably meant to be.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.replace('_', "-").to_lowercase();
    let worst = (word.chars().count() / 3).max(1);
    known.iter().map(|k| (distance(&word, k), *k)).filter(|(d, _)| *d <= worst).min().map(|(_, k)| k)
}

/// Edit distance (insertion, deletion, replacement, and swapping two neighbours).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, cb) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&row, j) + usize::from(ca != cb)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(cb) && b.get(j - 1) == Some(ca);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = core::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_number_and_unit() {
        for (text, seconds) in [("90s", 90), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "90", "h", "1x", "1h30", "-1h", "99999999999999999999s", "18446744073709551615w"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_with_host_bits_is_told_its_own_form() {
        assert_eq!(net("10.77.0.5/24").unwrap_err().remedy, "write \"10.77.0.0/24\"");
        assert_eq!(net("fd00::1/64").unwrap_err().remedy, "write \"fd00::/64\"");
        assert_eq!(net("0.0.0.0/0").unwrap().prefix, 0);
        assert!(net("10.0.0.0/33").is_err());
    }

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let known = ["network", "pool", "router", "blksize-max"];
        for (typo, meant) in [("netwrok", "network"), ("pools", "pool"), ("blksize_max", "blksize-max")] {
            assert_eq!(nearest(typo, &known), Some(meant), "{typo}");
        }
        assert_eq!(nearest("zebra", &known), None);
    }

    #[test]
    fn an_architecture_is_a_name_or_a_number() {
        assert_eq!(arch("x64-uefi"), Ok(ClientArch::X64_UEFI));
        assert_eq!(arch("4711"), Ok(ClientArch(4711)));
        assert!(arch("x64-uefy").unwrap_err().remedy.starts_with("did you mean \"x64-uefi\"?"));
    }
}
