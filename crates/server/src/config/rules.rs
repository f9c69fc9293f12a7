//! `[[rule]]`: which machine boots what.

use std::path::PathBuf;

use slipway_engine::decide::{ENROLMENT, INTENT};
use slipway_engine::machine::Guard;
use slipway_engine::request::Loader;
use slipway_engine::rules::{Boot, Path, Rule, Rules, Then, When};

use super::enrolment::Enrolment;
use super::fault::At;
use super::https::Https;
use super::menus::Menus;
use super::reader::Section;
use super::san::{self, Disks};
use super::{ConfiguredRule, reach, values};

const KEYS: [&str; 13] =
    ["name", "when", "boot", "san", "path", "append", "scheme", "menu", "enrol", "local", "ignore", "install", "guard"];
const WHEN: [&str; 12] = [
    "mac",
    "uuid",
    "arch",
    "cpu",
    "loader",
    "subnet",
    "interface",
    "relay",
    "circuit-id",
    "remote-id",
    "user-class",
    "uefi",
];

/// The rules of the file, and behind them the one by which the org decides; where it has neither, one that shows every machine the
/// menu.
pub(super) fn read(
    top: &Section<'_>,
    https: &Https,
    menus: &Menus,
    enrolment: Option<&Enrolment>,
) -> Vec<ConfiguredRule> {
    let disks = san::read(top);
    if let Some(enrolment) = enrolment.filter(|_| !top.has("rule")) {
        menus.warn_of_unused(top, &[]);
        disks.warn_of_unused(top, &[]);
        return vec![enrolment.last_rule()];
    }
    if !top.has("rule") {
        menus.warn_of_unused(top, &[]);
        let mut rules = Rules::zero_configuration().rules;
        rules.iter_mut().for_each(|rule| rule.https = https.of_rule(None));
        let rules = rules.into_iter();
        let configured = |rule| ConfiguredRule { rule, secret_at: None, boot_at: None, interfaces_at: Vec::new() };
        disks.warn_of_unused(top, &[]);
        return rules.map(configured).collect();
    }
    let mut rules: Vec<ConfiguredRule> = Vec::new();
    let mut before: Vec<(String, When)> = Vec::new();
    let sections = top.tables("rule", &KEYS);
    let mut on_the_way: Vec<(Loader, &Section<'_>)> = Vec::new();
    for (n, section) in sections.iter().enumerate() {
        let name = section.text("name", values::name);
        if let Some(at) = name.as_ref().filter(|at| rules.iter().any(|other| other.rule.name == at.value)) {
            let reason = format!("two rules are called {:?}", at.value);
            section.error(at.span.clone(), "name", reason, "the journal names rules: give each its own name");
        }
        if let Some(at) = name.as_ref().filter(|at| at.value == INTENT) {
            let reason = "is what the journal calls an operator's word on one machine (`slipway machine boot`)";
            section.error(at.span.clone(), "name", reason, "give the rule another name");
        }
        if let Some(at) = name.as_ref().filter(|at| at.value == ENROLMENT) {
            let reason = "is what the journal calls the rule by which the org decides, behind all others";
            section.error(at.span.clone(), "name", reason, "give the rule another name");
        }
        let name = name.map_or_else(|| format!("rule {}", n + 1), |at| at.value);
        let criteria = section.table("when", &WHEN);
        let (when, interfaces_at) = criteria.as_ref().map_or((When::default(), Vec::new()), read_when);
        if let Some((shadow, wide)) = before.iter().find(|(_, wide)| reach::covers(wide, &when)) {
            warn_of_shadow(section, shadow, wide);
        }
        // What could not be read is no criterion, and would seem to match everybody.
        if criteria.as_ref().map_or(!section.has("when"), |criteria| is_whole(criteria, &when)) {
            before.push((name.clone(), when.clone()));
        }
        if let Some((criteria, (key, reason))) = criteria.as_ref().zip(reach::contradiction(&when)) {
            criteria.error(criteria.span_of(key), key, reason, "take one of the two out, or make two rules of it");
        }
        let Some((then, secret_at)) = read_then(section, menus, &disks, enrolment) else { continue };
        check_then(section, &when, &then);
        if is_for_uefi_alone(&when) && leads_through_pxelinux(&then) {
            let span = section.span_of("path");
            let remedy = "leave `path` out for UEFI machines: `auto` finds their way";
            section.error(span, "path", "pxelinux runs on a BIOS only, and the rule matches none", remedy);
        }
        on_the_way.extend(leads_through(&then).map(|loader| (loader, section)));
        let https = https.of_rule(read_scheme(section));
        let install = read_install(section);
        let boot_at = match &then {
            Then::Enrol(_) => enrolment.map(Enrolment::image_at),
            _ => section.has("boot").then(|| section.span_of("boot")),
        };
        let rule = Rule { name, when, then, https, install };
        rules.push(ConfiguredRule { rule, secret_at, boot_at, interfaces_at });
    }
    let used = rules.iter().filter_map(|other| disk_of(&other.rule.then)).collect::<Vec<_>>();
    disks.warn_of_unused(top, &used);
    for (loader, section) in on_the_way {
        if !rules.iter().any(|other| matches_loader(&other.rule, loader)) {
            warn_of_loader(section, loader);
        }
    }
    menus.warn_of_unused(top, &rules);
    if let Some(enrolment) = enrolment.filter(|_| !rules.iter().any(|other| matches!(other.rule.then, Then::Enrol(_))))
    {
        if let Some((shadow, _)) = before.iter().find(|(_, wide)| *wide == When::default()) {
            let reason = format!("the org is never asked, because rule {shadow:?} matches every machine");
            let remedy = "put a rule with `enrol = true` before that one, for the machines that the org decides about";
            top.warning(enrolment.image_at(), "enrolment", reason, remedy);
        }
        rules.push(enrolment.last_rule());
    }
    rules
}

fn warn_of_shadow(section: &Section<'_>, shadow: &str, wide: &When) {
    let (reason, remedy) = if *wide == When::default() {
        ("matches every machine", "first match wins: move the rule without `when` to the end")
    } else {
        ("matches every machine that it does", "first match wins: move it before that rule, or remove it")
    };
    let reason = format!("is never reached, because rule {shadow:?} before it {reason}");
    section.warning(section.span.clone(), "when", reason, remedy);
}

/// Whether all that is said could be read.
fn is_whole(criteria: &Section<'_>, when: &When) -> bool {
    let When { mac, uuid, arch, cpu, loader, subnet, interface, relay, circuit_id, remote_id, user_class, uefi } = when;
    let read = [
        ("mac", mac.len()),
        ("uuid", uuid.len()),
        ("arch", arch.len()),
        ("cpu", cpu.len()),
        ("loader", loader.len()),
        ("subnet", subnet.len()),
        ("interface", interface.len()),
        ("relay", relay.len()),
        ("circuit-id", circuit_id.len()),
        ("remote-id", remote_id.len()),
        ("user-class", user_class.len()),
        ("uefi", usize::from(uefi.is_some())),
    ];
    read.into_iter().all(|(key, read)| read > 0 || !criteria.has(key))
}

/// What is given must be something that those who ask can be given.
fn check_then(section: &Section<'_>, when: &When, then: &Then) {
    if reach::is_for_nobody(when, then) {
        let reason = "an operating system that asks for an address is not booted, and no other loader matches";
        section.error(
            section.span_of("when"),
            "when.loader",
            reason,
            "name the loaders of the firmware, or remove `loader`",
        );
    }
    if let Then::Boot(Boot { path: Path::Direct, append: Some(_), .. }) = then {
        let reason = "firmware passes no command line, and `path = \"direct\"` keeps iPXE out, which could";
        let remedy = "remove `path`, or put the arguments into the image itself";
        section.error(section.span_of("append"), "append", reason, remedy);
    }
}

fn disk_of(then: &Then) -> Option<&str> {
    if let Then::San(san) = then { Some(&san.disk.name) } else { None }
}

fn matches_loader(rule: &Rule, loader: Loader) -> bool {
    rule.when.loader.is_empty() || rule.when.loader.contains(&loader)
}

/// The loader that firmware is given on the way there, whatever the image is.
fn leads_through(then: &Then) -> Option<Loader> {
    match then {
        Then::Menu | Then::Choose(_) => Some(Loader::Ipxe),
        Then::San(san) => (san.path != Path::Direct).then_some(Loader::Ipxe),
        Then::Boot(boot) => match (boot.path, &boot.append) {
            (Path::Ipxe, _) | (Path::Auto, Some(_)) => Some(Loader::Ipxe),
            (Path::Shim, _) => Some(Loader::Grub),
            (Path::Direct | Path::Pxelinux, _) | (Path::Auto, None) => None,
        },
        Then::Enrol(_) | Then::Local | Then::Ignore => None,
    }
}

fn leads_through_pxelinux(then: &Then) -> bool {
    matches!(then, Then::Boot(Boot { path: Path::Pxelinux, .. }))
}

/// Whether no BIOS is among the machines that these criteria match.
fn is_for_uefi_alone(when: &When) -> bool {
    let archs = !when.arch.is_empty() && when.arch.iter().all(|arch| arch.is_uefi());
    let loaders = when.loader.as_slice() == [Loader::UefiHttp];
    when.uefi == Some(true) || archs || loaders
}

fn warn_of_loader(section: &Section<'_>, loader: Loader) {
    let given = if loader == Loader::Grub { "shim and GRUB, which asks" } else { "iPXE, which asks" };
    section.warning(
        section.span.clone(),
        "when.loader",
        format!("the machine is given {given} next as loader {:?}, and no rule matches that", loader.name()),
        format!("add {:?} to the rule's loaders", loader.name()),
    );
}

fn read_when(section: &Section<'_>) -> (When, Vec<At<String>>) {
    let interfaces = section.texts("interface", values::interface);
    let when = When {
        mac: bare(section.texts("mac", values::mac)),
        uuid: bare(section.texts("uuid", values::uuid)),
        arch: bare(section.texts("arch", values::arch)),
        cpu: bare(section.texts("cpu", values::cpu)),
        loader: bare(section.texts("loader", values::loader)),
        subnet: bare(section.texts("subnet", values::net)),
        interface: interfaces.iter().map(|at| at.value.clone()).collect(),
        relay: bare(section.texts("relay", values::relay)),
        circuit_id: bare(section.texts("circuit-id", values::agent_id)),
        remote_id: bare(section.texts("remote-id", values::agent_id)),
        user_class: bare(section.texts("user-class", values::text)),
        uefi: section.flag("uefi").map(|at| at.value),
    };
    for key in WHEN.iter().filter(|key| section.has(key) && section.is_empty_list(key)) {
        section.error(
            section.span_of(key),
            key,
            "is an empty list, which would match every machine",
            "list a value, or remove the key",
        );
    }
    (when, interfaces)
}

/// Whether the rule says that firmware loads by `https`; nothing, if it does not say.
fn read_scheme(section: &Section<'_>) -> Option<bool> {
    let schemes = |raw: &str| values::one_of(raw, &[("http", false), ("https", true)], "a scheme");
    let said = section.text("scheme", schemes)?;
    if !["boot", "menu", "san"].iter().any(|key| section.has(key)) {
        let remedy = "add `boot = \"IMAGE\"` or `menu = true`, or remove the key";
        section.error(said.span, "scheme", "belongs to `boot`, `san` and `menu`", remedy);
    }
    Some(said.value)
}

/// What guards against the rule's image installing again and again, if it is an installer.
fn read_install(section: &Section<'_>) -> Option<Guard> {
    let install = section.flag("install").filter(|at| at.value);
    let usual = Guard::default();
    let guard = section.table("guard", &["boots", "window"]);
    if let Some(at) = install.as_ref().filter(|_| !section.has("boot")) {
        let remedy = "add `boot = \"IMAGE\"`, or remove the key";
        section.error(at.span.clone(), "install", "belongs to `boot`", remedy);
    }
    if install.is_none() && guard.is_some() {
        let remedy = "add `install = true`, or remove the key";
        section.error(section.span_of("guard"), "guard", "belongs to `install = true`", remedy);
    }
    let guard = guard.map_or(usual, |table| Guard {
        boots: table.number("boots", 1, 100).and_then(|n| u8::try_from(n).ok()).unwrap_or(usual.boots),
        window: table.text("window", values::window).map_or(usual.window, |at| at.value),
    });
    install.map(|_| guard)
}

fn bare<T>(list: Vec<At<T>>) -> Vec<T> {
    list.into_iter().map(|at| at.value).collect()
}

/// What the rule gives: exactly one of `boot`, `san`, `menu`, `enrol`, `local`, `ignore`, but for `boot` with `san`. With a disk, where its secret
/// is.
fn read_then(
    section: &Section<'_>,
    menus: &Menus,
    disks: &Disks,
    enrolment: Option<&Enrolment>,
) -> Option<(Then, Option<At<PathBuf>>)> {
    let boot = section.text("boot", values::image);
    let path = section.text("path", values::path).map_or(Path::Auto, |at| at.value);
    let append = section.text("append", values::one_line);
    let mut flags = vec![("menu", Then::Menu), ("local", Then::Local), ("ignore", Then::Ignore)];
    flags.extend(enrolment.map(|enrolment| ("enrol", enrolment.then())));
    if enrolment.is_none() && section.has("enrol") {
        let remedy = "add the section `[enrolment]`, which names the image";
        section.error(section.span_of("enrol"), "enrol", "there is no org to decide", remedy);
        return None;
    }
    let mut given: Vec<&str> = Vec::new();
    given.extend(["boot", "san"].into_iter().find(|key| section.has(key)));
    let boot =
        boot.map(|At { value: (image, version), .. }| Boot { image, version, path, append: append.map(|at| at.value) });
    let disk = disks.of_rule(section);
    let secret_at = disk.as_ref().and_then(|disk| disk.secret_at.clone());
    let mut then = match disk {
        Some(disk) => Some(Then::San(Box::new(san::given(section, disk, boot, path)))),
        None => boot.map(Then::Boot),
    };
    if section.is_text("menu") {
        given.push("menu");
        then = section.text("menu", values::menu).and_then(|name| menus.named(section, &name)).map(Then::Choose);
    }
    for (key, meant) in flags.into_iter().filter(|(key, _)| !section.is_text(key)) {
        match section.flag(key) {
            Some(At { value: true, .. }) => {
                given.push(key);
                then = Some(meant);
            }
            Some(At { value: false, span }) => {
                section.error(span, key, "false says nothing: leave the key out", format!("remove `{key}`"));
            }
            None => {}
        }
    }
    let choice = "give exactly one of: boot = \"IMAGE\", san = \"DISK\", menu = true or menu = \"NAME\", enrol = true, local = true, \
                  ignore = true; or `boot` and `san`";
    match given.as_slice() {
        [] if !["menu", "enrol", "local", "ignore"].iter().any(|key| section.has(key)) => {
            section.error(section.span.clone(), "boot", "the rule does not say what a machine is given", choice);
        }
        [_, second, ..] => {
            let reason = format!("the rule says both `{}` and `{second}`", given.first().unwrap_or(second));
            section.error(section.span_of(second), second, reason, choice);
        }
        _ => {}
    }
    for key in ["path", "append"] {
        let has_disk = key == "path" && section.has("san");
        if section.has(key) && !section.has("boot") && !has_disk {
            section.error(section.span_of(key), key, "belongs to `boot`", "add `boot = \"IMAGE\"`, or remove the key");
        }
    }
    then.map(|then| (then, secret_at))
}
