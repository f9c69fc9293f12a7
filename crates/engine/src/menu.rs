//! Menus as the operator wrote them. A menu owns its submenus, so that one that leads in a circle, or nowhere, cannot be said.

mod ram;

use core::time::Duration;
use std::sync::Arc;

use crate::rules::Boot;

pub use ram::{Ram, ask_ram};

/// A menu.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Menu {
    /// Its name: `[a-z0-9][a-z0-9._-]{0,62}`. No two menus of one configuration share it.
    pub name: String,
    /// Its headline.
    pub title: String,
    /// How long a person may think; none is as long as they like.
    pub timeout: Option<Duration>,
    /// The item that is marked at first, and taken when the time is over: its place in `items`. None is the first that can be chosen.
    pub default: Option<usize>,
    /// Its lines, in order.
    pub items: Vec<Item>,
}

/// A line of a menu.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Item {
    /// What the person reads; none is what the choice says of itself.
    pub title: Option<String>,
    /// The least memory that a machine must have to be shown it, in MiB.
    pub memory: Option<u64>,
    /// What it leads to.
    pub choice: Choice,
}

/// What a line of a menu leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Choice {
    /// An image, by iPXE.
    Boot(Boot),
    /// Another menu.
    Menu(Arc<Menu>),
    /// The machine's own disk.
    Local,
    /// iPXE's own command line.
    Shell,
    /// Starting the machine again.
    Reboot,
    /// Switching it off: builds of iPXE that cannot say so and show the menu again.
    PowerOff,
    /// The firmware's next boot device.
    Exit,
    /// Nothing: the line is only read.
    Text,
}

impl Menu {
    /// This menu and every one that can be reached from it, each once, this one first.
    #[must_use]
    pub fn all(&self) -> Vec<&Self> {
        let mut found = vec![self];
        let mut next = 0;
        while let Some(menu) = found.get(next).copied() {
            for item in &menu.items {
                if let Choice::Menu(below) = &item.choice
                    && !found.iter().any(|known| known.name == below.name)
                {
                    found.push(below);
                }
            }
            next = next.saturating_add(1);
        }
        found
    }

    /// Whether what it shows depends on the machine's memory.
    #[must_use]
    pub fn asks_for_memory(&self) -> bool {
        self.all().iter().flat_map(|menu| &menu.items).any(|item| item.memory.is_some())
    }
}

/// What a script's query tells, besides whose script it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Query<'a> {
    /// The image that a person picked.
    pub image: Option<&'a str>,
    /// The menu that it was picked from, and the line's place there; none is the menu of all images.
    pub line: Option<(&'a str, usize)>,
    /// The machine's memory, if it was asked for it.
    pub ram: Option<Ram>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn menu(name: &str, below: &[&Arc<Menu>], memory: Option<u64>) -> Arc<Menu> {
        let item = |choice| Item { title: None, memory, choice };
        let items = below.iter().map(|menu| item(Choice::Menu(Arc::clone(menu)))).chain([item(Choice::Local)]);
        Arc::new(Menu { name: name.into(), title: name.into(), timeout: None, default: None, items: items.collect() })
    }

    #[test]
    fn a_menu_that_several_lead_to_is_found_once() {
        let deepest = menu("deepest", &[], None);
        let (left, right) = (menu("left", &[&deepest], None), menu("right", &[&deepest], None));
        let top = menu("top", &[&left, &right, &deepest], None);
        let names: Vec<&str> = top.all().iter().map(|menu| menu.name.as_str()).collect();
        assert_eq!(names, ["top", "left", "right", "deepest"]);
    }

    #[test]
    fn memory_matters_where_any_reachable_line_says_so() {
        let deepest = menu("deepest", &[], Some(2048));
        let top = menu("top", &[&menu("left", &[&deepest], None)], None);
        assert!(top.asks_for_memory() && !menu("top", &[], None).asks_for_memory());
    }
}
