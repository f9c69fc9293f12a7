//! The org has built a newer generation, and a newer preboot. The machine fetches both at its next start, and starts the one; the other, in
//! the slot beside its own, is tried at the start after that, and stands first when that start went well. Nothing that is older is taken
//! again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slipway_wire::MacAddr;

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::org::Org;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, org) = enrol::org(lab, "")?;
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let mac = enrol::joined(lab, &org, &lan, &home)?;
    let asked = enrol::firmware_asked(lab, &lan, mac)?;
    let [generation, preboot] = [build_next(lab, &org, "generation")?, build_next(lab, &org, "preboot")?];

    let machine = lab.power_on(home.order.clone(), &lan)?;
    ensure_runs(&machine, &org, generation, "downloaded")?;
    // Another generation has another disk key; the old one's slot stays until a start with the new one went well.
    ensure_said(&machine, "with epoch 1, and from now on with epoch 2")?;
    ensure_said(&machine, "boot order updated (slot A stands first")?;
    ensure_said(&machine, &format!("preboot updated (version {preboot} is in slot B"))?;
    machine.pull_plug()?;

    // The org's servers would have it go back to the generation before; the next try finds them as they were.
    let aside = Aside::put(&org, generation)?;
    let trial = lab.power_on(home.order.clone(), &lan)?;
    let refused = trial.wait_failure(0, "identity proved")?.text;
    ensure!(refused.contains("below the floor"), "an older generation was not refused in words: {refused}");
    aside.restore(&org)?;
    trial.console().wait_for(&format!("preboot image, version {preboot},"), Duration::ZERO)?;
    let mark = trial.console().mark();
    trial.console().wait_from(mark, "[ok] identity proved", Duration::from_secs(60))?;
    ensure_runs(&trial, &org, generation, "cache hit")?;
    ensure_said(&trial, "is started next, on trial")?;
    trial.pull_plug()?;

    let settled = lab.power_on(home.order.clone(), &lan)?;
    settled.wait_step(0, "boot order updated")?;
    ensure_said(&settled, &format!("preboot image, version {preboot},"))?;
    ensure_said(&settled, "boot order updated (slot B stands first")?;
    settled.wait_step(0, "kexec into the generation")?;
    ensure_said(&settled, "slots of older epochs were destroyed")?;
    ensure_shares(&org, mac, 2)?;
    settled.pull_plug()?;

    // What its header does not need any more the org destroys when it hears so.
    let last = lab.power_on(home.order.clone(), &lan)?;
    last.wait_step(0, "disk unlocked")?;
    ensure_said(&last, "epoch 2)")?;
    ensure_shares(&org, mac, 1)?;
    ensure!(enrol::firmware_asked(lab, &lan, mac)? == asked, "its firmware asked the network");
    org.audit().map(drop)
}

/// Whether the org keeps so many shares of a machine's disk key.
fn ensure_shares(org: &Org, mac: MacAddr, wanted: u64) -> Result<()> {
    let known = org.machine(mac)?;
    ensure!(known.get("shares").and_then(Value::as_u64) == Some(wanted), "not {wanted} shares are kept: {known}");
    Ok(())
}

/// Builds the next version of a role's image, below which whoever runs it takes none any more. Its version.
fn build_next(lab: &Lab, org: &Org, role: &str) -> Result<u64> {
    let version = lab.made_org()?.newest(role)?.0 + 1;
    let text = version.to_string();
    lab.build_image(org, &[role, "--version", &text, "--floor", &text])?;
    org.server().reload()?;
    Ok(version)
}

/// Follows a machine until it runs this generation, which came to its disk like this, and is well.
fn ensure_runs(machine: &Machine, org: &Org, version: u64, how: &str) -> Result<()> {
    let hello = machine.wait_hello(0)?.text;
    ensure!(hello.contains(&format!("version {version} on ")), "it runs another generation: {hello}");
    ensure_said(machine, &format!("version {version}, {how}, SHA-256"))?;
    machine.wait_step(0, "reported healthy")?;
    enrol::ensure_told(org, machine.mac(), "state", "active")
}

fn ensure_said(machine: &Machine, text: &str) -> Result<()> {
    machine.console().find(text).with_context(|| format!("{} did not say {text:?}", machine.name())).map(drop)
}

/// A generation that is out of its server's sight.
struct Aside {
    file: PathBuf,
    place: PathBuf,
}

impl Aside {
    fn put(org: &Org, version: u64) -> Result<Self> {
        let name = format!("{version}.json");
        let file = org.server().data().join("images/generation").join(&name);
        let aside = Self { file, place: org.server().data().join(name) };
        rename(&aside.file, &aside.place)?;
        org.server().reload()?;
        Ok(aside)
    }

    fn restore(self, org: &Org) -> Result<()> {
        rename(&self.place, &self.file)?;
        org.server().reload()
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).with_context(|| format!("cannot rename {}", from.display()))
}
