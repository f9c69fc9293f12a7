//! What is wrong with a configuration: every fault with its place, the thing, the reason and the remedy.

use core::fmt;
use core::ops::Range;

/// A place in the configuration's text: a byte range.
pub type Span = Range<usize>;

/// A value together with the place that it stands at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> At<T> {
    /// The value made into another, at the same place.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> At<U> {
        At { value: make(self.value), span: self.span }
    }
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not do what was meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// Where; an empty range at 0 where the fault is that something is missing from the whole file.
    pub span: Span,
    /// The thing, as a path of keys: `subnet[0].pool`.
    pub thing: String,
    /// What is wrong with it.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

impl Fault {
    /// A fault that makes the configuration unusable.
    pub fn error(span: Span, thing: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span, thing: thing.into(), reason: reason.into(), remedy: remedy.into() }
    }

    /// A fault that the server can live with.
    pub fn warning(span: Span, thing: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, thing, reason, remedy) }
    }
}

/// The faults of one file, ready to be shown: `file:line:column`, the line itself, reason and remedy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Faults {
    /// The file's name as the operator knows it.
    pub file: String,
    /// Its text.
    pub text: String,
    /// What is wrong, in the order of the text.
    pub list: Vec<Fault>,
}

impl Faults {
    /// Puts the faults of one text in order.
    #[must_use]
    pub fn new(file: &str, text: &str, mut list: Vec<Fault>) -> Self {
        list.sort_by(|a, b| (a.span.start, a.severity, &a.thing).cmp(&(b.span.start, b.severity, &b.thing)));
        Self { file: file.to_owned(), text: text.to_owned(), list }
    }

    /// Whether one of them makes the configuration unusable.
    #[must_use]
    pub fn fatal(&self) -> bool {
        self.list.iter().any(|fault| fault.severity == Severity::Error)
    }

    /// Line and column of a place, both counted from 1, the column in characters.
    #[must_use]
    pub fn place(&self, span: &Span) -> (usize, usize) {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    fn show(&self, fault: &Fault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place(&fault.span);
        let kind = match fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        writeln!(f, "{}:{line}:{column}: {kind}: {}: {}", self.file, fault.thing, fault.reason)?;
        let source = self.text.lines().nth(line - 1).unwrap_or("");
        if !fault.span.is_empty() && !source.trim().is_empty() {
            let marked = self.text.get(fault.span.clone()).unwrap_or("").lines().next().unwrap_or("").chars().count();
            writeln!(f, "{line:>5} | {source}")?;
            writeln!(f, "      | {:indent$}{}", "", "^".repeat(marked.max(1)), indent = column - 1)?;
        }
        writeln!(f, "        {}", fault.remedy)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.list {
            self.show(fault, f)?;
        }
        let errors = self.list.iter().filter(|fault| fault.severity == Severity::Error).count();
        let warnings = self.list.len() - errors;
        write!(f, "{}: {}, {}", self.file, count(errors, "error"), count(warnings, "warning"))
    }
}

impl core::error::Error for Faults {}

fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
