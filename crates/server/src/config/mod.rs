//! The configuration: one TOML file. Reading it is pure, and tells every fault at once.

mod enrolment;
mod fault;
mod https;
mod menus;
mod org;
mod reach;
mod reader;
mod reservations;
mod rules;
mod sample;
mod san;
mod subnets;
mod subnets6;
mod tftp;
mod values;

use core::ops::Range;
use std::path::PathBuf;

use slipway_engine::ra::Ra;
use slipway_engine::rules::Rule;
use slipway_engine::subnet::{Subnet, Subnet6};
use toml::de::DeTable;

pub use fault::{At, Fault, Faults, Severity, Span};
pub use https::{CertificateFiles, HttpsChoice};
pub use org::OrgChoice;
pub use sample::sample;
pub use san::Secrets;
pub(crate) use values::masked as network_of;

use crate::site::{Ipv6, Mode, TftpSettings};
use crate::tls::{Own, seconds};
use reader::{Section, Sink};

/// Where the configuration is looked for when none is named.
pub const DEFAULT_PATH: &str = "/etc/slipway/slipway.toml";
/// The HTTP boot server's port when none is given.
pub const DEFAULT_HTTP_PORT: u16 = 8067;
/// HTTPS's port when none is given.
pub const DEFAULT_HTTPS_PORT: u16 = 8443;
/// TFTP's port when none is given.
pub const DEFAULT_TFTP_PORT: u16 = 69;

/// A configuration that was read without an error.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file's name, for later messages.
    pub file: String,
    /// The file's text, for later messages.
    pub text: String,
    /// What is odd about it, though it can be used.
    pub warnings: Vec<Fault>,
    /// Where leases, images and the journal are kept.
    pub data: Option<PathBuf>,
    /// The user to run as once started as root.
    pub user: Option<At<String>>,
    /// Where the control socket stands.
    pub control_socket: Option<PathBuf>,
    /// Least level that is logged.
    pub log_level: Level,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Port of the HTTP boot server.
    pub http_port: u16,
    /// HTTPS, if the file has a section for it or a rule asks for it.
    pub https: Option<HttpsChoice>,
    /// The trust plane, which is served where an org exists.
    pub org: OrgChoice,
    /// Port of TFTP.
    pub tftp_port: u16,
    /// What else can be set of TFTP.
    pub tftp: TftpSettings,
    /// A folder served read-only beside the images.
    pub export: Option<At<PathBuf>>,
    /// The interfaces that are served; none is the LAN's interface, found by itself.
    pub interfaces: Vec<InterfaceChoice>,
    /// The networks that addresses are given in, each with its place.
    pub subnets: Vec<At<Subnet>>,
    /// The IPv6 networks that addresses or parameters are given in, each with its place.
    pub subnets6: Vec<At<Subnet6>>,
    /// Which machine boots what; none in the file is one rule that shows the menu.
    pub rules: Vec<ConfiguredRule>,
    /// The images that menus name.
    pub menu_images: Vec<MenuImage>,
}

/// An image that a menu names, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MenuImage {
    /// Its name.
    pub image: String,
    /// A version of it; none is the newest.
    pub version: Option<String>,
    /// Where it stands.
    pub span: Span,
}

/// An interface as the operator chose it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceChoice {
    /// Its name.
    pub name: At<String>,
    /// What to do about DHCP on it.
    pub mode: Mode,
    /// What to do about IPv6 on it.
    pub ipv6: Ipv6,
}

/// A rule, and where it names its image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfiguredRule {
    /// The rule.
    pub rule: Rule,
    /// Where the file with the secret of its network disk is named, if it is.
    pub secret_at: Option<At<PathBuf>>,
    /// Where `boot` stands, if it boots an image.
    pub boot_at: Option<Span>,
    /// Where each interface that it matches stands.
    pub interfaces_at: Vec<At<String>>,
}

/// Least level that is logged.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Level {
    /// The operator must act.
    Error,
    /// Something is misconfigured.
    Warn,
    /// Each step of a boot.
    #[default]
    Info,
    /// Each packet.
    Debug,
    /// Each packet's bytes.
    Trace,
}

impl Level {
    /// The name in the configuration and in `tracing`'s filter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// What is served with no configuration file: ProxyDHCP on the LAN's interface, and a menu of every image.
    #[must_use]
    pub fn embedded() -> Self {
        let sink = Sink::default();
        let nothing = DeTable::new();
        let mut config = read(&Section::new(&sink, String::new(), 0..0, &nothing, &[]));
        config.file = "(no configuration file)".to_owned();
        config
    }

