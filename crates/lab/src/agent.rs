//! Building the agent for the machines of the lab: one static program.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use slipway_wire::Cpu;

use crate::packages;
use crate::process::run;

/// The compiler's name for a processor of the lab.
fn target(cpu: Cpu) -> &'static str {
    if cpu == Cpu::Arm64 { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" }
}

/// Builds the agent for machines with this processor, and returns where it is.
///
/// # Errors
/// The build fails, or there is no compiler for that processor.
pub(crate) fn build(cpu: Cpu, workspace: &Path, cache: &Path) -> Result<PathBuf> {
    let target = target(cpu);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "-q", "-p", "slipway-agent", "--profile", "agent", "--target", target]).current_dir(workspace);
    // A build for a named target keeps this flag from build scripts and procedural macros, which can't be static.
    let variable = |what: &str| format!("CARGO_TARGET_{}_{what}", target.to_uppercase().replace('-', "_"));
    cargo.env(variable("RUSTFLAGS"), "-C target-feature=+crt-static");
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let mut made = folder.clone();
    if cpu == Cpu::Arm64 {
        cargo.env(variable("LINKER"), "aarch64-linux-gnu-gcc");
        cargo.env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc");
        if !knows(target) {
            // Another compiler's files must not drive out those of this one.
            made = folder.join("debian-rust");
            cargo.env("RUSTC", debian_rustc(cache)?).env("CARGO_TARGET_DIR", &made);
        }
    }
    run(&mut cargo).with_context(|| format!("cannot build the agent for {target}"))?;
    let agent = made.join(target).join("agent/slipway-agent");
    if !agent.exists() {
        bail!("the build made no {}", agent.display());
    }
    Ok(agent)
}

/// Whether the toolchain that is installed has the standard library for a target.
fn knows(target: &str) -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = run(Command::new(rustc).args(["--print", "target-libdir", "--target", target])).unwrap_or_default();
    Path::new(folder.trim()).is_dir()
}

/// Debian's compiler with its standard library for 64-bit ARM, downloaded once and never installed: for where rustup can't add that.
fn debian_rustc(cache: &Path) -> Result<PathBuf> {
    // The compiler, its two standard libraries, and the libraries that it runs on where this computer has others.
    const NAMES: [&str; 10] = [
        "rustc-web:amd64",
        "libstd-rust-web-dev:amd64",
        "libstd-rust-web-dev:arm64",
        "libedit2:amd64",
        "libbsd0:amd64",
        "libmd0:amd64",
        "libz3-4:amd64",
        "libxml2:amd64",
        "libicu72:amd64",
        "libffi8:amd64",
    ];
    let which = |apt: &packages::Apt| {
        let library = format!("{}:amd64", apt.depends("libstd-rust-web-dev:amd64", "libstd-rust-web-")?);
        let llvm = format!("{}:amd64", apt.depends(&library, "libllvm")?);
        Ok([library, llvm].into_iter().chain(NAMES.map(str::to_owned)).collect())
    };
    let root = packages::fetch_foreign(packages::ARM64_RUST, which, cache)
        .context("no compiler for 64-bit ARM: `rustup target add aarch64-unknown-linux-gnu` brings one")?;
    // A script, so that nothing but the compiler sees these libraries.
    let script = cache.join("rustc-arm64");
    let text = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{0}/usr/lib/x86_64-linux-gnu' exec '{0}/usr/bin/rustc' \"$@\"\n",
        root.display()
    );
    std::fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    Ok(script)
}
