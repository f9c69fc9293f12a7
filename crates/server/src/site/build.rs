//! Configuration plus facts gives the site: pure, so that a reload either gives a whole new site or the reasons why not.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use slipway_engine::catalog::Catalog;
use slipway_engine::rules::Then;
use slipway_store::Blobs;

use super::{HttpsSettings, Interface, Ipv6, Mode, Site, networks, secrets};
use crate::config::{Config, Fault, InterfaceChoice, Secrets, Severity, Span};
use crate::interfaces::{Found, NoLan, lan};
use crate::tls::Own;

/// What a site is made of besides the configuration.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The machine's interfaces.
    pub interfaces: Vec<Found>,
    /// The interface of the default route.
    pub default_route: Option<String>,
    /// Interfaces named on the command line: they replace the configuration's.
    pub chosen: Vec<String>,
    /// What there is to serve.
    pub catalog: Catalog,
    /// Where it is.
    pub blobs: Blobs,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The certificate that the configuration names, if it names one, or what is wrong with it.
    pub certificate: Option<Result<Own, String>>,
    /// The folder that the configuration exports, if it exports one.
    pub exported: Option<Exported>,
    /// The secrets that the configuration names.
    pub secrets: Secrets,
}

/// The exported folder as the file system has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exported {
    /// A folder that its owner keeps.
    Folder,
    /// A folder that everybody on this machine may put files into.
    Open,
    /// Something else.
    NoFolder,
    /// Nothing, or nothing that may be looked at.
    Missing,
}

impl Exported {
    /// Looks at it.
    #[must_use]
    pub fn look(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Err(_) => Self::Missing,
            Ok(metadata) if !metadata.is_dir() => Self::NoFolder,
            Ok(metadata) if metadata.mode() & 0o002 != 0 => Self::Open,
            Ok(_) => Self::Folder,
        }
    }
}

/// A site, and what is odd about it.
#[derive(Clone, Debug)]
pub struct Built {
    /// The site.
    pub site: Site,
    /// Warnings, with their places in the configuration.
    pub warnings: Vec<Fault>,
}

/// Why there is no site.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoSite {
    /// The configuration does not fit the machine.
    #[error("the configuration does not fit this machine")]
    Faults(Vec<Fault>),
    /// No interface was named, and none is plainly the LAN's.
    #[error(transparent)]
    NoLan(#[from] NoLan),
    /// An interface named on the command line does not exist.
    #[error("interface {name:?} does not exist; there are: {there}")]
    NoInterface {
        /// The name.
        name: String,
        /// Those that exist.
        there: String,
    },
}

/// Makes the site of a configuration and the facts.
///
/// # Errors
/// Everything about the configuration that does not fit the facts.
pub fn build(config: &Config, facts: &Facts) -> Result<Built, NoSite> {
    let mut faults = Vec::new();
    let interfaces = interfaces(config, facts, &mut faults)?;
    networks::check(config, &interfaces, &mut faults);
    check_rules(config, facts, &interfaces, &mut faults);
    let rules = secrets::rules(config, &facts.secrets, &mut faults);
    let https = https(config, facts, &interfaces, &mut faults);
    check_export(config, facts, &mut faults);
    if faults.iter().any(|fault| fault.severity == Severity::Error) {
        return Err(NoSite::Faults(faults));
    }
    let site = Site {
        interfaces,
        subnets: config.subnets.iter().map(|at| at.value.clone()).collect(),
        subnets6: config.subnets6.iter().map(|at| at.value.clone()).collect(),
        rules,
        catalog: facts.catalog.clone(),
        blobs: facts.blobs.clone(),
        http_port: config.http_port,
        https,
        export: config.export.as_ref().map(|at| at.value.clone()),
        tftp: config.tftp.clone(),
    };
    Ok(Built { site, warnings: faults })
}

/// Everything about a configuration that does not fit the facts, with the eyes of somebody who asks before it counts: what a server could
/// wait for, such as an image that is still to come, is an error here.
///
/// # Errors
/// As [`build`], but for the faults.
pub fn check(config: &Config, facts: &Facts) -> Result<Vec<Fault>, NoSite> {
    let list = match build(config, facts) {
        Ok(Built { warnings, .. }) => warnings,
        Err(NoSite::Faults(list)) => list,
        Err(error) => return Err(error),
    };
    let strict = |fault: Fault| match fault.thing.as_str() {
        "rule.boot" | "menu.item.image" | "tftp.export" => Fault { severity: Severity::Error, ..fault },
        _ => fault,
    };
    Ok(list.into_iter().map(strict).collect())
}

