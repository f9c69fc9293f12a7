//! Root paths: how a network disk is named in DHCP's option 17 and in iPXE's `sanboot`. iSCSI as RFC 4173 writes it, AoE as iPXE does.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

/// The longest root path: DHCP's option 17 holds no more.
const LONGEST: usize = 255;
/// The longest iSCSI name (RFC 3720 §3.2.6.1).
const LONGEST_NAME: usize = 223;

/// A network disk's place.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum RootPath {
    /// A unit of an iSCSI target.
    Iscsi(Iscsi),
    /// A blade of ATA over Ethernet, on the machine's own link: it has no addresses and passes no router.
    Aoe {
        /// Its shelf: 0-65534, as 65535 means all of them.
        major: u16,
        /// Its slot: 0-254, as 255 means all of them.
        minor: u8,
    },
}

/// A unit of an iSCSI target: `iscsi:<server>:<protocol>:<port>:<lun>:<target>` (RFC 4173 §5).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Iscsi {
    /// Who has it: an address (IPv6 in brackets on the wire) or a name.
    pub server: String,
    /// The TCP port; none is 3260.
    pub port: Option<u16>,
    /// The logical unit, one to four groups of hexadecimal digits; none is 0.
    pub lun: Option<String>,
    /// The target's name: `iqn.…`, `eui.…` or `naa.…`.
    pub target: String,
}

/// Why a text is no root path.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RootPathError {
    /// It starts with neither `iscsi:` nor `aoe:`.
    Scheme,
    /// Parts are missing: an iSCSI root path has five after `iscsi:`, of which some may be empty.
    Parts,
    /// The server is no address and no host name.
    Server,
    /// The protocol is not TCP: `6`, or nothing.
    Protocol,
    /// The port is no number from 1 to 65535.
    Port,
    /// The logical unit is not one to four groups of one to four hexadecimal digits.
    Lun,
    /// The target is no iSCSI name.
    Target,
    /// An AoE root path is `aoe:e<shelf>.<slot>`, from 0 to 65534 and from 0 to 254.
    Blade,
    /// It is longer than 255 bytes.
    Length,
}

impl FromStr for RootPath {
    type Err = RootPathError;

    fn from_str(text: &str) -> Result<Self, RootPathError> {
        if text.len() > LONGEST {
            return Err(RootPathError::Length);
        }
        if let Some(rest) = text.strip_prefix("iscsi:") {
            return iscsi(rest).map(Self::Iscsi);
        }
        let blade = text.strip_prefix("aoe:").ok_or(RootPathError::Scheme)?;
        let (major, minor) = blade.strip_prefix('e').and_then(|e| e.split_once('.')).ok_or(RootPathError::Blade)?;
        let major = decimal(major).filter(|major| *major < u16::MAX).ok_or(RootPathError::Blade)?;
        let minor = decimal(minor).and_then(|minor| u8::try_from(minor).ok()).filter(|minor| *minor < u8::MAX);
        Ok(Self::Aoe { major, minor: minor.ok_or(RootPathError::Blade)? })
    }
}

fn iscsi(rest: &str) -> Result<Iscsi, RootPathError> {
    let (server, rest) = if rest.starts_with('[') {
        let end = rest.find(']').ok_or(RootPathError::Server)?;
        let (server, rest) = rest.split_at(end.saturating_add(1));
        (server, rest.strip_prefix(':').ok_or(RootPathError::Parts)?)
    } else {
        rest.split_once(':').ok_or(RootPathError::Parts)?
    };
    // The target's name has colons of its own, and is the rest.
    let mut parts = rest.splitn(4, ':');
    let mut next = || parts.next().ok_or(RootPathError::Parts);
    let (protocol, port, lun, target) = (next()?, next()?, next()?, next()?);
    if !is_server(server) {
        return Err(RootPathError::Server);
    }
    if !matches!(protocol, "" | "6") {
        return Err(RootPathError::Protocol);
    }
    let port = match port {
        "" => None,
        digits => Some(decimal(digits).filter(|port| *port > 0).ok_or(RootPathError::Port)?),
    };
    let is_group = |group: &str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_lun = lun.split('-').count() <= 4 && lun.split('-').all(is_group);
    if !lun.is_empty() && !is_lun {
        return Err(RootPathError::Lun);
    }
    if !is_iscsi_name(target) {
        return Err(RootPathError::Target);
    }
    let lun = Some(lun.to_owned()).filter(|lun| !lun.is_empty());
    Ok(Iscsi { server: server.to_owned(), port, lun, target: target.to_owned() })
}

fn decimal(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_server(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What is made of digits and dots alone is meant as an address.
    let is_name = text.split('.').all(is_label) && !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<Ipv4Addr>().is_ok() || is_name
}

/// Whether a text is an iSCSI name in its normal form (RFC 3720 §3.2.6, RFC 3722): `iqn.`, `eui.` or `naa.`, then ASCII letters,
/// digits, dots, dashes and colons.
#[must_use]
pub fn is_iscsi_name(text: &str) -> bool {
    let kinds = ["iqn.", "eui.", "naa."];
    let own = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b':');
    let is_kind = kinds.iter().any(|kind| text.strip_prefix(kind).is_some_and(|rest| !rest.is_empty()));
    // EUIs and NAAs are written in capitals too.
    let letters = |byte: u8| own(byte) || (!text.starts_with("iqn.") && byte.is_ascii_uppercase());
    is_kind && text.len() <= LONGEST_NAME && text.bytes().all(letters)
}

impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Iscsi(Iscsi { server, port, lun, target }) => {
                write!(f, "iscsi:{server}::")?;
                if let Some(port) = port {
                    write!(f, "{port}")?;
                }
                write!(f, ":{}:{target}", lun.as_deref().unwrap_or_default())
            }
            Self::Aoe { major, minor } => write!(f, "aoe:e{major}.{minor}"),
        }
    }
}

impl fmt::Display for RootPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "starts with neither `iscsi:` nor `aoe:`",
            Self::Parts => "has too few parts",
            Self::Server => "names no server by address or name",
            Self::Protocol => "asks for another protocol than TCP (6)",
            Self::Port => "has a port that is no number from 1 to 65535",
            Self::Lun => "has a LUN that is not one to four groups of hexadecimal digits",
            Self::Target => "names no iSCSI target (`iqn.`, `eui.` or `naa.`, in lower case)",
            Self::Blade => "names no AoE shelf from 0 to 65534 and slot from 0 to 254",
            Self::Length => "is longer than 255 bytes",
        })
    }
}

impl core::error::Error for RootPathError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn root_paths_are_read_as_rfc_4173_writes_them() {
        for (text, again) in [
            ("iscsi:10.77.0.5::::iqn.2026-01.example:disk", "iscsi:10.77.0.5::::iqn.2026-01.example:disk"),
            ("iscsi:10.77.0.5:6:3260:1:iqn.2026-01.example:a:b", "iscsi:10.77.0.5::3260:1:iqn.2026-01.example:a:b"),
            ("iscsi:san.example::::iqn.2026-01.example", "iscsi:san.example::::iqn.2026-01.example"),
            ("iscsi:[fd00::5]::3261::eui.02004567A425678D", "iscsi:[fd00::5]::3261::eui.02004567A425678D"),
            (
                "iscsi:h:::4752-3A4F-6b7e-2F99:naa.52004567BA64678D",
                "iscsi:h:::4752-3A4F-6b7e-2F99:naa.52004567BA64678D",
            ),
            ("aoe:e0.0", "aoe:e0.0"),
            ("aoe:e65534.254", "aoe:e65534.254"),
        ] {
            let read: RootPath = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), again);
            assert_eq!(again.parse(), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_is_no_root_path_says_what_is_wrong() {
        use RootPathError as E;
        let long = format!("iscsi:h::::iqn.{}", "a".repeat(255));
        for (text, error) in [
            ("", E::Scheme),
            ("http://10.77.0.5/x.iso", E::Scheme),
            ("nfs:10.77.0.5:/srv", E::Scheme),
            ("iscsi:", E::Parts),
            ("iscsi:10.77.0.5:iqn.2026-01.example:disk", E::Parts),
            ("iscsi:[fd00::5]iqn", E::Parts),
            ("iscsi:::::iqn.2026-01.example:disk", E::Server),
            ("iscsi:10.77.0.500::::iqn.2026-01.example:disk", E::Server),
            ("iscsi:-a::::iqn.2026-01.example:disk", E::Server),
            ("iscsi:a b::::iqn.2026-01.example:disk", E::Server),
            ("iscsi:[10.0.0.1]::::iqn.2026-01.example:disk", E::Server),
            ("iscsi:[fd00::5::::iqn", E::Server),
            ("iscsi:h:17:::iqn.2026-01.example:disk", E::Protocol),
            ("iscsi:h::0::iqn.2026-01.example:disk", E::Port),
            ("iscsi:h::+80::iqn.2026-01.example:disk", E::Port),
            ("iscsi:h::65536::iqn.2026-01.example:disk", E::Port),
            ("iscsi:h:::x:iqn.2026-01.example:disk", E::Lun),
            ("iscsi:h:::12345:iqn.2026-01.example:disk", E::Lun),
            ("iscsi:h:::1-2-3-4-5:iqn.2026-01.example:disk", E::Lun),
            ("iscsi:h::::disk", E::Target),
            ("iscsi:h::::iqn.", E::Target),
            ("iscsi:h::::iqn.2026-01.Example:disk", E::Target),
            ("iscsi:h::::iqn.2026-01.example:${net0/mac}", E::Target),
            ("iscsi:h::::iqn.2026-01.example:disk || reboot", E::Target),
            (long.as_str(), E::Length),
            ("aoe:", E::Blade),
            ("aoe:0.0", E::Blade),
            ("aoe:e0", E::Blade),
            ("aoe:e65535.0", E::Blade),
            ("aoe:e0.255", E::Blade),
            ("aoe:e-1.0", E::Blade),
        ] {
            assert_eq!(text.parse::<RootPath>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_root_path_can_hold_what_ipxe_would_interpret(text in "(iscsi:|aoe:e)[ -~]{0,60}") {
            if let Ok(read) = text.parse::<RootPath>() {
                prop_assert!(!read.to_string().contains(|c: char| " $|&;#{}\\\"'".contains(c)), "{}", read);
            }
        }
    }
}
