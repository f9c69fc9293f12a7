//! The images of a machine's life, built from a kernel package and our agent: the same input gives the same bytes.

use std::collections::BTreeSet;
use std::io;

use crate::drivers::{ALWAYS, Fleet};
use crate::kernel::{self, KernelError, Module};
use crate::pe::{Machine, Pe};
use crate::uki::{BuildError, Parts};
use crate::{Initramfs, Kernel, modalias, uki};
use slipway_trust::{OrgFacts, Role};

/// The word in the initramfs that says which program the agent is.
pub const ROLE: &str = "etc/slipway/role";
/// What the image trusts: [`OrgFacts`] as CBOR.
pub const ORG: &str = "etc/slipway/org";
/// The modules to load at once, one path a line, dependencies first.
pub const MODULES: &str = "etc/slipway/modules";
/// The largest image of [`Fleet::Servers`] for x64, in bytes: machines fetch it by TFTP.
pub const LARGEST: u64 = 25 << 20;

/// What an image is to be.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// What for.
    pub role: Role,
    /// Its version: a later one is greater.
    pub version: u64,
    /// What it trusts. It is put in as it is given, with its own version and time of building.
    pub org: Option<&'a OrgFacts>,
    /// The kernel's command line.
    pub cmdline: &'a str,
}

/// What it is made of.
#[derive(Clone, Copy, Debug)]
pub struct Materials<'a> {
    /// systemd's stub.
    pub stub: &'a [u8],
    /// The kernel.
    pub kernel: &'a [u8],
    /// Its release.
    pub release: &'a str,
    /// Its modules, as [`Kernel::modules`] gives them.
    pub modules: &'a [Module],
    /// Our agent, linked statically.
    pub agent: &'a [u8],
}

/// Why an image cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The stub cannot be built on.
    #[error("systemd's stub: {0}")]
    Stub(#[from] BuildError),
    /// The kernel is nothing that a stub can start.
    #[error("the kernel is no EFI program: it is compressed, or was built without an EFI stub")]
    Kernel,
    /// The parts are for different processors.
    #[error("{part} is for {found}, the stub for {wanted}")]
    Processor {
        /// What is not for the stub's.
        part: &'static str,
        /// What it is for.
        found: Machine,
        /// What the stub is for.
        wanted: Machine,
    },
    /// The agent is no program that runs alone.
    #[error("the agent is not a static program: build it with `{build}`", build = BUILD_AGENT)]
    Agent,
    /// The initramfs cannot be packed.
    #[error("the initramfs cannot be packed")]
    Pack(#[from] io::Error),
}

/// How the agent is built.
pub const BUILD_AGENT: &str = "RUSTFLAGS='-C target-feature=+crt-static' cargo build --profile agent -p slipway-agent --target \
                               x86_64-unknown-linux-gnu";

/// Of the modules that an image for such machines wants, those that a kernel has, with what they need; and the names of those that it
/// has not.
///
/// # Errors
/// A module cannot be read.
pub fn choose(kernel: &Kernel, fleet: Fleet) -> Result<(Vec<Module>, Vec<&'static str>), KernelError> {
    let wanted: Vec<&'static str> = ALWAYS.iter().copied().chain(fleet.by_need()).collect();
    let (there, missing): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|name| kernel.has_module(name));
    Ok((kernel.modules(&there)?, missing))
}

/// Builds the image, not signed.
///
/// # Errors
/// The parts do not fit each other, or one of them is not what it should be.
pub fn build(recipe: &Recipe<'_>, materials: &Materials<'_>) -> Result<Vec<u8>, RecipeError> {
    let &Materials { stub, kernel, release, agent, .. } = materials;
    let wanted = Pe::parse(stub).map_err(BuildError::Pe)?.machine;
    let found = Pe::parse(kernel).ok().filter(Pe::is_efi_program).ok_or(RecipeError::Kernel)?.machine;
    if found != wanted {
        return Err(RecipeError::Processor { part: "the kernel", found, wanted });
    }
    match kernel::machine(agent) {
        _ if !is_static(agent) => return Err(RecipeError::Agent),
        Some(found) if found == wanted => {}
        Some(found) => return Err(RecipeError::Processor { part: "the agent", found, wanted }),
        None => return Err(RecipeError::Agent),
    }
    let initrd = initramfs(recipe, materials).compressed()?;
    let Recipe { role, version, cmdline, .. } = recipe;
    let osrel =
        format!("NAME=\"Slipway\"\nID=slipway\nVERSION_ID={version}\nPRETTY_NAME=\"Slipway {role} {version}\"\n");
    Ok(uki::build(stub, &Parts { linux: kernel, initrd: &initrd, cmdline, osrel: &osrel, uname: release })?)
}

fn initramfs(recipe: &Recipe<'_>, materials: &Materials<'_>) -> Initramfs {
    let modules = materials.modules;
    let mut fs = Initramfs::with_program(materials.agent);
    // The kernel asks for modules by running this program: the agent knows by its name what is wanted of it.
    fs.link("sbin/modprobe", "/init");
    fs.file(ROLE, 0o644, format!("{}\n", recipe.role).as_bytes());
    if let Some(org) = recipe.org {
        fs.file(ORG, 0o644, &slipway_trust::encode(org));
    }
    let (depends, aliases) = modalias::render(modules);
    let mut order = String::new();
    for name in at_once(modules) {
        order.push_str(&format!("/{}\n", path(name)));
    }
    for module in modules {
        fs.file(&path(&module.name), 0o644, &module.content);
    }
    fs.file(MODULES, 0o644, order.as_bytes());
    fs.file(modalias::DEPENDS, 0o644, depends.as_bytes());
    fs.file(modalias::ALIASES, 0o644, aliases.as_bytes());
    fs
}

fn path(module: &str) -> String {
    format!("{}/{module}.ko", modalias::FOLDER)
}

/// The names of [`ALWAYS`] and of what they need, in the order of loading.
fn at_once(modules: &[Module]) -> Vec<&str> {
    let mut wanted: BTreeSet<&str> = ALWAYS.iter().copied().collect();
    for name in ALWAYS {
        wanted.extend(closure(modules, name));
    }
    modules.iter().map(|module| module.name.as_str()).filter(|name| wanted.contains(name)).collect()
}

/// What a module needs, directly and not.
fn closure<'a>(modules: &'a [Module], name: &'a str) -> BTreeSet<&'a str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut left: Vec<&str> = vec![name];
    while let Some(name) = left.pop() {
        let depends = modules.iter().filter(|module| module.name == name).flat_map(|module| &module.depends);
        left.extend(depends.map(String::as_str).filter(|other| found.insert(other)));
    }
    found
}

/// Whether a 64-bit ELF program names no other program to load it (`PT_INTERP`): there is none in the initramfs.
#[must_use]
pub fn is_static(program: &[u8]) -> bool {
    use crate::bytes::{u16_at, u32_at, u64_at};
    const INTERPRETER: u32 = 3;
    let headers = || {
        let table = usize::try_from(u64_at(program, 0x20)?).ok()?;
        let size = usize::from(u16_at(program, 0x36)?);
        let count = usize::from(u16_at(program, 0x38)?);
        let kind = |nth: usize| u32_at(program, table.checked_add(nth.checked_mul(size)?)?);
        Some((0..count).map(kind).collect::<Vec<_>>())
    };
    let kinds = headers().filter(|_| program.starts_with(b"\x7fELF\x02\x01"));
    kinds
        .is_some_and(|kinds| !kinds.is_empty() && kinds.iter().all(|kind| kind.is_some_and(|kind| kind != INTERPRETER)))
}
