//! What the boot scenarios have in common: the networks they happen on, and how a boot is seen to the end.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use slipway_wire::dhcp4::MessageType;

use crate::lab::Lab;
use crate::machine::{Booted, Machine};
use crate::net::{Host, Lan};
use crate::peers;
use crate::server::Server;
use crate::story::Story;

/// A LAN with a server of ours at 10.77.0.1, which is configured so and not started yet.
pub(super) fn network(lab: &mut Lab, config: &str) -> Result<(Lan, Server)> {
    let lan = lab.lan("lan")?;
    let host = lab.host("server", &[(&lan, "10.77.0.1/24")])?;
    let server = lab.slipway(&host, config)?;
    Ok((lan, server))
}

/// A LAN where dnsmasq, on the router at 10.77.0.1, gives the addresses and knows nothing of booting.
pub(super) fn network_of_dnsmasq(lab: &mut Lab) -> Result<(Lan, Host)> {
    let lan = lab.lan("lan")?;
    let router = lab.host("router", &[(&lan, "10.77.0.1/24")])?;
    let dnsmasq = peers::dnsmasq_dhcp(&router, "10.77.0.100", "10.77.0.200")?;
    lab.keep(&dnsmasq);
    Ok((lan, router))
}

/// A server that gives addresses, and does besides what these tables say.
pub(super) fn dhcp(rules: &str) -> String {
    format!(
        r#"
[[interface]]
name = "eth0"
mode = "dhcp"

[[subnet]]
network = "10.77.0.0/24"
pool = ["10.77.0.100-10.77.0.200"]
router = "10.77.0.1"
{rules}"#
    )
}

/// A rule that boots everything into the image `debian`, by the path `path` (`auto`, `direct`, `ipxe`).
fn everything(path: &str) -> String {
    format!("\n[[rule]]\nname = \"everything\"\nboot = \"debian\"\npath = \"{path}\"\n")
}

/// A server that gives addresses and boots everything into the image `debian`, by the path `path`.
pub(super) fn full_dhcp(path: &str) -> String {
    dhcp(&everything(path))
}

/// A server on a network without IPv4, which gives IPv6 addresses and boots everything into the image `debian`. `more` belongs to the
/// interface.
pub(super) fn over_ipv6(more: &str) -> String {
    let rule = everything("direct");
    format!(
        r#"
[[interface]]
name = "eth0"
mode = "dhcp"
{more}

[[subnet6]]
network = "fd77::/64"
pool = ["fd77::1:0-fd77::1:ffff"]
{rule}"#
    )
}

/// The DHCPv6 messages that passed, by their names, without repeats of what is said again and again.
pub(super) fn exchange6(story: &Story) -> Vec<String> {
    let mut names: Vec<String> = story.dhcp6().iter().map(|dhcp| dhcp.packet.message.kind.to_string()).collect();
    names.dedup();
    names
}

/// A server that leaves addresses to another and boots everything into the image `debian`, by the path `path`.
pub(super) fn proxy(path: &str) -> String {
    format!("\n[[interface]]\nname = \"eth0\"\nmode = \"proxy\"\n{}", everything(path))
}

/// Gives the server the image `debian`: a UKI whose own command line is the scenario's.
pub(super) fn add_uki(lab: &Lab, server: &Server) -> Result<()> {
    let uki = lab.uki(&lab.cmdline())?;
    server.cli(["image".as_ref(), "add".as_ref(), "debian".as_ref(), "--uki".as_ref(), uki.as_os_str()]).map(drop)
}

/// Gives the server the image `debian`: kernel, initial RAM file system and the scenario's command line.
pub(super) fn add_linux(lab: &Lab, server: &Server) -> Result<()> {
    let (linux, cmdline) = (lab.linux()?, lab.cmdline());
    let kernel = ["--kernel".as_ref(), linux.kernel.as_os_str()];
    let rest = ["--initrd".as_ref(), linux.initrd.as_os_str(), "--cmdline".as_ref(), cmdline.as_ref()];
    let words = ["image".as_ref(), "add".as_ref(), "debian".as_ref()].into_iter().chain(kernel).chain(rest);
    server.cli(words).map(drop)
}

/// Sees a boot to its end: Linux says that it runs, reports to us, and switches the machine off; the kernel and the address are the
/// right ones, and our journal tells the same.
/// And it booted by the usual kind of offer: no firmware that takes it is ever made another.
pub(super) fn see_it_boot(lab: &Lab, server: &Server, machine: &Machine) -> Result<Booted> {
    see_it_boot_by(lab, server, machine, None)
}

