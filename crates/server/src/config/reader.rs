//! Reading a table key by key, so that every fault of every key is told at once and with its place. (A derived deserialiser stops
//! at its first fault.)

use std::cell::RefCell;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{At, Fault, Span};
use super::values::{Reject, nearest};

/// Where faults gather while a text is read.
#[derive(Debug, Default)]
pub(super) struct Sink(RefCell<Vec<Fault>>);

impl Sink {
    pub(super) fn add(&self, fault: Fault) {
        self.0.borrow_mut().push(fault);
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// One table of the file, with the keys that it may hold.
#[derive(Clone, Debug)]
pub(super) struct Section<'a> {
    sink: &'a Sink,
    /// Path of keys from the top: empty, `tftp`, `subnet[0]`.
    path: String,
    /// The table's header, or the inline table.
    pub(super) span: Span,
    table: &'a DeTable<'a>,
}

/// How a text becomes a value.
type Parse<T> = fn(&str) -> Result<T, Reject>;

impl<'a> Section<'a> {
    /// Takes a table on; keys that are not known are faults at once.
    pub(super) fn new(sink: &'a Sink, path: String, span: Span, table: &'a DeTable<'a>, known: &[&str]) -> Self {
        let section = Self { sink, path, span, table };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let near = nearest(name, known).map_or(String::new(), |near| format!("did you mean `{near}`? "));
                section.error(key.span(), name, "unknown key", format!("{near}Known here: {}", known.join(", ")));
            }
        }
        section
    }

    /// The full name of a key of this table.
    pub(super) fn thing(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes an error about a key.
    pub(super) fn error(&self, span: Span, key: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        self.sink.add(Fault::error(span, self.thing(key), reason, remedy));
    }

    /// Notes a warning about a key.
    pub(super) fn warning(&self, span: Span, key: &str, reason: impl Into<String>, remedy: impl Into<String>) {
        self.sink.add(Fault::warning(span, self.thing(key), reason, remedy));
    }

    /// The place of a key's value, else of the table.
    pub(super) fn span_of(&self, key: &str) -> Span {
        self.raw(key).map_or(self.span.clone(), Spanned::span)
    }

    /// Whether the key is there at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// The text under a key, as it stands there, if it is one.
    pub(super) fn bare_text(&self, key: &str) -> Option<&'a str> {
        match self.raw(key)?.get_ref() {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// Whether the key's value is a list with nothing in it.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|value| matches!(value.get_ref(), DeValue::Array(items) if items.is_empty()))
    }

    /// Whether the key's value is a text.
    pub(super) fn is_text(&self, key: &str) -> bool {
        self.raw(key).is_some_and(|value| matches!(value.get_ref(), DeValue::String(_)))
    }

    fn raw(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.get(key)
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "whole number",
            DeValue::Array(_) => "list",
            other => other.type_str(),
        };
        self.error(
            value.span(),
            key,
            format!("expected {expected}, found {}", article(found)),
            format!("write `{key} = {}`", example(expected)),
        );
    }

    /// A text that becomes a value.
    pub(super) fn text<T>(&self, key: &str, parse: Parse<T>) -> Option<At<T>> {
        let value = self.raw(key)?;
        self.parsed(key, value, parse)
    }

    fn parsed<T>(&self, key: &str, value: &Spanned<DeValue<'_>>, parse: Parse<T>) -> Option<At<T>> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(key, value, "a text");
            return None;
        };
        match parse(text) {
            Ok(parsed) => Some(At { value: parsed, span: value.span() }),
            Err(Reject { reason, remedy }) => {
                self.error(value.span(), key, reason, remedy);
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required<T>(&self, key: &str, parse: Parse<T>, remedy: &str) -> Option<At<T>> {
        if !self.has(key) {
            self.error(self.span.clone(), key, "is missing", remedy);
        }
        self.text(key, parse)
    }

    /// One text or a list of them.
    pub(super) fn texts<T>(&self, key: &str, parse: Parse<T>) -> Vec<At<T>> {
        match self.raw(key) {
            None => Vec::new(),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => items.iter().filter_map(|item| self.parsed(key, item, parse)).collect(),
                DeValue::String(_) => self.parsed(key, value, parse).into_iter().collect(),
                _ => {
                    self.wrong_type(key, value, "a text or a list of texts");
                    Vec::new()
                }
            },
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<At<bool>> {
        let value = self.raw(key)?;
        let DeValue::Boolean(flag) = value.get_ref() else {
            self.wrong_type(key, value, "true or false");
            return None;
        };
        Some(At { value: *flag, span: value.span() })
    }

    /// A whole number between two bounds, both included.
    pub(super) fn number(&self, key: &str, least: u16, most: u16) -> Option<u16> {
        let value = self.raw(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(key, value, "a whole number");
            return None;
        };
        let read = i64::from_str_radix(number.as_str(), number.radix()).ok().and_then(|n| u16::try_from(n).ok());
        match read.filter(|n| (least..=most).contains(n)) {
            Some(n) => Some(n),
            None => {
                let reason = format!("{number} is out of range");
                self.error(value.span(), key, reason, format!("from {least} to {most}"));
                None
            }
        }
    }

    /// The table under a key.
    pub(super) fn table(&self, key: &str, known: &[&str]) -> Option<Section<'a>> {
        let value = self.raw(key)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(key, value, "a table");
            return None;
        };
        Some(Section::new(self.sink, self.thing(key), value.span(), table, known))
    }

    /// The array of tables under a key.
    pub(super) fn tables(&self, key: &str, known: &[&str]) -> Vec<Section<'a>> {
        let Some(value) = self.raw(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.error(
                value.span(),
                key,
                "is one table, but there may be several",
                format!("write `[[{}]]`", self.bare(key)),
            );
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (n, item) in items.iter().enumerate() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    let path = format!("{}[{n}]", self.thing(key));
                    sections.push(Section::new(self.sink, path, item.span(), table, known));
                }
                _ => self.wrong_type(key, item, "a table"),
            }
        }
        sections
    }

    /// A key's full name as a table header has it: without indexes.
    fn bare(&self, key: &str) -> String {
        let path = self.thing(key);
        let mut name = String::new();
        let mut inside = false;
        for c in path.chars() {
            match c {
                '[' => inside = true,
                ']' => inside = false,
                c if !inside => name.push(c),
                _ => {}
            }
        }
        name
    }
}

fn article(found: &str) -> String {
    let vowel = found.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {found}", if vowel { "an" } else { "a" })
}

fn example(expected: &str) -> &'static str {
    match expected {
        "a text" => "\"...\"",
        "a text or a list of texts" => "[\"...\", \"...\"]",
        "true or false" => "true",
        "a whole number" => "123",
        _ => "{ ... }",
    }
}
