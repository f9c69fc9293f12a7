//! Who may import whom, as data, and the check that it holds.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::sh;

/// One crate's place in the house.
struct Layer {
    /// Folder under `crates/`, which is the crate's name without `slipway-`.
    folder: &'static str,
    /// Our crates that it may import.
    ours: &'static [&'static str],
    /// Our crates that its tests and benchmarks may import beside those.
    ours_in_tests: &'static [&'static str],
    /// For a pure crate, the only foreign crates that it may import; it may not touch the world either.
    pure: Option<&'static [&'static str]>,
}

const fn shell(folder: &'static str, ours: &'static [&'static str]) -> Layer {
    Layer { folder, ours, ours_in_tests: &[], pure: None }
}

const fn pure(folder: &'static str, ours: &'static [&'static str], foreign: &'static [&'static str]) -> Layer {
    Layer { folder, ours, ours_in_tests: &[], pure: Some(foreign) }
}

/// The house. A crate that is not here fails the check: give it a place first.
const LAYERS: &[Layer] = &[
    pure("wire", &[], &["crc32fast", "httparse", "thiserror", "uuid"]),
    pure("engine", &["wire"], &["minijinja", "sha2", "thiserror", "uuid"]),
    pure(
        "tpm",
        &[],
        &[
            "aes",
            "cfb-mode",
            "crypto-bigint",
            "hmac",
            "p256",
            "p384",
            "rustls-pki-types",
            "rustls-webpki",
            "sha2",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
    pure(
        "trust",
        &["tpm"],
        &[
            "bip39",
            "data-encoding",
            "ed25519-dalek",
            "hkdf",
            "hmac",
            "minicbor",
            "p256",
            "sha2",
            "subtle",
            "thiserror",
            "zeroize",
        ],
    ),
    shell("netio", &["wire"]),
    shell("store", &["engine", "wire"]),
    shell("image", &["trust"]),
    shell("api", &[]),
    shell("disk", &["image"]),
    shell("agent", &["disk", "image", "tpm", "trust", "wire"]),
    shell("server", &["api", "engine", "image", "netio", "store", "trust", "wire"]),
    shell("lab", &["image", "trust", "wire"]),
    shell("slipway", &["api", "engine", "image", "lab", "netio", "server", "store", "tpm", "trust", "wire"]),
];

/// What a pure crate may not name outside its tests, and why not.
const WORLDLY: &[(&str, &str)] = &[
    ("std::net::Tcp", "a socket"),
    ("std::net::Udp", "a socket"),
    ("net::UdpSocket", "a socket"),
    ("net::TcpStream", "a socket"),
    ("std::fs", "a file"),
    ("File::open", "a file"),
    ("Instant::now", "a clock: time comes in as a value"),
    ("SystemTime", "a clock: time comes in as a value"),
    ("std::env", "the environment"),
    ("std::process", "another process"),
    ("std::thread", "a thread"),
    ("tokio::", "a runtime"),
    ("tracing::", "a log: outcomes go out as values"),
    ("println!", "the terminal"),
    ("eprintln!", "the terminal"),
];

/// `cargo xtask layers`.
pub(crate) fn run() -> Result<ExitCode> {
    check()?;
    println!("layers: {} crates, each in its place", LAYERS.len());
    Ok(ExitCode::SUCCESS)
}

/// Checks every crate under `crates/`.
///
/// # Errors
/// Every violation at once.
pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    let crates = sh::root().join("crates");
    for entry in fs::read_dir(&crates).context("no folder crates/")? {
        let folder = entry?.path();
        let manifest = folder.join("Cargo.toml");
        if !manifest.exists() {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(layer) = LAYERS.iter().find(|layer| layer.folder == name) else {
            faults.push(format!("crates/{name} has no place in the table of xtask/src/layers.rs"));
            continue;
        };
        let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        faults.extend(import_faults(layer, &text.parse().with_context(|| format!("in {}", manifest.display()))?));
        if layer.pure.is_some() {
            for file in sh::tracked(&[&format!("crates/{name}/src/*.rs")])? {
                faults.extend(source_faults(&file, &fs::read_to_string(sh::root().join(&file))?));
            }
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Imports in a manifest that the layer forbids.
fn import_faults(layer: &Layer, manifest: &toml::Table) -> Vec<String> {
    let mut faults = Vec::new();
    let mut tables = vec![manifest];
    let per_target = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(per_target.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
    for table in tables {
        for section in ["dependencies", "build-dependencies", "dev-dependencies"] {
            let in_tests = section == "dev-dependencies";
            let names = table.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            for name in names {
                if let Some(fault) = import_fault(layer, name, in_tests) {
                    faults.push(format!("crates/{}: {fault}", layer.folder));
                }
            }
        }
    }
    faults
}

fn import_fault(layer: &Layer, name: &str, in_tests: bool) -> Option<String> {
    let ours = name.strip_prefix("slipway-").or((name == "slipway").then_some("slipway"));
    match (ours, layer.pure) {
        (Some(ours), _) => {
            let allowed = layer.ours.contains(&ours) || (in_tests && layer.ours_in_tests.contains(&ours));
            (!allowed).then(|| format!("may not import crates/{ours}"))
        }
        (None, Some(foreign)) if !in_tests && !foreign.contains(&name) => {
            Some(format!("is pure and may not import `{name}`"))
        }
        (None, _) => None,
    }
}

/// Lines of a pure crate's source that touch the world. Tests stand at the end of a file, or in a file of their own.
fn source_faults(file: &Path, text: &str) -> Vec<String> {
    if file.file_stem().is_some_and(|stem| stem == "tests") || file.components().any(|c| c.as_os_str() == "tests") {
        return Vec::new();
    }
    let code = text.lines().enumerate().take_while(|(_, line)| !line.trim_start().starts_with("#[cfg(test)]"));
    let code = code.filter(|(_, line)| !line.trim_start().starts_with("//"));
    let mut faults = Vec::new();
    for (number, line) in code {
        for (word, what) in WORLDLY.iter().filter(|(word, _)| line.contains(word)) {
            faults.push(format!("{}:{}: `{word}` in a pure crate: {what}", file.display(), number + 1));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(folder: &str) -> &'static Layer {
        LAYERS.iter().find(|layer| layer.folder == folder).unwrap()
    }

    fn imports(folder: &str, manifest: &str) -> Vec<String> {
        import_faults(layer(folder), &manifest.parse().unwrap())
    }

    #[test]
    fn a_planted_import_is_found() {
        let rows = [
            ("wire", "[dependencies]\nslipway-engine.workspace = true", "crates/wire: may not import crates/engine"),
            ("engine", "[dependencies]\ntokio.workspace = true", "crates/engine: is pure and may not import `tokio`"),
            (
                "store",
                "[dev-dependencies]\nslipway-server.workspace = true",
                "crates/store: may not import crates/server",
            ),
            (
                "agent",
                "[target.'cfg(unix)'.dependencies]\nslipway-server = \"1\"",
                "crates/agent: may not import crates/server",
            ),
            ("slipway", "[build-dependencies]\nslipway-agent = \"1\"", "crates/slipway: may not import crates/agent"),
        ];
        for (folder, manifest, fault) in rows {
            assert_eq!(imports(folder, manifest), [fault], "{manifest}");
        }
    }

    #[test]
    fn what_the_table_allows_passes() {
        assert_eq!(imports("engine", "[dependencies]\nslipway-wire = \"1\"\nuuid = \"1\"\n"), [""; 0]);
        assert_eq!(imports("wire", "[dev-dependencies]\nproptest = \"1\"\n"), [""; 0]);
    }

    #[test]
    fn a_planted_clock_is_found_where_it_runs_and_only_there() {
        let text =
            "// Instant::now is forbidden\nfn f() { Instant::now() }\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        let faults = source_faults(Path::new("crates/engine/src/x.rs"), text);
        assert_eq!(
            faults,
            ["crates/engine/src/x.rs:2: `Instant::now` in a pure crate: a clock: time comes in as a value"]
        );
        assert_eq!(source_faults(Path::new("crates/engine/src/x/tests.rs"), text), [""; 0]);
    }

    #[test]
    fn the_table_has_no_cycle() {
        // Each crate may import only crates that can be put before it.
        let mut placed: Vec<&str> = Vec::new();
        while placed.len() < LAYERS.len() {
            let next = LAYERS.iter().find(|l| !placed.contains(&l.folder) && l.ours.iter().all(|o| placed.contains(o)));
            placed.push(next.expect("a cycle in LAYERS").folder);
        }
    }
}
