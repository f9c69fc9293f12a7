//! Network disks: where a machine's disk is, and how it proves who it is there.

use core::fmt;

use slipway_wire::{MacAddr, RootPath, RootPathError, is_iscsi_name};

use crate::rules::{Boot, Path};

/// What stands for the machine's MAC address in the names of targets and initiators, as `52-54-00-12-34-56`.
pub const MAC: &str = "{mac}";

/// What a rule gives that boots from a network disk, or boots an image beside one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct San {
    /// The disk.
    pub disk: Disk,
    /// How the machine learns of it: [`Path::Direct`] in DHCP, as a root path; otherwise in its script, by iPXE.
    pub path: Path,
    /// What is booted with the disk attached, an installer; none boots from the disk itself.
    pub boot: Option<Boot>,
}

/// A network disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disk {
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub target: Target,
    /// The initiator's name; none leaves it to the machine.
    pub initiator: Option<Initiator>,
    /// Whether it stays attached when nothing boots from it: an installer started next finds it.
    pub keep: bool,
    /// How the machine proves who it is.
    pub login: Login,
}

/// A root path in which [`MAC`] may stand, right for any machine.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target(String);

impl Target {
    /// Takes a root path, with [`MAC`] where the machine's address belongs.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, RootPathError> {
        let target = Self(text.to_owned());
        // An address has the same form and length for every machine, so that one stands for all.
        target.of(MacAddr::default()).parse::<RootPath>()?;
        Ok(target)
    }

    /// The root path for one machine.
    #[must_use]
    pub fn of(&self, mac: MacAddr) -> String {
        expand(&self.0, mac)
    }

    /// Whether it is an iSCSI target.
    #[must_use]
    pub fn is_iscsi(&self) -> bool {
        self.0.starts_with("iscsi:")
    }
}

/// An initiator's iSCSI name in which [`MAC`] may stand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Initiator(String);

impl Initiator {
    /// Takes an iSCSI name, with [`MAC`] where the machine's address belongs; none if it is not one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_iscsi_name(&expand(text, MacAddr::default())).then(|| Self(text.to_owned()))
    }

    /// The name for one machine.
    #[must_use]
    pub fn of(&self, mac: MacAddr) -> String {
        expand(&self.0, mac)
    }
}

fn expand(text: &str, mac: MacAddr) -> String {
    text.replace(MAC, &mac.hyphenated())
}

/// How a machine proves who it is to an iSCSI target (CHAP).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Login {
    /// Not at all; or with what its own iPXE or firmware was given, which is none of our business.
    Own,
    /// A person at the machine types name and secret: neither passes the network, nor is it known here.
    Ask,
    /// Its script tells it. Whoever asks for that machine's script learns it too: only where the operator said that this may be.
    Told {
        /// The name.
        username: Username,
        /// The secret.
        secret: Secret,
    },
}

/// A CHAP name that a script can hold: 1 to 64 of letters, digits, `.`, `_`, `:`, `@` and `-`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Username(String);

impl Username {
    /// Takes a name; none if it is not one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'-');
        ((1..=64).contains(&text.len()) && text.bytes().all(letter)).then(|| Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A secret: it is shown by nothing but [`Secret::reveal`].
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret as a file holds it: one line of 1 to 255 printable ASCII characters; none if it is not that.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        ((1..=255).contains(&line.len()) && line.bytes().all(printable)).then(|| Self(line.to_owned()))
    }

    /// A secret that has not been read yet: no machine is given it.
    #[must_use]
    pub fn unread() -> Self {
        Self::default()
    }

    /// Whether it has been read.
    #[must_use]
    pub fn is_read(&self) -> bool {
        !self.0.is_empty()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in it: it has not been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(not shown)")
    }
}

/// A root path as DHCP gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Root {
    /// Option 17.
    pub path: String,
    /// Option 203 (iPXE): the initiator's name.
    pub initiator: Option<String>,
    /// Option 175, sub-option 8 (iPXE): the disk stays attached when nothing boots from it.
    pub keep: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINE: MacAddr = MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    #[test]
    fn each_machine_has_a_target_of_its_own_where_the_name_says_so() {
        let target = Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{mac}").unwrap();
        assert_eq!(target.of(MACHINE), "iscsi:10.77.0.5::::iqn.2026-01.example:52-54-00-12-34-56");
        assert!(target.is_iscsi());
        let initiator = Initiator::new("iqn.2026-01.example:node-{mac}").unwrap();
        assert_eq!(initiator.of(MACHINE), "iqn.2026-01.example:node-52-54-00-12-34-56");
        assert!(!Target::new("aoe:e0.1").unwrap().is_iscsi());
        assert_eq!(Target::new("iscsi:10.77.0.5::::iqn.2026-01.example:{uuid}"), Err(RootPathError::Target));
        assert_eq!(Initiator::new("node1"), None);
    }

    #[test]
    fn a_secret_is_a_line_and_is_not_shown() {
        let secret = Secret::new("correct horse\n").unwrap();
        assert_eq!(secret.reveal(), "correct horse");
        let login = Login::Told { username: Username::new("db1").unwrap(), secret };
        assert!(!format!("{login:?} {login:#?}").contains("horse"));
        for wrong in ["", "\n", "two\nlines", "tab\t", "é", &"x".repeat(256)] {
            assert_eq!(Secret::new(wrong), None, "{wrong:?}");
        }
        for wrong in ["", "a b", "${x}", "é", &"x".repeat(65)] {
            assert_eq!(Username::new(wrong), None, "{wrong:?}");
        }
    }
}
