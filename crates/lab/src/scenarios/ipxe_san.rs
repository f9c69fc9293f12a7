//! Network disks: iPXE attaches one and boots from it, and Linux comes out of it.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Booted, Firmware, Machine, Order};
use crate::peers;
use crate::server::Server;

/// As long as iPXE may take until it asks for a name.
const PATIENCE: Duration = Duration::from_secs(120);

/// Addresses from Slipway, and these disks and rules.
fn config(disks_and_rules: &str) -> String {
    format!(
        r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
router = "10.77.0.1"

{disks_and_rules}
"#
    )
}

/// Linux runs, out of the disk: the mark is on the command line, and no file of ours but iPXE and its script was loaded.
fn see_it_boot(lab: &Lab, server: &Server, machine: &Machine, disk: &str) -> Result<Booted> {
    let booted = machine.wait_booted()?;
    machine.wait_reported()?;
    machine.wait_off()?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);
    let told = boot::last_boot(server, machine)?.to_string();
    ensure!(told.contains(disk), "the journal does not tell of the disk {disk}: {told}");
    ensure!(told.contains("\"agent\""), "the journal does not tell of the agent's report: {told}");
    Ok(booted)
}

pub(super) fn iscsi(lab: &mut Lab) -> Result<()> {
    const SECRET: &str = "correct-horse-${battery}";
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let storage = lab.host("storage", &[(&lan, "10.77.0.5/24")])?;
    let archive = lab.host("archive", &[(&lan, "10.77.0.6/24")])?;
    let disk = lab.disk(&lab.cmdline())?;
    let closed = peers::tgt(&storage, &disk, "iqn.2026-01.example:closed", Some(("node", SECRET)))?;
    let open = peers::tgt(&archive, &disk, "iqn.2026-01.example:open", None)?;
    lab.keep(&closed);
    lab.keep(&open);

    let secret = lab.folder().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n"))?;
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let server = lab.slipway(
        &host,
        &config(&format!(
            r#"
[[san]]
name = "closed"
target = "iscsi:10.77.0.5::3260:1:iqn.2026-01.example:closed"
initiator = "iqn.2026-01.example:node-{{mac}}"
keep = true
username = "node"
secret-file = {secret:?}
expose-secret = true

[[rule]]
name = "uefi"
when = {{ uefi = true }}
san = "closed"

[[rule]]
name = "bios"
san = "iscsi:10.77.0.6:::1:iqn.2026-01.example:open"
path = "direct"
"#
        )),
    )?;
    server.start()?;

    let uefi = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    see_it_boot(lab, &server, &uefi, "closed")?;
    let story = boot::story(lab, &lan, &uefi)?;
    let asked = boot::requests(&story);
    let [script, report] = asked.as_slice() else { anyhow::bail!("a script and the report were expected: {asked:?}") };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac=") && report.starts_with("POST 204 "), "{asked:?}");
    let said = closed.log().find("iqn.2026-01.example:node-52-54-00-77-00-01").is_some();
    ensure!(said, "the target did not hear the initiator's name");
    let log = server.log_tail(10_000).join("\n");
    ensure!(!log.contains("correct-horse"), "the secret is in the log");

    let bios = lab.power_on(Order::new("node2", 2, Firmware::Bios), &lan)?;
    see_it_boot(lab, &server, &bios, "iqn.2026-01.example:open")?;
    let story = boot::story(lab, &lan, &bios)?;
    let asked = boot::requests(&story);
    ensure!(
        matches!(asked.as_slice(), [report] if report.starts_with("POST 204 ")),
        "it took more than DHCP: {asked:?}"
    );
    ensure!(story.transfers().is_empty(), "TFTP was used");
    Ok(())
}

/// Sits at iPXE's form for name and secret. Together they are no more than a serial port has room for: what comes while firmware is slow
/// to read is lost otherwise.
fn log_in(machine: &Machine, name: &str, secret: &str) -> Result<()> {
    let (console, keyboard) = (machine.console(), machine.process());
    console.wait_for_prompt(0, "Slipway: name and secret for vault", PATIENCE)?;
    console.wait_for_prompt(0, "Password", PATIENCE)?;
    keyboard.type_in(&format!("{name}\r{secret}\r"))
}

pub(super) fn beside_an_image(lab: &mut Lab) -> Result<()> {
    const SECRET: &str = "0123-secrets";
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let storage = lab.host("storage", &[(&lan, "10.77.0.5/24")])?;
    let disk = lab.disk("root=wrong")?;
    let target = peers::tgt(&storage, &disk, "iqn.2026-01.example:vault", Some(("p", SECRET)))?;
    lab.keep(&target);
    let server = lab.slipway(
        &host,
        &config(
            r#"
[[san]]
name = "vault"
target = "iscsi:10.77.0.5:::1:iqn.2026-01.example:vault"
ask = true

[[rule]]
name = "installer"
boot = "debian"
san = "vault"
"#,
        ),
    )?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    log_in(&machine, "p", SECRET)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);
    // Linux finds the table that iPXE left for it, by which an installer finds the disk.
    ensure!(machine.console().find("iBFT").is_some(), "Linux was not told of the disk");
    let asked = boot::requests(&boot::story(lab, &lan, &machine)?);
    let [script, kernel, initrd, report] = asked.as_slice() else {
        anyhow::bail!("script, kernel, initrd and report were expected: {asked:?}")
    };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac=") && report.starts_with("POST 204 "), "{asked:?}");
    ensure!(kernel.ends_with("/linux") && initrd.ends_with("/initrd"), "{asked:?}");
    Ok(())
}

pub(super) fn aoe(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let storage = lab.host("storage", &[(&lan, "")])?;
    let disk = lab.disk(&lab.cmdline())?;
    let blade = peers::vblade(&storage, &disk)?;
    lab.keep(&blade);
    let server = lab.slipway(&host, &config("[[rule]]\nname = \"everything\"\nsan = \"aoe:e0.1\"\n"))?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    see_it_boot(lab, &server, &machine, "aoe:e0.1")?;
    let asked = boot::requests(&boot::story(lab, &lan, &machine)?);
    let [script, report] = asked.as_slice() else { anyhow::bail!("a script and the report were expected: {asked:?}") };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac=") && report.starts_with("POST 204 "), "{asked:?}");
    Ok(())
}
