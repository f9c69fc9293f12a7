//! A machine with a 64-bit ARM processor: edk2 loads a UKI that is built for it, by TFTP and by HTTP.
//!
//! The Linux in it is Debian's kernel with Debian's busybox. Our agent is not in it: nothing here compiles it for this processor. What
//! the scenarios wait for is said and reported by the lab's own script, under the name `lab-init`.

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn pxe(lab: &mut Lab) -> Result<()> {
    let story = boots(lab, "direct", Firmware::Arm64Pxe)?;
    ensure!(story.loaded(".efi").count() == 1, "the UKI was not loaded once by TFTP");
    ensure!(boot::requests(&story).iter().all(|line| line.starts_with("POST 204 ")), "{:?}", boot::requests(&story));
    Ok(())
}

pub(super) fn http(lab: &mut Lab) -> Result<()> {
    let story = boots(lab, "auto", Firmware::Arm64Http)?;
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

/// Boots the machine into the image `debian`, and tells what was said on the network.
fn boots(lab: &mut Lab, path: &str, firmware: Firmware) -> Result<crate::story::Story> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let server = lab.slipway(&host, &boot::full_dhcp(path))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, firmware).memory(512), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(
        booted.cmdline == lab.cmdline(),
        "the UKI's own command line was {:?}, not {:?}",
        lab.cmdline(),
        booted.cmdline
    );
    boot::story(lab, &lan, &machine)
}