fn names(all: &[Found]) -> String {
    all.iter().filter(|found| !found.loopback).map(|found| found.interface.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn interfaces(config: &Config, facts: &Facts, faults: &mut Vec<Fault>) -> Result<Vec<Interface>, NoSite> {
    let by_name = |name: &str| facts.interfaces.iter().find(|found| found.interface.name == name);
    if !facts.chosen.is_empty() {
        let served_as = |name: &str| {
            let configured = config.interfaces.iter().find(|choice| choice.name.value == name);
            configured.map_or((Mode::Proxy, Ipv6::default()), |choice| (choice.mode, choice.ipv6))
        };
        let there = names(&facts.interfaces);
        return facts
            .chosen
            .iter()
            .map(|name| match by_name(name) {
                Some(found) => {
                    let (mode, ipv6) = served_as(name);
                    Ok(Interface { mode, ipv6, ..found.interface.clone() })
                }
                None => Err(NoSite::NoInterface { name: name.clone(), there: there.clone() }),
            })
            .collect();
    }
    if config.interfaces.is_empty() {
        let found = lan(&facts.interfaces, facts.default_route.as_deref())?;
        return Ok(vec![Interface { mode: Mode::Proxy, ..found.interface.clone() }]);
    }
    let mut chosen = Vec::new();
    for choice in &config.interfaces {
        let Some(found) = by_name(&choice.name.value) else {
            let reason = format!("{:?} does not exist on this machine", choice.name.value);
            faults.push(Fault::error(
                choice.name.span.clone(),
                "interface.name",
                reason,
                format!("there are: {}", names(&facts.interfaces)),
            ));
            continue;
        };
        check_interface(found, choice, faults);
        chosen.push(Interface { mode: choice.mode, ipv6: choice.ipv6, ..found.interface.clone() });
    }
    Ok(chosen)
}

/// Everybody on the network may read the exported folder: what the server keeps must not be in it, nor it in there. What is wrong with
/// the folder itself may be put right while the server runs.
fn check_export(config: &Config, facts: &Facts, faults: &mut Vec<Fault>) {
    let Some(export) = &config.export else { return };
    let (data, thing) = (&facts.data, "tftp.export");
    if data.starts_with(&export.value) || export.value.starts_with(data) {
        let reason = format!(
            "it and the data folder, {}, lie in each other: anybody could read leases and journal",
            data.display()
        );
        let remedy = "export a folder that holds nothing but files for machines, such as \"/srv/tftp\"";
        faults.push(Fault::error(export.span.clone(), thing, reason, remedy));
    }
    let path = export.value.display();
    let (reason, remedy) = match facts.exported {
        Some(Exported::Missing) => {
            ("there is no such folder, or it may not be looked at", format!("`mkdir -p {path}`, or correct the path"))
        }
        Some(Exported::NoFolder) => ("is not a folder", "name the folder that the file is in".to_owned()),
        Some(Exported::Open) => {
            ("everybody on this machine may put files there, which machines then boot", format!("`chmod o-w {path}`"))
        }
        Some(Exported::Folder) | None => return,
    };
    faults.push(Fault::warning(export.span.clone(), thing, reason, remedy));
}

fn check_interface(found: &Found, choice: &InterfaceChoice, faults: &mut Vec<Fault>) {
    let (name, span) = (&found.interface.name, &choice.name.span);
    // A network without IPv4 is served by mode = "dhcp" alone: there is nothing to be a proxy of.
    let over_ipv6 = choice.mode == Mode::Dhcp && choice.ipv6.dhcp;
    if choice.mode != Mode::Off && found.interface.v4.is_empty() && !over_ipv6 {
        faults.push(Fault::error(
            span.clone(),
            "interface.name",
            format!("{name:?} has no IPv4 address, so no machine could reach this server by it"),
            format!("give it one (`ip address add 10.77.0.1/24 dev {name}`), or set `mode = \"off\"`"),
        ));
    }
    if choice.ipv6.dhcp && found.interface.v6.iter().all(|(ip, _)| ip.is_unicast_link_local()) {
        faults.push(Fault::error(
            span.clone(),
            "interface.name",
            format!("{name:?} has no IPv6 address but a link-local one, which no boot URL can name"),
            format!("give it one (`ip address add fd77::1/64 dev {name}`), or set `dhcp6 = false`"),
        ));
    }
    if !found.up {
        let remedy = format!("`ip link set {name} up`");
        faults.push(Fault::warning(span.clone(), "interface.name", format!("{name:?} is down"), remedy));
    }
}

/// HTTPS with its certificate. One of the operator's own must be for the addresses that machines are sent to.
fn https(config: &Config, facts: &Facts, interfaces: &[Interface], faults: &mut Vec<Fault>) -> Option<HttpsSettings> {
    const THING: &str = "https.certificate";
    let choice = config.https.as_ref()?;
    let own = match (&choice.files, &facts.certificate) {
        (Some(_), Some(Ok(own))) => Some(own.clone()),
        (Some(at), Some(Err(fault))) => {
            let remedy = "see `openssl x509 -text -in FILE`; both files are PEM, and the server's user must be able to read them";
            faults.push(Fault::error(at.span.clone(), THING, fault.clone(), remedy));
            None
        }
        _ => None,
    };
    if let (Some(at), Some(own)) = (&choice.files, &own) {
        if !own.is_rsa() {
            let reason = "its key is not RSA, which firmware without elliptic curves needs (most before 2025)";
            faults.push(Fault::warning(at.span.clone(), THING, reason, "have it made with an RSA key of 2048 bits"));
        }
        let offered = config.rules.iter().any(|configured| configured.rule.https.is_some());
        let served = interfaces.iter().filter(|interface| interface.mode != Mode::Off);
        let unnamed = served.flat_map(|interface| &interface.v4).filter(|(ip, _)| !own.is_for(IpAddr::V4(*ip)));
        let unnamed: Vec<String> = unnamed.map(|(ip, _)| ip.to_string()).collect();
        if offered && !unnamed.is_empty() {
            let reason = format!("is not for {}, where machines are sent to", unnamed.join(", "));
            let remedy = "URLs hold addresses: have it made with these as IP addresses in subjectAltName";
            faults.push(Fault::error(at.span.clone(), THING, reason, remedy));
        }
    }
    Some(HttpsSettings { port: choice.port, names: choice.names.clone(), own })
}

fn check_rules(config: &Config, facts: &Facts, interfaces: &[Interface], faults: &mut Vec<Fault>) {
    for configured in &config.rules {
        for at in &configured.interfaces_at {
            if !interfaces.iter().any(|interface| interface.name == at.value) {
                let served: Vec<&str> = interfaces.iter().map(|interface| interface.name.as_str()).collect();
                faults.push(Fault::warning(
                    at.span.clone(),
                    "rule.when.interface",
                    format!("{:?} is not served, so rule {:?} never matches there", at.value, configured.rule.name),
                    format!("served: {}", served.join(", ")),
                ));
            }
        }
        let boot = match &configured.rule.then {
            Then::Boot(boot) => Some(boot),
            Then::San(san) => san.boot.as_ref(),
            Then::Enrol(enrol) => Some(&enrol.boot),
            _ => None,
        };
        let (Some(boot), Some(span)) = (boot, &configured.boot_at) else { continue };
        let thing = if matches!(configured.rule.then, Then::Enrol(_)) { "enrolment.image" } else { "rule.boot" };
        check_image(facts, &boot.image, boot.version.as_deref(), span, thing, faults);
    }
    for named in &config.menu_images {
        check_image(facts, &named.image, named.version.as_deref(), &named.span, "menu.item.image", faults);
    }
}

fn check_image(
    facts: &Facts,
    image: &str,
    version: Option<&str>,
    span: &Span,
    thing: &'static str,
    faults: &mut Vec<Fault>,
) {
    if facts.catalog.image(image, version).is_some() {
        return;
    }
    let wanted = version.map_or_else(|| image.to_owned(), |version| format!("{image}@{version}"));
    let there: Vec<&str> = facts.catalog.images.keys().map(String::as_str).collect();
    let remedy = if there.is_empty() {
        format!("add it: `slipway image add {image} ...`")
    } else {
        format!("add it (`slipway image add {image} ...`), or name one of: {}", there.join(", "))
    };
    faults.push(Fault::warning(span.clone(), thing, format!("image {wanted:?} is not in the store"), remedy));
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::parse;

    fn found(name: &str, ip: [u8; 4]) -> Found {
        Found {
            interface: Interface {
                name: name.to_owned(),
                index: 2,
                mac: [2, 0, 0, 0, 0, 1],
                v4: vec![(Ipv4Addr::from(ip), 24)],
                v6: Vec::new(),
                mtu: 1500,
                mode: Mode::Off,
                ipv6: Ipv6::default(),
            },
            up: true,
            loopback: false,
            ethernet: true,
        }
    }

    fn facts() -> Facts {
        Facts {
            interfaces: vec![found("eth0", [192, 168, 1, 2]), found("eth1", [10, 77, 0, 1])],
            default_route: Some("eth0".to_owned()),
            chosen: Vec::new(),
            catalog: Catalog::default(),
            blobs: Blobs::under(Path::new("/nonexistent")),
            data: PathBuf::from("/nonexistent/data"),
            certificate: None,
            exported: None,
            secrets: Secrets::default(),
        }
    }

    fn told(text: &str, facts: &Facts) -> String {
        let config = parse(text, "t.toml").unwrap();
        match build(&config, facts) {
            Ok(built) => config.faults(built.warnings).to_string(),
            Err(NoSite::Faults(list)) => config.faults(list).to_string(),
            Err(other) => other.to_string(),
        }
    }

    #[test]
    fn with_no_configuration_the_lan_is_served_as_proxy_with_a_menu() {
        let built = build(&Config::embedded(), &facts()).unwrap();
        let served: Vec<_> = built.site.interfaces.iter().map(|i| (i.name.as_str(), i.mode)).collect();
        assert_eq!(served, [("eth0", Mode::Proxy)]);
        assert_eq!(built.site.rules.rules.len(), 1);
        assert_eq!(built.site.rules.rules[0].then, Then::Menu);
        assert_eq!(built.warnings, []);
    }

    #[test]
    fn the_exported_folder_and_the_data_folder_are_kept_apart() {
        let told = |export: &str| told(&format!("[tftp]\nexport = \"{export}\"\n"), &facts());
        for export in ["/nonexistent", "/nonexistent/data", "/nonexistent/data/blobs"] {
            let told = told(export);
            assert!(told.contains("t.toml:2") && told.contains("lie in each other"), "{export}: {told}");
        }
        for export in ["/srv/tftp", "/nonexistent/data2"] {
            assert!(!told(export).contains("lie in each other"), "{export}");
        }
    }

    #[test]
    fn interfaces_of_the_command_line_replace_the_configurations_but_keep_their_mode() {
        let text = "[[interface]]\nname = \"eth1\"\nmode = \"dhcp\"\n[[subnet]]\nnetwork = \"10.77.0.0/24\"\npool = \"10.77.0.9\"\n";
        let chosen = Facts { chosen: vec!["eth1".to_owned()], ..facts() };
        let built = build(&parse(text, "t.toml").unwrap(), &chosen).unwrap();
        assert_eq!(built.site.interfaces.iter().map(|i| i.mode).collect::<Vec<_>>(), [Mode::Dhcp]);
        let missing = Facts { chosen: vec!["eth7".to_owned()], ..facts() };
        assert_eq!(told(text, &missing), "interface \"eth7\" does not exist; there are: eth0, eth1");
    }

    #[test]
    fn what_does_not_fit_the_machine_is_told_all_at_once_with_its_place() {
        let text = r#"
[[interface]]
name = "eth9"
[[interface]]
name = "eth1"
mode = "dhcp"
[[subnet]]
network = "10.77.0.0/24"
pool = "10.77.0.1-10.77.0.9"
[[rule]]
boot = "debian"
"#;
        let expected = r#"t.toml:3:8: error: interface.name: "eth9" does not exist on this machine
    3 | name = "eth9"
      |        ^^^^^^
        there are: eth0, eth1
t.toml:8:11: error: subnet.pool: 10.77.0.1-10.77.0.9 holds 10.77.0.1, this server's own address on "eth1"
    8 | network = "10.77.0.0/24"
      |           ^^^^^^^^^^^^^^
        take it out of the pool
t.toml:11:8: warning: rule.boot: image "debian" is not in the store
   11 | boot = "debian"
      |        ^^^^^^^^
        add it: `slipway image add debian ...`
t.toml: 2 errors, 1 warning"#;
        assert_eq!(told(text, &facts()), expected);
    }

    #[test]
    fn an_interface_that_gives_addresses_outside_every_subnet_is_warned_about() {
        let text = "[[interface]]\nname = \"eth0\"\nmode = \"dhcp\"\n[[subnet]]\nnetwork = \"10.99.0.0/24\"\npool = \"10.99.0.9\"\n";
        let told = told(text, &facts());
        assert!(told.contains("warning: interface.mode: no subnet holds eth0 (192.168.1.2/24)"), "{told}");
    }
}
