//! `[[menu]]`: what a person at a machine can choose from.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use slipway_engine::menu::{Choice, Item, Menu};
use slipway_engine::rules::{Boot, Path, Then};

use super::fault::At;
use super::reader::Section;
use super::values::{self, nearest};
use super::{ConfiguredRule, MenuImage};

const KEYS: [&str; 5] = ["name", "title", "timeout", "default", "item"];
const CHOICES: [&str; 8] = ["image", "menu", "local", "shell", "reboot", "poweroff", "exit", "text"];
const ITEM: [&str; 12] =
    ["name", "title", "memory", "append", "image", "menu", "local", "shell", "reboot", "poweroff", "exit", "text"];
/// How long a person may think where the menu does not say.
const THINKING: u16 = 10;

/// The menus of the file.
pub(super) struct Menus {
    /// Each by its name; none is one that cannot be shown, which was told.
    built: BTreeMap<String, Option<Arc<Menu>>>,
    /// Where each is.
    places: Vec<At<String>>,
    /// The images that they name.
    pub(super) images: Vec<MenuImage>,
}

/// A menu as it stands in the file.
struct Draft<'a> {
    section: Section<'a>,
    name: At<String>,
    title: String,
    timeout: Option<Duration>,
    default: Option<At<String>>,
    items: Vec<Entry<'a>>,
}

/// An item as it stands there.
struct Entry<'a> {
    section: Section<'a>,
    /// What `default` calls it; a text has none.
    name: Option<String>,
    title: Option<String>,
    memory: Option<u64>,
    leads: Leads,
}

enum Leads {
    There(Choice),
    Menu(At<String>),
}

/// The menus of the file, each whole or told why not.
pub(super) fn read(top: &Section<'_>) -> Menus {
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    let mut images = Vec::new();
    for section in top.tables("menu", &KEYS) {
        let Some(draft) = draft(section, &mut images) else { continue };
        if drafts.iter().any(|other| other.name.value == draft.name.value) {
            let reason = format!("two menus are called {:?}", draft.name.value);
            draft.section.error(draft.name.span.clone(), "name", reason, "rules name menus: give each its own name");
            continue;
        }
        drafts.push(draft);
    }
    let mut built = BTreeMap::new();
    for draft in &drafts {
        build(draft, &drafts, &mut Vec::new(), &mut built);
    }
    Menus { built, places: drafts.iter().map(|draft| draft.name.clone()).collect(), images }
}

impl Menus {
    /// The menu that a rule names.
    pub(super) fn named(&self, section: &Section<'_>, name: &At<String>) -> Option<Arc<Menu>> {
        match self.built.get(&name.value) {
            Some(menu) => menu.clone(),
            None => {
                unknown(section, name, &self.places.iter().map(|at| at.value.as_str()).collect::<Vec<_>>());
                None
            }
        }
    }

    /// Tells of menus that no rule leads to; not while one of them has faults of its own, which cut it off from the others.
    pub(super) fn warn_of_unused(&self, top: &Section<'_>, rules: &[ConfiguredRule]) {
        if self.built.values().any(Option::is_none) {
            return;
        }
        let reached: Vec<&str> = rules
            .iter()
            .filter_map(|configured| match &configured.rule.then {
                Then::Choose(menu) => Some(menu),
                _ => None,
            })
            .flat_map(|menu| menu.all())
            .map(|menu| menu.name.as_str())
            .collect();
        for at in self.places.iter().filter(|at| !reached.contains(&at.value.as_str())) {
            let reason = format!("no rule leads to menu {:?}, so nobody is shown it", at.value);
            let remedy = format!("add `menu = \"{}\"` to a rule or to an item of another menu, or remove it", at.value);
            top.warning(at.span.clone(), "menu", reason, remedy);
        }
    }
}

fn unknown(section: &Section<'_>, name: &At<String>, known: &[&str]) {
    let remedy = match (nearest(&name.value, known), known) {
        (_, []) => format!("add a `[[menu]]` with `name = \"{}\"`", name.value),
        (Some(near), _) => format!("did you mean \"{near}\"? There are: {}", known.join(", ")),
        (None, _) => format!("add a `[[menu]]` of that name, or name one of: {}", known.join(", ")),
    };
    section.error(name.span.clone(), "menu", format!("there is no menu {:?}", name.value), remedy);
}

fn draft<'a>(section: Section<'a>, images: &mut Vec<MenuImage>) -> Option<Draft<'a>> {
    let name = section.required("name", values::menu, "rules name menus: add `name = \"main\"`");
    let title = section.text("title", values::one_line).map(|at| at.value);
    let seconds = if section.has("timeout") { section.number("timeout", 0, 3600) } else { Some(THINKING) };
    let default = section.text("default", values::text);
    let items: Vec<Entry<'a>> =
        section.tables("item", &ITEM).into_iter().filter_map(|item| entry(item, images)).collect();
    if !section.has("item") {
        let remedy = "add `[[menu.item]]` tables below it, such as one with `image = \"debian\"`";
        section.error(section.span.clone(), "item", "the menu has nothing to choose from", remedy);
    }
    let name = name?;
    let timeout = seconds.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
    Some(Draft { title: title.unwrap_or_else(|| name.value.clone()), section, name, timeout, default, items })
}

