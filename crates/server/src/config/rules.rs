//! `[[rule]]`: which machine boots what.

use slipway_engine::machine::Guard;
use slipway_engine::request::Loader;
use slipway_engine::rules::{Boot, Path, Rule, Rules, Then, When};

use super::ConfiguredRule;
use super::fault::At;
use super::https::Https;
use super::menus::Menus;
use super::reader::Section;
use super::values;

const KEYS: [&str; 11] =
    ["name", "when", "boot", "path", "append", "scheme", "menu", "local", "ignore", "install", "guard"];
const WHEN: [&str; 10] = ["mac", "uuid", "arch", "cpu", "loader", "subnet", "interface", "relay", "user-class", "uefi"];

/// The rules of the file; where it has none, one that shows every machine the menu.
pub(super) fn read(top: &Section<'_>, https: &Https, menus: &Menus) -> Vec<ConfiguredRule> {
    if !top.has("rule") {
        menus.warn_of_unused(top, &[]);
        let mut rules = Rules::zero_configuration().rules;
        rules.iter_mut().for_each(|rule| rule.https = https.of_rule(None));
        let rules = rules.into_iter();
        return rules.map(|rule| ConfiguredRule { rule, boot_at: None, interfaces_at: Vec::new() }).collect();
    }
    let mut rules: Vec<ConfiguredRule> = Vec::new();
    let mut catch_all: Option<String> = None;
    let sections = top.tables("rule", &KEYS);
    let mut on_the_way: Vec<(Loader, &Section<'_>)> = Vec::new();
    for (n, section) in sections.iter().enumerate() {
        let name = section.text("name", values::name);
        if let Some(at) = name.as_ref().filter(|at| rules.iter().any(|other| other.rule.name == at.value)) {
            let reason = format!("two rules are called {:?}", at.value);
            section.error(at.span.clone(), "name", reason, "the journal names rules: give each its own name");
        }
        let name = name.map_or_else(|| format!("rule {}", n + 1), |at| at.value);
        if let Some(before) = &catch_all {
            section.warning(
                section.span.clone(),
                "when",
                format!("is never reached, because rule {before:?} before it matches every machine"),
                "first match wins: move the rule without `when` to the end",
            );
        }
        let (when, interfaces_at) =
            section.table("when", &WHEN).map_or((When::default(), Vec::new()), |t| read_when(&t));
        if catch_all.is_none() && when == When::default() && !section.has("when") {
            catch_all = Some(name.clone());
        }
        let Some(then) = read_then(section, menus) else { continue };
        on_the_way.extend(leads_through(&then).map(|loader| (loader, section)));
        let https = https.of_rule(read_scheme(section));
        let install = read_install(section);
        let boot_at = section.has("boot").then(|| section.span_of("boot"));
        rules.push(ConfiguredRule { rule: Rule { name, when, then, https, install }, boot_at, interfaces_at });
    }
    for (loader, section) in on_the_way {
        if !rules.iter().any(|other| matches_loader(&other.rule, loader)) {
            warn_of_loader(section, loader);
        }
    }
    menus.warn_of_unused(top, &rules);
    rules
}

fn matches_loader(rule: &Rule, loader: Loader) -> bool {
    rule.when.loader.is_empty() || rule.when.loader.contains(&loader)
}

/// The loader that firmware is given on the way there, whatever the image is.
fn leads_through(then: &Then) -> Option<Loader> {
    match then {
        Then::Menu | Then::Choose(_) => Some(Loader::Ipxe),
        Then::Boot(boot) => match (boot.path, &boot.append) {
            (Path::Ipxe, _) | (Path::Auto, Some(_)) => Some(Loader::Ipxe),
            (Path::Shim, _) => Some(Loader::Grub),
            (Path::Direct, _) | (Path::Auto, None) => None,
        },
        Then::Local | Then::Ignore => None,
    }
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
        relay: bare(section.texts("relay", values::ip)),
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
    if !section.has("boot") && !section.has("menu") {
        let remedy = "add `boot = \"IMAGE\"` or `menu = true`, or remove the key";
        section.error(said.span, "scheme", "belongs to `boot` and `menu`", remedy);
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

/// What the rule gives: exactly one of `boot`, `menu`, `local`, `ignore`.
fn read_then(section: &Section<'_>, menus: &Menus) -> Option<Then> {
    let boot = section.text("boot", values::image);
    let path = section.text("path", values::path);
    let append = section.text("append", values::one_line);
    let flags = [("menu", Then::Menu), ("local", Then::Local), ("ignore", Then::Ignore)];
    let mut given: Vec<&str> = if section.has("boot") { vec!["boot"] } else { Vec::new() };
    let mut then = boot.map(|At { value: (image, version), .. }| {
        Then::Boot(Boot {
            image,
            version,
            path: path.map_or(Path::Auto, |at| at.value),
            append: append.map(|at| at.value),
        })
    });
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
    let choice = "give exactly one of: boot = \"IMAGE\", menu = true or menu = \"NAME\", local = true, ignore = true";
    match given.as_slice() {
        [] if !["menu", "local", "ignore"].iter().any(|key| section.has(key)) => {
            section.error(section.span.clone(), "boot", "the rule does not say what a machine is given", choice);
        }
        [_, second, ..] => {
            let reason = format!("the rule says both `{}` and `{second}`", given.first().unwrap_or(second));
            section.error(section.span_of(second), second, reason, choice);
        }
        _ => {}
    }
    for key in ["path", "append"] {
        if section.has(key) && !section.has("boot") {
            section.error(section.span_of(key), key, "belongs to `boot`", "add `boot = \"IMAGE\"`, or remove the key");
        }
    }
    then
}
