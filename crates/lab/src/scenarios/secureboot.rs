//! Secure Boot with an owner's own keys: a UKI that we signed boots; one that nobody signed is refused by the firmware, and the journal
//! names it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::net::Lan;
use crate::secure::{Enrolled, Keys};
use crate::server::Server;

/// As long as a machine may take to refuse, and to ask again.
const PATIENCE: Duration = Duration::from_secs(300);

fn server(lab: &mut Lab) -> Result<(Lan, Server, Keys)> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    server.cli(["secureboot", "init"])?;
    let keys = own_keys(lab, &server)?;
    Ok((lan, server, keys))
}

/// The owner's keys that this server has, as a machine's firmware gets them.
pub(super) fn own_keys(lab: &Lab, server: &Server) -> Result<Keys> {
    let folder = lab.folder().join("keys");
    server.cli(["secureboot".as_ref(), "export".as_ref(), "--output".as_ref(), folder.as_os_str()])?;
    let list = |name: &str| {
        let path = folder.join(format!("{name}.esl"));
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Keys::Own(Enrolled { pk: list("PK")?, kek: list("KEK")?, db: list("db")? }))
}

pub(super) fn boots(lab: &mut Lab) -> Result<()> {
    let (lan, server, keys) = server(lab)?;
    boot::add_uki(lab, &server)?;
    server.cli(["image", "sign", "debian"])?;
    let shown = server.cli(["image", "show", "debian"])?;
    ensure!(shown.contains("uki.efi signed by Slipway Secure Boot signing key"), "it is not signed by us:\n{shown}");
    server.start()?;
    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe).secured_by(keys), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_secure(&machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;
    let told = boot::last_boot(&server, &machine)?.to_string();
    ensure!(told.contains("debian@2"), "it is not the signed version: {told}");
    ensure!(!told.contains("refused"), "the journal suspects a refusal: {told}");
    Ok(())
}

pub(super) fn refused(lab: &mut Lab) -> Result<()> {
    let (lan, server, keys) = server(lab)?;
    boot::add_uki(lab, &server)?;
    server.start()?;
    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe).secured_by(keys), &lan)?;
    let line = machine.console().wait_for_any(0, &["Access Denied", "slipway-agent: booted "], PATIENCE)?;
    ensure!(line.text.contains("Access Denied"), "it booted what nobody signed: {}", line.text);
    // The firmware goes on to its next way of booting, which is HTTP Boot.
    server.log()?.wait_for("DISCOVER x64 UEFI HTTP uefi-http", PATIENCE)?;
    let shown = server.journal_json(machine.mac())?.to_string();
    let wanted = "had all of image/debian/uki.efi and asked again";
    ensure!(
        shown.contains(wanted)
            && shown.contains("likely refused by Secure Boot")
            && shown.contains("slipway image sign"),
        "the journal does not name it: {shown}"
    );
    ensure!(machine.console().find("slipway-agent: booted").is_none(), "it booted");
    Ok(())
}
