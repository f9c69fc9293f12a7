//! A machine that boots in its own firmware's order: its disk has nothing to start, so it goes on to the network by itself; somebody
//! makes an entry for a program on its disk the first, at the firmware's own prompt; from then on it boots that, through a restart and a
//! power cut, and asks no network. Its TPM is seen by firmware and Linux.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::boot;
use super::enrol::firmware_asked;
use crate::drive::{Bus, DATA, ESP};
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

const PATIENCE: Duration = Duration::from_secs(240);
const RULES: &str = r#"
[[rule]]
name = "disks"
local = true
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::dhcp(RULES))?;
    server.start()?;
    let disk = lab.blank_disk("disk", 1024)?.on(Bus::Nvme);
    disk.partition(&[("esp", ESP, 128), ("data", DATA, 64)])?;
    let (esp, data) = (disk.esp()?, disk.partition_of(DATA)?);
    disk.fill(&data)?;
    let before = disk.digest(&data)?;
    disk.make_fat(&esp)?;
    // Not where firmware looks by itself.
    disk.write_file(&esp, &lab.uki(&lab.cmdline())?, "linux.efi")?;

    let tpm = lab.tpm("node1")?;
    let order = Order::new("node1", 1, Firmware::UefiPxe).drive(&disk).by_itself().tpm(&tpm);
    let machine = lab.power_on(order.clone(), &lan)?;
    let shell =
        machine.console().wait_for_prompt(0, "Shell>", PATIENCE).context("the firmware's shell did not come")?;
    ensure!(firmware_asked(lab, &lan, machine.mac())? > 0, "it did not go on to the network before {:?}", shell.text);
    let cancelled = machine.console().find("PXE-E21: Remote boot cancelled");
    ensure!(cancelled.is_some(), "it was not sent to its disk");
    machine.type_line("bcfg boot add 0 FS0:\\linux.efi \"Lab\"")?;
    machine.console().wait_for("bcfg: Add Boot", PATIENCE).context("no entry was made")?;
    let already = firmware_asked(lab, &lan, machine.mac())?;
    // Killed, not switched off: what firmware has said that it wrote is written.
    machine.pull_plug()?;

    for start in ["after a power cut", "after it was switched off"] {
        let machine = lab.power_on(order.clone(), &lan)?;
        let booted = machine.wait_booted()?;
        machine.wait_off()?;
        ensure!(booted.cmdline == lab.cmdline(), "{start}: not the system on its disk: {:?}", booted.cmdline);
        ensure!(firmware_asked(lab, &lan, machine.mac())? == already, "{start}: its firmware asked the network");
        ensure!(machine.console().find("TPMEventLog=").is_some(), "{start}: Linux is handed no log of the TPM");
    }
    disk.verify_table()?;
    ensure!(disk.digest(&data)? == before, "another partition has changed");
    Ok(())
}
