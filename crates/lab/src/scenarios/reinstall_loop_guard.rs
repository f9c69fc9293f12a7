//! A machine that boots from the network first, and an installer that never says when it is done: it would install for ever. The guard
//! trips, the machine boots its own disk, the operator releases it; and an installer that does say so is not needed twice.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::server::Server;

const RULES: &str = r#"
[[rule]]
name = "installs"
boot = "installer"
install = true
"#;

const BOOTED: &str = "slipway-agent: booted ";
const DISK: &str = "the local disk has booted";
/// From one restart to Linux, or to the disk.
const BOOT: Duration = Duration::from_secs(300);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::dhcp(RULES))?;
    add_installer(lab, &server, "")?;
    server.start()?;
    let order = |name| Order::new(name, 1, Firmware::Bios).restarting();
    let disk = disk(lab)?;

    let machine = lab.power_on(order("first").disk(&disk), &lan)?;
    let mut mark = 0;
    for boot in 1..=3 {
        let booted = machine.console().wait_from(mark, BOOTED, BOOT).with_context(|| format!("boot {boot}"))?;
        ensure!(
            booted.text.contains("slipway.done=http://10.77.0.1"),
            "no URL to say that it is done: {}",
            booted.text
        );
        mark = machine.console().mark();
    }
    machine.console().wait_from(mark, "Slipway: the reinstall guard has tripped", BOOT)?;
    machine.console().wait_from(mark, DISK, BOOT)?;
    machine.pull_plug()?;
    ensure!(state(&server, &machine)? == "guarded", "{}", state(&server, &machine)?);
    ensure!(last_reason(&server, &machine)? == "reinstall-guard", "{}", last_reason(&server, &machine)?);
    let list = server.cli(["machines"])?;
    ensure!(list.contains("reinstall guard has tripped"), "the list does not say so:\n{list}");
    ensure!(server.log()?.find("why=\"reinstall-guard\"").is_some(), "the log does not say so");

    // The server forgets nothing of it by being killed.
    server.kill9()?;
    server.start()?;
    ensure!(remembered(&server, &machine)?.contains("\"guarded\""), "forgotten by a restart");
    server.cli(["machine", "release", &machine.mac().to_string()])?;
    add_installer(lab, &server, " slipway.installed")?;
    let machine = lab.power_on(order("second").disk(&disk), &lan)?;
    machine.console().wait_for(BOOTED, BOOT)?;
    machine.console().wait_for("slipway-agent: said that this machine is installed", BOOT)?;
    machine.console().wait_for("Slipway: installer 'installer' said that it is done", BOOT)?;
    machine.console().wait_for(DISK, BOOT)?;
    machine.pull_plug()?;
    ensure!(state(&server, &machine)? == "installed", "{}", state(&server, &machine)?);
    Ok(())
}

/// An image that installs nothing, says nothing unless it is told to, and restarts the machine.
fn add_installer(lab: &Lab, server: &Server, more: &str) -> Result<()> {
    let linux = lab.linux()?;
    let cmdline = format!("console=ttyS0 slipway.reboot lab.marker={}{more}", lab.name());
    let kernel = ["--kernel".as_ref(), linux.kernel.as_os_str()];
    let rest = ["--initrd".as_ref(), linux.initrd.as_os_str(), "--cmdline".as_ref(), cmdline.as_ref()];
    let words = ["image".as_ref(), "add".as_ref(), "installer".as_ref()].into_iter().chain(kernel).chain(rest);
    server.cli(words).map(drop)
}

/// A disk whose boot sector says on the serial line that it has booted, and halts.
fn disk(lab: &Lab) -> Result<PathBuf> {
    // cld; xor ax, ax; mov ds, ax; mov si, text
    const START: [u8; 8] = [0xfc, 0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x22, 0x7c];
    // next: lodsb; test al, al; jz halt; mov bl, al; mov dx, 0x3fd; busy: in al, dx; test al, 0x20; jz busy
    const NEXT: [u8; 15] = [0xac, 0x84, 0xc0, 0x74, 0x12, 0x88, 0xc3, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x20, 0x74, 0xfb];
    // mov dx, 0x3f8; mov al, bl; out dx, al; jmp next; halt: hlt; jmp halt
    const SAY: [u8; 11] = [0xba, 0xf8, 0x03, 0x88, 0xd8, 0xee, 0xeb, 0xe9, 0xf4, 0xeb, 0xfd];
    let mut sector = [&START[..], &NEXT, &SAY, b"\r\n", DISK.as_bytes(), b"\r\n\0"].concat();
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    // A megabyte: what a BIOS takes for a disk.
    sector.resize(1 << 20, 0);
    let path = lab.folder().join("disk.img");
    std::fs::write(&path, sector).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn state(server: &Server, machine: &Machine) -> Result<String> {
    let shown = server.journal_json(machine.mac())?;
    Ok(shown.pointer("/machine/state").and_then(Value::as_str).unwrap_or_default().to_owned())
}

fn remembered(server: &Server, machine: &Machine) -> Result<String> {
    let shown = server.journal_json(machine.mac())?;
    Ok(shown.pointer("/machine/remembered").map(Value::to_string).unwrap_or_default())
}

/// Why the last packet that was declined was.
fn last_reason(server: &Server, machine: &Machine) -> Result<String> {
    let boot = boot::last_boot(server, machine)?;
    let events = boot.get("events").and_then(Value::as_array).cloned().unwrap_or_default();
    let reasons = events.iter().rev().filter_map(|event| event.get("why").and_then(Value::as_str));
    Ok(reasons.map(str::to_owned).next().unwrap_or_default())
}