    /// Puts faults that were found later (against the interfaces, the image store) together with their places.
    #[must_use]
    pub fn faults(&self, list: Vec<Fault>) -> Faults {
        Faults::new(&self.file, &self.text, list)
    }

    /// Reads the certificate that it names, if it names one.
    #[must_use]
    pub fn own_certificate(&self) -> Option<Result<Own, String>> {
        let files = self.https.as_ref()?.files.as_ref()?;
        Some(Own::read(&files.value, seconds()))
    }

    /// The rules as the engine takes them.
    #[must_use]
    pub fn engine_rules(&self) -> slipway_engine::rules::Rules {
        slipway_engine::rules::Rules { rules: self.rules.iter().map(|configured| configured.rule.clone()).collect() }
    }
}

/// Reads a configuration.
///
/// # Errors
/// Every fault of the text, if one of them is an error. Warnings alone are kept in [`Config::warnings`].
pub fn parse(text: &str, file: &str) -> Result<Config, Faults> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    let sink = Sink::default();
    let top = Section::new(&sink, String::new(), 0..0, table.get_ref(), &TOP);
    let mut config = read(&top);
    let mut list = sink.into_list();
    if !syntax.is_empty() {
        let broken: Vec<Range<usize>> = syntax.iter().map(|error| line_of(text, error.span())).collect();
        list.retain(|fault| !broken.iter().any(|line| line.contains(&fault.span.start)));
        list.extend(syntax.iter().map(|error| {
            let span = error.span().unwrap_or(0..0);
            Fault::error(span, "TOML", error.message(), "see https://toml.io for how values are written")
        }));
    }
    let faults = Faults::new(file, text, list);
    if faults.fatal() {
        return Err(faults);
    }
    config.file = file.to_owned();
    config.text = text.to_owned();
    config.warnings = faults.list;
    Ok(config)
}

/// The line that a place is on, as a range of the text.
fn line_of(text: &str, span: Option<Span>) -> Range<usize> {
    let start = span.map_or(0, |span| span.start.min(text.len()));
    let first = text.get(..start).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let last = text.get(start..).and_then(|after| after.find('\n')).map_or(text.len(), |newline| start + newline);
    first..last + 1
}

const TOP: [&str; 15] = [
    "data",
    "user",
    "control",
    "log",
    "http",
    "https",
    "org",
    "tftp",
    "interface",
    "subnet",
    "subnet6",
    "menu",
    "san",
    "enrolment",
    "rule",
];
const LEVELS: [(&str, Level); 5] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
];

fn read(top: &Section<'_>) -> Config {
    let control = top.table("control", &["socket"]);
    let log = top.table("log", &["level", "format"]);
    let http = top.table("http", &["port"]);
    let tftp = tftp::read(top);
    let interfaces = read_interfaces(top);
    let (subnets, subnets6) = (subnets::read(top), subnets6::read(top));
    check_modes(top, &interfaces, &subnets);
    check_ipv6(top, &interfaces, &subnets6);
    let http_port = http.as_ref().and_then(|t| t.number("port", 1, u16::MAX)).unwrap_or(DEFAULT_HTTP_PORT);
    let section = https::read(top);
    let menus = menus::read(top);
    section.check_names(top, &subnets);
    let rules = rules::read(top, &section, &menus, enrolment::read(top).as_ref());
    let https = section.wanted(top, &rules, http_port);
    Config {
        file: String::new(),
        text: String::new(),
        warnings: Vec::new(),
        data: top.text("data", values::folder).map(|at| at.value),
        user: top.text("user", values::user),
        control_socket: control.and_then(|t| t.text("socket", values::socket)).map(|at| at.value),
        log_level: log
            .as_ref()
            .and_then(|t| t.text("level", |raw| values::one_of(raw, &LEVELS, "a level")))
            .map_or(Level::default(), |at| at.value),
        log_format: log
            .and_then(|t| {
                let formats = |raw: &str| {
                    values::one_of(raw, &[("text", LogFormat::Text), ("json", LogFormat::Json)], "a log format")
                };
                t.text("format", formats)
            })
            .map_or(LogFormat::default(), |at| at.value),
        http_port,
        https,
        org: org::read(top),
        tftp_port: tftp.port,
        tftp: tftp.settings,
        export: tftp.export,
        interfaces,
        subnets,
        subnets6,
        rules,
        menu_images: menus.images,
    }
}

