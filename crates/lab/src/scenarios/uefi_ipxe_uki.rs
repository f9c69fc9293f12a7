//! UEFI firmware loads iPXE, iPXE loads its script and the UKI over HTTP, and the UKI keeps the command line it carries: iPXE would
//! put the image's name in its place, if the script did not know better.

use anyhow::{Context, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("ipxe"))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;

    let story = boot::story(lab, &lan, &machine)?;
    story.loaded("snponly.efi").next().context("iPXE was not loaded by TFTP")?;
    ensure!(
        story.transfers().iter().filter(|transfer| transfer.bytes > 0).count() == 1,
        "iPXE was loaded again and again"
    );
    let asked = boot::requests(&story);
    let [script, uki, ..] = asked.as_slice() else { anyhow::bail!("script and UKI were expected: {asked:?}") };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac="), "not the script of this machine: {asked:?}");
    ensure!(uki.starts_with("GET 200 /image/debian"), "not the UKI: {asked:?}");
    Ok(())
}
