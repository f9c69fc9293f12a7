//! Somebody sits before a menu of the operator's own: looks into a submenu, comes back, and takes the second system. What cannot work on
//! this machine is not shown: a program for UEFI, and a system that needs more memory than there is. The systems are signed, which iPXE of
//! 2019 cannot verify: they boot all the same.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};
use crate::parts::UKI_STUB;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(120);
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\n";

const RULES: &str = r#"
[[menu]]
name = "main"
title = "What shall it be?"
timeout = 0
default = "first"

[[menu.item]]
text = "-- Systems --"

[[menu.item]]
name = "first"
title = "The first system"
image = "debian"
append = "lab.picked=first"

[[menu.item]]
title = "The second system"
image = "debian"
append = "lab.picked=second"
memory = "512MiB"

[[menu.item]]
title = "Too large a system"
image = "debian"
memory = "2GiB"

[[menu.item]]
title = "For UEFI alone"
image = "efi"

[[menu.item]]
menu = "tools"

[[menu]]
name = "tools"
title = "The toolbox"
timeout = 0

[[menu.item]]
reboot = true

[[rule]]
name = "everything"
menu = "main"
"#;

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::dhcp(RULES))?;
    add_signed(lab, &server)?;
    let program = UKI_STUB.find()?;
    server.cli(["image".as_ref(), "add".as_ref(), "efi".as_ref(), "--efi".as_ref(), program.as_os_str()])?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    let (console, keyboard) = (machine.console(), machine.process());
    let main = console.wait_for_prompt(0, "The toolbox", PATIENCE)?.text;
    for shown in ["What shall it be?", "-- Systems --", "The first system", "The second system"] {
        ensure!(main.contains(shown), "{shown:?} is not shown: {main:?}");
    }
    for hidden in ["Too large", "For UEFI"] {
        ensure!(!main.contains(hidden), "{hidden:?} is shown on a BIOS with 1 GiB: {main:?}");
    }
    // Into the toolbox, and by its last line back.
    keyboard.type_in(&[DOWN, DOWN, ENTER].concat())?;
    console.wait_for_prompt(0, "Back", PATIENCE).context("the submenu did not appear")?;
    keyboard.type_in(&[DOWN, ENTER].concat())?;
    keyboard.type_in(&[DOWN, ENTER].concat())?;

    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains("lab.picked=second"), "not the second system: {:?}", booted.cmdline);
    let asked = boot::requests(&boot::story(lab, &lan, &machine)?);
    let [first, menu, picked, ..] = asked.as_slice() else { anyhow::bail!("three scripts were expected: {asked:?}") };
    ensure!(first.starts_with("GET 200 /boot.ipxe?mac=") && !first.contains("ram="), "not the first script: {asked:?}");
    // 1024 MiB, as the machine's SMBIOS has it: two bytes, the lower one first.
    ensure!(menu.contains("&ram=0004-"), "the memory was not told: {asked:?}");
    ensure!(picked.contains("&menu=main&item=2&image=debian"), "not the line that was picked: {asked:?}");
    // This build of iPXE has no imgverify: it says so, and boots.
    console.find("this build of iPXE verifies no signatures").context("nothing was said of the signatures")?;
    Ok(())
}

/// The image `debian` with signatures, which need not be any as long as nobody looks.
fn add_signed(lab: &Lab, server: &Server) -> Result<()> {
    let (linux, cmdline) = (lab.linux()?, lab.cmdline());
    let mut words: Vec<OsString> = ["image", "add", "debian", "--cmdline", &cmdline].map(OsString::from).into();
    for (option, path) in [("--kernel", &linux.kernel), ("--initrd", &linux.initrd)] {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".sig");
        let signature = lab.folder().join(name);
        std::fs::write(&signature, [0x30, 0x80, 0, 0])?;
        words.extend([option.into(), path.into(), "--signature".into(), signature.into()]);
    }
    server.cli(words).map(drop)
}