fn read_interfaces(top: &Section<'_>) -> Vec<InterfaceChoice> {
    let mut chosen: Vec<InterfaceChoice> = Vec::new();
    for section in top.tables("interface", &["name", "mode", "dhcp6", "ra"]) {
        let name =
            section.required("name", values::interface, "add `name = \"eth0\"`; `ip -brief address` lists the names");
        let mode = section.text("mode", values::mode).map_or(Mode::Proxy, |at| at.value);
        // Whoever gives IPv4 addresses gives IPv6 addresses too, where there are some to give.
        let dhcp6 = section.flag("dhcp6").map_or(mode == Mode::Dhcp && top.has("subnet6"), |at| at.value);
        let ra = section.text("ra", values::ra).map_or(Ra::Off, |at| at.value);
        let Some(name) = name else { continue };
        if chosen.iter().any(|other| other.name.value == name.value) {
            section.error(
                name.span,
                "name",
                format!("{:?} is configured twice", name.value),
                "keep one `[[interface]]` for it",
            );
            continue;
        }
        chosen.push(InterfaceChoice { name, mode, ipv6: Ipv6 { dhcp: dhcp6, ra } });
    }
    chosen
}

/// Addresses can only be given where somebody gives them, out of something.
fn check_modes(top: &Section<'_>, interfaces: &[InterfaceChoice], subnets: &[At<Subnet>]) {
    let giving = interfaces.iter().find(|choice| choice.mode == Mode::Dhcp);
    match giving {
        Some(choice) if subnets.is_empty() && !top.has("subnet") && !top.has("subnet6") => top.error(
            choice.name.span.clone(),
            "interface",
            format!("{:?} is to give addresses, but there is no subnet to give them from", choice.name.value),
            "add a `[[subnet]]` with `network` and `pool`, or set `mode = \"proxy\"`",
        ),
        None => {
            if let Some(subnet) = subnets.first() {
                top.warning(
                    subnet.span.clone(),
                    "subnet",
                    "no interface gives addresses, so this is never used",
                    "set `mode = \"dhcp\"` in an `[[interface]]`, or remove the subnet",
                );
            }
        }
        Some(_) => {}
    }
}

/// The same for IPv6; and hosts must not be sent where nobody answers.
fn check_ipv6(top: &Section<'_>, interfaces: &[InterfaceChoice], subnets: &[At<Subnet6>]) {
    let missing = !top.has("subnet6");
    for InterfaceChoice { name, ipv6: Ipv6 { dhcp, ra }, .. } in interfaces {
        if *dhcp && missing {
            let reason = format!("{:?} is to answer DHCPv6, but there is no IPv6 subnet", name.value);
            let remedy = "add a `[[subnet6]]` with `network` and `pool`, or remove `dhcp6 = true`";
            top.error(name.span.clone(), "interface", reason, remedy);
        } else if ra.is_repeated() && missing {
            let reason = format!("{:?} is to advertise `{}`, but there is no IPv6 subnet", name.value, ra.name());
            let remedy = "add a `[[subnet6]]` with its `network`, or set `ra = \"boot-only\"`";
            top.error(name.span.clone(), "interface", reason, remedy);
        } else if *ra == Ra::Stateless && subnets.iter().all(|at| at.value.prefix != 64) {
            let reason =
                format!("{:?} tells hosts to make their own addresses, and no IPv6 subnet is a /64", name.value);
            let remedy = "give a `[[subnet6]]` of /64 (RFC 4862), or set `ra = \"managed\"`";
            top.error(name.span.clone(), "interface", reason, remedy);
        } else if *ra == Ra::Managed && !dhcp {
            let reason =
                format!("{:?} tells hosts to ask for addresses by DHCPv6, which it does not answer", name.value);
            let remedy = "set `dhcp6 = true`, unless another server answers there";
            top.warning(name.span.clone(), "interface", reason, remedy);
        }
    }
    let used = interfaces.iter().any(|choice| choice.ipv6.dhcp || choice.ipv6.ra.is_repeated());
    if let Some(subnet) = subnets.first().filter(|_| !used) {
        let reason = "no interface answers DHCPv6, so this is never used";
        let remedy = "set `dhcp6 = true` in an `[[interface]]`, or remove the subnet";
        top.warning(subnet.span.clone(), "subnet6", reason, remedy);
    }
}
