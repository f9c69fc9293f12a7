//! pxelinux on a BIOS, in both of its ways: sent by rule, with everything over HTTP; and by itself, finding its configuration over
//! TFTP like an installation that somebody set up by hand.
//!
//! The one BIOS ROM to be had is iPXE. The first machine's iPXE is told by its script to start pxelinux; at the prompt of the second
//! someone has it load the older build, that knows nothing but TFTP, and no more than where it came from.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Machine, Order};
use crate::net::Lan;
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let (lan, server) = boot::network(lab, &boot::full_dhcp("pxelinux"))?;
    boot::add_linux(lab, &server)?;
    server.start()?;
    by_rule(lab, &lan, &server)?;
    by_lookup(lab, &lan, &server)
}

fn by_rule(lab: &mut Lab, lan: &Lan, server: &Server) -> Result<()> {
    let machine = lab.power_on(Order::new("node1", 1, Firmware::Bios), lan)?;
    see_it_boot(lab, server, &machine)?;
    let asked = boot::requests(&boot::story(lab, lan, &machine)?);
    let [script, rest @ ..] = asked.as_slice() else { anyhow::bail!("nothing was asked for") };
    ensure!(script.starts_with("GET 200 /boot.ipxe?mac="), "{asked:?}");
    for file in ["/pxelinux/lpxelinux.0", "/pxelinux/ldlinux.c32", "/image/debian@1/linux", "/image/debian@1/initrd"] {
        ensure!(rest.contains(&format!("GET 200 {file}")), "{file} was not loaded: {asked:?}");
    }
    let configs: Vec<&String> = rest.iter().filter(|line| line.contains("/pxelinux.cfg/")).collect();
    let own = format!("GET 200 /pxelinux/pxelinux.cfg/01-{}", machine.mac().hyphenated());
    ensure!(configs == [&own], "option 209 leads to the machine's own configuration at once: {configs:?}");
    Ok(())
}

fn by_lookup(lab: &mut Lab, lan: &Lan, server: &Server) -> Result<()> {
    let machine = lab.power_on(Order::new("node2", 2, Firmware::Bios), lan)?;
    let console = machine.console();
    console.wait_for_prompt(0, "Press Ctrl-B for the iPXE command line", PATIENCE)?;
    machine.press("\x02")?;
    console.wait_for_prompt(0, "iPXE>", PATIENCE)?;
    machine.type_line("dhcp")?;
    console.wait_for_prompt(0, "Configuring (net0", PATIENCE)?;
    let mut mark = console.mark();
    // What DHCP told iPXE is where its script is; pxelinux is to find what another ROM would have been told.
    for line in ["set net0.dhcp/filename pxelinux/pxelinux.0", "chain tftp://10.77.0.1/pxelinux/pxelinux.0"] {
        console.wait_for_prompt(mark, "iPXE>", PATIENCE)?;
        // Behind this prompt, whose line has no end yet.
        mark = console.mark() + 1;
        machine.type_line(line)?;
    }
    see_it_boot(lab, server, &machine)?;
    let story = boot::story(lab, lan, &machine)?;
    for file in ["pxelinux/pxelinux.0", "pxelinux/ldlinux.c32", "image/debian@1/linux", "image/debian@1/initrd"] {
        ensure!(story.loaded(file).next().is_some(), "{file} was not loaded over TFTP");
    }
    // iPXE hands it no UUID, which would come first.
    let asked: Vec<&str> = story.transfers().iter().map(|transfer| transfer.file.as_str()).collect();
    let configs: Vec<&&str> = asked.iter().filter(|file| file.contains("pxelinux.cfg/")).collect();
    let own = format!("pxelinux/pxelinux.cfg/01-{}", machine.mac().hyphenated());
    ensure!(configs == [&own.as_str()], "the card's address leads to the configuration at once: {asked:?}");
    Ok(())
}

/// Linux runs, and with the image's own command line, whatever pxelinux put before it.
fn see_it_boot(lab: &Lab, server: &Server, machine: &Machine) -> Result<()> {
    let booted = boot::see_it_boot(lab, server, machine)?;
    ensure!(booted.cmdline.contains(&lab.cmdline()), "{:?} is not in {:?}", lab.cmdline(), booted.cmdline);
    ensure!(machine.console().find("PXELINUX 6").is_some(), "pxelinux did not say that it runs");
    Ok(())
}
