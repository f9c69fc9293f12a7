//! An operator tells a machine, before it was ever switched on, to boot an image once. The next power-on is by the rules again, which
//! leave it to its own disk.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::server::Server;

const RULES: &str = r#"
[[rule]]
name = "disks"
local = true
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::dhcp(RULES))?;
    boot::add_uki(lab, &server)?;
    server.start()?;
    let esp = lab.folder().join("esp");
    std::fs::create_dir_all(esp.join("EFI/BOOT")).context("cannot make the system partition")?;
    let from_disk = format!("{} lab.disk", lab.cmdline());
    std::fs::copy(lab.uki(&from_disk)?, esp.join("EFI/BOOT/BOOTX64.EFI"))?;
    let order = |name| Order::new(name, 1, Firmware::UefiPxe).disk_with(&esp);
    let mac = order("first").mac().to_string();

    let refused =
        server.cli(["machine", "boot", &mac, "nonsense", "--once"]).err().context("an image that is not there")?;
    ensure!(refused.to_string().contains("there are debian"), "the refusal names no remedy: {refused:#}");
    server.cli(["machine", "boot", &mac, "debian", "--once"])?;
    // What was said is durable.
    server.kill9()?;
    server.start()?;

    let machine = lab.power_on(order("first"), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline == lab.cmdline(), "not the image from the network: {:?}", booted.cmdline);
    let shown = server.journal_json(machine.mac())?;
    ensure!(shown.pointer("/boots/0/rule") == Some(&Value::from("intent")), "not by the operator's word: {shown}");
    ensure!(shown.pointer("/machine/remembered/intent").is_none(), "it is not used up: {shown}");
    let past = shown.pointer("/machine/remembered/past_intent/fulfilled");
    ensure!(past == Some(&Value::from(true)), "it was not fulfilled: {shown}");

    let machine = lab.power_on(order("second"), &lan)?;
    let booted = machine.wait_booted()?;
    ensure!(booted.cmdline == from_disk, "not the system on its disk: {:?}", booted.cmdline);
    machine.wait_reported()?;
    machine.wait_off()?;
    let boot = boot::last_boot(&server, &machine)?.to_string();
    ensure!(boot.contains("booted_from=disk"), "the machine does not say that it booted from its disk: {boot}");
    ensure!(boot.contains("local-boot"), "it was not told so: {boot}");
    // In the firmware's own words, and not by waiting until nobody answers.
    ensure!(machine.console().find("PXE-E21: Remote boot cancelled").is_some(), "it was not told to go on");
    ensure!(machine.console().find("PXE-E16").is_none(), "it waited for an offer");
    still_by_the_rules(&server, &machine)
}

fn still_by_the_rules(server: &Server, machine: &Machine) -> Result<()> {
    let listed = server.cli(["machines"])?;
    ensure!(!listed.contains("next:"), "something is still to be booted:\n{listed}");
    let shown = server.cli(["machine", "show", &machine.mac().to_string()])?;
    ensure!(shown.contains("booted debian once, as it was told"), "{shown}");
    Ok(())
}
