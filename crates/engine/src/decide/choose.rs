//! Menus: what of them this machine is shown, and what a person picked.

use core::time::Duration;
use std::collections::BTreeMap;

use super::{Case, label, way};
use crate::Why;
use crate::answer::Answer;
use crate::menu::{Choice, Item, Menu, Query, Ram, ask_ram};
use crate::request::{Firmware, Loader};
use crate::rules::{Boot, Path};
use crate::script::{self, Does, Line, Page};

/// How long a person may think before the menu of all images.
const THINKING: Duration = Duration::from_secs(10);

impl Case<'_> {
    /// The menu of every image that this machine can run, and what was picked from it.
    pub(super) fn menu(self, query: Query<'_>) -> Result<Answer, Why> {
        if let (Some(name), None) = (query.image, query.line) {
            return self.boot(&Boot { image: name.to_owned(), version: None, path: Path::Ipxe, append: None });
        }
        let firmware = self.firmware_of_ipxe()?;
        if self.request.loader == Loader::Grub {
            return Err(Why::MenuNeedsIpxe { rule: self.rule.name.clone() });
        }
        if self.request.loader != Loader::Ipxe {
            return Ok(self.answer(None, self.loader(firmware)?));
        }
        let newest = self.catalog.images.keys().filter_map(|name| self.meant(name, None));
        let images = newest.filter(|image| way::by_ipxe(image, firmware, None).is_ok());
        let items = images.map(|image| {
            let url = format!("{}&image={}", self.server.script_url(self.request), image.name);
            (label(image), Does::Chain(url))
        });
        let items = items.chain([(words(&Choice::Local), Does::Local)]).enumerate();
        let lines = items.map(|(number, (title, does))| Line { number, title, does }).collect();
        let title = format!("Slipway: what shall {} boot?", self.request.mac);
        let page = Page { title, timeout: Some(THINKING), default: Some(0), lines };
        Ok(self.answer(None, self.to_ipxe(|case| case.shown("menu", &[page]))))
    }

    /// A menu of the operator's own, and what was picked from it.
    pub(super) fn choose(self, menu: &Menu, query: Query<'_>) -> Result<Answer, Why> {
        if let Some(boot) = picked(menu, query) {
            return self.boot(boot);
        }
        let firmware = self.firmware_of_ipxe()?;
        if self.request.loader == Loader::Grub {
            return Err(Why::MenuNeedsIpxe { rule: self.rule.name.clone() });
        }
        if self.request.loader != Loader::Ipxe {
            return Ok(self.answer(None, self.loader(firmware)?));
        }
        let what = format!("menu {}", menu.name);
        let script = |case: Self| match query.ram {
            None if menu.asks_for_memory() => {
                let url = format!("{}&{}", case.server.script_url(case.request), ask_ram());
                script::ask_more(case.heading(&what), &url)
            }
            ram => case.shown(&what, &Viewer { case, firmware, ram: ram.unwrap_or(Ram::Unknown) }.pages(menu)),
        };
        Ok(self.answer(None, self.to_ipxe(script)))
    }

    /// The firmware, if iPXE runs on it.
    fn firmware_of_ipxe(self) -> Result<Firmware, Why> {
        let no_menu = |firmware| Err(Why::NoMenu { firmware });
        match self.firmware()? {
            Firmware::UBoot(_) => no_menu("U-Boot"),
            Firmware::RaspberryPi => no_menu("a Raspberry Pi's own boot loader"),
            Firmware::Bios if self.is_pxelinux() => no_menu("pxelinux"),
            firmware @ (Firmware::Bios | Firmware::Uefi(_)) => Ok(firmware),
        }
    }

    fn shown(self, what: &str, pages: &[Page]) -> String {
        script::pages(self.heading(what), pages, self.request.arch.is_uefi())
    }
}

/// What a person picked, if it is still what the menu says there: it may have changed since it was shown, and is shown again then.
fn picked<'m>(menu: &'m Menu, query: Query<'_>) -> Option<&'m Boot> {
    let (name, place) = query.line?;
    let shown = menu.all().into_iter().find(|menu| menu.name == name)?;
    match &shown.items.get(place)?.choice {
        Choice::Boot(boot) if query.image == Some(asked(boot).as_str()) => Some(boot),
        _ => None,
    }
}

/// An image as a menu asks for it.
fn asked(boot: &Boot) -> String {
    match &boot.version {
        Some(version) => format!("{}@{version}", boot.image),
        None => boot.image.clone(),
    }
}

