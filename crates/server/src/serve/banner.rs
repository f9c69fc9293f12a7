//! What a person reads when the server starts: what was found, and what will be answered.

use std::path::Path;

use slipway_engine::ra::Ra;
use slipway_engine::rules::Then;

use crate::config::Config;
use crate::site::{Interface, Mode, Site};

/// A line about the configuration, one for each interface, and three about files, images and machines.
pub(super) fn lines(config: &Config, file: Option<&Path>, site: &Site, data: &Path) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let source = match file {
        Some(file) => format!("configured by {}", file.display()),
        None => "no configuration file, so the built-in default (`slipway init` writes a file)".to_owned(),
    };
    let mut lines = vec![format!("Slipway {version}: {source}")];
    lines.extend(site.interfaces.iter().map(interface));
    let https = config.https.as_ref().map_or(String::new(), |https| format!(", HTTPS on port {}", https.port));
    lines.push(format!(
        "files: TFTP on port {}, HTTP on port {}{https}, from {}",
        config.tftp_port,
        config.http_port,
        data.display()
    ));
    lines.push(format!("{}; {}", images(site), loaders(site)));
    lines.push(format!("machines: {} (`slipway machines` shows them)", rules(site)));
    lines
}

fn interface(interface: &Interface) -> String {
    let v6 = interface.v6.iter().filter(|(ip, _)| interface.ipv6.dhcp && !ip.is_unicast_link_local());
    let v4 = interface.v4.iter().map(|(ip, prefix)| format!("{ip}/{prefix}"));
    let addresses: Vec<String> = v4.chain(v6.map(|(ip, prefix)| format!("{ip}/{prefix}"))).collect();
    let addresses = if addresses.is_empty() { "no IPv4 address".to_owned() } else { addresses.join(", ") };
    let what = match interface.mode {
        Mode::Dhcp => "DHCP: addresses and boot answers",
        Mode::Proxy => "ProxyDHCP: boot answers only, another server gives the addresses",
        Mode::Off => "files only",
    };
    let dhcp6 = if interface.ipv6.dhcp { "; DHCPv6" } else { "" };
    let ra = match interface.ipv6.ra {
        Ra::Off => String::new(),
        ra => format!("; router advertisements ({})", ra.name()),
    };
    format!("{} ({addresses}): {what}{dhcp6}{ra}", interface.name)
}

/// At most a handful by name.
fn some(names: Vec<String>) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

fn images(site: &Site) -> String {
    let newest = site.catalog.images.values().filter_map(|versions| versions.last());
    let names: Vec<String> = newest.map(|image| format!("{}@{}", image.name, image.version)).collect();
    if names.is_empty() {
        return "images: none yet (`slipway image add NAME --uki FILE`)".to_owned();
    }
    format!("images: {}", some(names))
}

fn loaders(site: &Site) -> String {
    if site.catalog.loaders.is_empty() {
        return "loaders: none (`apt install ipxe`, then restart), so only firmware that loads images itself can boot"
            .to_owned();
    }
    format!("loaders: {}", some(site.catalog.loaders.keys().cloned().collect()))
}

fn rules(site: &Site) -> String {
    let rules = &site.rules.rules;
    match rules.as_slice() {
        [] => "none is answered, there is no rule".to_owned(),
        [only] => match &only.then {
            Then::Menu => "each is shown a menu of the images that it can run".to_owned(),
            Then::Choose(menu) => format!("each is shown the menu `{}` by rule `{}`", menu.name, only.name),
            Then::Boot(boot) => format!("each boots {} by rule `{}`", boot.image, only.name),
            Then::San(san) => format!("each has the network disk {} by rule `{}`", san.disk.name, only.name),
            Then::Enrol(enrol) => format!("the org decides who enrols in {}", enrol.boot.image),
            Then::Local => "each boots from its own disk".to_owned(),
            Then::Ignore => "none is answered".to_owned(),
        },
        several => format!("{} rules decide, the first that matches wins", several.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secrets;
    use crate::site::{Facts, Ipv6, build};
    use slipway_engine::catalog::Catalog;
    use std::net::Ipv4Addr;

    #[test]
    fn zero_configuration_is_told_in_five_lines() {
        let interface = Interface {
            name: "eth0".to_owned(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            v4: vec![(Ipv4Addr::new(192, 168, 1, 2), 24)],
            v6: Vec::new(),
            mtu: 1500,
            mode: Mode::Off,
            ipv6: Ipv6::default(),
        };
        let found = crate::interfaces::Found { interface, up: true, loopback: false, ethernet: true };
        let facts = Facts {
            interfaces: vec![found],
            default_route: None,
            chosen: Vec::new(),
            catalog: Catalog::default(),
            blobs: slipway_store::Blobs::under(Path::new("/d")),
            data: Path::new("/d").to_owned(),
            certificate: None,
            exported: None,
            secrets: Secrets::default(),
        };
        let config = Config::embedded();
        let site = build(&config, &facts).unwrap().site;
        let told = lines(&config, None, &site, Path::new("/var/lib/slipway"));
        assert_eq!(
            told,
            [
                concat!(
                    "Slipway ",
                    env!("CARGO_PKG_VERSION"),
                    ": no configuration file, so the built-in default (`slipway init` writes a file)"
                ),
                "eth0 (192.168.1.2/24): ProxyDHCP: boot answers only, another server gives the addresses",
                "files: TFTP on port 69, HTTP on port 8067, from /var/lib/slipway",
                "images: none yet (`slipway image add NAME --uki FILE`); loaders: none (`apt install ipxe`, then restart), so only firmware that loads images itself can boot",
                "machines: each is shown a menu of the images that it can run (`slipway machines` shows them)",
            ]
        );
    }
}