fn entry<'a>(section: Section<'a>, images: &mut Vec<MenuImage>) -> Option<Entry<'a>> {
    let own_name = section.text("name", values::name).map(|at| at.value);
    let title = section.text("title", values::one_line).map(|at| at.value);
    let memory = section.text("memory", values::memory).map(|at| at.value);
    let append = section.text("append", values::one_line).map(|at| at.value);
    if section.has("append") && !section.has("image") {
        section.error(
            section.span_of("append"),
            "append",
            "belongs to `image`",
            "add `image = \"IMAGE\"`, or remove it",
        );
    }
    let one = format!("give exactly one of: {}", CHOICES.join(", "));
    let given: Vec<&str> = CHOICES.into_iter().filter(|key| section.has(key)).collect();
    let kind = match given.as_slice() {
        [] => {
            section.error(section.span.clone(), "image", "the item does not say what it leads to", one);
            return None;
        }
        [kind] => *kind,
        [first, second, ..] => {
            let reason = format!("the item leads to both `{first}` and `{second}`");
            section.error(section.span_of(second), second, reason, one);
            return None;
        }
    };
    let mut derived = kind.to_owned();
    let mut title = title;
    let leads = match kind {
        "image" => {
            let At { value: (image, version), span } = section.text("image", values::image)?;
            derived = version.as_ref().map_or_else(|| image.clone(), |version| format!("{image}@{version}"));
            images.push(MenuImage { image: image.clone(), version: version.clone(), span });
            Leads::There(Choice::Boot(Boot { image, version, path: Path::Ipxe, append }))
        }
        "menu" => {
            let below = section.text("menu", values::menu)?;
            derived.clone_from(&below.value);
            Leads::Menu(below)
        }
        "text" => {
            title = Some(section.text("text", values::one_line)?.value);
            Leads::There(Choice::Text)
        }
        flag => Leads::There(flagged(&section, flag)?),
    };
    let name = (kind != "text").then(|| own_name.unwrap_or(derived));
    Some(Entry { section, name, title, memory, leads })
}

fn flagged(section: &Section<'_>, key: &str) -> Option<Choice> {
    let At { value, span } = section.flag(key)?;
    if !value {
        section.error(
            span,
            key,
            "false says nothing: leave the item out",
            format!("write `{key} = true`, or remove the item"),
        );
        return None;
    }
    Some(match key {
        "local" => Choice::Local,
        "shell" => Choice::Shell,
        "reboot" => Choice::Reboot,
        "poweroff" => Choice::PowerOff,
        _ => Choice::Exit,
    })
}

/// Makes the menu of a draft, those below it first. `above` are the menus that lead here: one of them below again is a circle.
fn build(
    draft: &Draft<'_>,
    drafts: &[Draft<'_>],
    above: &mut Vec<String>,
    built: &mut BTreeMap<String, Option<Arc<Menu>>>,
) -> Option<Arc<Menu>> {
    if let Some(known) = built.get(&draft.name.value) {
        return known.clone();
    }
    above.push(draft.name.value.clone());
    let mut items = Vec::new();
    let mut whole = true;
    for entry in &draft.items {
        let choice = match &entry.leads {
            Leads::There(choice) => Some(choice.clone()),
            Leads::Menu(name) => below(entry, name, drafts, above, built).map(Choice::Menu),
        };
        match choice {
            Some(choice) => items.push(Item { title: entry.title.clone(), memory: entry.memory, choice }),
            None => whole = false,
        }
    }
    above.pop();
    let default = draft.default.as_ref().and_then(|name| place_of(draft, name));
    let menu = whole.then(|| {
        Arc::new(Menu {
            name: draft.name.value.clone(),
            title: draft.title.clone(),
            timeout: draft.timeout,
            default,
            items,
        })
    });
    built.insert(draft.name.value.clone(), menu.clone());
    menu
}

fn below(
    entry: &Entry<'_>,
    name: &At<String>,
    drafts: &[Draft<'_>],
    above: &mut Vec<String>,
    built: &mut BTreeMap<String, Option<Arc<Menu>>>,
) -> Option<Arc<Menu>> {
    if let Some(from) = above.iter().position(|known| *known == name.value) {
        let mut circle: Vec<&str> = above.iter().skip(from).map(String::as_str).collect();
        circle.push(&name.value);
        let reason = format!("the menus lead in a circle: {}", circle.join(" -> "));
        let remedy = "remove the item: each submenu has a line that leads back by itself";
        entry.section.error(name.span.clone(), "menu", reason, remedy);
        return None;
    }
    match drafts.iter().find(|draft| draft.name.value == name.value) {
        Some(draft) => build(draft, drafts, above, built),
        None => {
            let known: Vec<&str> = drafts.iter().map(|draft| draft.name.value.as_str()).collect();
            unknown(&entry.section, name, &known);
            None
        }
    }
}

/// The item that `default` names.
fn place_of(draft: &Draft<'_>, default: &At<String>) -> Option<usize> {
    let is_it = |entry: &Entry<'_>| entry.name.as_ref() == Some(&default.value);
    let mut places = draft.items.iter().enumerate().filter(|(_, entry)| is_it(entry)).map(|(place, _)| place);
    let (first, second) = (places.next(), places.next());
    let names: Vec<&str> = draft.items.iter().filter_map(|entry| entry.name.as_deref()).collect();
    if first.is_none() {
        let reason = format!("no item is called {:?}", default.value);
        let near = nearest(&default.value, &names).map_or(String::new(), |near| format!("did you mean \"{near}\"? "));
        draft.section.error(default.span.clone(), "default", reason, format!("{near}Items: {}", names.join(", ")));
    } else if second.is_some() {
        let reason = format!("two items are called {:?}", default.value);
        draft.section.error(default.span.clone(), "default", reason, "give the one that is meant a `name` of its own");
    }
    first
}