/// What a choice says of itself.
fn words(choice: &Choice) -> String {
    match choice {
        Choice::Boot(boot) => asked(boot),
        Choice::Menu(menu) => menu.title.clone(),
        Choice::Local => "Boot from the local disk".to_owned(),
        Choice::Shell => "iPXE command line".to_owned(),
        Choice::Reboot => "Reboot".to_owned(),
        Choice::PowerOff => "Power off".to_owned(),
        Choice::Exit => "Next boot device".to_owned(),
        Choice::Text => String::new(),
    }
}

/// One machine in front of a menu.
struct Viewer<'a> {
    case: Case<'a>,
    firmware: Firmware,
    ram: Ram,
}

impl Viewer<'_> {
    /// The menu and those below it, with what cannot work on this machine left out: images for another processor or with a file
    /// missing, lines that need more memory, menus that would be empty.
    fn pages(&self, menu: &Menu) -> Vec<Page> {
        let mut known = BTreeMap::new();
        self.has_choices(menu, &mut known);
        let menus: Vec<&Menu> = menu
            .all()
            .into_iter()
            .filter(|m| m.name == menu.name || known.get(m.name.as_str()) == Some(&true))
            .collect();
        menus.iter().map(|menu| self.page(menu, &menus)).collect()
    }

    /// Whether there is anything to choose. `known` keeps what was found out: several menus may lead to one.
    fn has_choices<'m>(&self, menu: &'m Menu, known: &mut BTreeMap<&'m str, bool>) -> bool {
        if let Some(has) = known.get(menu.name.as_str()) {
            return *has;
        }
        let mut has = false;
        for item in &menu.items {
            // Every one is looked at: each menu's own answer is wanted too.
            has |= match &item.choice {
                Choice::Menu(below) => self.has_choices(below, known) && self.suffices(item),
                Choice::Text => false,
                _ => self.can(item),
            };
        }
        known.insert(&menu.name, has);
        has
    }

    fn page(&self, menu: &Menu, menus: &[&Menu]) -> Page {
        let lines: Vec<Line> = menu
            .items
            .iter()
            .enumerate()
            .filter(|(_, item)| self.can(item))
            .filter_map(|(number, item)| {
                let does = self.does(&menu.name, number, item, menus)?;
                let title = item.title.clone().unwrap_or_else(|| self.words(item));
                Some(Line { number, title, does })
            })
            .collect();
        let is_there = |number: &usize| lines.iter().any(|line| line.number == *number);
        let first = lines.iter().find(|line| line.does != Does::Text).map(|line| line.number);
        let default = menu.default.map_or(first, |number| Some(number).filter(is_there));
        Page { title: menu.title.clone(), timeout: menu.timeout, default, lines }
    }

    fn does(&self, menu: &str, number: usize, item: &Item, menus: &[&Menu]) -> Option<Does> {
        Some(match &item.choice {
            Choice::Boot(boot) => {
                let root = self.case.server.script_url(self.case.request);
                Does::Chain(format!("{root}&menu={menu}&item={number}&image={}", asked(boot)))
            }
            Choice::Menu(below) => Does::Page(menus.iter().position(|menu| menu.name == below.name)?),
            Choice::Local => Does::Local,
            Choice::Shell => Does::Shell,
            Choice::Reboot => Does::Reboot,
            Choice::PowerOff => Does::PowerOff,
            Choice::Exit => Does::Exit,
            Choice::Text => Does::Text,
        })
    }

    /// Whether a line can work on this machine, a submenu's own lines aside.
    fn can(&self, item: &Item) -> bool {
        self.suffices(item)
            && match &item.choice {
                Choice::Boot(boot) => {
                    let image = self.case.meant(&boot.image, boot.version.as_deref());
                    image.is_some_and(|image| way::by_ipxe(image, self.firmware, boot.append.as_deref()).is_ok())
                }
                _ => true,
            }
    }

    fn suffices(&self, item: &Item) -> bool {
        item.memory.is_none_or(|least| self.ram.suffices(least))
    }

    fn words(&self, item: &Item) -> String {
        match &item.choice {
            Choice::Boot(boot) => {
                let image = self.case.meant(&boot.image, boot.version.as_deref());
                image.map_or_else(|| asked(boot), label)
            }
            choice => words(choice),
        }
    }
}
