//! Secure Boot with the keys that machines have from the factory: Debian's signed shim loads Debian's signed GRUB, which gets a
//! configuration made for its machine and loads Debian's signed kernel, all over TFTP. Nothing in the configuration asks for it.

use anyhow::{Context as _, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::secure::Keys;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;
    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiPxe).secured_by(Keys::Microsoft), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    boot::ensure_secure(&machine)?;
    let wanted = format!("BOOT_IMAGE=/image/debian@1/linux {}", lab.cmdline());
    ensure!(booted.cmdline == wanted, "the command line is {:?}, not {wanted:?}", booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let files: Vec<&str> = story.transfers().iter().map(|transfer| transfer.file.as_str()).collect();
    let mut from = 0;
    for wanted in ["shimx64.efi", "grubx64.efi", "grub.cfg", "/image/debian@1/linux", "/image/debian@1/initrd"] {
        let found = files.iter().skip(from).position(|file| file.ends_with(wanted));
        from += found.with_context(|| format!("{wanted} was not fetched in its turn: {files:?}"))? + 1;
    }
    let told = boot::last_boot(&server, &machine)?.to_string();
    for wanted in ["shim/shimx64.efi over TFTP", "shim/grubx64.efi over TFTP", "script for debian@1"] {
        ensure!(told.contains(wanted), "the journal does not tell of {wanted}: {told}");
    }
    ensure!(!told.contains("refused"), "the journal suspects a refusal: {told}");
    Ok(())
}
