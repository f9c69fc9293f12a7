//! U-Boot on 64-bit ARM, left to itself: it goes through its boot targets until one asks for a script over the network, and ours has it
//! look for its configuration (`pxe get`) and boot by that (`pxe boot`).
//!
//! The Linux in it is Debian's kernel with our agent, compiled for this processor.

use anyhow::{Context, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Arm64UBoot), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline == lab.cmdline(), "{:?} is not {:?}", booted.cmdline, lab.cmdline());

    let story = boot::story(lab, &lan, &machine)?;
    let told = story.dhcp().iter().any(|dhcp| dhcp.message.file_name() == b"u-boot/22/boot.scr.uimg");
    ensure!(told, "it was not told where its files are");
    // Its boot target asks for the script by this name, whatever it was told; the script sends it to its own folder.
    let config = format!("u-boot/22/pxelinux.cfg/01-{}", machine.mac().hyphenated());
    for file in ["boot.scr.uimg", &config, "u-boot/22/image/debian@1/linux", "u-boot/22/image/debian@1/initrd"] {
        let mut loaded = story.loaded(file).filter(|transfer| transfer.file == file);
        loaded.next().with_context(|| format!("{file} was not loaded by TFTP"))?;
    }
    ensure!(boot::requests(&story).iter().all(|line| line.starts_with("POST 204 ")), "{:?}", boot::requests(&story));
    Ok(())
}
