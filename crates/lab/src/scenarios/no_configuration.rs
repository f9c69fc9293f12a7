//! Slipway as it comes, without any configuration, on a network with a DHCP server that knows nothing of booting: a blank machine is shown
//! the menu, and boots its first entry.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, _) = boot::network_of_dnsmasq(lab)?;
    let host = lab.host("server", &[(&lan, "10.77.0.2/24")])?;
    let server = lab.slipway_by_default(&host)?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;

    let story = boot::story(lab, &lan, &machine)?;
    ensure!(boot::boot_server_used(&story), "the firmware did not come to port 4011");
    let asked = boot::requests(&story);
    let [menu, script, uki, ..] = asked.as_slice() else { anyhow::bail!("menu, script, UKI were expected: {asked:?}") };
    ensure!(menu.starts_with("GET 200 /boot.ipxe?mac=") && !menu.contains("image="), "not the menu: {asked:?}");
    ensure!(
        script.starts_with("GET 200 /boot.ipxe?mac=") && script.ends_with("&image=debian"),
        "not its entry: {asked:?}"
    );
    ensure!(uki.starts_with("GET 200 /image/debian"), "not the UKI: {asked:?}");
    Ok(())
}
