//! SPECIFICATION.md promises, and docs/regressions.md and docs/threats.md claim, only what something shows: every test, scenario, target and
//! fixture that they cite must exist.

use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::sh;

const FILES: &[&str] = &["SPECIFICATION.md", "docs/regressions.md", "docs/threats.md"];

/// Checks the last column of each table in these documents.
///
/// # Errors
/// Every witness that does not exist.
pub(crate) fn check() -> Result<()> {
    let mut known = String::new();
    for file in sh::tracked(&["*.rs", "fuzz/Cargo.toml"])? {
        known.push_str(&fs::read_to_string(sh::root().join(file))?);
    }
    let exists = |witness: &Witness<'_>| match witness.kind {
        "test" | "bench" => known.contains(&format!("fn {}(", witness.name)),
        "fuzz" => known.contains(&format!("name = \"{}\"", witness.name)),
        "lab" => known.contains(&format!("\"{}\"", witness.name)),
        "fixture" => sh::root().join("fixtures").join(witness.name).with_extension("hex").exists(),
        _ => false,
    };
    let mut faults: Vec<String> = Vec::new();
    for file in FILES {
        let text = fs::read_to_string(sh::root().join(file)).with_context(|| format!("no {file}"))?;
        let rows = witnesses(&text);
        if rows.is_empty() {
            faults.push(format!("{file}: no table whose last heading is `Shown by`"));
        }
        let unshown = rows.into_iter().filter(|row| row.shown_by.is_empty() || !row.shown_by.iter().all(&exists));
        faults.extend(unshown.map(|row| format!("{file}:{}: shown by nothing that exists: {}", row.line, row.cell)));
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// One promise's proof.
#[derive(Debug, Eq, PartialEq)]
struct Row<'a> {
    line: usize,
    cell: &'a str,
    shown_by: Vec<Witness<'a>>,
}

/// Something that shows a promise to hold: `test name`, `bench name`, `fuzz target`, `lab scenario`, `fixture folder/name`.
#[derive(Debug, Eq, PartialEq)]
struct Witness<'a> {
    kind: &'a str,
    name: &'a str,
}

/// The rows of all tables whose last heading is `Shown by`.
fn witnesses(text: &str) -> Vec<Row<'_>> {
    let mut inside = false;
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let Some(cell) =
            line.strip_prefix('|').and_then(|l| l.trim_end().strip_suffix('|')).and_then(|l| l.rsplit('|').next())
        else {
            inside = false;
            continue;
        };
        let cell = cell.trim();
        if cell == "Shown by" {
            inside = true;
        } else if inside && !cell.starts_with("--") {
            rows.push(Row { line: index + 1, cell, shown_by: cell.split(',').filter_map(witness).collect() });
        }
    }
    rows
}

/// Reads ``test `name` ``.
fn witness(text: &str) -> Option<Witness<'_>> {
    let (kind, name) = text.trim().split_once(' ')?;
    let name = name.trim().strip_prefix('`')?.strip_suffix('`')?;
    Some(Witness { kind, name: name.rsplit("::").next().unwrap_or(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_column_is_read_as_witnesses() {
        let text = "| Promise | Shown by |\n|---|---|\n| fast | test `a::b`, lab `uefi` |\n| vague | trust us |\n\n| x | y |\n| `a` | `b` |\n";
        let rows = witnesses(text);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].shown_by, [Witness { kind: "test", name: "b" }, Witness { kind: "lab", name: "uefi" }]);
        assert_eq!((rows[1].line, rows[1].shown_by.len()), (4, 0));
    }
}
