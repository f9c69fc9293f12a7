//! Which entries there are to be and in which order, as a function of those that there are.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::load_option::{ACTIVE, LoadOption};
use super::{GLOBAL, LASTING};
use crate::gpt::Partition;

/// The variables that boot is made of: `Boot####`, `BootOrder`, `BootNext`, `BootCurrent`, by their names, with the values behind the
/// attributes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Variables(pub BTreeMap<String, Vec<u8>>);

/// An entry of ours that there is to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// What a menu shows: `Slipway`, `Slipway (slot B)`.
    pub description: String,
    /// What it starts.
    pub target: Target,
}

/// A file on a partition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// The ESP, as the table has it.
    pub number: u32,
    /// Its first sector.
    pub first: u64,
    /// Its sectors.
    pub sectors: u64,
    /// Its unique GUID.
    pub partition: Uuid,
    /// The file from its root, with slashes, such as [`crate::esp::Kind::file`] says.
    pub file: String,
}

/// What is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A variable gets a value; with its attributes, as [`LASTING`] says.
    Set {
        /// Its name, without its vendor's GUID.
        name: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// A variable is removed.
    Delete {
        /// Its name.
        name: String,
    },
}

/// Why nothing can be decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// All 65,536 numbers are taken.
    #[error("every number of a boot entry is taken")]
    NoNumber,
}

impl Target {
    /// A file on this ESP.
    #[must_use]
    pub fn on(esp: &Partition, file: &str) -> Self {
        let (number, first, sectors) = (esp.number, *esp.sectors.start(), esp.len());
        Self { number, first, sectors, partition: esp.id, file: file.to_owned() }
    }

    fn backslashed(&self) -> String {
        format!("\\{}", self.file.trim_start_matches('/').replace('/', "\\"))
    }
}

impl Entry {
    fn option(&self) -> LoadOption {
        let Target { number, first, sectors, partition, .. } = self.target;
        LoadOption {
            attributes: ACTIVE,
            description: self.description.clone(),
            number,
            first,
            sectors,
            partition,
            file: self.target.backslashed(),
            data: Vec::new(),
        }
    }
}

impl Variables {
    /// The entries for files on partitions, by their numbers.
    pub fn options(&self) -> impl Iterator<Item = (u16, LoadOption)> + '_ {
        self.0.iter().filter_map(|(name, value)| Some((number_of(name)?, LoadOption::decode(value).ok()?)))
    }

    /// The number of the entry for this file. Which partition is told by its GUID alone, and FAT knows no case.
    #[must_use]
    pub fn entry(&self, target: &Target) -> Option<u16> {
        let file = target.backslashed();
        let is = |option: &LoadOption| option.partition == target.partition && option.file.eq_ignore_ascii_case(&file);
        self.options().find(|(_, option)| is(option)).map(|(number, _)| number)
    }

    /// The GUIDs of the partitions that entries of Slipway's preboot are for: which ESP was ours, told by the firmware's own memory.
    pub fn our_partitions(&self) -> impl Iterator<Item = Uuid> + '_ {
        self.options().filter(|(_, option)| is_ours(option)).map(|(_, option)| option.partition)
    }

    /// The boot order.
    #[must_use]
    pub fn order(&self) -> Vec<u16> {
        self.numbers("BootOrder")
    }

    /// The entry that this boot came by.
    #[must_use]
    pub fn current(&self) -> Option<u16> {
        self.numbers("BootCurrent").first().copied()
    }

    /// The entry that the next boot tries once.
    #[must_use]
    pub fn next(&self) -> Option<u16> {
        self.numbers("BootNext").first().copied()
    }

    /// The variables after these changes.
    #[must_use]
    pub fn after(&self, changes: &[Change]) -> Self {
        let mut after = self.clone();
        for change in changes {
            match change {
                Change::Set { name, value } => after.0.insert(name.clone(), value.clone()),
                Change::Delete { name } => after.0.remove(name),
            };
        }
        after
    }

    fn numbers(&self, name: &str) -> Vec<u16> {
        let value = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        value.chunks_exact(2).filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?))).collect()
    }

    /// A change, if it is one.
    fn set(&self, name: String, value: Vec<u8>) -> Option<Change> {
        (self.0.get(&name) != Some(&value)).then_some(Change::Set { name, value })
    }

    fn set_order(&self, order: &[u16]) -> Option<Change> {
        self.set("BootOrder".to_owned(), order.iter().flat_map(|number| number.to_le_bytes()).collect())
    }

    /// The entry's number, and the change that makes or corrects it.
    fn ensure(&self, entry: &Entry) -> Result<(u16, Option<Change>), Refusal> {
        let option = entry.option();
        match self.entry(&entry.target) {
            // Firmware writes the way to the disk before the partition: what says the same is left as it is.
            Some(number) if self.options().any(|(n, there)| n == number && there == option) => Ok((number, None)),
            Some(number) => Ok((number, self.set(name_of(number), option.encode()))),
            None => {
                // A number that only the order knows belongs to an entry that firmware hides: it is not free either.
                let order = self.order();
                let free = |number: &u16| !self.0.contains_key(&name_of(*number)) && !order.contains(number);
                let number = (0..=u16::MAX).find(free).ok_or(Refusal::NoNumber)?;
                Ok((number, self.set(name_of(number), option.encode())))
            }
        }
    }
}

