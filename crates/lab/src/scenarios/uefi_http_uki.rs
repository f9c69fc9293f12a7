//! UEFI HTTP Boot: the firmware itself speaks HTTP, and TFTP is not used at all.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiHttp), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_own_cmdline(lab, &booted)?;

    let story = boot::story(lab, &lan, &machine)?;
    let asked = boot::requests(&story);
    let [head, get, report] = asked.as_slice() else {
        anyhow::bail!("HEAD, GET and the report were expected: {asked:?}")
    };
    ensure!(
        head.starts_with("HEAD 200 ") && get.starts_with("GET 200 ") && report.starts_with("POST 204 "),
        "{asked:?}"
    );
    ensure!(story.transfers().is_empty(), "TFTP was used");
    Ok(())
}
