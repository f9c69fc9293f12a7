//! Fuzzing each target for a fixed time, on the stable toolchain.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::needs::Work;
use crate::tally::Tally;
use crate::{setup, sh};

/// `cargo xtask fuzz`.
pub(crate) fn run(seconds: u32, targets: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build, Work::Fuzz])?;
    let mut tally = Tally::default();
    tally.phase("fuzzing", |tally| all(tally, seconds, targets));
    Ok(tally.finish())
}

/// Runs the named targets, or all, for so many seconds each; two at a time.
pub(crate) fn all(_tally: &mut Tally, _seconds: u32, only: &[String]) -> Result<()> {
    let targets = targets()?;
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!("no fuzz target `{unknown}`; there are: {}", targets.join(", "));
    }
    bail!("no runner yet")
}

/// Names of the binaries in fuzz/Cargo.toml.
fn targets() -> Result<Vec<String>> {
    let manifest = fs::read_to_string(sh::root().join("fuzz/Cargo.toml")).context("no fuzz/Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("in fuzz/Cargo.toml")?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    Ok(bins.filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned)).collect())
}
