//! UEFI HTTP Boot on a network without any IPv4; routers are advertised, so the firmware's own IPv6 stack asks for an address too.

use anyhow::{Context, Result, ensure};
use slipway_wire::dhcp6::{MessageType, OptionCode};

use super::boot;
use crate::lab::Lab;
use crate::machine::{Firmware, Order};

pub(super) fn run(lab: &mut Lab) -> Result<()> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "fd77::1/64")])?;
    let server = lab.slipway(&host, &boot::over_ipv6("ra = \"managed\""))?;
    boot::add_uki(lab, &server)?;
    server.start()?;

    let machine = lab.power_on(Order::new("node1", 1, Firmware::UefiHttp6), &lan)?;
    let booted = boot::see_it_boot(lab, &server, &machine)?;
    ensure!(booted.ip.starts_with("fd77::1:"), "its address {} is not of the pool", booted.ip);
    ensure!(booted.cmdline == lab.cmdline(), "the UKI's own command line was not {:?}", booted.cmdline);

    let story = boot::story(lab, &lan, &machine)?;
    let advertised = story.dhcp6().iter().filter(|dhcp| dhcp.packet.message.kind == MessageType::ADVERTISE);
    let mut advertised = advertised.map(|dhcp| &dhcp.packet.message.options);
    let options =
        advertised.find(|options| options.boot_file_url().is_some()).context("no boot file was advertised")?;
    let url = options.boot_file_url().unwrap_or_default();
    ensure!(url == b"http://[fd77::1]:8067/image/debian/uki.efi", "{}", url.escape_ascii());
    ensure!(options.get(OptionCode::VENDOR_CLASS) == Some(b"\0\0\x01\x57\0\x0aHTTPClient"), "{options:?}");
    let asked = boot::requests(&story);
    let [head, get, report] = asked.as_slice() else {
        anyhow::bail!("HEAD, GET and the report were expected: {asked:?}")
    };
    let answered = head.starts_with("HEAD 200 ") && get.starts_with("GET 200 ") && report.starts_with("POST 204 ");
    ensure!(answered, "{asked:?}");
    ensure!(story.transfers().is_empty(), "TFTP was used");
    ensure!(!story.dhcp().iter().any(|dhcp| dhcp.from.port() == 67), "a DHCPv4 server answered");
    let shown = server.journal_json(machine.mac())?.to_string();
    ensure!(shown.contains("RA managed"), "the journal does not tell of the advertisement: {shown}");
    Ok(())
}
