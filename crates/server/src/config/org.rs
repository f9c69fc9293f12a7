//! `[org]`: the trust plane, where an org exists in the data folder.

use std::net::SocketAddr;

use slipway_trust::node::DoorLimits;

use super::reader::Section;
use super::values::{Reject, one_of, reject};
use crate::http::everywhere;
use crate::trust::Roles;

const KEYS: [&str; 4] = ["listen", "roles", "hellos-per-minute", "conversations"];

/// The trust plane as the operator chose it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrgChoice {
    /// Where machines reach it.
    pub listen: Vec<SocketAddr>,
    /// What this server does for the org.
    pub roles: Roles,
    /// How many may come in, and how often.
    pub limits: DoorLimits,
    /// Whether the file speaks of it.
    pub said: bool,
}

/// One role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Enroller,
    Gateway,
}

pub(super) fn read(top: &Section<'_>) -> OrgChoice {
    let section = top.table("org", &KEYS);
    let said = section.is_some();
    let usual = OrgChoice {
        listen: everywhere(slipway_trust::org::PORT),
        roles: Roles { enroller: true, gateway: true },
        limits: DoorLimits::default(),
        said,
    };
    let Some(section) = section else { return usual };
    let listen: Vec<SocketAddr> = section.texts("listen", address).into_iter().map(|at| at.value).collect();
    let role = |raw: &str| one_of(raw, &[("enroller", Role::Enroller), ("gateway", Role::Gateway)], "a role");
    let roles: Vec<Role> = section.texts("roles", role).into_iter().map(|at| at.value).collect();
    for key in ["listen", "roles"] {
        if section.is_empty_list(key) {
            section.error(section.span_of(key), key, "is empty, so nothing would be served", "remove it for the usual");
        }
    }
    let has = |role| if roles.is_empty() { true } else { roles.contains(&role) };
    let hellos = section.number("hellos-per-minute", 1, 6000).map(usize::from);
    let conversations = section.number("conversations", 1, u16::MAX).map(usize::from);
    OrgChoice {
        listen: if listen.is_empty() { usual.listen } else { listen },
        roles: Roles { enroller: has(Role::Enroller), gateway: has(Role::Gateway) },
        limits: DoorLimits {
            hellos_a_minute: hellos.unwrap_or(usual.limits.hellos_a_minute),
            conversations: conversations.unwrap_or(usual.limits.conversations),
            ..usual.limits
        },
        said,
    }
}

/// An address of ours with a port.
fn address(raw: &str) -> Result<SocketAddr, Reject> {
    match raw.parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            reject(format!("{raw:?} has no port that machines could ask on"), "write one such as \"0.0.0.0:8444\"")
        }
        Ok(address) if address.ip().is_multicast() => {
            reject(format!("{raw:?} is no address of a server"), "write one such as \"10.77.0.1:8444\"")
        }
        Ok(address) => Ok(address),
        Err(_) => reject(
            format!("{raw:?} is not an address with a port"),
            "write one such as \"10.77.0.1:8444\", \"0.0.0.0:8444\" or \"[::]:8444\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn without_a_section_both_roles_are_played_everywhere_on_port_8444() {
        let config = parse("", "t.toml").unwrap();
        let listen: Vec<String> = config.org.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listen, ["0.0.0.0:8444", "[::]:8444"]);
        assert!(config.org.roles.enroller && config.org.roles.gateway && !config.org.said);
        assert_eq!((config.org.limits.hellos_a_minute, config.org.limits.conversations), (10, 1024));
    }

    #[test]
    fn a_server_may_be_a_gateway_only_on_an_address_of_its_own() {
        let text = "[org]\nlisten = [\"10.77.0.1:443\"]\nroles = [\"gateway\"]\nhellos-per-minute = 600\n";
        let config = parse(text, "t.toml").unwrap();
        assert_eq!(config.org.listen, ["10.77.0.1:443".parse().unwrap()]);
        assert!(!config.org.roles.enroller && config.org.roles.gateway && config.org.said);
        assert_eq!(config.org.limits.hellos_a_minute, 600);
    }
}
