//! What a kernel module says about itself: the `.modinfo` section of its ELF file.

use crate::bytes::{index, slice, u16_at, u32_at, u64_at, until_nul};

/// The `key=value` entries of a module (64-bit little-endian ELF), or `None` where the file is none.
///
/// The keys in use here are `name`, `depends` (comma separated), `alias` and `vermagic`.
#[must_use]
pub fn entries(module: &[u8]) -> Option<Vec<(&str, &str)>> {
    let section = section(module, b".modinfo")?;
    let entries = section.split(|byte| *byte == 0);
    Some(entries.filter_map(|entry| core::str::from_utf8(entry).ok()?.split_once('=')).collect())
}

/// The modules that this one needs to be loaded before it.
#[must_use]
pub fn depends(module: &[u8]) -> Option<Vec<&str>> {
    let entries = entries(module)?;
    let depends = entries.into_iter().filter(|(key, _)| *key == "depends");
    Some(depends.flat_map(|(_, list)| list.split(',')).filter(|name| !name.is_empty()).collect())
}

/// What the kernel may ask for this module by: patterns of `modalias` texts, and names such as `fs-vfat` and `crypto-xts`.
#[must_use]
pub fn aliases(module: &[u8]) -> Vec<&str> {
    values(module, "alias").collect()
}

/// Modules that this one works better, or only, with, but which no symbol binds it to: `pre` and `post` of its soft dependencies.
#[must_use]
pub fn soft_depends(module: &[u8]) -> Vec<&str> {
    let words = values(module, "softdep").flat_map(str::split_whitespace);
    words.filter(|word| !word.ends_with(':')).collect()
}

/// Files that this module asks the kernel to load from `/lib/firmware`.
#[must_use]
pub fn firmware(module: &[u8]) -> Vec<&str> {
    values(module, "firmware").collect()
}

fn values<'a>(module: &'a [u8], wanted: &str) -> impl Iterator<Item = &'a str> {
    let entries = entries(module).unwrap_or_default().into_iter();
    entries.filter_map(move |(key, value)| (key == wanted).then_some(value))
}

/// The data of a section of an ELF file (ELF-64 object file format, "Section Header").
fn section<'a>(elf: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    const CLASS_64_LITTLE_ENDIAN: &[u8] = b"\x7fELF\x02\x01";
    if !elf.starts_with(CLASS_64_LITTLE_ENDIAN) {
        return None;
    }
    let table = usize::try_from(u64_at(elf, 0x28)?).ok()?;
    let entry_size = usize::from(u16_at(elf, 0x3a)?);
    let count = usize::from(u16_at(elf, 0x3c)?);
    let header = |nth: usize| slice(elf, table.checked_add(nth.checked_mul(entry_size)?)?, 64.min(entry_size));
    let data = |header: &[u8]| {
        let (offset, size) = (u64_at(header, 0x18)?, u64_at(header, 0x20)?);
        slice(elf, usize::try_from(offset).ok()?, usize::try_from(size).ok()?)
    };
    let names = data(header(usize::from(u16_at(elf, 0x3e)?))?)?;
    let name_of = |header: &[u8]| Some(until_nul(names.get(index(u32_at(header, 0)?)..)?));
    (0..count).filter_map(header).find(|header| name_of(header) == Some(wanted)).and_then(data)
}
