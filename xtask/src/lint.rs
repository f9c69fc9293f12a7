//! `cargo xtask lint`: what can be checked without running the program's tests.

use std::process::{ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::needs::Work;
use crate::programs::Programs;
use crate::tally::Tally;
use crate::{docs, examples, fuzz, layers, matrix, promises, setup, sh};

/// Whether the dependency policy is checked too: it takes a while the first time, for a tool to install.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Policy {
    /// With `cargo deny`.
    Checked,
    /// Without: the quick tier.
    Left,
}

/// `cargo xtask lint` alone.
pub(crate) fn run() -> Result<ExitCode> {
    setup::ensure(&[Work::Build])?;
    let mut tally = Tally::default();
    checks(&mut tally, Policy::Checked, Programs::Alone);
    tally.check("clippy on the fuzz targets", || {
        setup::ensure(&[Work::Fuzz])?;
        fuzz_targets()
    });
    Ok(tally.finish())
}

/// All checks but that of the [fuzz targets](fuzz_targets), fastest first, each with a verdict of its own.
pub(crate) fn checks(tally: &mut Tally, policy: Policy, programs: Programs) {
    tally.check("toolchain", setup::ensure_components);
    tally.check("format", || sh::run(&mut sh::cargo(["fmt", "--all", "--check"])));
    tally.check("layers", layers::check);
    tally.check("documents", docs::check);
    tally.check("promises", promises::check);
    tally.check("clippy", clippy);
    tally.check("rustdoc", rustdoc);
    tally.check("documented configuration", || examples::check(programs));
    tally.check("firmware tables", || matrix::check(programs));
    if policy == Policy::Checked {
        tally.check("dependency policy", deny);
    }
}

fn clippy() -> Result<()> {
    sh::run(&mut sh::cargo(["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]))
}

/// Clippy on the fuzz targets: they are a workspace of their own, with flags of their own. libFuzzer is compiled for it.
pub(crate) fn fuzz_targets() -> Result<()> {
    let mut clippy =
        sh::gently(["clippy", "--release", "--all-targets", "--locked", "--quiet", "--", "-D", "warnings"]);
    sh::run(clippy.current_dir(fuzz::folder()))
}

fn rustdoc() -> Result<()> {
    let mut doc = sh::cargo(["doc", "--workspace", "--no-deps", "--locked", "--quiet"]);
    sh::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn deny() -> Result<()> {
    setup::ensure_deny()?;
    sh::run(&mut sh::cargo(["deny", "--locked", "--log-level", "warn", "check", "licenses", "bans", "sources"]))?;
    advisories()
}

/// What `timeout` exits with.
const TIMED_OUT: i32 = 124;

/// Known vulnerabilities, from a database on the network. Not to reach it is no fault of this tree; whatever it says is.
fn advisories() -> Result<()> {
    let mut deny = sh::command("timeout");
    deny.args(["90", "cargo", "deny", "--locked", "--log-level", "warn", "check", "advisories"]);
    let output = deny.stdin(Stdio::null()).output().context("cannot start cargo deny")?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(());
    }
    if output.status.code() == Some(TIMED_OUT) || text.contains("failed to fetch advisory database") {
        println!(
            "note: the advisory database cannot be reached from here, so known vulnerabilities were not looked up"
        );
        return Ok(());
    }
    bail!("{text}")
}