/// Makes the entry and lets the next boot try it, once: if it does not come up, firmware goes by the order as before. The order does
/// not change.
///
/// # Errors
/// No number is free.
pub fn try_once(variables: &Variables, entry: &Entry) -> Result<Vec<Change>, Refusal> {
    let (number, made) = variables.ensure(entry)?;
    let next = variables.set("BootNext".to_owned(), number.to_le_bytes().to_vec());
    Ok(made.into_iter().chain(next).collect())
}

/// The same for a machine that has nothing else of ours to fall back to: the entry also gets a place in the order, behind the one that this
/// boot came by. So a trial that firmware forgets, or that a power cut ends, is come to again when what helped the machine now has nothing
/// for it; and if what is on the disk does not come up, the machine is helped again. A boot that came by no entry of the order says nothing
/// about where help is: then ours is first.
///
/// # Errors
/// No number is free.
pub fn try_first(variables: &Variables, entry: &Entry) -> Result<Vec<Change>, Refusal> {
    let (number, made) = variables.ensure(entry)?;
    let mut order = variables.order();
    if !order.contains(&number) {
        let came_by = variables.current().and_then(|current| order.iter().position(|there| *there == current));
        order.insert(came_by.map_or(0, |place| place.saturating_add(1)), number);
    }
    let next = variables.set("BootNext".to_owned(), number.to_le_bytes().to_vec());
    Ok(made.into_iter().chain(variables.set_order(&order)).chain(next).collect())
}

/// Makes these entries and puts them first, in this order: those that have shown themselves to be good. All others follow in the order
/// that they had.
///
/// # Errors
/// No number is free.
pub fn settle_order(variables: &Variables, entries: &[Entry]) -> Result<Vec<Change>, Refusal> {
    let mut changes = Vec::new();
    let mut picture = variables.clone();
    let mut order = Vec::new();
    for entry in entries {
        let (number, made) = picture.ensure(entry)?;
        picture = picture.after(made.as_slice());
        changes.extend(made);
        order.push(number);
    }
    let others: Vec<u16> = variables.order().into_iter().filter(|number| !order.contains(number)).collect();
    order.extend(others);
    changes.extend(variables.set_order(&order));
    Ok(changes)
}

/// Removes every entry of ours, from the order too: for a machine that is given away. `keep` are partitions that other Slipway systems
/// of this machine boot from.
#[must_use]
pub fn remove(variables: &Variables, keep: &[Uuid]) -> Vec<Change> {
    let ours: Vec<u16> = variables
        .options()
        .filter(|(_, option)| is_ours(option) && !keep.contains(&option.partition))
        .map(|(number, _)| number)
        .collect();
    let mut changes = Vec::new();
    let order: Vec<u16> = variables.order().into_iter().filter(|number| !ours.contains(number)).collect();
    if variables.0.contains_key("BootOrder") {
        changes.extend(variables.set_order(&order));
    }
    if variables.next().is_some_and(|next| ours.contains(&next)) {
        changes.push(Change::Delete { name: "BootNext".to_owned() });
    }
    changes.extend(ours.into_iter().map(|number| Change::Delete { name: name_of(number) }));
    changes
}

/// Entries of ours for partitions that no disk of this machine has any more: what a changed disk leaves behind.
#[must_use]
pub fn shadow(variables: &Variables, present: &[Uuid]) -> Vec<Change> {
    remove(variables, present)
}

/// Whether an entry is for a file in our folder of an ESP.
fn is_ours(option: &LoadOption) -> bool {
    option.file.to_ascii_lowercase().starts_with("\\efi\\slipway\\")
}

fn name_of(number: u16) -> String {
    format!("Boot{number:04X}")
}

fn number_of(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot")?;
    (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

impl Change {
    /// The variable's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Set { name, .. } | Self::Delete { name } => name,
        }
    }

    /// The file in efivarfs.
    pub(super) fn file(&self) -> String {
        format!("{}-{GLOBAL}", self.name())
    }

    /// What is written there with one write: attributes and value. Nothing: it is removed.
    pub(super) fn content(&self) -> Option<Vec<u8>> {
        match self {
            Self::Set { value, .. } => Some([LASTING.to_le_bytes().as_slice(), value].concat()),
            Self::Delete { .. } => None,
        }
    }
}
