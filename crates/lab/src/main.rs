//! The lab as a program of its own: what `cargo xtask lab` runs.

use std::process::ExitCode;

use clap::Parser;
use slipway_lab::cli::{LabArgs, run};

/// Real firmware, real clients, networks of their own.
#[derive(Parser)]
#[command(name = "slipway-lab", version)]
struct Cli {
    #[command(flatten)]
    lab: LabArgs,
}

fn main() -> ExitCode {
    run(Cli::parse().lab, &[]).unwrap_or_else(|error| {
        eprintln!("slipway-lab: {error:#}");
        ExitCode::from(2)
    })
}
