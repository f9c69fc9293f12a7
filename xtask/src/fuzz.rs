//! Fuzzing each target for a fixed time, on the stable toolchain: `fuzz/.cargo/config.toml` switches the instrumentation on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};

use crate::needs::Work;
use crate::tally::Tally;
use crate::{setup, sh};

/// Targets that run at once: libFuzzer is busy with one processor each.
const AT_ONCE: usize = 2;
/// An input that takes longer than this is a fault.
const SLOWEST: u32 = 10;

/// `cargo xtask fuzz`.
pub(crate) fn run(seconds: u32, targets: &[String]) -> Result<ExitCode> {
    setup::ensure(&[Work::Build, Work::Fuzz])?;
    let mut tally = Tally::default();
    tally.phase("fuzzing", |tally| {
        build()?;
        all(tally, seconds, targets)
    });
    Ok(tally.finish())
}

/// Builds every target, as something that others need not wait for: it leaves them the processors that they want.
pub(crate) fn build() -> Result<()> {
    sh::run(sh::gently(["build", "--release", "--locked", "--quiet"]).current_dir(folder()))
}

/// The workspace of the targets.
pub(crate) fn folder() -> PathBuf {
    sh::root().join("fuzz")
}

/// Runs the named targets, or all, for so many seconds each. They are [built](build).
pub(crate) fn all(tally: &mut Tally, seconds: u32, only: &[String]) -> Result<()> {
    let mut targets = targets()?;
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!("no fuzz target `{unknown}`; there are: {}", targets.join(", "));
    }
    targets.retain(|target| only.is_empty() || only.contains(target));
    let folder = folder();
    let queue = Mutex::new(targets.into_iter());
    let done = Mutex::new(Vec::new());
    // A function of its own: in a loop's condition the queue would stay locked, and the other idle, while a target runs.
    let next = || locked(&queue).next();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(target) = next() {
                    let outcome = fuzz(&folder, &target, seconds);
                    match &outcome {
                        Ok(()) => println!("ok   fuzz {target}: {seconds} s without a fault"),
                        Err(error) => println!("FAIL fuzz {target}: {error:#}"),
                    }
                    locked(&done).push((target, outcome.is_ok()));
                }
            });
        }
    });
    for (target, passed) in locked(&done).iter() {
        tally.note(&format!("fuzz {target}"), *passed);
    }
    Ok(())
}

/// Runs one target. New inputs go to a scratch folder; the committed seeds are only read.
fn fuzz(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let scratch = folder.join("target/corpus").join(target);
    let seeds = folder.join("seeds").join(target);
    let artifacts = folder.join("artifacts").join(target);
    for path in [&scratch, &artifacts] {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    let log = folder.join(format!("target/{target}.log"));
    let mut fuzzer = Command::new(binary(folder, target));
    fuzzer.current_dir(folder).arg(&scratch);
    if seeds.is_dir() {
        fuzzer.arg(&seeds);
    }
    fuzzer.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={SLOWEST}"));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
    let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let status = fuzzer.stdout(output.try_clone()?).stderr(output).status().context("cannot start the fuzzer")?;
    if !status.success() {
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let end = lines.iter().skip(lines.len().saturating_sub(25)).copied().collect::<Vec<_>>().join("\n");
        bail!("{status}; the input is in {}, the whole log in {}\n{end}", artifacts.display(), log.display());
    }
    Ok(())
}

fn binary(folder: &Path, target: &str) -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    folder.join("target").join(triple).join("release").join(target)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Names of the binaries in fuzz/Cargo.toml.
fn targets() -> Result<Vec<String>> {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).context("no fuzz/Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("in fuzz/Cargo.toml")?;
    let bins = manifest.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    let names: Vec<String> = bins.filter_map(|bin| bin.get("name")?.as_str().map(str::to_owned)).collect();
    if names.is_empty() {
        bail!("fuzz/Cargo.toml names no target");
    }
    Ok(names)
}
