//! The ways out that a person has when a machine cannot start: few, explicit, and none weaker than the usual check.

use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::console::Console;
use crate::keys::{Echo, Keys};

/// A machine that nobody answers goes on by itself after this: noise on a serial line must not stop it for ever.
const IDLE: Duration = Duration::from_secs(60);

/// What a person opens a disk with.
pub(crate) type Pin = Zeroizing<String>;

/// What a person wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Choice {
    /// Ask the org again.
    Retry,
    /// Ask it over another network.
    Network(Option<Wanted>),
    /// Start the last verified generation without the org.
    Offline,
    /// Set the PIN for that.
    Pin,
    /// Start over.
    Reboot,
    /// Power off.
    Off,
}

/// A network that a person describes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wanted {
    /// The interface.
    pub(crate) interface: String,
    /// An address of one's own; none: DHCP.
    pub(crate) address: Option<Static>,
}

/// A static address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Static {
    pub(crate) ip: Ipv4Addr,
    /// Length of the network's prefix, 1 to 32.
    pub(crate) prefix: u8,
    pub(crate) router: Option<Ipv4Addr>,
}

/// What the words are.
pub(crate) const HELP: &str = "\r\n\
  retry                                   ask the org again\r\n\
  network                                 list the network interfaces\r\n\
  network eth1                            ask over that interface, address by DHCP\r\n\
  network eth1 10.0.0.5/24 via 10.0.0.1   ask over that interface, with this address\r\n\
  offline                                 start the last verified generation without the org, if the org allows it\r\n\
  pin                                     set the PIN that an offline start asks for (at the next start with the org)\r\n\
  reboot                                  start over\r\n\
  off                                     power off\r\n";

impl FromStr for Choice {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["retry" | "r"] => Ok(Self::Retry),
            ["network" | "n"] => Ok(Self::Network(None)),
            ["network" | "n", interface, rest @ ..] => {
                let address = match rest {
                    [] | ["dhcp"] => None,
                    [address] => Some(fixed(address, None)?),
                    [address, "via", router] => Some(fixed(address, Some(router))?),
                    _ => return Err("say: network INTERFACE ADDRESS/PREFIX via ROUTER".to_owned()),
                };
                Ok(Self::Network(Some(Wanted { interface: (*interface).to_owned(), address })))
            }
            ["offline" | "o"] => Ok(Self::Offline),
            ["pin" | "p"] => Ok(Self::Pin),
            ["reboot"] => Ok(Self::Reboot),
            ["off" | "poweroff"] => Ok(Self::Off),
            [] => Err("say one of the words above".to_owned()),
            [other, ..] => Err(format!("`{other}` is none of the words above")),
        }
    }
}

fn fixed(address: &str, router: Option<&str>) -> Result<Static, String> {
    let (ip, prefix) =
        address.split_once('/').ok_or("an address needs the length of its network, as in 10.0.0.5/24")?;
    let ip = ip.parse().map_err(|_| format!("`{ip}` is no IPv4 address"))?;
    let prefix = prefix.parse().ok().filter(|prefix| (1..=32).contains(prefix));
    let prefix = prefix.ok_or("the length of a network is 1 to 32")?;
    let router =
        router.map(|router| router.parse().map_err(|_| format!("`{router}` is no IPv4 address"))).transpose()?;
    Ok(Static { ip, prefix, router })
}

/// Asks until there is an answer; a retry after a minute without one.
pub(crate) fn ask(console: &Console, keys: &Keys) -> Choice {
    keys.forget();
    console.show(HELP);
    loop {
        console.show(&format!("\r\n  without an answer in {} s it is tried again\r\nslipway> ", IDLE.as_secs()));
        let Some(line) = keys.line(IDLE, Echo::Plain) else { return Choice::Retry };
        match line.parse() {
            Ok(choice) => return choice,
            Err(reason) => console.show(&format!("{reason}\r\n{HELP}")),
        }
    }
}

/// Asks for a PIN.
pub(crate) fn pin(console: &Console, keys: &Keys, what: &str) -> Option<Pin> {
    console.show(&format!("\r\n{what}: "));
    keys.line(IDLE, Echo::Stars).filter(|pin| !pin.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_says_is_understood() {
        let ip = Ipv4Addr::new(10, 0, 0, 5);
        let network = |address| Choice::Network(Some(Wanted { interface: "eth1".to_owned(), address }));
        for (line, choice) in [
            ("retry", Choice::Retry),
            (" network ", Choice::Network(None)),
            ("network eth1", network(None)),
            ("network eth1 dhcp", network(None)),
            ("network eth1 10.0.0.5/24", network(Some(Static { ip, prefix: 24, router: None }))),
            (
                "n eth1 10.0.0.5/24 via 10.0.0.1",
                network(Some(Static { ip, prefix: 24, router: Some(Ipv4Addr::new(10, 0, 0, 1)) })),
            ),
            ("offline", Choice::Offline),
            ("pin", Choice::Pin),
            ("reboot", Choice::Reboot),
            ("off", Choice::Off),
        ] {
            assert_eq!(line.parse(), Ok(choice), "{line}");
        }
    }

    #[test]
    fn a_person_is_asked_until_he_says_one_of_the_words() {
        let wanted = Wanted { interface: "eth1".to_owned(), address: None };
        for (typed, choice, told) in [
            ("network\r", Choice::Network(None), "slipway> "),
            ("wipe\rnetwork eth1\r", Choice::Network(Some(wanted)), "`wipe` is none of the words"),
            ("offlyn\x7f\x7fine\r", Choice::Offline, "start the last verified generation"),
            ("\rpin\r", Choice::Pin, "say one of the words"),
        ] {
            let (keys, _screen) = Keys::typed(typed);
            let (console, mut said) = Console::heard();
            assert_eq!(ask(&console, &keys), choice, "{typed:?}");
            let said = said.text();
            assert!(said.contains(told), "{typed:?}: {said}");
        }
    }

    #[test]
    fn a_pin_is_taken_and_not_shown() {
        let (keys, mut screen) = Keys::typed("135\x08790\r");
        let (console, mut said) = Console::heard();
        assert_eq!(pin(&console, &keys, "PIN for an offline start").unwrap().as_str(), "13790");
        assert_eq!(said.text(), "\r\nPIN for an offline start: ");
        drop(keys);
        let mut shown = String::new();
        std::io::Read::read_to_string(&mut screen, &mut shown).unwrap();
        assert_eq!(shown, "***\u{8} \u{8}***\r\n");
    }

    #[test]
    fn what_is_not_understood_is_told_and_does_nothing() {
        for (line, reason) in [
            ("", "say one"),
            ("wipe", "`wipe` is none"),
            ("network eth1 10.0.0.5", "needs the length"),
            ("network eth1 10.0.0.5/33", "1 to 32"),
            ("network eth1 10.0.0.5/0", "1 to 32"),
            ("network eth1 x/24", "no IPv4 address"),
            ("network eth1 10.0.0.5/24 via y", "no IPv4 address"),
            ("network eth1 10.0.0.5/24 gw 10.0.0.1", "say: network"),
        ] {
            let told = line.parse::<Choice>().unwrap_err();
            assert!(told.contains(reason), "{line}: {told}");
        }
    }
}
