//! Which kernel module a device wants: devices state a text in `/sys/…/modalias`, modules state patterns, and the kernel asks for
//! others by name (`request_module`: `crypto-xts(aes)`, `fs-vfat`).
//!
//! Two files of the initramfs say it, in the form that `depmod` gives them: [`DEPENDS`] and [`ALIASES`]. The builder renders them
//! with [`render`], PID 1 reads them with [`Table::parse`].

use std::collections::{BTreeMap, BTreeSet};

use crate::kernel::Module;
use crate::modinfo;

/// Where the modules are in the initramfs: `<name>.ko`.
pub const FOLDER: &str = "lib/modules";
/// The modules and what is to be loaded before each: `name: other another`, a line each.
pub const DEPENDS: &str = "lib/modules/modules.dep";
/// By what patterns each is asked for: `alias PATTERN NAME`, a line each.
pub const ALIASES: &str = "lib/modules/modules.alias";

/// The texts of [`DEPENDS`] and [`ALIASES`] for these modules.
#[must_use]
pub fn render(modules: &[Module]) -> (String, String) {
    let (mut depends, mut aliases) = (String::new(), String::new());
    for module in modules {
        depends.push_str(&format!("{}: {}\n", module.name, module.depends.join(" ")));
        for alias in modinfo::aliases(&module.content) {
            aliases.push_str(&format!("alias {alias} {}\n", module.name));
        }
    }
    (depends, aliases)
}

/// What modules there are, and what each answers to.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    depends: BTreeMap<String, Vec<String>>,
    aliases: Vec<(String, String)>,
}

impl Table {
    /// Reads both texts. A line that says nothing is passed over.
    #[must_use]
    pub fn parse(depends: &str, aliases: &str) -> Self {
        let depends = depends.lines().filter_map(|line| {
            let (name, others) = line.split_once(':')?;
            Some((name.to_owned(), others.split_whitespace().map(str::to_owned).collect()))
        });
        let aliases = aliases.lines().filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["alias", pattern, name] => Some((pattern.replace('-', "_"), name.to_owned())),
            _ => None,
        });
        Self { depends: depends.collect(), aliases: aliases.collect() }
    }

    /// The modules to load for what was asked for, a `modalias` text or a module's own name, in the order to load them in. None if
    /// there is no module for it.
    #[must_use]
    pub fn wanted(&self, asked: &str) -> Vec<&str> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        // As modprobe: `-` and `_` are the same, and a name goes before an alias.
        let asked = asked.trim().replace('-', "_");
        if self.depends.contains_key(&asked) {
            self.collect(&asked, &mut seen, &mut order);
            return order;
        }
        for (_, name) in self.aliases.iter().filter(|(pattern, _)| matches(pattern, &asked)) {
            self.collect(name, &mut seen, &mut order);
        }
        order
    }

    fn collect<'a>(&'a self, name: &str, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
        let Some((name, depends)) = self.depends.get_key_value(name) else { return };
        if seen.insert(name) {
            for other in depends {
                self.collect(other, seen, order);
            }
            order.push(name);
        }
    }
}

/// Whether a text is of a pattern, as `fnmatch` has it: `*` is any text, `?` any character, `[a-f0]` one of those.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0_usize, 0_usize);
    // The last `*`, and how much of the text it has taken: a later one makes the earlier ones final.
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = text.get(t) {
        let step = match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p = p.saturating_add(1);
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(pattern.get(p..).unwrap_or_default(), *byte),
            Some(exact) if exact == byte => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => {
                p = p.saturating_add(step);
                t = t.saturating_add(1);
            }
            (None, Some((at, taken))) => {
                let taken = taken.saturating_add(1);
                star = Some((at, taken));
                (p, t) = (at.saturating_add(1), taken);
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

/// The length of the class that the pattern begins with, if the byte is in it. A class that does not end holds nothing.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let length = pattern.iter().position(|byte| *byte == b']')?;
    let mut inside = pattern.get(1..length)?;
    let mut found = false;
    while let Some((&first, rest)) = inside.split_first() {
        let last = match rest {
            [b'-', last, ..] => *last,
            _ => first,
        };
        let used = if matches!(rest, [b'-', _, ..]) { 3 } else { 1 };
        found |= (first..=last).contains(&byte);
        inside = inside.get(used..).unwrap_or_default();
    }
    found.then(|| length.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_has_it() {
        for (pattern, text, is) in [
            ("pci:v00008086d0000100Esv*sd*bc*sc*i*", "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00", true),
            ("pci:v00008086d0000100Esv*sd*bc*sc*i*", "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00", false),
            ("pci:v*d*sv*sd*bc01sc08i02*", "pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02", true),
            ("acpi*:MSFT0101:*", "acpi:MSFT0101:", true),
            (
                "cpu:type:x86,ven*fam*mod*:feature:*0099*",
                "cpu:type:x86,ven0000fam0006mod003C:feature:,0001,0099,00A0",
                true,
            ),
            ("hid:b0003g*v*p*", "hid:b0003g0001v00000627p00000001", true),
            ("usb:v*p*d*dc*dsc*dp*ic08isc0[126]ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc06ip50in00", true),
            ("usb:v*p*d*dc*dsc*dp*ic08isc0[126]ip50in*", "usb:v46F4p0001d0000dc00dsc00dp00ic08isc05ip50in00", false),
            ("x[a-c]y", "xby", true),
            ("x[a-c]y", "xdy", false),
            ("x[", "xa", false),
            ("fs_vfat", "fs_vfat", true),
            ("fs_vfat", "fs_vfat2", false),
            ("*", "", true),
            ("a*b*c", "a__b_b__c", true),
            ("a*b*c", "a__b_b__cd", false),
            ("?", "", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }

    /// `fnmatch` as its definition reads, for patterns without classes.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            Some((wanted, rest)) => {
                let (wanted, first) = (*wanted, text.split_first());
                first.is_some_and(|(byte, text)| (wanted == b'?' || wanted == *byte) && naive(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn matching_is_as_its_definition_reads(pattern in "[ab*?]{0,10}", text in "[ab]{0,14}") {
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn no_pattern_makes_matching_panic(pattern in ".{0,40}", text in ".{0,40}") {
            let _ = matches(&pattern, &text);
        }
    }

    #[test]
    fn modules_come_with_what_they_need_before_them() {
        let table = Table::parse(
            "vfat: fat\nfat: \nigb: dca i2c_algo_bit\ndca: \ni2c_algo_bit: \nxts: ecb\necb: xts\n",
            "alias fs-vfat vfat\nalias pci:v00008086d000010C9sv*sd*bc*sc*i* igb\nalias crypto-xts xts\nnonsense\nalias a\n",
        );
        for (asked, order) in [
            ("vfat", &["fat", "vfat"][..]),
            ("fs-vfat\n", &["fat", "vfat"]),
            ("pci:v00008086d000010C9sv00008086sd0000A03Cbc02sc00i00", &["dca", "i2c_algo_bit", "igb"]),
            ("i2c-algo-bit", &["i2c_algo_bit"]),
            ("crypto-xts", &["ecb", "xts"]),
            ("crypto-xts-all", &[]),
            ("", &[]),
        ] {
            assert_eq!(table.wanted(asked), order, "{asked}");
        }
    }
}
