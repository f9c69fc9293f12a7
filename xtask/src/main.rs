//! The project's own chores. `cargo xtask --help` lists them; each installs what it misses before it starts.

mod bench;
mod docs;
mod examples;
mod fuzz;
mod lab;
mod layers;
mod lint;
mod matrix;
mod needs;
mod programs;
mod promises;
mod setup;
mod sh;
mod soak;
mod tally;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Slipway's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Watch a blank virtual machine join an org, boot from its own disk, lose its ESP and come back.
    Demo {
        /// Handed on to the lab's demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run everything: lint, unit tests, fuzzing, every lab scenario. The last line is `N passed, M failed`.
    Test {
        /// Only lint (without dependency policy) and unit tests.
        #[arg(long)]
        quick: bool,
    },
    /// Check format, lints, layers, documents and dependency policy.
    Lint,
    /// Check who imports whom against the table, and that the pure crates are pure.
    Layers,
    /// Boot real firmware: `lab list`, `lab run NAME... [--keep] [--json]`; `lab matrix` writes the firmware tables.
    Lab {
        /// Handed on to the lab.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run each fuzz target for a while.
    Fuzz {
        /// Seconds per target.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Only these targets.
        targets: Vec<String>,
    },
    /// Run the benchmarks.
    Bench {
        /// Handed on to `cargo bench`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Let something go wrong very often, and keep a report of what came of it under docs/.
    Soak {
        #[command(subcommand)]
        what: soak::Soak,
    },
    /// Install the system packages that the other chores need, and say what each is for.
    Setup {
        /// Only say what is missing.
        #[arg(long)]
        dry_run: bool,
    },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().chore {
        Chore::Demo { args } => lab::demo(&args),
        Chore::Test { quick } => test::run(quick),
        Chore::Lint => lint::run(),
        Chore::Layers => layers::run(),
        Chore::Lab { args } => lab::run(&args),
        Chore::Fuzz { seconds, targets } => fuzz::run(seconds, &targets),
        Chore::Bench { args } => bench::run(&args),
        Chore::Soak { what } => soak::run(what),
        Chore::Setup { dry_run } => setup::run(dry_run),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
