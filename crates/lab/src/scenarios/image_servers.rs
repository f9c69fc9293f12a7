//! The bootstrap image with the drivers of every common server: small enough for TFTP, and a machine starts from it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::enrol::{self, Home};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

/// The largest that it may be, in bytes.
const LARGEST: u64 = 25 << 20;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let home = Home::with_tpm(lab, Order::new("node1", 1, Firmware::UefiPxe))?;
    let (lan, org) = enrol::org(lab, "")?;
    let words = ["bootstrap", "--drivers", "servers"];
    let built = lab.build_image(&org, &words)?;
    let number = |name: &str| built.get(name).and_then(Value::as_u64).with_context(|| format!("no {name}: {built}"));
    let (size, modules) = (number("size")?, number("modules")?);
    lab.say(&format!("{size} bytes with {modules} modules"));
    ensure!(size <= LARGEST, "the image has {size} bytes, more than {LARGEST}");
    let missing = built.get("missing_drivers").and_then(Value::as_array).context("no word of missing drivers")?;
    ensure!(missing.is_empty(), "drivers are missing: {missing:?}");
    let again = lab.build_image(&org, &words)?;
    ensure!(again.get("sha256") == built.get("sha256"), "the same parts made another image: {again}");

    org.open_window()?;
    let machine = lab.power_on(home.order.clone(), &lan)?;
    machine.wait_step(0, "identity proved")?;
    let version = built.pointer("/image/version").and_then(Value::as_str).context("no version")?;
    let loaded = format!("image/bootstrap@{version}/uki.efi");
    let journal = org.server().journal_json(machine.mac())?.to_string();
    ensure!(journal.contains(&loaded), "it loaded something else than {loaded}: {journal}");
    machine.pull_plug()
}
