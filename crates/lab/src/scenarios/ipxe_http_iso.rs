//! iPXE boots an ISO over HTTP: it reads the pieces that are asked for, as from a disk, and never the whole.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_iso(lab, &server)?;
    server.start()?;

    // isolinux reads through the BIOS; on UEFI, the firmware reads the UKI in the EFI boot image.
    let machines = [Order::new("node1", 1, Firmware::Bios), Order::new("node2", 2, Firmware::UefiPxe)];
    for order in machines {
        let machine = lab.power_on(order, &lan)?;
        let booted = boot::see_it_boot_from_anything(lab, &server, &machine)?;
        ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);

        let asked = boot::requests(&boot::story(lab, &lan, &machine)?);
        let parts = asked.iter().filter(|line| line.starts_with("GET 206 ") && line.ends_with("/boot.iso")).count();
        ensure!(parts > 10 && parts + 3 >= asked.len(), "script, pieces of the ISO, a report were expected: {asked:?}");
        let told = boot::last_boot(&server, &machine)?;
        let text = told.to_string();
        ensure!(text.contains("boot.iso over HTTP, read in parts"), "the journal does not tell of the ISO: {text}");
        let entries = text.matches("boot.iso").count();
        ensure!(entries < parts / 2, "the journal tells of {parts} pieces one by one, {entries} times");
    }
    Ok(())
}
