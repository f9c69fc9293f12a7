//! UEFI firmware loads a UKI by TFTP and starts it: nothing of ours in between.

use anyhow::{Context, Result, ensure};
use slipway_wire::tftp::OptionKind;

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("direct"))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;

    let story = boot::story(lab, &lan, &machine)?;
    let uki = story.loaded(".efi").next().context("no .efi was loaded by TFTP")?;
    ensure!(uki.granted.contains(&OptionKind::WindowSize(4)), "no window of 4 was granted: {:?}", uki.granted);
    ensure!(uki.widest >= 4, "{} blocks were under way at once, not 4", uki.widest);
    ensure!(story.loaded(".efi").count() == 1, "the UKI was loaded more than once");
    ensure!(!boot::boot_server_used(&story), "a full DHCP server's client has no need of port 4011");
    ensure!(boot::requests(&story).iter().all(|line| line.starts_with("POST 204 ")), "{:?}", boot::requests(&story));
    Ok(())
}
