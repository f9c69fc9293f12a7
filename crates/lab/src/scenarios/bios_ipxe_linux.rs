//! A BIOS machine whose network card has iPXE as its ROM: a script, a kernel and an initial RAM file system over HTTP.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let asked = boot::requests(&story);
    let [script, kernel, initrd, ..] = asked.as_slice() else { anyhow::bail!("three files were expected: {asked:?}") };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac="), "not the script of this machine: {asked:?}");
    ensure!(
        [kernel, initrd].iter().all(|line| line.starts_with("GET 200 /image/debian")),
        "not kernel and initrd: {asked:?}"
    );
    ensure!(story.transfers().iter().all(|transfer| transfer.bytes == 0), "iPXE in ROM needs no loader by TFTP");
    Ok(())
}
