//! Installs what the chores need. Nothing is installed that is already there, whoever installed it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::needs::{NEEDS, Need, Probe, Work};
use crate::sh;

/// The dependency checker, pinned so that its verdict does not change under us.
const CARGO_DENY: &str = "0.20.2";

/// `cargo xtask setup`: everything for every chore.
pub(crate) fn run(dry_run: bool) -> Result<ExitCode> {
    for need in NEEDS {
        let mark = if present(need) { "have" } else { "MISS" };
        println!("{mark}  {:<16} {:<46} {}", need.package, label(need), need.why);
    }
    if !dry_run {
        ensure(&[Work::Build, Work::Judges, Work::Fuzz, Work::Boot, Work::Peers])?;
        ensure_components()?;
        ensure_deny()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes sure that what these kinds of work need is installed.
///
/// # Errors
/// What is missing and how to install it, when we may not do it ourselves.
pub(crate) fn ensure(work: &[Work]) -> Result<()> {
    let wanted = || NEEDS.iter().filter(|need| work.contains(&need.work));
    let missing: Vec<&Need> = wanted().filter(|need| !present(need)).collect();
    if missing.is_empty() {
        return if work.contains(&Work::Boot) { ensure_kernel_is_known() } else { Ok(()) };
    }
    let packages = packages(&missing);
    let Some(become_root) = become_root() else {
        bail!("{}", advice(&missing, &packages));
    };
    if sh::which("apt-get").is_none() {
        bail!("{}", advice(&missing, &packages));
    }
    eprintln!("Installing: {}", packages.join(" "));
    install(&become_root, &packages)?;
    let still: Vec<&Need> = wanted().filter(|need| !present(need)).collect();
    if !still.is_empty() {
        bail!("installed, and yet not found:\n{}", list(&still));
    }
    if work.contains(&Work::Boot) { ensure_kernel_is_known() } else { Ok(()) }
}

/// The lab downloads the distribution's kernel without installing it: for that, apt must have its lists.
fn ensure_kernel_is_known() -> Result<()> {
    let known = |package| sh::succeeds(sh::command("apt-cache").args(["show", package]));
    if sh::which("apt-get").is_none() || ["linux-image-cloud-amd64", "linux-image-virtual"].into_iter().any(known) {
        return Ok(());
    }
    let Some(become_root) = become_root() else {
        bail!("apt knows no kernel package for the lab to boot: run `apt-get update` as root");
    };
    sh::run(&mut apt(&become_root, &["update"], &[]))
}

/// Makes sure that rustfmt and clippy are there; a minimal toolchain lacks them.
pub(crate) fn ensure_components() -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !sh::succeeds(&mut sh::cargo([subcommand, "--version"])) {
            sh::run(sh::command("rustup").args(["component", "add", component]))
                .with_context(|| format!("`cargo {subcommand}` is missing: install the component {component}"))?;
        }
    }
    Ok(())
}

/// Makes sure that cargo-deny is there. Any version that is installed will do.
pub(crate) fn ensure_deny() -> Result<()> {
    if sh::succeeds(&mut sh::cargo(["deny", "--version"])) {
        return Ok(());
    }
    eprintln!("Installing cargo-deny {CARGO_DENY}: it is compiled here, which takes some minutes, once.");
    sh::run(&mut sh::cargo(["install", "cargo-deny", "--locked", "--version", CARGO_DENY]))
}

fn present(need: &Need) -> bool {
    match need.probe {
        Probe::Program(program) => sh::which(program).is_some(),
        Probe::File(paths) => paths.iter().any(|path| Path::new(path).exists()),
    }
}

fn label(need: &Need) -> String {
    match need.probe {
        Probe::Program(program) => program.to_owned(),
        Probe::File(paths) => paths.first().copied().unwrap_or_default().to_owned(),
    }
}

fn packages(missing: &[&Need]) -> Vec<&'static str> {
    let mut packages: Vec<&'static str> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn list(needs: &[&Need]) -> String {
    needs.iter().map(|n| format!("  {} (package {}): {}", label(n), n.package, n.why)).collect::<Vec<_>>().join("\n")
}

fn advice(missing: &[&Need], packages: &[&str]) -> String {
    format!(
        "this needs what is not installed:\n{}\nOn Debian 12 or Ubuntu 24.04, run as root:\n  apt-get install --no-install-recommends {}\n\
         On another system, install what brings these files.",
        list(missing),
        packages.join(" ")
    )
}

/// The words before a command that make it run as root: none for root, `sudo -n` where it asks for no password.
fn become_root() -> Option<Vec<&'static str>> {
    if rustix::process::geteuid().is_root() {
        return Some(Vec::new());
    }
    sh::succeeds(Command::new("sudo").args(["-n", "true"])).then(|| vec!["sudo", "-n"])
}

/// Installs packages; the package lists are fetched only when the packages are unknown or gone from the mirror.
fn install(become_root: &[&str], packages: &[&str]) -> Result<()> {
    let _quiet = StartNoServices::hold();
    let known = sh::succeeds(&mut apt(become_root, &["install", "--simulate", "--no-install-recommends"], packages));
    let install = || apt(become_root, &["install", "--yes", "--no-install-recommends"], packages);
    if known && sh::status(&mut install())?.success() {
        return Ok(());
    }
    sh::run(&mut apt(become_root, &["update"], &[]))?;
    sh::run(&mut install())
}

fn apt(become_root: &[&str], verb: &[&str], packages: &[&str]) -> Command {
    // `env` because sudo does not hand our environment on.
    let words = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"];
    let mut words = become_root.iter().chain(&words).chain(verb).chain(packages);
    let mut command = sh::command(words.next().copied().unwrap_or("apt-get"));
    command.args(words);
    command
}

/// While held, packages start no services (a DHCP relay, say) on the machine that only wants to run tests: Debian's
/// `policy-rc.d` says no. Only for root; a policy that is already there stays.
struct StartNoServices(bool);

impl StartNoServices {
    const FILE: &str = "/usr/sbin/policy-rc.d";

    fn hold() -> Self {
        let free = rustix::process::geteuid().is_root() && !Path::new(Self::FILE).exists();
        let held = free
            && fs::write(Self::FILE, "#!/bin/sh\nexit 101\n").is_ok()
            && fs::set_permissions(Self::FILE, fs::Permissions::from_mode(0o755)).is_ok();
        Self(held)
    }
}

impl Drop for StartNoServices {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(Self::FILE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_each_package_once_and_what_each_is_for() {
        let missing: Vec<&Need> = NEEDS.iter().filter(|need| need.work == Work::Peers).collect();
        let packages = packages(&missing);
        let text = advice(&missing, &packages);
        assert!(text.contains("apt-get install --no-install-recommends atftp curl dhcpcd-base dnsmasq-base"), "{text}");
        assert!(text.contains("dhcrelay (package isc-dhcp-relay): a foreign DHCP relay"), "{text}");
    }
}
