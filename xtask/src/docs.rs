//! Checks on documents: links lead somewhere, the map fits on its page and names every crate, no file grows beyond measure.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::sh;

/// A source file longer than this wants to be two. Tests are not counted: a list of them may be long.
const FILE_LINES: usize = 500;
/// The map is read in one sitting.
const MAP_LINES: usize = 150;
const MAP: &str = "ARCHITECTURE.md";

/// All checks on documents and on the length of files.
///
/// # Errors
/// Every fault at once.
pub(crate) fn check() -> Result<()> {
    let root = sh::root();
    let read =
        |file: &Path| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()));
    let mut faults = Vec::new();
    for file in sh::tracked(&["*.md"])? {
        faults.extend(link_faults(
            &file,
            &read(&file)?,
            |target| fs::read_to_string(root.join(target)).ok(),
            |p| root.join(p).exists(),
        ));
    }
    let in_tests = |file: &PathBuf| file.components().any(|part| part.as_os_str() == "tests");
    for file in sh::tracked(&["*.rs"])?.into_iter().filter(|file| !in_tests(file)) {
        let lines = read(&file)?.lines().count();
        if lines > FILE_LINES {
            faults.push(format!("{}: {lines} lines, and {FILE_LINES} are the limit", file.display()));
        }
    }
    let map = read(Path::new(MAP))?;
    if map.lines().count() > MAP_LINES {
        faults.push(format!("{MAP}: {} lines, and {MAP_LINES} are the limit", map.lines().count()));
    }
    for manifest in sh::tracked(&["crates/*/Cargo.toml"])? {
        let folder = manifest.parent().unwrap_or(Path::new("")).display().to_string();
        if !map.contains(&folder) {
            faults.push(format!("{MAP} does not mention {folder}"));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Links of one document that lead nowhere: `read` gives another document's text, `exists` asks for any file or folder.
fn link_faults(
    file: &Path,
    text: &str,
    read: impl Fn(&Path) -> Option<String>,
    exists: impl Fn(&Path) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, target) in links(text) {
        if target.contains("://") || target.starts_with("mailto:") {
            continue;
        }
        let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
        let there = if path.is_empty() { file.to_path_buf() } else { tidy(&file.with_file_name(path)) };
        if !exists(&there) {
            faults.push(format!("{}:{line}: `{target}` leads to no file", file.display()));
            continue;
        }
        let Some(anchor) = anchor else { continue };
        let other = if path.is_empty() { Some(text.to_owned()) } else { read(&there) };
        if !other.is_some_and(|other| headings(&other).any(|heading| heading == anchor)) {
            faults.push(format!("{}:{line}: `{target}` leads to no heading", file.display()));
        }
    }
    faults
}

/// Targets of inline links outside code blocks, with their line numbers.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, beyond)) = after.split_once(')') else { break };
            found.push((number, target.trim()));
            rest = beyond;
        }
    }
    found
}

/// Lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((index + 1, line))
    })
}

/// Anchors of a document's headings, as the usual renderers make them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = prose(text).map(|(_, line)| line).filter(|line| line.starts_with('#'));
    titles.map(|title| {
        let kept = title
            .trim_start_matches('#')
            .trim()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    })
}

/// Resolves `.` and `..` by name alone.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => _ = out.pop(),
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let known = ["docs/a.md", "README.md"];
        link_faults(
            Path::new("docs/a.md"),
            text,
            |_| Some("# Read me\n## Two: commands!\n".to_owned()),
            |path| known.iter().any(|known| Path::new(known) == path),
        )
    }

    #[test]
    fn a_dead_link_is_found_and_a_live_one_passes() {
        let rows: [(&str, &[&str]); 6] = [
            ("[x](../README.md)", &[]),
            ("[x](../README.md#two-commands)", &[]),
            ("[x](https://example.net/none)", &[]),
            ("```\n[x](nowhere)\n```", &[]),
            (
                "\n[x](gone.md) and [y](#here)",
                &["docs/a.md:2: `gone.md` leads to no file", "docs/a.md:2: `#here` leads to no heading"],
            ),
            ("[x](../README.md#three)", &["docs/a.md:1: `../README.md#three` leads to no heading"]),
        ];
        for (text, expected) in rows {
            assert_eq!(faults(text), expected, "{text}");
        }
    }
}
