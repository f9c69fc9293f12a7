//! The loader that a BIOS ROM without iPXE is given: undionly.kpxe, over TFTP, by the ROM's own network driver (UNDI).
//!
//! The one BIOS ROM to be had is iPXE, which needs no loader. So someone sits at its prompt here and has it load what any other
//! ROM would have been told to load.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("auto"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), &lan)?;
    let console = machine.console();
    console.wait_for_prompt(0, "Press Ctrl-B for the iPXE command line", PATIENCE)?;
    machine.press("\x02")?;
    console.wait_for_prompt(0, "iPXE>", PATIENCE)?;
    machine.type_line("dhcp")?;
    console.wait_for_prompt(0, "Configuring (net0", PATIENCE)?;
    let mark = console.mark();
    console.wait_for_prompt(mark, "iPXE>", PATIENCE)?;
    machine.type_line("chain tftp://10.77.0.1/loader/undionly.kpxe")?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let loader = story.loaded("undionly.kpxe").next().context("undionly.kpxe was not loaded by TFTP")?;
    let asked = boot::requests(&story);
    ensure!(asked.first().is_some_and(|line| line.starts_with("GET 200 /boot.ipxe?mac=")), "{asked:?}");
    ensure!(story.requests().iter().all(|request| request.at > loader.end), "undionly.kpxe did not ask for the script");
    Ok(())
}