/// The same by another kind of offer.
pub(super) fn see_it_boot_by(lab: &Lab, server: &Server, machine: &Machine, kind: Option<&str>) -> Result<Booted> {
    let booted = see_linux_run(lab, server, machine, kind)?;
    let text = last_boot(server, machine)?.to_string();
    ensure!(!text.contains("booted_from=disk"), "the machine believes that it has booted from a disk: {text}");
    Ok(booted)
}

/// The same for what comes to the machine as a disk.
pub(super) fn see_it_boot_from_anything(lab: &Lab, server: &Server, machine: &Machine) -> Result<Booted> {
    see_linux_run(lab, server, machine, None)
}

fn see_linux_run(lab: &Lab, server: &Server, machine: &Machine, kind: Option<&str>) -> Result<Booted> {
    let booted = machine.wait_booted()?;
    machine.wait_reported()?;
    machine.wait_off()?;
    let linux = lab.linux()?;
    ensure!(booted.kernel == linux.release, "kernel {} runs, not {}", booted.kernel, linux.release);
    ensure!(booted.mac == machine.mac().to_string(), "it booted from {}, which is not its card", booted.mac);
    let ours = booted.ip.starts_with("10.77.") || booted.ip.starts_with("fd77:");
    ensure!(ours, "its address {} is not of the lab's networks", booted.ip);
    let boot = last_boot(server, machine)?;
    ensure!(rung(server, machine)?.as_deref() == kind, "it was made offers of another kind than {kind:?}: {boot}");
    let text = boot.to_string();
    ensure!(text.contains("\"agent\""), "the journal does not tell of the agent's report: {text}");
    ensure!(text.contains("debian"), "the journal does not tell which image was booted: {text}");
    Ok(booted)
}

/// The UKI ran with the command line that it carries.
pub(super) fn ensure_own_cmdline(lab: &Lab, booted: &Booted) -> Result<()> {
    let own = lab.cmdline();
    ensure!(booted.cmdline == own, "the UKI's own command line was {own:?}, not {:?}", booted.cmdline);
    Ok(())
}

/// Whether Linux says that Secure Boot is on: the kernel reads it in the firmware, and locks itself down.
pub(super) fn ensure_secure(machine: &Machine) -> Result<()> {
    let says = |text| machine.console().find(text).is_some();
    ensure!(says("secureboot: Secure boot enabled"), "{}'s kernel does not say that Secure Boot is on", machine.name());
    Ok(())
}

/// The machine's last boot as `slipway machine show --json` tells it.
pub(super) fn last_boot(server: &Server, machine: &Machine) -> Result<Value> {
    let shown = server.journal_json(machine.mac())?;
    let boots = shown.get("boots").and_then(Value::as_array);
    boots
        .and_then(|boots| boots.last())
        .cloned()
        .with_context(|| format!("the journal knows no boot of the machine: {shown}"))
}

/// The kind of offer that the machine is made, where that is not the usual one.
pub(super) fn rung(server: &Server, machine: &Machine) -> Result<Option<String>> {
    let shown = server.journal_json(machine.mac())?;
    Ok(shown.pointer("/machine/offers/rung").and_then(Value::as_str).map(str::to_owned))
}

/// What the machine and we said to each other on the LAN.
pub(super) fn story(lab: &Lab, lan: &Lan, machine: &Machine) -> Result<Story> {
    Ok(lab.story(lan)?.of_machine(machine.mac()))
}

/// Whether the machine asked a boot server on port 4011, and was answered.
pub(super) fn boot_server_used(story: &Story) -> bool {
    let mut asked = story.dhcp().iter().filter(|dhcp| dhcp.is_boot_server());
    asked.any(|dhcp| dhcp.message.options.message_type() == Some(MessageType::ACK))
}

/// The HTTP requests that loaded something, as `METHOD status target`.
pub(super) fn requests(story: &Story) -> Vec<String> {
    let shown = |request: &crate::story::Request| {
        format!("{} {} {}", request.method, request.status.unwrap_or_default(), request.target)
    };
    story.requests().iter().map(shown).collect()
}

/// Gives the server the image `debian`: an ISO that boots on BIOS and UEFI.
pub(super) fn add_iso(lab: &Lab, server: &Server) -> Result<()> {
    let iso = lab.iso(&lab.cmdline())?;
    server.cli(["image".as_ref(), "add".as_ref(), "debian".as_ref(), "--iso".as_ref(), iso.as_os_str()]).map(drop)
}
