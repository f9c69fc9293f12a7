//! `cargo xtask bench`: the workspace's benchmarks.

use std::process::ExitCode;

use anyhow::Result;

use crate::needs::Work;
use crate::{setup, sh};

/// Runs `cargo bench --workspace` with these arguments.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build])?;
    let mut bench = sh::cargo(["bench", "--workspace"]);
    bench.args(args);
    Ok(sh::exit_code(sh::status(&mut bench)?))
}
