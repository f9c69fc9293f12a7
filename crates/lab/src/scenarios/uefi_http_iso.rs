//! UEFI HTTP Boot loads an ISO into memory and boots from it as from a disk.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("direct"))?;
    boot::add_iso(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiHttp), &lan)?;
    let booted = boot::see_it_boot_from_anything(lab, &server, &machine)?;
    ensure!(booted.cmdline == lab.cmdline(), "the ISO's UKI has {:?}, not {:?}", lab.cmdline(), booted.cmdline);

    let told = boot::last_boot(&server, &machine)?.to_string();
    ensure!(told.contains("booted_from=disk"), "the firmware did not take it for a disk: {told}");
    ensure!(told.contains("boot.iso over HTTP, "), "the journal does not tell of the ISO: {told}");

    let story = boot::story(lab, &lan, &machine)?;
    let asked = boot::requests(&story);
    let [head, get, report] = asked.as_slice() else {
        anyhow::bail!("HEAD, GET and the report were expected: {asked:?}")
    };
    ensure!(head == "HEAD 200 /image/debian/boot.iso" && get == "GET 200 /image/debian/boot.iso", "{asked:?}");
    ensure!(report.starts_with("POST 204 "), "{asked:?}");
    ensure!(story.transfers().is_empty(), "TFTP was used");
    Ok(())
}
