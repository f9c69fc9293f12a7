//! Which program this is: a word in the initramfs says so.

use std::fs;

use slipway_image::Machine;
use slipway_trust::{Arch, OrgFacts, Role};

use crate::clock::Clock;
use crate::console::Console;

/// The word.
const ROLE: &str = "/etc/slipway/role";
/// What the image trusts.
const ORG: &str = "/etc/slipway/org";

/// The role that the image gives this program; none: it brings the network up and reports in.
///
/// # Errors
/// The word is none that this program knows.
pub(crate) fn read() -> Result<Option<Role>, String> {
    match fs::read_to_string(ROLE) {
        Ok(word) => of(&word),
        Err(_) => Ok(None),
    }
}

fn of(word: &str) -> Result<Option<Role>, String> {
    let word = word.trim();
    word.parse().map(Some).map_err(|error| format!("{ROLE} says `{word}`: {error}"))
}

/// What the image trusts.
///
/// # Errors
/// In words: it is missing, or damaged.
pub(crate) fn org() -> Result<OrgFacts, String> {
    let bytes = fs::read(ORG).map_err(|error| format!("this image belongs to no org: {ORG}: {error}"))?;
    slipway_trust::decode(&bytes).map_err(|error| format!("{ORG}: {error}"))
}

/// Says what this is, and whether its clock can be believed.
pub(crate) fn introduce(console: &Console, role: Role, facts: &OrgFacts) -> Clock {
    let clock = Clock::new(facts.built);
    console.say(&format!(
        "{role} image, version {}, of the org `{}`",
        facts.version,
        crate::checkpoint::one_line(&facts.name)
    ));
    if clock.is_broken() {
        console.say("this machine's clock is wrong: the time of the image's build is used instead");
    }
    clock
}

/// This processor, as images name it.
pub(crate) fn arch() -> Arch {
    Arch::own().unwrap_or(Arch::X64)
}

/// This processor, as EFI programs name it.
pub(crate) fn machine() -> Machine {
    match arch() {
        Arch::X64 => Machine::X64,
        Arch::Arm64 => Machine::ARM64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_of_three_words() {
        for role in Role::ALL {
            assert_eq!(of(&format!("{role}\n")), Ok(Some(role)));
        }
        assert!(of("postboot").unwrap_err().contains("bootstrap, preboot or generation"));
    }
}
